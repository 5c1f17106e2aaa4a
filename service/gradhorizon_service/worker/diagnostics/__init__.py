"""Diagnostics, one file each: a function of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..problem import Problem
from ..runs import Run
from .clipping import clipping
from .gradient_norms import gradient_norms
from .lyapunov import lyapunov
from .modes import modes
from .nonnormality import nonnormality
from .parameter_gradient import parameter_gradient
from .singular_values import singular_values
from .spectrum import spectrum
from .state_norms import state_norms

DIAGNOSTICS: Mapping[str, Callable[[Run], object]] = {
    "spectrum": spectrum,
    "modes": modes,
    "nonnormality": nonnormality,
    "state_norms": state_norms,
    "gradient_norms": gradient_norms,
    "parameter_gradient": parameter_gradient,
    "singular_values": singular_values,
    "lyapunov": lyapunov,
    "clipping": clipping,
}
"""Name in a request -> its function."""


def not_applicable(name: str, problem: Problem) -> str | None:
    """Why a diagnostic means nothing for a problem; None where it applies."""
    cell = problem.network.cell
    if name in ("spectrum", "nonnormality") and cell in ("feedforward", "jacobians"):
        return f"a {cell} network has no recurrent matrix"
    if name == "modes" and cell != "linear":
        return "only a linear recurrence splits into eigenmodes"
    if name in ("state_norms", "parameter_gradient") and cell == "jacobians":
        return "step Jacobians come without states or parameters"
    if name == "lyapunov" and cell == "feedforward":
        return "unshared layers have no exponents per step: the singular values say it all"
    if name == "clipping":
        return _clipping_not_applicable(problem)
    return None


def _clipping_not_applicable(problem: Problem) -> str | None:
    if problem.clipping is None:
        return "there is no clipping policy in the request"
    if problem.network.cell == "jacobians":
        return "clipping acts on parameter gradients, and step Jacobians come without parameters"
    if problem.clipping.kind == "per_step" and problem.truncate is not None:
        return "clipping at every step and truncation cannot be combined"
    return None


__all__ = ["DIAGNOSTICS", "not_applicable"]
