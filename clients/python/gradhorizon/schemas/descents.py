"""Gradient descent on a small task, with and without clipping: where it overshoots, and what it comes to."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from ._base import ReportModel, RequestModel
from .arrays import VectorValues
from .clipping import Clipping, NoClipping
from .comparisons import named
from .diagnoses import Provenance
from .inputs import InitialState, Std
from .networks import Delay, LeakRate, Scale, _Activated
from .sources import Family, Seed, Source
from .values import (
    IntSeries,
    Log10Series,
    Nested,
    NullableNumber,
    NullableSeries,
    Number,
    Series,
    UndefinedLog10Number,
    undefined_as_nan,
)

MOST_SEEDS = 1024
MOST_POLICIES = 64

Length = Annotated[int, Field(ge=2)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
HiddenSize = Annotated[int, Field(ge=1)]


# Tasks


class CliffTask(RequestModel):
    """One sigmoid unit x_t = w sigma(x_{t-1}) + b whose sigma(x_T) is to be 0.7 (Pascanu et al. 2013, eq. 8, fig. 6).

    `weight` w and `bias` b are where the descent starts, `initial_state` is x_0; the loss is (sigma(x_T) - target)^2.
    """

    kind: Literal["cliff"]
    length: Length = 50
    weight: Finite = 4.5
    bias: Finite = -2.2
    initial_state: Finite = 0.5
    target: Finite = 0.7


class RecurrenceTask(RequestModel):
    """h_t = W h_{t-1} is to reach a target after `length` steps; the loss is half the squared distance.

    `weights` is where the descent starts (`"transpose": true` on a matrix gives the article's W^T). Unless given, the
    initial state and the target are random unit vectors, other ones for every seed.
    """

    kind: Literal["recurrence"]
    length: Annotated[int, Field(ge=1)] = 10
    weights: Source
    initial_state: InitialState | None = None
    target: VectorValues | None = None


class LatchTask(RequestModel):
    """Two classes, told by the sign of the first input and asked for at the last step; noise in between."""

    kind: Literal["latch"]
    length: Length = 10
    noise: Std = 0.2


class DelayedRecallTask(RequestModel):
    """Which of several symbols was shown at the first step, asked for at the last; noise in between."""

    kind: Literal["delayed_recall"]
    length: Length = 10
    symbols: Annotated[int, Field(ge=2, le=256)] = 4
    noise: Std = 0.1


class AddingTask(RequestModel):
    """The sum of two marked numbers among many (Hochreiter and Schmidhuber 1997)."""

    kind: Literal["adding"]
    length: Length = 20


DescentTask = Annotated[
    CliffTask | RecurrenceTask | LatchTask | DelayedRecallTask | AddingTask, Field(discriminator="kind")
]


# Networks


class Initialisation(RequestModel):
    """`gain` times a matrix of a family for the recurrent weights; the rest is uniform up to 1/sqrt(hidden_size)."""

    family: Family = "torch_default"
    gain: Finite = 1.0


class _Trained(RequestModel):
    hidden_size: HiddenSize = 8
    initialisation: Initialisation = Field(default_factory=Initialisation)


class TrainedRnn(_Activated, _Trained):
    """h' = phi(W h + U x + b), PyTorch's nn.RNN."""

    kind: Literal["rnn"]


class TrainedLeaky(_Activated, _Trained):
    """h' = (1 - a) h + a phi(W h + U x + b), `leak_rate` a."""

    kind: Literal["leaky"]
    leak_rate: LeakRate


class TrainedSkip(_Activated, _Trained):
    """h_t = phi(W h_{t-1} + V h_{t-d} + U x_t + b), `delay` d, or the skip outside phi."""

    kind: Literal["skip"]
    delay: Delay
    combine: Literal["inside", "outside"] = "inside"


class TrainedResidual(_Activated, _Trained):
    """h' = h + s phi(W h + U x + b), `scale` s."""

    kind: Literal["residual"]
    scale: Scale = 1.0


class TrainedEchoState(_Activated, _Trained):
    """Leaky units with fixed weights at a `spectral_radius`; only the readout is trained."""

    kind: Literal["echo_state"]
    leak_rate: LeakRate = 1.0
    spectral_radius: Positive | None = None


class TrainedLstm(_Trained):
    """PyTorch's nn.LSTM; `forget_bias` is what the two biases of the forget gate start from together."""

    kind: Literal["lstm"]
    forget_bias: Finite | None = None


class TrainedGru(_Trained):
    """PyTorch's nn.GRU."""

    kind: Literal["gru"]


TrainedCell = Annotated[
    TrainedRnn | TrainedLeaky | TrainedSkip | TrainedResidual | TrainedEchoState | TrainedLstm | TrainedGru,
    Field(discriminator="kind"),
]


# Optimizers


class SgdOptimizer(RequestModel):
    """torch.optim.SGD, with momentum where asked for."""

    kind: Literal["sgd"]
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SgdOptimizer:
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov needs a momentum above 0")
        return self


Beta = Annotated[float, Field(ge=0, lt=1)]


class AdamOptimizer(RequestModel):
    """torch.optim.Adam."""

    kind: Literal["adam"]
    learning_rate: Positive = 0.01
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), strict=False)
    epsilon: Positive = 1e-8


