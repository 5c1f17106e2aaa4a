"""Powers of a matrix in log scale: W^p = Z diag(exp l) M Z^T from the real Schur form, for any p at the same
cost.

With the eigenvalues in descending order of modulus, S^p = D_p M_p, where D_p = diag(exp l_p) holds |lambda|^p
and M_p is quasi upper triangular. Then S^(p + q) = D_p D_q (D_q^-1 M_p D_q) M_q, and D_q^-1 M_p D_q has only
ratios <= 1 above its diagonal blocks: powers by squaring, in which nothing over- or underflows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

from .._types import Array


@dataclass(frozen=True, eq=False)
class SchurForm:
    """W = Z S Z^T, S quasi triangular, with ln|lambda| (N,) of its diagonal positions descending."""

    S: Array
    Z: Array
    log_moduli: Array


@dataclass(frozen=True, eq=False)
class GradedPower:
    """S^p = diag(exp(log_scales)) @ rows, (N,) and (N, N)."""

    log_scales: Array
    rows: Array


def sorted_schur(W: Array) -> SchurForm:
    """The ordered Schur form; LinAlgError in the rare case that the QR algorithm does not converge."""
    S, _, _, _, Z, _, info = lapack.dgees(lambda *_: False, W, sort_t=0)
    if info:
        raise np.linalg.LinAlgError("the QR algorithm does not converge")
    place, starts = 0, _block_starts(S)
    while place < len(starts):
        log_moduli = _log_moduli(S)[starts]
        largest = place + int(np.argmax(log_moduli[place:]))
        if log_moduli[largest] > log_moduli[place]:
            # Refused only for eigenvalues too close to tell apart, whose order does not matter.
            S, Z, _ = lapack.dtrexc(S, Z, starts[largest] + 1, starts[place] + 1)
            starts = _block_starts(S)
        place += 1
    return SchurForm(S, Z, _log_moduli(S))


def _block_starts(S: Array) -> list[int]:
    """Where the 1 x 1 and 2 x 2 blocks of the diagonal begin."""
    inside = np.concatenate([[False], np.diagonal(S, -1) != 0.0])
    return [int(start) for start in np.flatnonzero(~inside)]


def _log_moduli(S: Array) -> Array:
    """ln|lambda| of every diagonal position; a block [[a, b], [c, a]] has twice |lambda|^2 = a^2 - b c."""
    moduli = np.abs(np.diagonal(S)).copy()
    first = np.flatnonzero(np.diagonal(S, -1))
    coupling = np.sqrt(np.abs(S[first, first + 1])) * np.sqrt(np.abs(S[first + 1, first]))
    moduli[first] = moduli[first + 1] = np.hypot(S[first, first], coupling)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(moduli))


def power(form: SchurForm, exponent: int, errors: float = 0.0) -> GradedPower:
    """S^p by binary powering, the highest bit first.

    With ``errors``, every product suffers relative errors of that size in each of its sums, as from rounding.
    """
    random = np.random.default_rng(40)

    def times(a: GradedPower, b: GradedPower) -> GradedPower:
        ratios = np.exp(np.triu(b.log_scales[None, :] - b.log_scales[:, None]))
        scaled = a.rows * ratios
        rows = scaled @ b.rows
        if errors:
            rows += errors * random.standard_normal(rows.shape) * (np.abs(scaled) @ np.abs(b.rows))
        return GradedPower(a.log_scales + b.log_scales, rows)

    if exponent == 0:
        return GradedPower(np.zeros(len(form.S)), np.eye(len(form.S)))
    base = GradedPower(form.log_moduli, form.S * np.exp(-form.log_moduli)[:, None])
    result = base
    for bit in bin(exponent)[3:]:
        result = times(result, result)
        if bit == "1":
            result = times(result, base)
    return result
