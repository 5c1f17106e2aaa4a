"""How much of the decay activations make: slopes, saturated and dead units, and what gates let through."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..cells import Nonlinearity
from ..horizon import LN10
from ..precision import PRECISIONS
from ..problem import Problem
from ..runs import Run
from ._series import reported_lags

_MOST_NAMED = 64
"""Dead units are named up to this number."""

_BLOCK = 1 << 16
_NEARLY_CLOSED, _NEARLY_OPEN = 0.1, 0.9
_NO_STEP = "no step was completed"
_NOT_KEEPING = "this gate does not say what is kept of the state"
_PASSED_BY = "part of the gradient passes the activation by: a step is no product of slopes and weights"


def without_activation(problem: Problem) -> str | None:
    """Why there is nothing that could saturate."""
    network = problem.network
    if network.kind.is_gated or network.parameters.get("activation", "identity") != "identity":
        return None
    if not network.kind.has_states:
        return "step Jacobians come without pre-activations"
    return f"this {network.cell} network has no nonlinearity: the identity never saturates"


@dataclass(frozen=True, eq=False)
class UnitSlopes:
    """Slopes of one nonlinearity over all steps and sequences; a unit of a network with layers is one of a layer.

    A unit is saturated where |phi'| < `level`, dead where it is exactly zero at every step and sequence. Quantiles
    are order statistics; `log10_mean_slope` is the logarithm of the geometric mean.
    """

    level: float
    saturated_share: float
    log10_slope_q10: float
    log10_slope: float
    log10_slope_q90: float
    log10_mean_slope: float
    units: int
    mostly_saturated: int
    always_saturated: int
    dead: int
    dead_units: Array | None
    dead_layers: Array | None
    dead_units_reason: str | None


@dataclass(frozen=True)
class GateValues:
    """Values of one gate, 0 for closed and 1 for open, over all steps, sequences and units.

    `time_constant` is -1 / ln of the mean share of its state that a unit keeps, in steps, the median over units.
    """

    mean: float
    q10: float
    median: float
    q90: float
    share_nearly_closed: float
    share_nearly_open: float
    time_constant: float | None
    time_constant_reason: str | None


@dataclass(frozen=True)
class DecayShare:
    """Decades per step of the transported gradient, and the parts of them that the two factors of a step make.

    With J_t = D_t W_t a step back takes g to D_t g and on to W_t^T D_t g. The sums over t of log10 ||D_t g|| / ||g||
    and of log10 ||W_t^T D_t g|| / ||D_t g|| add up to the whole; each is divided by T and averaged over the sequences
    whose gradient is not exactly zero at either end.
    """

    decades_per_step: float | None
    decades_per_step_reason: str | None
    decades_per_step_from_slopes: float | None
    decades_per_step_from_slopes_reason: str | None
    decades_per_step_from_weights: float | None
    decades_per_step_from_weights_reason: str | None


@dataclass(frozen=True, eq=False)
class Saturation:
    """What the nonlinearities did along the run, by their names, and to the transported gradient."""

    saturated_share: float | None
    saturated_share_reason: str | None
    step: Array
    saturated_share_by_step: Array
    units: dict[str, UnitSlopes]
    gates: dict[str, GateValues] | None
    decay: DecayShare
    says: str


def saturation(run: Run) -> Saturation:
    """Report slopes along the run, saturated and dead units, gates, and how much of the decay the slopes make.

    A slope counts as saturated below gamma 2^-p, with gamma the activation's largest slope and p the bits of the
    significand in the request's dtype. There an output next to its limit has rounded to it: 1 - tanh^2 and
    sigma (1 - sigma), which frameworks form from the output, are exactly zero.
    """
    seen = run.nonlinearities() if run.depth else {}
    gates = {name: _gate_values(found) for name, found in seen.items() if found.is_gate}
    slopes = {name: _slopes(found, run.problem.dtype) for name, found in seen.items()}
    steps, by_step = _by_step(run, list(slopes.values()))
    saturated = [block for found in slopes.values() for block in found.saturated]
    share = (
        float(np.sum([b.sum() for b in saturated]) / np.sum([b.size for b in saturated])) if seen else None
    )
    units = {name: _unit_slopes(found) for name, found in slopes.items()}
    decay = _decay(run)
    return Saturation(
        share,
        _NO_STEP if share is None else None,
        steps,
        by_step,
        units,
        gates or None,
        decay,
        _says(run.problem.dtype, share, units, decay),
    )


@dataclass(frozen=True, eq=False)
class _Slopes:
    """ln |phi'| in blocks (t, B, n) whose units are their own: one of a recurrence, one a layer of unshared ones."""

    level: float
    logs: list[Array]
    saturated: list[Array]


