"""Networks: a cell and the sources of its parameters. `weights` is always the recurrent matrix, (N, N)."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from ._base import RequestModel
from .arrays import ComplexValues, CubeValues, ListValues, MatrixValues, SequenceValues, VectorValues
from .sources import Source, tensor_as_values

ActivationName = Literal[
    "identity",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "hard_tanh",
    "softplus",
    "softsign",
    "elu",
    "selu",
    "silu",
    "gelu",
    "erf",
    "sin",
]

ACTIVATION_PARAMETERS = {"leaky_relu": "negative_slope", "elu": "alpha", "softplus": "beta"}
"""Which activation takes which parameter (PyTorch's names and defaults)."""


class _Activated(RequestModel):
    activation: ActivationName = "tanh"
    negative_slope: float | None = Field(default=None, allow_inf_nan=False, description="leaky_relu only")
    alpha: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="elu only")
    beta: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="softplus only")

    @model_validator(mode="after")
    def _parameter_belongs(self) -> _Activated:
        for activation, parameter in ACTIVATION_PARAMETERS.items():
            if getattr(self, parameter) is not None and self.activation != activation:
                raise ValueError(
                    f"{parameter} belongs to the activation {activation}, not to {self.activation}"
                )
        return self


class _Driven(RequestModel):
    """A recurrence with shared weights: W, U and one bias, or the pair PyTorch keeps."""

    weights: Source
    input_weights: Source | None = None
    bias: VectorValues | None = None
    input_bias: VectorValues | None = None
    recurrent_bias: VectorValues | None = None

    @model_validator(mode="after")
    def _one_kind_of_bias(self) -> _Driven:
        if self.bias is not None and (self.input_bias is not None or self.recurrent_bias is not None):
            raise ValueError("give either bias or the pair input_bias, recurrent_bias")
        return self


class LinearNetwork(_Driven):
    """h' = W h + U x + b."""

    cell: Literal["linear"]


class RnnNetwork(_Driven, _Activated):
    """h' = phi(W h + U x + b), PyTorch's nn.RNN."""

    cell: Literal["rnn"]


def _is_leak_rate(value: float) -> float:
    if not 0.0 < value <= 1.0:
        raise ValueError(
            "must be above 0, where nothing is ever updated, and at most 1, where nothing is kept"
        )
    return value


LeakRate = Annotated[
    float, AfterValidator(_is_leak_rate), Field(json_schema_extra={"maximum": 1, "exclusiveMinimum": 0})
]
"""The share a of a unit's state that is replaced at every step (Jaeger's convention; 1 - a is kept)."""


def _is_scale(value: float) -> float:
    if not math.isfinite(value) or value == 0.0:
        raise ValueError("must be a finite number other than 0, which would leave every state as it is")
    return value


def _is_delay(value: int) -> int:
    if value < 2:
        raise ValueError(
            "must be 2 or more: h_{t-1} enters through weights already, and h_t does not exist yet"
        )
    return value


Scale = Annotated[float, AfterValidator(_is_scale)]
"""What the residual branch is multiplied by."""
Delay = Annotated[int, AfterValidator(_is_delay), Field(json_schema_extra={"minimum": 2})]
"""Steps that a skip spans."""


class LeakyNetwork(_Driven, _Activated):
    """h' = (1 - a) h + a phi(W h + U x + b): leaky units with `leak_rate` a in (0, 1]."""

    cell: Literal["leaky"]
    leak_rate: LeakRate


class ResidualNetwork(_Driven, _Activated):
    """h' = h + s phi(W h + U x + b): residual updates with `scale` s."""

    cell: Literal["residual"]
    scale: Scale = 1.0


class SkipNetwork(_Driven, _Activated):
    """h_t = phi(W h_{t-1} + V h_{t-d} + U x_t + b), or V h_{t-d} outside phi: a skip over `delay` d steps."""

    cell: Literal["skip"]
    skip_weights: Source
    delay: Delay
    combine: Literal["inside", "outside"] = "inside"


