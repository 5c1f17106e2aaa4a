"""POST /v1/comparisons: several networks or clipping policies on the same inputs, as diagnoses run together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gradhorizon.schemas import Comparison, ComparisonRequest, Diagnosis, DiagnosisRequest
from gradhorizon.schemas.diagnoses import DiagnosticName, RunRequest
from gradhorizon_service.worker.entry import DiagnosisResult
from gradhorizon_service.worker.problem import ComparisonProblem

from ...formats.json_path import json_path
from ..canonical import arrays_sha256, request_id
from ..checking import within_cost
from ..cost import Costs
from ..errors import Fault, InvalidRequest, RequestRefused
from ..limits import Limits
from ._task import provenance
from .diagnoses import DiagnosisTask, prepare_diagnosis

_NO_POLICY = "there is no clipping policy in this row"


@dataclass(frozen=True, eq=False)
class ComparisonTask:
    """The diagnoses behind the rows, by name."""

    id: str
    estimated_seconds: float
    problem: ComparisonProblem
    seed: int
    inputs_sha256: str
    tasks: Mapping[str, DiagnosisTask]
    labels: Mapping[str, tuple[str, str | None]]

    function = "compare"

    def report(self, result: Mapping[str, DiagnosisResult], seconds: float) -> Comparison:
        """The rows, ranked; seconds are those of all diagnoses together."""
        diagnoses = {name: task.report(result[name], seconds) for name, task in self.tasks.items()}
        order = sorted(diagnoses, key=lambda name: _merit(diagnoses[name]), reverse=True)
        merits = [_merit(diagnoses[name]) for name in order]
        rows = [
            self._row(name, 1 + merits.index(merit), diagnoses[name])
            for name, merit in zip(order, merits, strict=True)
        ]
        algorithms = {key: value for found in result.values() for key, value in found.algorithms.items()}
        return Comparison.model_validate(
            {
                "id": self.id,
                "says": _says(rows),
                "rows": rows,
                "diagnoses": diagnoses,
                "assumptions": _shared({name: d.assumptions for name, d in diagnoses.items()}),
                "warnings": _shared({name: d.warnings for name, d in diagnoses.items()}),
                "provenance": provenance(self.seed, seconds, algorithms, self.inputs_sha256),
            }
        )

    def _row(self, name: str, rank: int, diagnosis: Diagnosis) -> dict[str, Any]:
        horizon, verdict, clipping = diagnosis.horizon, diagnosis.verdict, diagnosis.clipping
        largest = next(e for e in verdict.evidence if e.quantity == "log10_largest_singular_value")
        unclipped = None if clipping is not None else _NO_POLICY
        network, policy = self.labels[name]
        return {
            "rank": rank,
            "name": name,
            "network": network,
            "policy": policy,
            "cell": self.problem.rows[name][1].network.cell,
            "status": verdict.status,
            "directions_vanish": verdict.directions_vanish,
            "horizon_steps": horizon.steps,
            "horizon_direction": horizon.direction,
            "censored": horizon.censored,
            "decades_per_step": horizon.decades_per_step,
            "decades_per_step_reason": horizon.decades_per_step_reason,
            "log10_largest_singular_value": largest.value,
            "steps_completed": diagnosis.outcome.steps_completed,
            "clipped": None if clipping is None else clipping.triggered,
            "log10_update_norm_before": None if clipping is None else clipping.log10_norm_before,
            "log10_update_norm_before_reason": unclipped,
            "log10_update_norm_after": None if clipping is None else clipping.log10_norm_after,
            "log10_update_norm_after_reason": unclipped
            if clipping is None
            else clipping.log10_norm_after_reason,
            "horizon_after_clipping": horizon.steps if clipping is None else clipping.horizon_after,
        }


def _merit(diagnosis: Diagnosis) -> tuple[float, float]:
    """Steps of the horizon, after clipping where there is a policy; of those that never end, the flattest first."""
    horizon, clipping = diagnosis.horizon, diagnosis.clipping
    if diagnosis.outcome.kind == "diverged" or (horizon.steps is None and not horizon.censored):
        return 0.0, 0.0
    steps = horizon.steps if clipping is None else clipping.horizon_after
    if steps is not None:
        return float(steps), 0.0
    rate = horizon.decades_per_step
    return float("inf"), 0.0 if rate is None else -abs(round(rate, 12))


def _says(rows: list[dict[str, Any]]) -> str:
    first = [row["name"] for row in rows if row["rank"] == 1]
    steps = rows[0]["horizon_after_clipping"]
    reach = "to the end of the depth" if steps is None else f"{steps} steps back"
    if len(first) == len(rows):
        return f"all of them reach equally far, {reach}"
    return f"{' and '.join(first)} reach{'es' if len(first) == 1 else ''} farthest, {reach}"


def _shared(sentences: Mapping[str, list[str]]) -> list[str]:
    """What is said of every row once, and of some with their names."""
    found: dict[str, list[str]] = {}
    for name, lines in sentences.items():
        for line in lines:
            found.setdefault(line, []).append(name)
    return [
        line if len(names) == len(sentences) else f"{', '.join(names)}: {line}"
        for line, names in found.items()
    ]


def prepare_comparison(request: ComparisonRequest, limits: Limits, costs: Costs) -> ComparisonTask:
    """Prepare every row as a diagnosis of its own. Raises RequestRefused with paths of this request."""
    tasks: dict[str, DiagnosisTask] = {}
    rows: dict[str, tuple[str, Any]] = {}
    labels: dict[str, tuple[str, str | None]] = {}
    unlimited = replace(limits, sync_seconds=float("inf"))  # the rows are checked together
    for network_name, field, network in _networks(request):
        for policy_name, policy in _policies(request):
            name = _row_name(network_name, policy_name, request)
            asked = DiagnosisRequest.model_construct(
                **{shared: getattr(request, shared) for shared in _SHARED},
                network=network,
                clipping=policy,
                diagnostics=_diagnostics(request, policy),
            )
            tasks[name] = _prepared(asked, field, unlimited, costs)
            rows[name] = field, tasks[name].problem
            labels[name] = network_name, policy_name
    _check_inputs_agree(rows)
    within_cost(sum(task.estimated_seconds for task in tasks.values()), limits)
    named = request.model_copy(update={"networks": None, "network": None, "policies": None})
    return ComparisonTask(
        request_id(named, {name: task.id for name, task in tasks.items()}),
        sum(task.estimated_seconds for task in tasks.values()),
        ComparisonProblem(rows),
        request.seed,
        arrays_sha256(request),
        tasks,
        labels,
    )


_SHARED = frozenset(RunRequest.model_fields) - {"diagnostics"}


def _networks(request: ComparisonRequest) -> list[tuple[str, str, Any]]:
    """(name, field of the request, network) of each."""
    if request.networks is None:
        return [("network", "network", request.network)]
    return [
        (name, json_path(["networks", name]).removeprefix("$."), network)
        for name, network in request.networks.items()
    ]


def _policies(request: ComparisonRequest) -> list[tuple[str | None, Any]]:
    return [(None, None)] if request.policies is None else [*request.policies.items()]


def _row_name(network: str, policy: str | None, request: ComparisonRequest) -> str:
    if policy is None:
        return network
    return policy if request.networks is None or len(request.networks) == 1 else f"{network} / {policy}"


def _diagnostics(request: ComparisonRequest, policy: Any) -> list[DiagnosticName]:
    if request.diagnostics is not None:
        return list(request.diagnostics)
    clipped = policy is not None and policy.kind != "none"
    return ["gradient_norms", "clipping"] if clipped else ["gradient_norms"]


def _prepared(asked: DiagnosisRequest, field: str, limits: Limits, costs: Costs) -> DiagnosisTask:
    try:
        return prepare_diagnosis(asked, limits, costs)
    except RequestRefused as error:
        error.relocate("$.network", f"$.{field}")
        if field != "network" and not error.faults[0].path.startswith(f"$.{field}"):
            error.append(f"of {field}")
        raise


def _check_inputs_agree(rows: Mapping[str, tuple[str, Any]]) -> None:
    """The same numbers drive every network, so their inputs must be equally wide."""
    widths = {
        name: getattr(problem.inputs, "width", None)
        for name, (_, problem) in rows.items()
        if getattr(problem.inputs, "width", None) is not None
    }
    if len(set(widths.values())) > 1:
        listed = ", ".join(f"{name} {width}" for name, width in widths.items())
        message = f"must take equally many inputs to be driven by the same; they take {listed}"
        raise InvalidRequest((Fault("$.networks", message),))
