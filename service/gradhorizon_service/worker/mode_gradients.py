"""The gradient of the eigenvalues of a diagonal recurrence, and of the parameters they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .cells.linear import DiagonalLinearCell
from .parameter_gradients import ScaledArray
from .statistics import root_sum_of_squares


@dataclass(frozen=True, eq=False)
class ModeGradient:
    """dL/da + i dL/db of every lambda = a + i b as exp(logs + i phases), (m,) each: modes differ by any magnitude."""

    logs: Array
    phases: Array

    @classmethod
    def of(cls, gradient: ScaledArray) -> ModeGradient:
        """From (dL/da, dL/db), (m, 2)."""
        numbers = gradient.array[:, 0] + 1j * gradient.array[:, 1]
        return cls(_log_moduli(numbers) + gradient.log_scale, np.angle(numbers))

    @property
    def log_norm(self) -> float:
        """ln of the Euclidean norm."""
        return float(root_sum_of_squares(self.logs))

    def by_parameter(self, cell: DiagonalLinearCell) -> Mapping[str, ScaledArray]:
        """The chain rule: dL/dp = conj(d lambda / d p) (dL/da + i dL/db), and its real part for a real p.

        A complex p comes as (re, im), (m, 2), where a real mode has no imaginary part to learn; a real one as (m,),
        or (1,) where all modes share it.
        """
        found = {}
        for name, slopes in cell.parameters.items():
            logs = self.logs + _log_moduli(slopes.values)
            peak = float(np.max(logs, initial=-np.inf))
            sizes = np.exp(logs - (peak if peak > -np.inf else 0.0))
            phases = self.phases - np.angle(slopes.values)
            gradient = sizes * np.cos(phases)
            if slopes.is_complex:
                imaginary = np.where(cell.blocks.is_pair, sizes * np.sin(phases), 0.0)
                gradient = np.stack([gradient, imaginary], axis=-1)
            elif slopes.is_shared:
                gradient = gradient.sum(keepdims=True)
            found[name] = ScaledArray.of(gradient, peak)
        return found


def summed_products(left: Array, right: Array) -> tuple[Array, Array]:
    """sum_b left_b right_b of every mode, (m,), as (logs, numbers) with exp(logs) numbers: modes may lie anywhere."""
    sizes = [np.abs(vectors).max(axis=0) for vectors in (left, right)]
    units = [v / np.where(size > 0.0, size, 1.0) for v, size in zip((left, right), sizes, strict=True)]
    logs = [_log_moduli(np.where(size > 0.0, size, 1.0)) for size in sizes]
    return logs[0] + logs[1], np.einsum("bi,bi->i", *units)


def _log_moduli(numbers: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(numbers)))
