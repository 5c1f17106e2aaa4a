"""Networks: a cell and the sources of its parameters. `weights` is always the recurrent matrix, (N, N)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from ._base import RequestModel
from .arrays import CubeValues, MatrixValues, VectorValues
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


class JacobiansNetwork(RequestModel):
    """Bring your own: (T, N, N) step Jacobians of any model, the first applied first."""

    cell: Literal["jacobians"]
    values: CubeValues

    @model_validator(mode="before")
    @classmethod
    def _tensor_is_values(cls, data: Any) -> Any:
        return tensor_as_values(data)


Network = Annotated[
    LinearNetwork | RnnNetwork | LstmNetwork | GruNetwork | FeedforwardNetwork | JacobiansNetwork,
    Field(discriminator="cell"),
]
