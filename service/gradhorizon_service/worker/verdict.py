"""What happens to gradients over the whole depth: one word, one sentence, and the numbers behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .grid import thinned
from .horizon import LN10, Horizon, median_change
from .matrix_analysis import spectral_radius
from .runs import Run
from .statistics import median

_PROBES = 1024


_SLACK_DECADES = 1e-9
"""Ten to the third is at a threshold of three decades; rounding must not say otherwise."""


@dataclass(frozen=True)
class Evidence:
    """One number behind the verdict; value None means exactly zero, as a logarithm minus infinity.

    `is_upper_bound`: the number itself is smaller still, beyond what was resolved.
    """

    quantity: str
    value: float | None
    threshold: float
    says: str
    is_upper_bound: bool = False


@dataclass(frozen=True, eq=False)
class Verdict:
    """The contract's verdict; `given_cotangent` judges the gradient of the request's own loss."""

    status: str
    summary: str
    evidence: list[Evidence]
    directions_vanish: bool
    given_cotangent: str
    status_of_completed_steps: str | None


@dataclass(frozen=True)
class Transport:
    """Decades over the depth: largest and median singular value of the transport, and its peak on the way.

    `middle_is_bound` says that the median is at most that: one product resolves nothing smaller.
    """

    largest: float
    middle: float
    peak: float
    peak_lag: int
    middle_is_bound: bool = False


def judge(run: Run, horizon: Horizon, exact: bool) -> Verdict:
    """Judge a run; `exact` says that the singular values were computed for the report anyway."""
    tolerance = run.problem.tolerance_decades
    transport = _transport(run, tolerance, exact)
    status = _status(transport, tolerance)
    completed = None
    if run.outcome.kind == "diverged":
        status, completed = "diverged", status
    return Verdict(
        status,
        _summary(status, completed, transport, run, horizon),
        _evidence(transport, tolerance),
        _loses_directions(transport, tolerance),
        _given(run, tolerance),
        completed,
    )


def _transport(run: Run, tolerance: float, exact: bool) -> Transport:
    values, is_bound = _accurate(run) if exact else _cheap_singular_values(run, tolerance)
    logs = median(values, axis=0) / LN10
    peak = run.transport_peak
    middle_sequence = int(np.argsort(peak.log_peak)[len(peak.log_peak) // 2])
    return Transport(
        float(logs[0]),
        float(median(logs)),
        float(median(peak.log_peak)) / LN10,
        int(peak.peak_lag[middle_sequence]),
        is_bound,
    )


def _accurate(run: Run) -> tuple[Array, bool]:
    """Every singular value; where they are not reliable, what one product resolves of them, as far as it does.

    Where neither is known, an unreliable zero must not pass for an exact one: the given gradient and the spectral
    radius bound the largest value from below.
    """
    found = run.singular_values()
    peak = run.transport_peak
    if found.reliable.all():
        return found.log_values, False
    if (peak.log_norm > peak.log_floor).all():
        return np.maximum(peak.log_singular_values, peak.log_floor[:, None]), True
    if np.isfinite(found.log_values[:, 0]).all():
        return found.log_values, False
    bound = _lower_bound(run)
    if np.isfinite(bound):
        run.warnings.append(
            "verdict: the transport of this far from normal network is not resolved in float64; the verdict rests on a "
            "lower bound of its largest singular value"
        )
    return np.full((1, 1), bound), True


def _lower_bound(run: Run) -> float:
    """ln of something the largest singular value is not below: what the given gradient kept, or rho^T."""
    start, end = run.transported_log_norms(np.array([0, run.depth]))
    bounds = (end - start)[np.isfinite(start)].tolist()
    if run.step_matrix is not None:
        radius = spectral_radius(run.step_matrix)
        bounds.append(run.depth * float(np.log(radius)) if radius > 0 else -np.inf)
    return float(max(bounds, default=-np.inf))


def _cheap_singular_values(run: Run, tolerance: float) -> tuple[Array, bool]:
    """One product settles the verdict unless the median lies below what the product resolves, undecided.

    Values under the floor are rounding error: the floor stands for them, and says so. Where it lies below -tolerance
    they are vanishing all the same. A largest value under the floor may be the rounding error of an exact zero, and
    is computed accurately.
    """
    logs, floor = run.transport_peak.log_singular_values, run.transport_peak.log_floor
    unresolved = np.median(logs, axis=1) < floor
    undecided = unresolved & (floor > -tolerance * LN10)
    if undecided.any() or (logs[:, 0] < floor).any():
        return _accurate(run)
    return np.maximum(logs, floor[:, None]), bool(unresolved.any())


def _status(transport: Transport, tolerance: float) -> str:
    if transport.largest == -np.inf:
        return "dead"
    reached = tolerance - _SLACK_DECADES
    if transport.largest >= reached:
        return "exploding"
    if transport.peak >= reached:
        return "transient"
    return "vanishing" if transport.largest <= -reached else "stable"


def _loses_directions(transport: Transport, tolerance: float) -> bool:
    return transport.middle <= -(tolerance - _SLACK_DECADES)


def _given(run: Run, tolerance: float) -> str:
    """The same judgement for the gradient of the given loss: its change at the end, and its peak on the way."""
    changes = median_change(run.transported_log_norms(_probe(run.depth))) / LN10
    if np.isnan(changes[0]):
        return "dead"
    end, peak = float(changes[-1]), float(np.max(changes))
    return _status(Transport(end, end, peak, 0), tolerance)


def _probe(depth: int) -> Array:
    """Lags at which the given gradient is looked at: all of them where they are few, else ever sparser."""
    return thinned(depth, _PROBES)


def _evidence(transport: Transport, tolerance: float) -> list[Evidence]:
    return [
        Evidence(
            "log10_largest_singular_value",
            _finite(transport.largest),
            tolerance if transport.largest >= 0.0 else -tolerance,
            "largest change of any direction over the whole depth, in decades; exploding at or above a "
            "positive threshold, vanishing at or below a negative one",
        ),
        Evidence(
            "log10_peak_transport_norm",
            _finite(transport.peak),
            tolerance,
            f"largest norm of a partial transport, reached at lag {transport.peak_lag}; at or above the threshold "
            "without an exploding end the gradient is transient",
        ),
        Evidence(
            "log10_median_singular_value",
            _finite(transport.middle),
            -tolerance,
            "the middle direction; at or below the threshold most directions are lost"
            + (
                "; the value is an upper bound, as far as one product resolves"
                if transport.middle_is_bound
                else ""
            ),
            transport.middle_is_bound,
        ),
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _summary(status: str, completed: str | None, transport: Transport, run: Run, horizon: Horizon) -> str:
    lead = {
        "dead": f"Dead: no gradient at all crosses {_steps(run.depth)}; the transport is zero.",
        "exploding": (
            f"Exploding: over {_steps(run.depth)} the gradient grows by up to {_power(transport.largest)} "
            "along the worst direction."
        ),
        "transient": (
            f"Transient: the gradient first grows by up to {_power(transport.peak)} (at lag {transport.peak_lag}) "
            f"and ends at {_power(transport.largest)} after {_steps(run.depth)}."
        ),
        "vanishing": (
            f"Vanishing: over {_steps(run.depth)} every direction shrinks to at most {_power(transport.largest)} "
            "times its size."
        ),
        "stable": (
            f"Stable: over {_steps(run.depth)} the best direction ends at {_power(transport.largest)} times its size, "
            f"within {run.problem.tolerance_decades:g} decades."
        ),
    }
    if status == "diverged":
        head = f"Diverged: the forward state left float64 after {run.depth} of {run.problem.depth} steps; up to there: "
        return head + lead[completed or "stable"]
    tail = [lead[status]]
    if status in ("exploding", "transient", "stable") and _loses_directions(
        transport, run.problem.tolerance_decades
    ):
        tail.append("Most directions vanish all the same.")
    tail.append(_horizon_sentence(horizon))
    return " ".join(tail)


def _steps(count: int) -> str:
    return "1 step" if count == 1 else f"{count} steps"


def _power(decades: float) -> str:
    if not np.isfinite(decades):
        return "zero"
    return f"10^{decades:.1f}" if abs(decades) >= 3 else f"{10**decades:.3g}"


def _inverse(level: float) -> str:
    """One over a level, which for 1e-310 is no float64."""
    return f"{1.0 / level:g}" if level > 1e-300 else f"10^{-math.log10(level):.1f}"


def _horizon_sentence(horizon: Horizon) -> str:
    if horizon.steps is not None:
        decays = horizon.direction == "decay"
        moved = f"falls below {horizon.level:g}" if decays else f"exceeds {_inverse(horizon.level)}"
        return f"The given gradient {moved} times its size {_steps(horizon.steps)} back."
    if horizon.censored:
        return f"The given gradient stays within a factor of {_inverse(horizon.level)} all the way back."
    return "The given gradient is exactly zero from the start."