class EchoStateNetwork(_Driven, _Activated):
    """Leaky units with fixed weights, W rescaled to `spectral_radius`; only a linear readout is trained."""

    cell: Literal["echo_state"]
    spectral_radius: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    leak_rate: LeakRate = 1.0


class LstmNetwork(_Driven, _Activated):
    """c' = f * c + i * phi(a_g), h' = o * phi(c'), PyTorch's nn.LSTM: `weights` (4H, H or P) stacked i, f, g, o.

    The state is (h, c). Optional: `projection` (P, H), `peepholes` (3, H) for i, f and o.
    """

    cell: Literal["lstm"]
    gate_activation: ActivationName = "sigmoid"
    projection: Source | None = None
    peepholes: MatrixValues | None = None


class GruNetwork(_Driven, _Activated):
    """h' = (1 - z) * n + z * h, PyTorch's nn.GRU: `weights` (3H, H) stacked r, z, n.

    `reset` after or before the product with the weights of n; `update` keep, or replace: h' = (1 - z) * h + z * n.
    """

    cell: Literal["gru"]
    gate_activation: ActivationName = "sigmoid"
    reset: Literal["after", "before"] = "after"
    update: Literal["keep", "replace"] = "keep"


def _layers_tag(value: Any) -> str:
    return "each" if isinstance(value, (list, tuple, np.ndarray)) else "drawn"


Layers = Annotated[
    Annotated[list[Source], Field(min_length=1), Tag("each")] | Annotated[Source, Tag("drawn")],
    Discriminator(_layers_tag),
]
"""A list of sources, one a layer, or one ensemble drawn afresh for each of `depth` layers."""


class FeedforwardNetwork(_Activated):
    """h' = phi(W_t h + b_t): unshared weights, rectangular layers allowed; `residual` adds h where sizes agree."""

    cell: Literal["feedforward"]
    activation: ActivationName = "identity"
    layers: Layers
    biases: list[VectorValues] | None = None
    residual: bool = False


class S4dModes(RequestModel):
    """Continuous-time eigenvalues A and a step: lambda = exp(A step), or its bilinear approximation (S4D)."""

    A: ComplexValues
    step: VectorValues
    discretization: Literal["zoh", "bilinear"] = "zoh"


class LruModes(RequestModel):
    """lambda = exp(-nu + i theta), or nu and theta by their logarithms (LRU)."""

    nu: ListValues | None = None
    theta: ListValues | None = None
    nu_log: ListValues | None = None
    theta_log: ListValues | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> LruModes:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if given not in ({"nu", "theta"}, {"nu_log", "theta_log"}):
            raise ValueError("give either nu and theta or nu_log and theta_log")
        return self


class DiagonalNetwork(RequestModel):
    """h' = lambda * h + U x + b, mode by mode: eigenvalues as they are, by S4D or LRU, or decays of every step."""

    cell: Literal["diagonal"]
    eigenvalues: ComplexValues | None = None
    s4d: S4dModes | None = None
    lru: LruModes | None = None
    decays: SequenceValues | None = None
    input_weights: Source | None = None
    bias: VectorValues | None = None

    @model_validator(mode="after")
    def _one_lambda(self) -> DiagonalNetwork:
        names = ("eigenvalues", "s4d", "lru", "decays")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise ValueError(f"give one of eigenvalues, s4d, lru, decays; this has {found}")
        return self


class JacobiansNetwork(RequestModel):
    """Bring your own: (T, N, N) step Jacobians of any model, the first applied first."""

    cell: Literal["jacobians"]
    values: CubeValues

    @model_validator(mode="before")
    @classmethod
    def _tensor_is_values(cls, data: Any) -> Any:
        return tensor_as_values(data)


Network = Annotated[
    LinearNetwork
    | RnnNetwork
    | LeakyNetwork
    | ResidualNetwork
    | SkipNetwork
    | EchoStateNetwork
    | LstmNetwork
    | GruNetwork
    | DiagonalNetwork
    | FeedforwardNetwork
    | JacobiansNetwork,
    Field(discriminator="cell"),
]
