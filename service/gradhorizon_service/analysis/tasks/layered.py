"""The layers of a surveyed checkpoint as diagnoses: which inputs each gets, and what was assumed for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from gradhorizon.schemas import DiagnosisRequest, Network
from gradhorizon.schemas.diagnoses import RunRequest
from gradhorizon.schemas.inputs import GaussianInputs
from gradhorizon_service.worker.layers import LayerProblem, LayersProblem

from ...checkpoints.recognition import KNOWN, Override, RecognitionFault, listed
from ...checkpoints.surveying import Survey, SurveyedLayer, SurveyRequest
from ...formats.json_path import json_path
from ..canonical import parts_id
from ..checking import within_cost
from ..cost import Costs
from ..errors import DiagnosticNotApplicable, Fault, InvalidRequest, RequestRefused
from ..limits import Limits
from ..shapes import network_shape
from .diagnoses import DiagnosisTask, prepare_diagnosis

_NETWORK: TypeAdapter[Any] = TypeAdapter(Network)
_SHARED = frozenset(RunRequest.model_fields)
_RECURRENT_ONLY = ("depth", "burn_in", "inputs", "initial_state", "loss", "lags")
"""What a feed-forward stack has of its own: its depth is its layers, its state is what goes in."""


class NothingRecognised(RequestRefused):
    """No tensor of a checkpoint belongs to a layer that is known here."""

    code = "nothing_recognised"

    def __init__(self, survey: Survey) -> None:
        shapes = [f"{name} {list(shape)}" for name, shape in survey.tensors.items()]
        reasons = sorted(set(survey.skipped.values()))
        super().__init__(
            f"no layer is recognised in this {survey.format} file; it holds {listed(shapes, 8)}"
            + (f". {'; '.join(reasons[:3])}" if reasons else "")
            + f". Recognised are {KNOWN}. Name tensors in `layers` to put one together by hand"
        )


@dataclass(frozen=True, eq=False)
class Layered:
    """Tasks by layer, or the reason there is none; what the worker runs; sizes for the report."""

    tasks: Mapping[str, DiagnosisTask]
    reasons: Mapping[str, str]
    problem: LayersProblem
    seconds: float
    sizes: Mapping[str, dict[str, Any]]


def survey_request(request: Any) -> SurveyRequest:
    """What a request says about its file."""
    overrides = {
        name: Override(**said.model_dump(exclude_none=True)) for name, said in request.layers.items()
    }
    fed = request.inputs is not None
    return SurveyRequest(overrides, request.only, fed, request.orthogonal_map, request.activation)


def layered(request: Any, survey: Survey, limits: Limits, costs: Costs) -> Layered:
    """Prepare a diagnosis of every layer. Raises RequestRefused; a layer whose numbers cannot be used has a reason."""
    if not survey.layers:
        raise NothingRecognised(survey)
    usable = [layer for layer in survey.layers if layer.network is not None]
    reasons = {layer.name: layer.reason or "" for layer in survey.layers if layer.network is None}
    tasks: dict[str, DiagnosisTask] = {}
    rows: dict[str, LayerProblem] = {}
    sizes: dict[str, dict[str, Any]] = {}
    refused: list[RequestRefused] = []
    unlimited = replace(limits, sync_seconds=float("inf"))  # the layers are checked together
    for layer in usable:
        network = _NETWORK.validate_python(layer.network)
        below = (
            layer.below if request.inputs is not None and all(name in tasks for name in layer.below) else ()
        )
        fields = {name: getattr(request, name) for name in _SHARED}
        fields |= {"network": network, "clipping": getattr(request, "clipping", None)}
        fields, lines = _driven(fields, layer, below, usable)
        task, left_out = _prepared(layer.name, fields, unlimited, costs)
        lines += left_out
        if isinstance(task, RequestRefused):
            refused.append(task)
            reasons[layer.name] = task.message
            continue
        parts = {"layer": task.id, "direction": layer.direction, **{name: tasks[name].id for name in below}}
        own = parts_id(parts) if below or layer.direction == "backward" else task.id
        tasks[layer.name] = replace(task, id=own, assumptions=[*task.assumptions, *lines])
        wanted = request.only is None or layer.name in request.only
        rows[layer.name] = LayerProblem(task.problem, below, layer.direction == "backward", wanted)
        sizes[layer.name] = _sizes(network)
    if refused and not tasks:
        raise refused[0]
    seconds = sum(task.estimated_seconds for task in tasks.values())
    within_cost(seconds, limits, "name fewer layers with `only`, shorten the depth, or use a smaller batch")
    return Layered(tasks, reasons, LayersProblem(rows), seconds, sizes)


def _sizes(network: Any) -> dict[str, Any]:
    shape = network_shape(network)
    return {
        "inputs": shape.state_size if network.cell == "feedforward" else shape.input_width,
        "units": shape.parts.get("c", shape.output_size),
        "outputs": shape.output_size,
        "layers": shape.depth,
    }


def _driven(
    fields: dict[str, Any], layer: SurveyedLayer, below: Sequence[str], usable: Sequence[SurveyedLayer]
) -> tuple[dict[str, Any], list[str]]:
    """Give a layer its inputs: those of the request, the states below it, or independent normal ones."""
    if layer.cell == "feedforward":
        own = {name: RunRequest.model_fields[name].get_default() for name in _RECURRENT_ONLY}
        return fields | own, []
    inputs = fields["inputs"]
    if inputs is None:
        return fields, []
    if layer.input_width is None:
        return fields | {"inputs": None}, ["inputs: none, since the layer has no input weights in the file"]
    batch = _batch(inputs)
    stand_in = GaussianInputs(kind="gaussian", batch=batch)
    if below:
        return fields | {"inputs": stand_in}, [f"inputs: the states of {' and '.join(below)} at every step"]
    if inputs.kind != "values" or inputs.values.shape[-1] == layer.input_width:
        return fields, []
    width = inputs.values.shape[-1]
    if not any(other.input_width == width and not other.below for other in usable):
        return fields, []  # nobody takes them: refused by its shape
    line = (
        f"inputs: independent normal, std 1, batch {batch}: those given are {width} wide and this layer takes "
        f"{layer.input_width}"
    )
    return fields | {"inputs": stand_in}, [line]


def _batch(inputs: Any) -> int:
    if inputs.kind != "values":
        return int(inputs.batch)
    return len(inputs.values) if inputs.values.ndim == 3 else 1


def _prepared(
    name: str, fields: dict[str, Any], limits: Limits, costs: Costs
) -> tuple[DiagnosisTask | RequestRefused, list[str]]:
    """Prepare one layer, without the diagnostics that mean nothing for it."""
    lines: list[str] = []
    while True:
        try:
            return prepare_diagnosis(DiagnosisRequest.model_construct(**fields), limits, costs), lines
        except DiagnosticNotApplicable as error:
            diagnostic = error.faults[0].message.partition(":")[0]
            kept = [asked for asked in fields["diagnostics"] if asked != diagnostic]
            if not kept:
                return error, lines
            lines.append(f"left out: {error.message}")
            fields = fields | {"diagnostics": kept}
        except RequestRefused as error:
            raise _of_layer(error, name) from None


def _of_layer(error: RequestRefused, name: str) -> RequestRefused:
    """Say which layer a refusal is about."""
    error.relocate("$.network", json_path(["layers", name]))
    error.message = f"{error.message} (layer {name}; `only` names the layers to look at)"
    error.args = (error.message,)
    return error


def refused_recognition(fault: RecognitionFault) -> InvalidRequest:
    """What a request says about its file and cannot be, as a refusal."""
    return InvalidRequest((Fault(json_path(fault.steps), fault.message),))
