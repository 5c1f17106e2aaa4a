"""Henrici's departure from normality."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ._scaling import frobenius_norm
from .schur import SchurForm, as_schur


def henrici_departure(matrix: Array | SchurForm) -> float:
    """sqrt(norm(W)_F^2 - sum abs(lambda_i)^2), zero exactly for normal matrices.

    Computed as the Frobenius norm of the strictly upper part of the Schur form, which is the same number
    without the cancellation (P. Henrici, Numerische Mathematik 4 (1962) 24-40). A normal matrix gives
    rounding errors of the size of eps norm(W)_F.
    """
    return frobenius_norm(np.triu(as_schur(matrix).triangle, 1))
