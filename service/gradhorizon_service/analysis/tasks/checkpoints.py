"""POST /v1/checkpoints/{sha256}/diagnoses and /v1/checkpoint-comparisons: layers of surveyed files, diagnosed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gradhorizon.schemas import (
    CheckpointComparison,
    CheckpointComparisonRequest,
    CheckpointDiagnosis,
    CheckpointDiagnosisRequest,
    Diagnosis,
)
from gradhorizon_service.worker.drift import relative_change
from gradhorizon_service.worker.layers import (
    LayerResult,
    LayersComparison,
    LayersComparisonProblem,
    LayersProblem,
)

from ...checkpoints.surveying import Survey, SurveyedLayer
from ..canonical import request_id
from ..checking import within_cost
from ..cost import Costs
from ..debugger_rules import rules_of_comparison, rules_of_file, rules_of_layer
from ..errors import Fault, InvalidRequest
from ..limits import Limits
from ._task import provenance
from .layered import Layered, NothingRecognised, layered

_NOT_MEASURED = "there is no number to hold it against"


@dataclass(frozen=True, eq=False)
class CheckpointTask:
    """POST /v1/checkpoints/{sha256}/diagnoses."""

    id: str
    estimated_seconds: float
    problem: LayersProblem
    seed: int
    survey: Survey
    layers: Layered
    only: Sequence[str] | None

    function = "diagnose_layers"

    def report(self, result: Mapping[str, LayerResult], seconds: float) -> CheckpointDiagnosis:
        """Layers in the order of the file; seconds are those of all of them together."""
        wanted = [layer for layer in self.survey.layers if self.only is None or layer.name in self.only]
        reports = [self._layer(layer, result.get(layer.name), seconds) for layer in wanted]
        networks = {layer.name: layer.network for layer in self.survey.layers if layer.network is not None}
        rules = [row for name, one in result.items() for row in rules_of_layer(name, one)]
        return CheckpointDiagnosis.model_validate(
            {
                "id": self.id,
                "format": self.survey.format,
                "says": _says(reports),
                "layers": reports,
                "hygiene": [_finding(asdict(finding)) for finding in self.survey.findings],
                "rules": [*rules_of_file(self.survey.findings, networks), *rules],
                "skipped": [{"tensor": name, "reason": why} for name, why in self.survey.skipped.items()],
                "assumptions": list(self.survey.assumptions),
                "warnings": _warnings(reports),
                "provenance": provenance(self.seed, seconds, _algorithms(result), self.id.partition(":")[2]),
            }
        )

    def _layer(self, layer: SurveyedLayer, result: LayerResult | None, seconds: float) -> dict[str, Any]:
        diagnosis, reason = _diagnosis(self.layers, layer.name, result, seconds)
        row = self.layers.problem.rows.get(layer.name)
        return {
            "name": layer.name,
            "framework": layer.framework,
            "cell": layer.cell,
            "direction": layer.direction,
            "sizes": self.layers.sizes.get(layer.name),
            "tensors": {field: list(names) for field, names in layer.tensors.items()},
            "fed_by": list(row.below) if row is not None else [],
            "assumptions": list(layer.assumptions),
            "diagnosis": diagnosis,
            "diagnosis_reason": reason,
        }


def _diagnosis(
    layers: Layered, name: str, result: LayerResult | None, seconds: float
) -> tuple[Diagnosis | None, str | None]:
    """The report of one layer, or why there is none."""
    if result is None:
        return None, layers.reasons.get(name, "this layer was not run")
    if result.diagnosis is None:
        return None, result.reason
    return layers.tasks[name].report(result.diagnosis, seconds), None


def _finding(finding: dict[str, Any]) -> dict[str, Any]:
    reasons = {
        f"{name}_reason": _NOT_MEASURED if finding[name] is None else None for name in ("value", "threshold")
    }
    return finding | reasons


def _says(reports: Sequence[Mapping[str, Any]]) -> str:
    said = [
        f"{one['name']} {one['diagnosis'].verdict.status}" for one in reports if one["diagnosis"] is not None
    ]
    failed = [one["name"] for one in reports if one["diagnosis"] is None]
    count = f"{len(reports)} layer{'' if len(reports) == 1 else 's'}"
    listed = ", ".join(said[:6]) + (f" and {len(said) - 6} more" if len(said) > 6 else "")
    missing = f"; {len(failed)} could not be diagnosed ({failed[0]}, ...)" if failed else ""
    return f"{count}: {listed or 'none could be diagnosed'}{missing if said else ''}"


def _warnings(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"{one['name']}: {one['diagnosis_reason']}" for one in reports if one["diagnosis"] is None]


def _algorithms(*results: Mapping[str, LayerResult]) -> dict[str, str]:
    return {
        key: value
        for result in results
        for one in result.values()
        if one.diagnosis is not None
        for key, value in one.diagnosis.algorithms.items()
    }


def prepare_checkpoint(
    request: CheckpointDiagnosisRequest, surveys: Sequence[Survey], limits: Limits, costs: Costs
) -> CheckpointTask:
    """Prepare every layer of the one file. Raises RequestRefused."""
    (survey,) = surveys
    found = layered(request, survey, limits, costs)
    identity = request_id(_without_parts(request), {name: task.id for name, task in found.tasks.items()})
    return CheckpointTask(identity, found.seconds, found.problem, request.seed, survey, found, request.only)


def _without_parts(request: Any) -> Any:
    """The request without what the ids of its layers already stand for: arrays, settings and files."""
    files = {name: "" for name in ("a", "b") if name in type(request).model_fields}
    nothing = dict.fromkeys(("inputs", "loss", "initial_state", "only"))
    return request.model_copy(update={**nothing, **files, "layers": {}})


@dataclass(frozen=True, eq=False)
class CheckpointComparisonTask:
    """POST /v1/checkpoint-comparisons."""

    id: str
    estimated_seconds: float
    problem: LayersComparisonProblem
    seed: int
    surveys: tuple[Survey, Survey]
    layers: tuple[Layered, Layered]
    unmatched: list[dict[str, str]]

    function = "compare_layers"

    def report(self, result: LayersComparison, seconds: float) -> CheckpointComparison:
        """Layers in the order of the first file; the one with the largest relative change moved most."""
        changes = self._changes()
        order = sorted(changes, key=lambda name: changes[name][0] or 0.0, reverse=True)
        moved = next((name for name in order if changes[name][0]), None)
        rows = [self._row(name, order, changes[name], result, seconds) for name in self.problem.pairs]
        before, after = (_networks(survey) for survey in self.surveys)
        return CheckpointComparison.model_validate(
            {
                "id": self.id,
                "says": _moved_says(moved, changes, rows),
                "moved_most": moved,
                "moved_most_reason": None if moved else "no weight differs",
                "layers": rows,
                "unmatched": self.unmatched,
                "rules": [
                    row
                    for name in self.problem.pairs
                    for row in rules_of_comparison(name, before[name], after[name])
                ],
                "assumptions": list(
                    dict.fromkeys(
                        line for survey in self.surveys for line in _assumptions(survey, self.problem.pairs)
                    )
                ),
                "warnings": [],
                "provenance": provenance(
                    self.seed, seconds, _algorithms(result.before, result.after), self.id.partition(":")[2]
                ),
            }
        )

    def _changes(self) -> dict[str, tuple[float | None, str | None]]:
        """||after - before|| / ||before|| over all parameters of a layer, or why there is no such number."""
        before, after = (_networks(survey) for survey in self.surveys)
        return {name: _relative_change(before[name], after[name]) for name in self.problem.pairs}

    def _row(
        self,
        name: str,
        order: Sequence[str],
        moved: tuple[float | None, str | None],
        result: LayersComparison,
        seconds: float,
    ) -> dict[str, Any]:
        change, why_not = moved
        layer = next(layer for layer in self.surveys[0].layers if layer.name == name)
        first, why_first = _diagnosis(self.layers[0], name, result.before.get(name), seconds)
        second, why_second = _diagnosis(self.layers[1], name, result.after.get(name), seconds)
        row: dict[str, Any] = {
            "name": name,
            "cell": layer.cell,
            "direction": layer.direction,
            "rank": None if change is None else 1 + order.index(name),
            "rank_reason": why_not,
            "relative_change": change,
            "relative_change_reason": why_not,
            "matrices": result.drifts.get(name, []),
        }
        for side, found, why in (("before", first, why_first), ("after", second, why_second)):
            exponent, reason = _largest_exponent(found, why)
            row |= {
                side: found,
                f"{side}_reason": why,
                f"status_{side}": None if found is None else found.verdict.status,
                f"horizon_{side}": None if found is None else found.horizon.steps,
                f"largest_exponent_{side}": exponent,
                f"largest_exponent_{side}_reason": reason,
            }
        return row


def _largest_exponent(found: Diagnosis | None, why: str | None) -> tuple[float | None, str | None]:
    if found is None:
        return None, why
    if found.lyapunov is None:
        return None, "the diagnostic lyapunov was not asked for, or does not apply"
    if not len(found.lyapunov.exponents) or not np.isfinite(found.lyapunov.exponents[0]):
        return None, found.lyapunov.exponents_reason or "no exponent is finite"
    return float(found.lyapunov.exponents[0]), None


def _networks(survey: Survey) -> dict[str, Mapping[str, Any]]:
    return {layer.name: layer.network for layer in survey.layers if layer.network is not None}


def _assumptions(survey: Survey, names: Mapping[str, Any]) -> list[str]:
    own = [
        f"{layer.name}: {line}"
        for layer in survey.layers
        if layer.name in names
        for line in layer.assumptions
    ]
    return [*survey.assumptions, *own]


def _parameters(network: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every array of a network by its path."""
    found: dict[str, Any] = {}
    for name, value in network.items():
        if isinstance(value, np.ndarray):
            found[prefix + name] = value
        elif isinstance(value, Mapping):
            found |= _parameters(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            found |= _parameters({str(index): item for index, item in enumerate(value)}, f"{prefix}{name}.")
    return found


def _relative_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[float | None, str | None]:
    first, second = _parameters(before), _parameters(after)
    size = math.hypot(*(float(np.linalg.norm(array)) for array in first.values()))
    moved = math.hypot(*(float(np.linalg.norm(second[name] - first[name])) for name in first))
    return relative_change(moved, size)


def _moved_says(
    moved: str | None,
    changes: Mapping[str, tuple[float | None, str | None]],
    rows: Sequence[Mapping[str, Any]],
) -> str:
    if moved is None:
        return "no weight differs"
    row = next(row for row in rows if row["name"] == moved)

    def reach(side: str) -> str:
        steps = row[f"horizon_{side}"]
        return "beyond the depth" if steps is None else f"{steps} steps"

    words = f"{moved} moved most, by {100.0 * (changes[moved][0] or 0.0):.3g} % of its size"
    if row["before"] is None or row["after"] is None:
        return words
    return f"{words}: {row['status_before']}, horizon {reach('before')}, became {row['status_after']}, {reach('after')}"


_DEFAULT_DIAGNOSTICS = ["gradient_norms", "lyapunov"]
_DEFAULT_LEADING = 4


def prepare_checkpoint_comparison(
    request: CheckpointComparisonRequest, surveys: Sequence[Survey], limits: Limits, costs: Costs
) -> CheckpointComparisonTask:
    """Match layers by name, and prepare them in both files. Raises RequestRefused.

    Unless said otherwise, a layer is asked for its gradient norms and its four largest exponents.
    """
    before, after = surveys
    for survey in surveys:
        if not survey.layers:
            raise NothingRecognised(survey)
    names, unmatched = _matched(before, after)
    if not names:
        reasons = "; ".join(f"{row['name']}: {row['reason']}" for row in unmatched[:6])
        raise InvalidRequest((Fault("$", f"the two files have no layer in common: {reasons}"),))
    if request.diagnostics is None:
        leading = request.leading or _DEFAULT_LEADING
        request = request.model_copy(update={"diagnostics": _DEFAULT_DIAGNOSTICS, "leading": leading})
    found = tuple(layered(request, _only(survey, names), limits, costs) for survey in surveys)
    seconds = sum(one.seconds for one in found)
    within_cost(seconds, limits, "name fewer layers with `only`, shorten the depth, or use a smaller batch")
    networks = [_networks(survey) for survey in surveys]
    cells = {layer.name: layer.cell for layer in before.layers if layer.name in names}
    pairs = {
        name: {
            field: (array, networks[1][name][field])
            for field in ("weights", "input_weights")
            if isinstance(array := networks[0][name].get(field), np.ndarray)
            and isinstance(networks[1][name].get(field), np.ndarray)
        }
        for name in names
    }
    parts = {
        f"{side}.{name}": task.id
        for side, one in zip("ab", found, strict=True)
        for name, task in one.tasks.items()
    }
    return CheckpointComparisonTask(
        request_id(_without_parts(request), parts),
        seconds,
        LayersComparisonProblem(found[0].problem, found[1].problem, pairs, cells),
        request.seed,
        (before, after),
        (found[0], found[1]),
        unmatched,
    )


def _only(survey: Survey, names: Sequence[str]) -> Survey:
    return replace(survey, layers=tuple(layer for layer in survey.layers if layer.name in names))


def _matched(before: Survey, after: Survey) -> tuple[list[str], list[dict[str, str]]]:
    """Names of layers that both files have with the same parameters, and the others with the reason."""
    first = {layer.name: layer for layer in before.layers}
    second = {layer.name: layer for layer in after.layers}
    names, unmatched = [], []
    for name in dict.fromkeys([*first, *second]):
        if name not in first or name not in second:
            side, other = ("a", "b") if name in first else ("b", "a")
            unmatched.append({"name": name, "side": side, "reason": f"there is no such layer in {other}"})
            continue
        reason = _difference(first[name], second[name])
        if reason is None:
            names.append(name)
        else:
            unmatched.append({"name": name, "side": "both", "reason": reason})
    return names, unmatched


def _difference(first: SurveyedLayer, second: SurveyedLayer) -> str | None:
    for side, layer in (("a", first), ("b", second)):
        if layer.network is None:
            return f"in {side}, {layer.reason}"
    if first.cell != second.cell:
        return f"is a {first.cell} cell in a and a {second.cell} cell in b"
    shapes = [
        {name: list(array.shape) for name, array in _parameters(layer.network or {}).items()}
        for layer in (first, second)
    ]
    for name in dict.fromkeys([*shapes[0], *shapes[1]]):
        a, b = (side.get(name, "missing") for side in shapes)
        if a != b:
            return f"{name} is {a} in a and {b} in b"
    return None