def _slopes(found: Nonlinearity, dtype: str) -> _Slopes:
    level = found.activation.largest_slope * PRECISIONS[dtype].unit_roundoff
    a = found.preactivations
    logs = [a] if isinstance(a, np.ndarray) else [layer[None] for layer in a]
    for block in logs:  # written over the pre-activations, which were made for us
        stride = max(1, _BLOCK // max(1, block[:1].size))
        for start in range(0, len(block), stride):
            block[start : start + stride] = found.activation.log_slope(block[start : start + stride])
    return _Slopes(level, logs, [block < math.log(level) for block in logs])


def _by_step(run: Run, slopes: Sequence[_Slopes]) -> tuple[Array, Array]:
    """Steps that mirror the reported lags, and the share of all slopes that is saturated there."""
    lags = reported_lags(run.problem.lags, run.depth, run.problem.max_points)
    steps = np.unique(run.depth - lags)
    steps = steps[steps > 0]
    if not slopes:
        return steps, np.zeros(0)
    counts = sum(np.concatenate([b.sum(axis=(1, 2)) for b in found.saturated]) for found in slopes)
    sizes = sum(np.repeat([b[0].size for b in f.saturated], [len(b) for b in f.saturated]) for f in slopes)
    return steps, np.asarray(counts / sizes)[steps - 1]


def _unit_slopes(slopes: _Slopes) -> UnitSlopes:
    shares = np.concatenate([block.mean(axis=(0, 1)) for block in slopes.saturated])
    dead = np.concatenate([np.isneginf(block).all(axis=(0, 1)) for block in slopes.logs])
    widths = [block.shape[2] for block in slopes.logs]
    named, layers, reason = _named(np.flatnonzero(dead), widths)
    flat = np.concatenate([block.reshape(-1) for block in slopes.logs])
    low, middle, high = _order_statistics(flat) / LN10
    return UnitSlopes(
        slopes.level,
        float(np.sum([b.sum() for b in slopes.saturated]) / flat.size),
        low,
        middle,
        high,
        float(flat.mean()) / LN10,
        len(shares),
        int((shares > 0.5).sum()),
        int((shares == 1.0).sum()),
        int(dead.sum()),
        named,
        layers,
        reason,
    )


def _named(dead: Array, widths: Sequence[int]) -> tuple[Array | None, Array | None, str | None]:
    """Positions of units among their layer's, from 0, and the layers of unshared ones, from 1."""
    if len(dead) > _MOST_NAMED:
        return None, None, f"there are {len(dead)}, more than {_MOST_NAMED}"
    units = np.concatenate([np.arange(width) for width in widths])
    layers = np.repeat(np.arange(1, len(widths) + 1), widths)
    return units[dead], layers[dead] if len(widths) > 1 else None, None


def _order_statistics(values: Array) -> Array:
    """The values a tenth, a half and nine tenths of the way up; zero slopes (minus infinity) lowest."""
    places = [round(q * (values.size - 1)) for q in (0.1, 0.5, 0.9)]
    return np.asarray(np.partition(values, places)[places])


def _gate_values(found: Nonlinearity) -> GateValues:
    values = found.activation.value(np.asarray(found.preactivations))
    low, middle, high = _order_statistics(values.reshape(-1))
    means = values.mean(axis=(0, 1))
    constant, reason = _time_constant(means if found.keeps == "value" else 1.0 - means)
    if found.keeps is None:
        constant, reason = None, _NOT_KEEPING
    return GateValues(
        float(values.mean()),
        float(low),
        float(middle),
        float(high),
        float((np.abs(values) < _NEARLY_CLOSED).mean()),
        float((values > _NEARLY_OPEN).mean()),
        constant,
        reason,
    )


def _time_constant(kept: Array) -> tuple[float | None, str | None]:
    """-1 / ln of the share of its state that a unit keeps, the median over units."""
    if (kept < 0.0).any():
        return None, "some units keep a negative share of their state"
    with np.errstate(divide="ignore"):
        constants = -1.0 / np.log(np.minimum(kept, 1.0))
    middle = float(np.median(np.abs(constants)))  # abs: -1 / ln 1 is minus infinity
    return (middle, None) if math.isfinite(middle) else (None, "all of the state is kept: nothing decays")


def _decay(run: Run) -> DecayShare:
    start, end = run.transported_log_norms(np.array([0, run.depth]))
    alive = np.isfinite(start) & np.isfinite(end)
    if run.depth == 0 or not alive.any():
        reason = _NO_STEP if run.depth == 0 else f"the gradient is exactly zero at lag {run.depth}"
        return DecayShare(None, reason, None, reason, None, reason)
    nats = run.depth * LN10
    whole = float(np.mean(end[alive] - start[alive])) / nats
    growth = run.slope_growth()
    if growth is None:
        return DecayShare(whole, None, None, _PASSED_BY, None, _PASSED_BY)
    slopes = float(np.mean(growth[:, alive].sum(axis=0))) / nats
    return DecayShare(whole, None, slopes, None, whole - slopes, None)


def _says(dtype: str, share: float | None, units: Mapping[str, UnitSlopes], decay: DecayShare) -> str:
    if share is None:
        return _NO_STEP
    sentences = [f"{_percent(share)} of the slopes are so small that nothing is left of them in {dtype}"]
    dead, count = sum(found.dead for found in units.values()), sum(found.units for found in units.values())
    if dead:
        sentences.append(f"{dead} of {count} units are dead: their slope is exactly zero throughout")
    slopes, weights = decay.decades_per_step_from_slopes, decay.decades_per_step_from_weights
    if slopes is not None and weights is not None:
        sentences.append(
            f"a step changes the gradient by {decay.decades_per_step:+.3g} decades: {weights:+.3g} by the weights, "
            f"{slopes:+.3g} by the slopes"
        )
    return "; ".join(sentences)


def _percent(share: float) -> str:
    return f"{100.0 * share:.3g} %"
