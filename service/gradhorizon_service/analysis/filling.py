"""Defaults of the contract, filled in: after this a request says everything it means."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gradhorizon.schemas import DiagnosisRequest
from gradhorizon.schemas.inputs import GaussianInputs, GaussianState, ValuesState, ZerosState
from gradhorizon.schemas.losses import RandomLoss
from gradhorizon_service.worker.cells import CELLS

from .errors import Fault, InvalidRequest, InvalidShape
from .shapes import NetworkShape, network_shape
from .sources import seeded

DEFAULT_BATCH = 16


@dataclass(frozen=True)
class Filled:
    """A request without gaps, its shapes, its batch, and what was assumed on the way."""

    request: DiagnosisRequest
    shape: NetworkShape
    batch: int
    assumptions: list[str] = field(default_factory=list)


def fill(request: DiagnosisRequest) -> Filled:
    """Fill in depth, inputs, initial state, loss and seeds. Raises InvalidRequest or InvalidShape."""
    shape = network_shape(request.network)
    assumptions: list[str] = []
    if request.network.cell == "echo_state" and request.network.spectral_radius is None:
        assumptions.append("network: weights are used as they are, since no spectral_radius was asked for")
    _refuse_what_does_not_belong(request, shape)
    depth = _depth(request, shape)
    batch = _batch(request)
    inputs = request.inputs
    if inputs is None and shape.input_width is not None:
        inputs = GaussianInputs(kind="gaussian", std=1.0, batch=batch or DEFAULT_BATCH)
        assumptions.append(f"inputs: independent normal, std 1, batch {inputs.batch}")
    initial, line = _initial_state(request, shape, batch)
    if line is not None:
        assumptions.append(line)
    loss = request.loss
    if loss is None:
        loss = RandomLoss(kind="random")
        assumptions.append("loss: a random unit cotangent on the last state, one for each sequence")
    filled = request.model_copy(
        update={
            "network": seeded(request.network, request.seed, "network"),
            "depth": depth,
            "inputs": seeded(inputs, request.seed, "inputs"),
            "initial_state": seeded(initial, request.seed, "initial_state"),
            "loss": seeded(loss, request.seed, "loss"),
        }
    )
    return Filled(filled, shape, _final_batch(filled, batch), assumptions)


def _depth(request: DiagnosisRequest, shape: NetworkShape) -> int:
    if shape.depth is None:
        if request.depth is None:
            raise InvalidRequest((Fault("$.depth", "is required: how many steps back to look"),))
        return request.depth
    depth = shape.depth - request.burn_in
    if depth < 1:
        raise InvalidRequest(
            (Fault("$.burn_in", f"must leave one of the {shape.depth} steps that are given"),)
        )
    if request.depth is not None and request.depth != depth:
        what = _GIVEN_STEPS[request.network.cell]
        raise InvalidShape("$.depth", f"is {request.depth}, but there are {depth} {what}; leave it out")
    return depth


_GIVEN_STEPS = {
    "feedforward": "layers",
    "jacobians": "step Jacobians",
    "diagonal": "steps of decays after the burn-in",
}
"""What fixes the depth, by the cell that has it."""


def _refuse_what_does_not_belong(request: DiagnosisRequest, shape: NetworkShape) -> None:
    cell = request.network.cell
    if request.inputs is not None and shape.input_width is None:
        reason = {
            "feedforward": "a feed-forward network's input is its initial_state",
            "jacobians": "step Jacobians come without inputs",
        }.get(cell, "inputs need network.input_weights")
        raise InvalidRequest((Fault("$.inputs", reason),))
    if cell == "jacobians" and request.initial_state is not None:
        raise InvalidRequest((Fault("$.initial_state", "step Jacobians come without states"),))
    if cell in ("feedforward", "jacobians") and request.burn_in:
        raise InvalidRequest((Fault("$.burn_in", f"a {cell} network has no steps before its first"),))
    if cell == "jacobians" and request.loss is not None and request.loss.kind not in ("cotangent", "random"):
        raise InvalidRequest((Fault("$.loss", "step Jacobians come without states; give a cotangent"),))
    loss = request.loss
    if cell == "feedforward" and loss is not None and (loss.at == "every_step" or loss.truncate is not None):
        raise InvalidRequest(
            (Fault("$.loss", "a feed-forward network has its loss at the end, untruncated"),)
        )


def _batch(request: DiagnosisRequest) -> int | None:
    """The number of sequences that the request fixes; parts with one row serve any number."""
    found: dict[str, int] = {}
    inputs, initial, loss = request.inputs, request.initial_state, request.loss
    decays = getattr(request.network, "decays", None)
    if decays is not None and decays.ndim == 3:
        found["$.network.decays"] = len(decays)
    if inputs is not None:
        if inputs.kind == "values":
            found["$.inputs.values"] = len(inputs.values) if inputs.values.ndim == 3 else 1
        else:
            found["$.inputs.batch"] = inputs.batch
    if initial is not None and initial.kind == "values":
        found.update(_state_rows(initial))
    if initial is not None and initial.kind == "gaussian" and initial.batch is not None:
        found["$.initial_state.batch"] = initial.batch
    if loss is not None:
        found.update(_loss_rows(loss))
    if not found:
        return None
    most = max(found.values())
    for path, rows in found.items():
        if rows not in (1, most):
            largest = max(found, key=lambda name: found[name])
            raise InvalidShape(
                path, f"is for {rows} sequences, but {largest} is for {most}; they must agree, or be 1"
            )
    return most


def _state_rows(state: ValuesState) -> dict[str, int]:
    given = {name: getattr(state, name) for name in ("values", "h", "c")}
    return {
        f"$.initial_state.{name}": len(rows)
        for name, rows in given.items()
        if rows is not None and rows.ndim == 2
    }


def _loss_rows(loss: Any) -> dict[str, int]:
    if loss.kind == "cotangent" and loss.values.ndim == 2:
        return {"$.loss.values": len(loss.values)}
    if loss.kind == "cross_entropy" and loss.targets.ndim >= 1:
        return {"$.loss.targets": len(loss.targets)}
    if loss.kind == "squared_error" and loss.targets.ndim >= 2:
        return {"$.loss.targets": len(loss.targets)}
    return {}


def _initial_state(
    request: DiagnosisRequest, shape: NetworkShape, batch: int | None
) -> tuple[Any, str | None]:
    initial = request.initial_state
    if initial is not None or request.network.cell == "jacobians":
        return initial, _left_at_zero(initial, shape)
    if shape.input_width is not None:
        return ZerosState(kind="zeros"), "initial_state: zero"
    if CELLS[request.network.cell].is_linear:
        return None, f"initial_state: {batch or 1} random unit vector(s), since nothing drives the network"
    count = batch or DEFAULT_BATCH
    where = (
        "the network's input" if request.network.cell == "feedforward" else "since nothing drives the network"
    )
    return (
        GaussianState(kind="gaussian", std=1.0, batch=count),
        f"initial_state: independent normal, std 1, batch {count} ({where})",
    )


def _left_at_zero(initial: Any, shape: NetworkShape) -> str | None:
    """A line for the parts of the state that a given one says nothing of."""
    if initial is None or initial.kind != "values":
        return None
    if initial.values is None:
        missing = [part for part in shape.parts if getattr(initial, part, None) is None]
        return (
            f"initial_state: {' and '.join(missing)} zero, since only the rest was given" if missing else None
        )
    given = initial.values.shape[-1] if initial.values.ndim else shape.state_size
    if given == shape.state_size:
        return None
    rest = shape.state_size - given
    return f"initial_state: the {given} numbers given are h, and the other {rest} of the state are zero"


def _final_batch(filled: DiagnosisRequest, batch: int | None) -> int:
    if batch is not None:
        return batch
    if filled.inputs is not None:
        return filled.inputs.batch if filled.inputs.kind != "values" else 1
    state = filled.initial_state
    if state is not None and state.kind == "gaussian":
        return state.batch or DEFAULT_BATCH
    return 1
