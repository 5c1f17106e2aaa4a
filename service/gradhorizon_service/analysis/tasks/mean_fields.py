"""POST /v1/mean-fields: a request for theory, checked and ready to be computed, and its result as a report."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradhorizon.schemas import MeanField, MeanFieldRequest
from gradhorizon.schemas.networks import ACTIVATION_PARAMETERS
from gradhorizon_service.worker.activations import ACTIVATIONS, Activation
from gradhorizon_service.worker.mean_field import LARGEST_PARAMETER, LARGEST_VARIANCE
from gradhorizon_service.worker.mean_field.entry import MeanFieldProblem, MeanFieldResult

from ..canonical import arrays_sha256, request_id
from ..checking import within_cost
from ..cost import Costs
from ..errors import Fault, InvalidRequest, LimitExceeded
from ..limits import Limits
from ._task import provenance

ASSUMPTIONS = (
    "infinitely many units a layer, weights and biases independent from layer to layer",
    "where several lengths are fixed points, q_star is the one that signals of length 1 reach",
)
_INTEGRALS = "Gauss-Legendre panels graded towards the bends of the activation; roots by Brent's method"


@dataclass(frozen=True, eq=False)
class MeanFieldTask:
    """POST /v1/mean-fields."""

    id: str
    estimated_seconds: float
    problem: MeanFieldProblem
    request: MeanFieldRequest
    inputs_sha256: str

    function = "mean_field"

    def report(self, result: MeanFieldResult, seconds: float) -> MeanField:
        """The theory; nothing in it is random, so its seed is 0."""
        theory, critical = result.theory, result.critical
        numbers = {name: getattr(theory, name) for name in type(theory).__dataclass_fields__}
        return MeanField.model_validate(
            {
                "id": self.id,
                "activation": self.request.activation,
                "weight_variance": self.request.weight_variance,
                "bias_variance": self.request.bias_variance,
                **numbers,
                "critical_weight_variance": critical.value,
                "critical_weight_variance_reason": critical.reason,
                "critical_gain": None if critical.value is None else math.sqrt(critical.value),
                "critical_gain_reason": critical.reason,
                "growth_rate": theory.growth_rate,
                "critical_line": result.critical_line,
                "gaussian_product_exponents": result.gaussian_product_exponents,
                "assumptions": list(ASSUMPTIONS),
                "warnings": result.warnings,
                "provenance": provenance(0, seconds, {"mean_field": _INTEGRALS}, self.inputs_sha256),
            }
        )


def prepare_mean_field(request: MeanFieldRequest, limits: Limits, costs: Costs) -> MeanFieldTask:
    """Check and estimate a request for theory. Raises RequestRefused."""
    _check_ranges(request)
    _check_counts(request, limits)
    line = request.critical_line
    points = np.empty(0) if line is None else np.linspace(line.start, line.stop, line.points)
    problem = MeanFieldProblem(
        activation=_activation(request),
        weight_variance=request.weight_variance,
        bias_variance=request.bias_variance,
        over=None if line is None else line.over,
        line=points,
        size=request.size,
        leading=min(request.leading or request.size or 0, request.size or 0),
    )
    # A fixed point takes some tens of integrals, a critical variance some hundreds.
    seconds = (4e4 + 3e3 * len(points)) * costs.per_call
    within_cost(seconds, limits, "ask for fewer points of the critical line")
    return MeanFieldTask(request_id(request), seconds, problem, request, arrays_sha256(request))


def _activation(request: MeanFieldRequest) -> Activation:
    parameters = {name: getattr(request, name) for name in ACTIVATION_PARAMETERS.values()}
    given = {name: value for name, value in parameters.items() if value is not None}
    return ACTIVATIONS[request.activation](**given)


def _check_ranges(request: MeanFieldRequest) -> None:
    """Raise InvalidRequest for numbers whose theory leaves float64."""
    checks: list[tuple[str, Any, float]] = [
        ("$.weight_variance", request.weight_variance, LARGEST_VARIANCE),
        ("$.bias_variance", request.bias_variance, LARGEST_VARIANCE),
    ]
    line = request.critical_line
    if line is not None:
        checks += [
            ("$.critical_line.start", line.start, LARGEST_VARIANCE),
            ("$.critical_line.stop", line.stop, LARGEST_VARIANCE),
        ]
    for name in ACTIVATION_PARAMETERS.values():
        checks.append((f"$.{name}", getattr(request, name) or 0.0, LARGEST_PARAMETER))
    faults = tuple(
        Fault(
            path,
            f"must be zero, where that makes sense, or lie between {1.0 / largest:g} and {largest:g} in size",
        )
        for path, value, largest in checks
        if value and not 1.0 / largest <= abs(value) <= largest
    )
    if faults:
        raise InvalidRequest(faults)
    if line is not None and line.over == "weight_variance" and 0.0 in (line.start, line.stop):
        path = "$.critical_line.start" if line.start == 0.0 else "$.critical_line.stop"
        raise InvalidRequest((Fault(path, "must be above zero: without weights nothing is critical"),))


def _check_counts(request: MeanFieldRequest, limits: Limits) -> None:
    """Raise LimitExceeded, or InvalidRequest for exponents of no matrix."""
    line = request.critical_line
    if line is not None and line.points > limits.max_points:
        raise LimitExceeded("$.critical_line.points", "max_points", limits.max_points, line.points)
    if request.size is not None and request.size > limits.max_modes:
        raise LimitExceeded("$.size", "max_modes", limits.max_modes, request.size)
    if request.leading is not None and request.size is None:
        raise InvalidRequest((Fault("$.leading", "needs size: it counts exponents of size x size matrices"),))
