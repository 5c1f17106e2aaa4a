"""The main job: one network, one depth, one report."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ._base import ReportModel, RequestModel
from .clipping import Clipping
from .diagnostics import (
    ClippingReport,
    EchoStateReport,
    GradientNormsReport,
    LyapunovReport,
    MeanFieldReport,
    ModesReport,
    NonnormalityReport,
    ParameterGradientReport,
    PrecisionReport,
    RemediesReport,
    SaturationReport,
    SingularValuesReport,
    SpectrumReport,
    StateNormsReport,
)
from .inputs import InitialState, Inputs
from .losses import Loss
from .networks import Network
from .sources import Seed
from .values import NullableNumber, Number

DiagnosticName = Literal[
    "spectrum",
    "modes",
    "nonnormality",
    "state_norms",
    "gradient_norms",
    "parameter_gradient",
    "singular_values",
    "lyapunov",
    "mean_field",
    "saturation",
    "precision",
    "clipping",
    "echo_state",
    "remedies",
]
Dtype = Literal["float16", "bfloat16", "float32", "float64"]


class RunRequest(RequestModel):
    """What to run a network on, and what to report of it."""

    depth: Annotated[int, Field(ge=1)] | None = None
    burn_in: Annotated[int, Field(ge=0)] = 0
    inputs: Inputs | None = None
    initial_state: InitialState | None = None
    loss: Loss | None = None
    dtype: Dtype = "float32"
    diagnostics: Annotated[list[DiagnosticName], Field(min_length=1)] | None = None
    leading: Annotated[int, Field(ge=1)] | None = None
    include: list[Literal["final_state", "parameter_gradient", "remedy_networks"]] = Field(
        default_factory=list
    )
    horizon_level: Annotated[float, Field(gt=0, lt=1)] = 0.001
    tolerance_decades: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3.0
    max_points: Annotated[int, Field(ge=2)] = 256
    lags: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] | None = None
    seed: Seed = 0


class DiagnosisRequest(RunRequest):
    """One network and what to run on it: how far back does the gradient reach."""

    network: Network
    clipping: Clipping | None = None


class Evidence(ReportModel):
    """One number behind the verdict; with `is_upper_bound` the number itself is smaller still."""

    quantity: str
    value: NullableNumber
    threshold: Number
    says: str
    is_upper_bound: bool


Status = Literal["diverged", "dead", "exploding", "transient", "vanishing", "stable"]


class Verdict(ReportModel):
    """What happens to gradients over the whole depth, and to the given one."""

    status: Status
    summary: str
    evidence: list[Evidence]
    directions_vanish: bool
    given_cotangent: Status
    status_of_completed_steps: Status | None


class LevelCrossing(ReportModel):
    """The smallest lag at which the median gradient has changed by this factor, either way."""

    level: Number
    steps: int | None


class Horizon(ReportModel):
    """How many steps back the gradient stays within `level` of where it started."""

    level: Number
    steps: int | None
    direction: Literal["decay", "growth"] | None
    decay_steps: int | None
    growth_steps: int | None
    censored: bool
    extrapolated_steps: int | None
    levels: list[LevelCrossing]
    decades_per_step: NullableNumber
    decades_per_step_reason: str | None


class Outcome(ReportModel):
    """How the run ended."""

    kind: Literal["completed", "diverged"]
    steps_completed: int
    advice: str | None


class Provenance(ReportModel):
    """What computed this, from what."""

    engine_version: str
    seed: int
    seconds: Number
    algorithms: dict[str, str]
    inputs_sha256: str


class Diagnosis(ReportModel):
    """The answer: a verdict, the horizon, the evidence."""

    id: str
    verdict: Verdict
    horizon: Horizon
    outcome: Outcome
    spectrum: SpectrumReport | None = None
    modes: ModesReport | None = None
    nonnormality: NonnormalityReport | None = None
    state_norms: StateNormsReport | None = None
    gradient_norms: GradientNormsReport | None = None
    parameter_gradient: ParameterGradientReport | None = None
    singular_values: SingularValuesReport | None = None
    lyapunov: LyapunovReport | None = None
    mean_field: MeanFieldReport | None = None
    saturation: SaturationReport | None = None
    precision: PrecisionReport | None = None
    clipping: ClippingReport | None = None
    echo_state: EchoStateReport | None = None
    remedies: RemediesReport | None = None
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
