"""Rules of a managed training debugger under their familiar names and defaults, and what we say instead.

Each compares one absolute number with a constant: rescaling the loss changes what VanishingGradient says, and
depth and time are invisible to all. `ours` is the scale-free word on the same layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradhorizon_service.worker.activity import Activity
from gradhorizon_service.worker.layers import LayerResult

from ..checkpoints.hygiene import Finding

VANISHING_THRESHOLD = 1e-7
SATURATED_LAYER_PERCENT = 50.0
VARIANCE_RATIO = 10.0
ALL_ZERO_PERCENT = 100.0
LARGE_UPDATE, SMALL_UPDATE, UPDATE_EPSILON = 10.0, 1e-8, 1e-9
RTOL, ATOL = 1e-5, 1e-8

Row = dict[str, Any]

_NOT_EVALUATED = {
    "WeightUpdateRatio": "needs two checkpoints: compare them",
    "UnchangedTensor": "needs two checkpoints: compare them",
    "TensorVariance": "has no thresholds by default, so that it never fires",
    "LossNotDecreasing": "needs the losses of a training run",
    "Overfit": "needs the losses of a training run",
    "Overtraining": "needs the losses of a training run",
    "StalledTrainingRule": "needs a training run",
}
_HORIZONS = "see the verdict and the horizon of each layer"


def rules_of_layer(name: str, result: LayerResult) -> Iterator[Row]:
    """Evaluate what a run of one layer can tell."""
    if result.diagnosis is None:
        return
    verdict, horizon = result.diagnosis.verdict, result.diagnosis.horizon
    reach = "beyond the depth" if horizon.steps is None else f"{horizon.steps} steps"
    ours = f"{verdict.status}, horizon {reach}: relative to where the gradient starts, whatever the loss is scaled by"
    yield _vanishing(name, result.log10_mean_gradients, ours)
    yield _saturated("SaturatedActivation", ("tanh", "sigmoid"), name, result.activities, ours)
    yield _saturated("DeadRelu", ("relu",), name, result.activities, ours)


def rules_of_file(findings: Iterable[Finding], networks: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """Evaluate what the weights alone tell, and name the rules that cannot be evaluated."""
    broken = [finding for finding in findings if finding.rule == "non_finite"]
    yield _row(
        "ExplodingTensor",
        fired=bool(broken),
        value=float(sum(finding.value or 0.0 for finding in broken)),
        threshold=0.0,
        says=f"{len(broken)} tensors hold a NaN or an infinity"
        if broken
        else "every number of the file is finite",
        ours="after the fact: exploding and transient tell of it before it happens",
    )
    weights = {
        f"{layer}.{field}": network[field]
        for layer, network in networks.items()
        for field in ("weights", "input_weights")
        if isinstance(network.get(field), np.ndarray)
    }
    yield _initialisation(weights)
    yield _all_zero(weights)
    for rule, reason in _NOT_EVALUATED.items():
        yield _row(rule, reason=reason, says=f"not evaluated: {reason}", ours=_HORIZONS)


def rules_of_comparison(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Row]:
    """Evaluate the two rules about updates on the parameters of a layer that are there in both."""
    pairs = {
        field: (before[field], after[field])
        for field in before
        if isinstance(before[field], np.ndarray) and isinstance(after.get(field), np.ndarray)
    }
    ratios = {
        field: float(np.mean(np.abs(b - a)) / (np.mean(np.abs(a)) + UPDATE_EPSILON))
        for field, (a, b) in pairs.items()
    }
    if not ratios:
        return
    out = {field: ratio for field, ratio in ratios.items() if not SMALL_UPDATE <= ratio <= LARGE_UPDATE}
    worst = max(ratios, key=lambda field: abs(np.log10(max(ratios[field], 1e-300)) + 3.5))
    value = ratios[next(iter(out), worst)]
    ours = "see relative_change, and the angles between leading directions, which a ratio of means cannot see"
    yield _row(
        "WeightUpdateRatio",
        layer=name,
        fired=bool(out),
        value=value,
        threshold=LARGE_UPDATE if value > 1.0 else SMALL_UPDATE,
        says=f"mean |update| / (mean |weight| + {UPDATE_EPSILON:g}) of {next(iter(out), worst)}; fires above "
        f"{LARGE_UPDATE:g} or below {SMALL_UPDATE:g}",
        ours=ours,
    )
    same = [field for field, (a, b) in pairs.items() if np.allclose(a, b, rtol=RTOL, atol=ATOL)]
    yield _row(
        "UnchangedTensor",
        layer=name,
        fired=bool(same),
        value=float(len(same)),
        threshold=0.0,
        says=f"{', '.join(same) or 'none'} of {len(pairs)} parameters are as before (allclose, rtol {RTOL:g}, "
        f"atol {ATOL:g})",
        ours=ours,
    )


def _vanishing(name: str, log10_means: Mapping[str, float], ours: str) -> Row:
    if not log10_means:
        reason = "no parameter of this layer has a gradient"
        return _row(
            "VanishingGradient", layer=name, reason=reason, says=f"not evaluated: {reason}", ours=ours
        )
    smallest = min(log10_means, key=lambda field: log10_means[field])
    value = log10_means[smallest]
    return _row(
        "VanishingGradient",
        layer=name,
        fired=bool(value < np.log10(VANISHING_THRESHOLD)),
        value=10.0 ** max(value, -320.0) if value < 300.0 else float("inf"),
        threshold=VANISHING_THRESHOLD,
        says=f"the smallest mean absolute gradient of a parameter is that of {smallest}, for this loss as it is scaled",
        ours=ours,
    )


def _saturated(rule: str, kinds: Sequence[str], name: str, seen: Sequence[Activity], ours: str) -> Row:
    found = [activity for activity in seen if activity.kind in kinds]
    if not found:
        reason = f"this layer has no {' or '.join(kinds)}"
        return _row(rule, layer=name, reason=reason, says=f"not evaluated: {reason}", ours=ours)
    worst = max(found, key=lambda activity: activity.inactive_percent)
    return _row(
        rule,
        layer=name,
        fired=worst.inactive_percent > SATURATED_LAYER_PERCENT,
        value=worst.inactive_percent,
        threshold=SATURATED_LAYER_PERCENT,
        says=f"{worst.inactive_percent:.3g} % of the units of {worst.name} are active less than 1 % of the time",
        ours=f"{ours}; the diagnostic saturation derives its level from the dtype",
    )


def _initialisation(weights: Mapping[str, Any]) -> Row:
    variances = {name: float(np.var(array)) for name, array in weights.items()}
    rule, ours = "PoorWeightInitialization", f"a ratio says nothing about depth: {_HORIZONS}"
    if len(variances) < 2 or min(variances.values()) == 0.0:
        reason = (
            "needs the weights of two layers"
            if len(variances) < 2
            else "one of the weights does not vary at all"
        )
        return _row(rule, reason=reason, says=f"not evaluated: {reason}", ours=ours)
    low, high = min(variances, key=lambda n: variances[n]), max(variances, key=lambda n: variances[n])
    with np.errstate(over="ignore"):
        ratio = float(np.divide(variances[high], variances[low]))
    return _row(
        rule,
        fired=ratio > VARIANCE_RATIO,
        value=ratio,
        threshold=VARIANCE_RATIO,
        says=f"largest over smallest variance of weights, {high} over {low}; two more conditions need a training run",
        ours=ours,
    )


def _all_zero(weights: Mapping[str, Any]) -> Row:
    rule, ours = "AllZero", "see the findings zero_rows and duplicated_rows, which look at single units"
    if not weights:
        reason = "no layer has weights to look at"
        return _row(rule, reason=reason, says=f"not evaluated: {reason}", ours=ours)
    shares = {name: 100.0 * float(np.mean(array == 0.0)) for name, array in weights.items()}
    worst = max(shares, key=lambda name: shares[name])
    return _row(
        rule,
        fired=shares[worst] >= ALL_ZERO_PERCENT,
        value=shares[worst],
        threshold=ALL_ZERO_PERCENT,
        says=f"{shares[worst]:.3g} % of {worst} are zero",
        ours=ours,
    )


def _row(
    rule: str,
    *,
    says: str,
    ours: str,
    layer: str | None = None,
    fired: bool | None = None,
    reason: str | None = None,
    value: float | None = None,
    threshold: float | None = None,
) -> Row:
    value_reason = reason
    if value is not None and not np.isfinite(value):
        value, value_reason = None, "leaves float64"
    return {
        "rule": rule,
        "layer": layer,
        "fired": fired,
        "fired_reason": reason,
        "value": value,
        "value_reason": value_reason,
        "threshold": threshold,
        "threshold_reason": reason,
        "says": says,
        "ours": ours,
    }
