"""The largest and the smallest singular value of one matrix."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from .._types import Array
from ._scaling import unit_scaled, unscaled

_GRADED = 1e-6  # below this ratio, bidiagonalisation has lost ten digits of the smallest singular value


def spectral_norm(matrix: Array) -> float:
    """The largest singular value; infinite only where float64 ends."""
    scaled, exponent = unit_scaled(matrix)
    return unscaled(float(np.linalg.svd(scaled, compute_uv=False)[0]), exponent)


def smallest_singular_value(matrix: Array) -> float:
    """The singular value of index min(rows, columns).

    Ordinary SVD gives it to within rounding of the *largest*. Where that leaves few digits, the
    preconditioned one-sided Jacobi method takes over (LAPACK's gejsv; Drmac and Veselic 2008), which keeps
    relative accuracy whatever the scaling of rows and columns.
    """
    scaled, exponent = unit_scaled(matrix)
    values = np.linalg.svd(scaled, compute_uv=False)
    if values[-1] >= _GRADED * values[0]:
        return unscaled(float(values[-1]), exponent)
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    # joba=2: rows and columns may both be badly scaled; jobu=jobv=3: no vectors; jobr=0: the full range of
    # float64 counts, nothing is flushed to zero.
    jacobi_values, _, _, scales, _, info = lapack.dgejsv(tall, joba=2, jobu=3, jobv=3, jobr=0)
    if info != 0:
        return unscaled(float(values[-1]), exponent)
    return float(jacobi_values[-1] * (scales[0] / scales[1]))
