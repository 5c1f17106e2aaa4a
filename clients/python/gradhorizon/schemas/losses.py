"""Losses: where the gradient starts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ._base import RequestModel
from .arrays import LabelValues, MatrixValues, RowsValues, StepRowsValues, VectorValues
from .sources import Seed

At = Literal["final", "every_step"]
Truncate = Annotated[int, Field(ge=0, description="each loss term reaches lags up to this one")]


class _Loss(RequestModel):
    at: At = "final"
    truncate: Truncate | None = None


class CotangentLoss(_Loss):
    """L = sum over b of v_b . h_T: one row v for all sequences, or one per sequence."""

    kind: Literal["cotangent"]
    values: RowsValues


class RandomLoss(_Loss):
    """A cotangent drawn uniformly from the unit sphere, independently for each sequence."""

    kind: Literal["random"]
    seed: Seed | None = None


class CrossEntropyLoss(_Loss):
    """Mean cross-entropy of softmax(R h_T + r) against integer targets, (B,) or, at every step, (B, T)."""

    kind: Literal["cross_entropy"]
    readout_weight: MatrixValues
    readout_bias: VectorValues | None = None
    targets: LabelValues


class SquaredErrorLoss(_Loss):
    """Squared error of h_T or of a linear readout: PyTorch's mean over all entries, or half the sum."""

    kind: Literal["squared_error"]
    targets: StepRowsValues
    readout_weight: MatrixValues | None = None
    readout_bias: VectorValues | None = None
    reduction: Literal["mean", "half_sum"] = "mean"


Loss = Annotated[
    CotangentLoss | RandomLoss | CrossEntropyLoss | SquaredErrorLoss, Field(discriminator="kind")
]
