"""What drives the recurrence: the inputs of every step and the state before the first."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from ._base import RequestModel
from .arrays import RowsValues, SequenceValues
from .sources import Seed

Batch = Annotated[int, Field(ge=1)]
Std = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class ValuesInputs(RequestModel):
    """Given sequences, (B, T, D) or one of (T, D); `burn_in` steps come first where asked for."""

    kind: Literal["values"]
    values: SequenceValues


class GaussianInputs(RequestModel):
    """Independent normal inputs of mean zero, fresh at every step and sequence."""

    kind: Literal["gaussian"]
    std: Std = 1.0
    batch: Batch = 16
    seed: Seed | None = None


class ZerosInputs(RequestModel):
    """No signal: the input weights are there, the inputs are zero."""

    kind: Literal["zeros"]
    batch: Batch = 1


def _values(value: Any) -> Any:
    """A bare array stands for given values."""
    return {"kind": "values", "values": value} if isinstance(value, (list, tuple, np.ndarray)) else value


Inputs = Annotated[
    ValuesInputs | GaussianInputs | ZerosInputs, Field(discriminator="kind"), BeforeValidator(_values)
]


class ZerosState(RequestModel):
    """h_0 = 0."""

    kind: Literal["zeros"]


class GaussianState(RequestModel):
    """Independent normal h_0 of mean zero; `batch` is taken from the inputs where they have one."""

    kind: Literal["gaussian"]
    std: Std = 1.0
    batch: Batch | None = None
    seed: Seed | None = None


class ValuesState(RequestModel):
    """Given s_0: `values` (N,) for every sequence or (B, N), or by parts `h` and `c` where the state holds both.

    `values` may be h alone where the state holds more; what is not given is zero.
    """

    kind: Literal["values"]
    values: RowsValues | None = None
    h: RowsValues | None = None
    c: RowsValues | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ValuesState:
        if (self.values is None) == (self.h is None and self.c is None):
            raise ValueError("give either values, the whole state, or its parts h and c")
        return self


class EigenvectorState(RequestModel):
    """The unit eigenvector of W with the index-th largest eigenvalue in modulus (its real part where complex)."""

    kind: Literal["eigenvector"]
    index: Annotated[int, Field(ge=0)] = 0


InitialState = Annotated[
    ZerosState | GaussianState | ValuesState | EigenvectorState,
    Field(discriminator="kind"),
    BeforeValidator(_values),
]
