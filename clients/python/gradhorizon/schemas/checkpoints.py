"""Every recurrent layer of a checkpoint, diagnosed; and two checkpoints side by side."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ._base import ReportModel, RequestModel
from .clipping import Clipping
from .diagnoses import Diagnosis, Provenance, RunRequest, Status
from .networks import ActivationName
from .values import NullableNumber, Number, Series

TensorName = Annotated[str, Field(min_length=1, max_length=1000, description="Name of a tensor of the file.")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="Of a file uploaded before.")]
OrthogonalMap = Literal["matrix_exp", "cayley", "householder"]
Severity = Literal["error", "warning", "info"]


class LayerOverride(RequestModel):
    """What is so of one layer, instead of what was recognised or assumed.

    `weights` and the names beside it put a layer together by hand; `transpose` says that its matrices are (in, out).
    `gate_order` names stacked gates by letters: i, f, g, o or r, z, n. `step` is the time step of a state-space layer.
    """

    cell: Literal["rnn", "linear", "lstm", "gru", "feedforward", "diagonal"] | None = None
    activation: ActivationName | None = None
    gate_activation: ActivationName | None = None
    gate_order: Annotated[str, Field(min_length=3, max_length=4)] | None = None
    reset: Literal["after", "before"] | None = None
    update: Literal["keep", "replace"] | None = None
    forget_bias: Annotated[float, Field(allow_inf_nan=False)] | None = None
    direction: Literal["forward", "backward"] | None = None
    step: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    transpose: bool | None = None
    weights: TensorName | None = None
    input_weights: TensorName | None = None
    bias: TensorName | None = None
    input_bias: TensorName | None = None
    recurrent_bias: TensorName | None = None
    projection: TensorName | None = None
    peepholes: TensorName | None = None


class _OfCheckpoints(RunRequest):
    """A run of the layers of a file.

    `only` leaves out all other layers; `layers` says of single ones, by name, what is so; `activation` holds wherever
    the file does not say one. `orthogonal_map` is that of PyTorch's orthogonal parametrization, which no file says.
    """

    only: Annotated[list[str], Field(min_length=1)] | None = None
    layers: dict[str, LayerOverride] = Field(default_factory=dict)
    activation: ActivationName | None = None
    orthogonal_map: OrthogonalMap | None = None


class CheckpointDiagnosisRequest(_OfCheckpoints):
    """What to run every layer of a checkpoint on.

    With `inputs`, the lowest layers see those and every other one the states of the layers below it.
    """

    clipping: Clipping | None = None


class CheckpointComparisonRequest(_OfCheckpoints):
    """Two checkpoints, `a` before and `b` after, on the same inputs."""

    a: Sha256
    b: Sha256


class SkippedTensor(ReportModel):
    """A tensor that is in no layer, and why."""

    tensor: str
    reason: str


class HygieneFinding(ReportModel):
    """Something worth knowing about the weights, found without running them."""

    rule: str
    severity: Severity
    tensor: str | None
    layer: str | None
    value: NullableNumber
    value_reason: str | None
    threshold: NullableNumber
    threshold_reason: str | None
    says: str


class DebuggerRule(ReportModel):
    """A rule of a managed debugger under its familiar name and defaults, and what we say in its place.

    `fired` is null where the rule cannot be evaluated, with the reason.
    """

    rule: str
    layer: str | None
    fired: bool | None
    fired_reason: str | None
    value: NullableNumber
    value_reason: str | None
    threshold: NullableNumber
    threshold_reason: str | None
    says: str
    ours: str


class LayerSizes(ReportModel):
    """Numbers a step takes in, units, and numbers it gives; for a feed-forward stack also its depth."""

    inputs: int | None
    units: int
    outputs: int
    layers: int | None


class LayerReport(ReportModel):
    """One layer: what it was recognised as, from which tensors, on what assumptions, and its diagnosis.

    `tensors` are the names in the file by the field of a network that they fill; `fed_by` the layers whose states were
    its inputs.
    """

    name: str
    framework: str
    cell: str
    direction: Literal["forward", "backward"]
    sizes: LayerSizes | None
    tensors: dict[str, list[str]]
    fed_by: list[str]
    assumptions: list[str]
    diagnosis: Diagnosis | None
    diagnosis_reason: str | None


class CheckpointDiagnosis(ReportModel):
    """The answer: a report for each layer in order, findings, and a reason for every tensor left out."""

    id: str
    format: str
    says: str
    layers: list[LayerReport]
    hygiene: list[HygieneFinding]
    rules: list[DebuggerRule]
    skipped: list[SkippedTensor]
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance


class MatrixChange(ReportModel):
    """One matrix, or one gate of a stacked one, before and after.

    Angles are the principal ones between the leading `directions` singular directions, in radians, the largest first.
    """

    name: str
    shape: list[int]
    relative_change: NullableNumber
    relative_change_reason: str | None
    spectral_norm_before: Number
    spectral_norm_after: Number
    frobenius_norm_before: Number
    frobenius_norm_after: Number
    spectral_radius_before: NullableNumber
    spectral_radius_after: NullableNumber
    spectral_radius_reason: str | None
    directions: int
    directions_reason: str
    left_angles: Series
    right_angles: Series


class LayerChange(ReportModel):
    """One layer in both checkpoints. `relative_change` is of all its weights and biases together; rank 1 moved most."""

    name: str
    cell: str
    direction: Literal["forward", "backward"]
    rank: int | None
    rank_reason: str | None
    relative_change: NullableNumber
    relative_change_reason: str | None
    status_before: Status | None
    status_after: Status | None
    horizon_before: int | None
    horizon_after: int | None
    largest_exponent_before: NullableNumber
    largest_exponent_before_reason: str | None
    largest_exponent_after: NullableNumber
    largest_exponent_after_reason: str | None
    matrices: list[MatrixChange]
    before: Diagnosis | None
    before_reason: str | None
    after: Diagnosis | None
    after_reason: str | None


class UnmatchedLayer(ReportModel):
    """A layer that is in one checkpoint only, or of another kind or shape in the other."""

    name: str
    side: Literal["a", "b", "both"]
    reason: str


class CheckpointComparison(ReportModel):
    """The answer: every layer that both checkpoints have, and which moved most."""

    id: str
    says: str
    moved_most: str | None
    moved_most_reason: str | None
    layers: list[LayerChange]
    unmatched: list[UnmatchedLayer]
    rules: list[DebuggerRule]
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