DescentOptimizer = Annotated[SgdOptimizer | AdamOptimizer, Field(discriminator="kind")]

Included = Literal["parameters", "initial_parameters", "data", "runs"]

DRAWN = ("latch", "delayed_recall", "adding")
"""Tasks of which sequences are drawn, for a network to be trained on."""


def _no_clipping() -> dict[str, Clipping]:
    return {"none": NoClipping(kind="none")}


class DescentRequest(RequestModel):
    """One task, one network, one optimizer; several seeds and clipping policies, which are computed together.

    `seeds` is how many, or a list of them; 20 unless given where sequences or parameters are drawn, else 1. `cell`,
    `batch_size`, `test_size` and `data` are for tasks of which sequences are drawn: fresh ones at every step, or the
    same ones (fixed). The curvature along the step is measured at `curvature_points` steps.
    """

    task: DescentTask
    cell: TrainedCell | None = None
    optimizer: DescentOptimizer = Field(default_factory=lambda: SgdOptimizer(kind="sgd"))
    policies: Annotated[
        dict[str, Clipping], BeforeValidator(named), Field(min_length=1, max_length=MOST_POLICIES)
    ] = Field(default_factory=_no_clipping)
    steps: Annotated[int, Field(ge=1)] = 100
    seeds: (
        Annotated[int, Field(ge=1, le=MOST_SEEDS)]
        | Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS)]
        | None
    ) = None
    batch_size: Annotated[int, Field(ge=1)] | None = None
    test_size: Annotated[int, Field(ge=1)] | None = None
    data: Literal["fresh", "fixed"] | None = None
    dtype: Literal["float32", "float64"] = "float32"
    curvature_points: Annotated[int, Field(ge=0)] | None = None
    include: list[Included] = Field(default_factory=list)
    max_points: Annotated[int, Field(ge=2)] = 256
    seed: Seed = 0

    @model_validator(mode="after")
    def _network_belongs_to_the_task(self) -> DescentRequest:
        if self.task.kind in DRAWN:
            return self
        for name in ("cell", "batch_size", "test_size", "data"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} belongs to tasks of which sequences are drawn ({', '.join(DRAWN)}), not to "
                    f"{self.task.kind}, which says itself what is trained"
                )
        if self.task.kind == "cliff" and self.seeds not in (None, 1):
            raise ValueError("nothing is drawn at random for the task cliff: leave out seeds")
        return self


# Reports


class DescentCourse(ReportModel):
    """Quantities at the steps shown, over the runs that are finite there: medians and quantiles.

    At step k stands what holds at the parameters theta_k, before update k + 1; `progress_lost` is by update k. The
    gradient norm is the one before clipping. The course ends with the last step at which a run is finite.
    """

    step: IntSeries
    finite_runs: IntSeries
    loss: Series
    loss_q10: Series
    loss_q90: Series
    log10_gradient_norm: Log10Series
    log10_gradient_norm_q10: Log10Series
    log10_gradient_norm_q90: Log10Series
    log10_parameter_norm: Log10Series
    log10_parameter_norm_q10: Log10Series
    log10_parameter_norm_q90: Log10Series
    clipped_share: Series
    progress_lost: NullableSeries
    progress_lost_largest: NullableSeries


