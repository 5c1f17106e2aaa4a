"""Sizes and cost of a problem against the limits of this server."""

from __future__ import annotations

from gradhorizon_service.worker.problem import Problem

from .cost import Costs, Estimate, estimate, sizes_of
from .errors import CostOverLimit, LimitExceeded
from .filling import Filled
from .limits import Limits
from .sources import is_spectral


def check_sizes(filled: Filled, limits: Limits) -> None:
    """Raise LimitExceeded for the first size over its limit."""
    request = filled.request
    spectral = is_spectral(request.network)
    layered = request.network.cell in ("feedforward", "jacobians")
    checks = [
        ("$.network", "max_modes" if spectral else "max_size", filled.shape.largest),
        ("$.depth", "max_layers" if layered else "max_depth", (request.depth or 0) + request.burn_in),
        ("$", "max_batch", filled.batch),
        ("$.max_points", "max_points", request.max_points),
        ("$.lags", "max_lags", len(request.lags or ())),
    ]
    for path, name, found in checks:
        allowed = getattr(limits, name)
        if found > allowed:
            raise LimitExceeded(path, name, allowed, found)


def check_cost(problem: Problem, filled: Filled, limits: Limits, costs: Costs) -> Estimate:
    """Estimate, and raise CostOverLimit where time or memory is over what an answer may take."""
    driven = problem.inputs is not None or filled.shape.biased
    size = filled.shape.state_size if problem.network.kind.is_gated else filled.shape.largest
    if is_spectral(filled.request.network):
        return _diagonal_estimate(problem, driven, size, limits, costs)
    found = estimate(problem, sizes_of(problem, size, driven), costs)
    return _checked(found, limits)


def _diagonal_estimate(problem: Problem, driven: bool, size: int, limits: Limits, costs: Costs) -> Estimate:
    """Closed forms cost a few operations a mode and reported lag; a driven one is stepped, mode by mode."""
    steps = problem.depth + problem.burn_in if driven else 4096
    seconds = steps * (problem.batch * size * 20 * costs.per_flop + 20 * costs.per_call)
    memory = 8.0 * problem.batch * size * (steps * 4.0 if driven else 64.0)
    return _checked(Estimate(seconds, {"run": seconds}, memory), limits)


def _checked(found: Estimate, limits: Limits) -> Estimate:
    if found.memory_bytes > limits.memory_bytes:
        raise CostOverLimit(
            found.memory_bytes,
            limits.memory_bytes,
            "bytes",
            "memory_bytes",
            "states of every step are kept: shorten the depth, or use a smaller batch",
        )
    if found.seconds > limits.sync_seconds:
        advice = "shorten the depth, use a smaller batch, or ask for fewer diagnostics"
        if found.dearest != "run":
            advice += f" ({found.dearest} costs most: about {found.by_diagnostic[found.dearest]:.3g} seconds)"
        raise CostOverLimit(found.seconds, limits.sync_seconds, "seconds", "sync_seconds", advice)
    return found


def depth_within(request_depth: int, limits: Limits) -> None:
    """Raise LimitExceeded for a depth over the limit."""
    if request_depth > limits.max_depth:
        raise LimitExceeded("$.depth", "max_depth", limits.max_depth, request_depth)
