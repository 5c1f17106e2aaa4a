"""The gradient each parameter would receive, and from which lags it comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..horizon import LN10
from ..parameter_gradients import ScaledArray
from ..runs import Run, Shares
from ._series import reported_lags
from .state_norms import SMALL_ENTRIES


@dataclass(frozen=True, eq=False)
class LayerGradients:
    """log10 norms of a feed-forward network's gradients, layer 1 first."""

    layer: Array
    log10_weights: Array
    log10_biases: Array | None


@dataclass(frozen=True, eq=False)
class ParameterGradient:
    """log10 norms by parameter; share of each lag in the gradient of the recurrent matrix.

    `gates` splits the parameters of a gated cell: parameter -> gate -> log10 norm of its rows.
    """

    log10_norm: dict[str, float]
    gates: dict[str, dict[str, float]] | None
    values: dict[str, Array] | None
    values_reason: str | None
    lag: Array
    share: Array
    share_reason: str | None
    steps_holding_95_percent: int | None
    layers: LayerGradients | None


def parameter_gradient(run: Run) -> ParameterGradient:
    """Report norms, values while small, and shares by lag."""
    gradients = run.parameter_gradients()
    values, values_reason = _values(run, gradients)
    lags = reported_lags(run.problem.lags, run.depth, run.problem.max_points)
    layers = _by_layer(gradients)
    shares = None if layers is not None else run.shares(lags)
    lag, share, reason = share_series(shares)
    if layers is not None:
        reason = "weights are not shared: see `layers` for the gradient of each"
    return ParameterGradient(
        {name: g.log_norm / LN10 for name, g in gradients.items() if layers is None or "[" not in name},
        _by_gate(run, gradients),
        values,
        values_reason,
        lag,
        share,
        reason,
        None if shares is None else shares.cumulative_95,
        layers,
    )


def _by_gate(run: Run, gradients: Mapping[str, ScaledArray]) -> dict[str, dict[str, float]] | None:
    kind = run.problem.network.kind
    if not kind.is_gated:
        return None
    found = {}
    for name, gradient in gradients.items():
        gates = kind.blocks(name)
        if gates:
            blocks = np.split(gradient.array, len(gates))
            rows = [ScaledArray.of(block, gradient.log_scale) for block in blocks]
            found[name] = {gate: part.log_norm / LN10 for gate, part in zip(gates, rows, strict=True)}
    return found


def share_series(shares: Shares | None) -> tuple[Array, Array, str | None]:
    """(lag, share, reason): norm(G_k) / sum_j norm(G_j); empty with a reason where there is nothing to share."""
    if shares is None:
        return (
            np.zeros(0, dtype=np.int64),
            np.zeros(0),
            "there is no recurrent matrix whose gradient could be split",
        )
    if shares.log_sum == -np.inf:
        return shares.lag, np.zeros(len(shares.lag)), "the gradient of the recurrent matrix is exactly zero"
    reason = None
    if not shares.is_exact:
        reason = "the sum over all lags is estimated from about a thousand of them: shares are good to a few percent"
    return shares.lag, np.exp(shares.log_norm - shares.log_sum), reason


def _values(run: Run, gradients: Mapping[str, ScaledArray]) -> tuple[dict[str, Array] | None, str | None]:
    entries = sum(g.array.size for g in gradients.values())
    if entries > SMALL_ENTRIES and "parameter_gradient" not in run.problem.include:
        return None, (
            f"the gradients have {entries} numbers, more than {SMALL_ENTRIES}; ask for them with "
            'include: ["parameter_gradient"]'
        )
    found: dict[str, Array] = {}
    for name, gradient in gradients.items():
        numbers = gradient.values()
        if numbers is None:
            return None, f"the gradient of {name} is too large for float64; its norm is in log10_norm"
        found[name] = numbers
    return found, None


def _by_layer(gradients: Mapping[str, ScaledArray]) -> LayerGradients | None:
    weights = [g.log_norm / LN10 for name, g in gradients.items() if name.startswith("layers[")]
    biases = [g.log_norm / LN10 for name, g in gradients.items() if name.startswith("biases[")]
    if not weights:
        return None
    return LayerGradients(
        np.arange(1, len(weights) + 1), np.array(weights), np.array(biases) if biases else None
    )