class CurvatureCourse(ReportModel):
    """Curvature u.H.u along the unit vector u of the step that leaves theta_k, and 2 over its median.

    null where no run has a step to measure along, and for the rate where the loss does not bend upwards.
    """

    step: IntSeries
    curvature: NullableSeries
    curvature_q10: NullableSeries
    curvature_q90: NullableSeries
    stable_learning_rate: NullableSeries
    stable_learning_rate_reason: str | None


class PolicyDescent(ReportModel):
    """All runs with one policy; `runs_undone` are those in which one update undoes 90 % of the progress or more."""

    name: str
    says: str
    runs: int
    solved: int
    success_rate: Number
    clip_events: int
    largest_progress_lost: Number
    runs_undone: int
    non_finite_runs: int
    first_non_finite_step: int | None
    course: DescentCourse
    curvature: CurvatureCourse | None


class _WithUndefinedGradient(ReportModel):
    @model_validator(mode="before")
    @classmethod
    def _undefined_is_nan(cls, data: Any) -> Any:
        return undefined_as_nan(data, "log10_gradient_norm")


class StepBack(_WithUndefinedGradient):
    """The update that undid most of the progress before it; 1 is back at the start, 1000 stands for all above it.

    Where no update raised the loss after progress had been made, it is the one that raised it most. Gradient and
    curvature are those at the parameters that the update left.
    """

    step: int
    progress_lost: NullableNumber
    progress_lost_reason: str | None
    loss_before: Number
    loss_after: NullableNumber
    loss_after_reason: str | None
    log10_gradient_norm: UndefinedLog10Number
    log10_gradient_norm_reason: str | None
    clipped: bool
    curvature: NullableNumber
    curvature_reason: str | None
    stable_learning_rate: NullableNumber
    stable_learning_rate_reason: str | None


class DescentRun(ReportModel):
    """One seed with one policy; `step_back` is null where no update raised the loss."""

    policy: str
    seed: int
    solved: bool
    score: NullableNumber
    score_reason: str | None
    first_loss: NullableNumber
    lowest_loss: NullableNumber
    final_loss: NullableNumber
    loss_reason: str | None
    clip_events: int
    first_clipped_step: int | None
    last_clipped_step: int | None
    step_back: StepBack | None
    first_non_finite_loss: int | None
    first_non_finite_gradient: int | None
    first_non_finite_parameters: int | None


class RunCourse(ReportModel):
    """The course of one run, at the steps at which it is finite."""

    policy: str
    seed: int
    step: IntSeries
    loss: Series
    log10_gradient_norm: Log10Series
    log10_parameter_norm: Log10Series
    clipped: list[bool]
    progress_lost: NullableSeries


class RunParameters(ReportModel):
    """The parameters of one run: `network` as a diagnosis takes it, and the readout of its loss.

    `policy` is null for those that a descent starts from, which all policies share. Null parameters are not finite.
    """

    policy: str | None
    seed: int
    network: dict[str, Any] | None
    network_reason: str | None
    readout_weight: Nested | None
    readout_bias: Nested | None


class RunData(ReportModel):
    """The unseen sequences that a run is judged on: inputs (B, T, D) and targets, as a diagnosis takes them."""

    seed: int
    inputs: Nested | None
    targets: Nested


class Score(ReportModel):
    """What a task is judged by."""

    says: str
    threshold: Number


class Descent(ReportModel):
    """The answer of POST /v1/descents."""

    id: str
    task: str
    cell: str
    dtype: str
    steps: int
    seeds: list[int]
    score: Score
    policies: list[PolicyDescent]
    runs: list[DescentRun]
    courses: list[RunCourse] | None
    initial_parameters: list[RunParameters] | None
    parameters: list[RunParameters] | None
    data: list[RunData] | None
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
