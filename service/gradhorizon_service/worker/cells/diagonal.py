"""The diagonal recurrence of state-space models, h' = lambda * h + U x + b, mode by mode.

lambda is given as it is, by the parameters of S4D (A. Gu, A. Gupta, K. Goel and C. Re, NeurIPS 2022, section 4) or of
LRU (A. Orvieto et al., ICML 2023, section 3), or changes from step to step. A complex mode is one member of a
conjugate pair, which its real and imaginary part stand for as two coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from .._types import Array
from ..block_diagonal import BlockDiagonal
from ..entry_range import in_range
from ..errors import CannotRun
from ._cell import Cell
from ._driven import Drive
from ._eigenvalues import Slopes
from .decays import DecaysCell
from .linear import DiagonalLinearCell

Parameterised = tuple[BlockDiagonal, Mapping[str, Slopes]]


def build_diagonal(
    *,
    eigenvalues: Array | None = None,
    s4d: Mapping[str, Array | str] | None = None,
    lru: Mapping[str, Array] | None = None,
    decays: Array | None = None,
    input_weights: Array | None = None,
    bias: Array | None = None,
) -> Cell:
    """Build from a request's fields, exactly one of the first four. Raises CannotRun for a lambda out of range."""
    if decays is not None:
        return DecaysCell.of(decays, Drive.of(input_weights, decays.shape[-1], bias=bias))
    given = {"eigenvalues": eigenvalues, "s4d": s4d, "lru": lru}
    name, value = next((name, value) for name, value in given.items() if value is not None)
    with np.errstate(all="ignore"):
        blocks, parameters = _FORMS[name](value)
    in_range(blocks.multipliers, f"network.{name}", "eigenvalue")
    return DiagonalLinearCell(blocks, Drive.of(input_weights, blocks.size, bias=bias), parameters)


def _explicit(eigenvalues: Array) -> Parameterised:
    return BlockDiagonal(eigenvalues), {"eigenvalues": Slopes.of_themselves()}


def _s4d(given: Mapping[str, Array]) -> Parameterised:
    """A (m,) in continuous time and a step, one or (m,), discretised."""
    A, step = given["A"], given["step"]
    multipliers, by_product = _DISCRETIZATIONS[str(given["discretization"])](A * step)
    by_A, by_step = step * by_product, A * by_product
    _refuse_where(
        ~np.isfinite(multipliers * by_A * by_step),
        "s4d.A",
        "its discretised eigenvalue leaves float64; change the step",
    )
    parameters = {
        "A": Slopes(by_A, is_complex=True),
        "step": Slopes(by_step, is_shared=step.ndim == 0),
    }
    return BlockDiagonal(multipliers, A.imag != 0.0), parameters


def _zero_order_hold(z: Array) -> tuple[Array, Array]:
    """exp(z), and its derivative."""
    multipliers = np.exp(z)
    return multipliers, multipliers


def _bilinear(z: Array) -> tuple[Array, Array]:
    """(1 + z/2) / (1 - z/2), and its derivative 1 / (1 - z/2)^2."""
    divisor = 1.0 - 0.5 * z
    return (1.0 + 0.5 * z) / divisor, 1.0 / divisor**2


_DISCRETIZATIONS: Mapping[str, Callable[[Array], tuple[Array, Array]]] = {
    "zoh": _zero_order_hold,
    "bilinear": _bilinear,
}


def _lru(given: Mapping[str, Array]) -> Parameterised:
    """lambda = exp(-nu + i theta); every mode is complex, whatever its angle."""
    is_log = "nu_log" in given
    nu = np.exp(given["nu_log"]) if is_log else given["nu"]
    theta = np.exp(given["theta_log"]) if is_log else given["theta"]
    moduli = np.exp(-nu)
    _refuse_where(
        ~np.isfinite(moduli), "lru.nu", "its modulus exp(-nu) leaves float64; nu is the rate of decay"
    )
    _refuse_where(
        ~np.isfinite(theta), "lru.theta_log", "its angle exp(theta_log) leaves float64; make it smaller"
    )
    multipliers = moduli * np.exp(1j * theta)
    blocks = BlockDiagonal(multipliers, np.ones(len(multipliers), dtype=bool))
    if not is_log:
        return blocks, {"nu": Slopes(-multipliers), "theta": Slopes(1j * multipliers)}
    # Beyond the largest nu there is nothing left of lambda, nor of its slope.
    by_nu = np.where(multipliers == 0.0, 0.0, -nu * multipliers)
    return blocks, {"nu_log": Slopes(by_nu), "theta_log": Slopes(1j * theta * multipliers)}


def _refuse_where(broken: Array, field: str, message: str) -> None:
    if broken.any():
        raise CannotRun(f"network.{field}[{int(np.argmax(broken))}]", message)


_FORMS: Mapping[str, Callable[..., Parameterised]] = {"eigenvalues": _explicit, "s4d": _s4d, "lru": _lru}
"""Field of the request that says what lambda is -> the eigenvalues and their slopes by each parameter."""
