"""POST /v1/clippings as a task: checks, estimate, and the worker's result as a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gradhorizon.schemas import Clippings, ClippingsRequest
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.clippings import ClippingsProblem, ClippingsResult

from ..canonical import arrays_sha256, request_id
from ..checking import within, within_cost
from ..cost import Costs
from ..errors import CostOverLimit, Fault, InvalidRequest
from ..limits import Limits
from ..policies import worker_policy
from ._task import provenance


@dataclass(frozen=True, eq=False)
class ClippingsTask:
    """POST /v1/clippings."""

    id: str
    estimated_seconds: float
    problem: ClippingsProblem
    inputs_sha256: str
    assumptions: list[str]

    function = "clippings"

    def report(self, result: ClippingsResult, seconds: float) -> Clippings:
        """The answer; policies as they were asked for."""
        echoes = [_echo(policy) for policy in self.problem.policies]
        return Clippings.model_validate(
            {
                "id": self.id,
                "dtype": self.problem.dtype,
                "gradients": result.gradients,
                "policies": [
                    _echoed(found, echo) for found, echo in zip(result.policies, echoes, strict=True)
                ],
                "history": result.history,
                "advice": result.advice,
                "assumptions": self.assumptions,
                "warnings": result.warnings,
                "provenance": provenance(0, seconds, {}, self.inputs_sha256),
            }
        )


def prepare_clippings(request: ClippingsRequest, limits: Limits, costs: Costs) -> ClippingsTask:
    """Check and estimate. Raises RequestRefused."""
    within("$.max_points", "max_points", request.max_points, limits)
    policies = tuple(worker_policy(policy) for policy in request.policies)
    if request.gradients is not None:
        within("$.gradients", "max_tensors", len(request.gradients), limits)
        if request.include:
            numbers = len(policies) * sum(values.size for values in request.gradients.values())
            within("$.include", "max_values", numbers, limits)
    if request.norms is not None:
        within("$.norms", "max_norms", request.norms.size, limits)
        _refuse_policies_of_entries(request)
    problem = ClippingsProblem(
        request.gradients,
        request.norms,
        policies,
        request.dtype,
        request.max_points,
        "values" in request.include,
    )
    return ClippingsTask(
        request_id(_in_order(request)),
        _seconds(problem, limits, costs),
        problem,
        arrays_sha256(request),
        _assumptions(problem),
    )


def _in_order(request: ClippingsRequest) -> ClippingsRequest:
    """Gradients as pairs: their order is part of the question, since sums depend on it in their last digit."""
    if request.gradients is None:
        return request
    return request.model_copy(update={"gradients": list(request.gradients.items())})


def _refuse_policies_of_entries(request: ClippingsRequest) -> None:
    faults = tuple(
        Fault(
            f"$.policies[{index}]",
            "clips entries, and a history of norms does not tell them; send gradients, or leave it out",
        )
        for index, policy in enumerate(request.policies)
        if policy.kind == "value"
    )
    if faults:
        raise InvalidRequest(faults)


def _assumptions(problem: ClippingsProblem) -> list[str]:
    if problem.norms is None:
        return []
    assumed = ["norms are those of all gradients together, one a step, before clipping"]
    if any(policy.rule == "keras" for policy in problem.policies):
        assumed.append(
            "for clipnorm of Keras, which clips every tensor by itself, they are those of one tensor"
        )
    if any(math.isinf(policy.norm_type) for policy in problem.policies):
        assumed.append("for norm_type inf they are the largest absolute entry of all gradients")
    return assumed


def _seconds(problem: ClippingsProblem, limits: Limits, costs: Costs) -> float:
    """Some forty passes over every gradient for each policy, and a hundred calls a tensor; norms are sorted too."""
    rounds = 1 + len(problem.policies)
    if problem.gradients is None:
        assert problem.norms is not None, "one of the two is given"
        numbers = problem.norms.size
        seconds = rounds * 6000.0 * numbers * costs.per_flop + 1500.0 * costs.per_call
    else:
        numbers = sum(array.size for array in problem.gradients.values())
        calls = 200.0 + 130.0 * rounds * len(problem.gradients)
        seconds = rounds * 2000.0 * numbers * costs.per_flop + calls * costs.per_call
    memory = 8.0 * 6.0 * numbers
    advice = "send fewer or smaller gradients, or fewer policies"
    if memory > limits.memory_bytes:
        raise CostOverLimit(memory, limits.memory_bytes, "bytes", "memory_bytes", advice)
    within_cost(seconds, limits, advice)
    return seconds


def _echo(policy: ClippingPolicy) -> dict[str, Any]:
    by_norm = policy.kind == "norm"
    return {
        "kind": policy.kind,
        "threshold": None if policy.kind == "none" else policy.threshold,
        "norm_type": ("inf" if math.isinf(policy.norm_type) else 2) if by_norm else None,
        "framework": policy.framework if by_norm else None,
    }


def _echoed(found: object, echo: dict[str, Any]) -> dict[str, Any]:
    return {**vars(found), "policy": echo}
