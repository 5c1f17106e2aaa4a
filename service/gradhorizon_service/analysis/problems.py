"""A filled request as a problem for the worker: shapes of every field checked against each other, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from gradhorizon.schemas import DiagnosisRequest
from gradhorizon_service.worker import drives, losses
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS
from gradhorizon_service.worker.problem import NetworkSpec, Problem
from gradhorizon_service.worker.seeds import derive_seed

from .errors import DiagnosticNotApplicable, Fault, InvalidRequest, InvalidShape
from .filling import Filled
from .initial_states import given_state
from .policies import worker_policy
from .sources import worker_source


def problem_of(filled: Filled) -> Problem:
    """Build the problem. Raises InvalidRequest, InvalidShape or DiagnosticNotApplicable."""
    request = filled.request
    depth = request.depth or 0
    network = _network(request, depth)
    partial = Problem(
        network=network,
        depth=depth,
        burn_in=request.burn_in,
        inputs=_inputs(filled),
        initial_state=_initial_state(filled, network),
        batch=filled.batch,
        loss=_loss(filled),
        every_step=request.loss is not None and request.loss.at == "every_step",
        truncate=None if request.loss is None else request.loss.truncate,
        clipping=_clipping(request),
        dtype=request.dtype,
        diagnostics=(),
        leading=request.leading,
        include=frozenset(request.include),
        horizon_level=request.horizon_level,
        tolerance_decades=request.tolerance_decades,
        max_points=request.max_points,
        lags=_lags(request, depth),
        seed=request.seed,
    )
    return _with_diagnostics(partial, request)


def _network(request: DiagnosisRequest, depth: int) -> NetworkSpec:
    network = request.network
    parameters: dict[str, Any] = {}
    for name in type(network).model_fields:
        value = getattr(network, name)
        if name == "cell":
            continue
        parameters[name] = _parameter(value)
    drawn = depth if network.cell == "feedforward" and not isinstance(network.layers, list) else None
    return NetworkSpec(network.cell, parameters, drawn)


def _parameter(value: Any) -> Any:
    """A field of a network as the worker knows it: sources become the worker's, other models plain mappings."""
    if isinstance(value, list):
        return [_parameter(item) for item in value]
    if hasattr(value, "source"):
        return worker_source(value)
    return dict(value.model_dump(exclude_none=True)) if isinstance(value, BaseModel) else value


def _inputs(filled: Filled) -> drives.Inputs | None:
    inputs, width = filled.request.inputs, filled.shape.input_width
    if inputs is None or width is None:
        return None
    if inputs.kind == "gaussian":
        return drives.GaussianInputs(inputs.std, inputs.batch, width, inputs.seed or 0)
    if inputs.kind == "zeros":
        return drives.ZeroInputs(inputs.batch, width)
    values = inputs.values if inputs.values.ndim == 3 else inputs.values[None]
    steps = filled.request.burn_in + (filled.request.depth or 0)
    if values.shape[1:] != (steps, width):
        raise InvalidShape(
            "$.inputs.values",
            f"must be (B, {steps}, {width}): burn_in + depth steps of as many numbers as input_weights has columns; "
            f"it is {tuple(values.shape)}{_inputs_hint(values.shape, steps, width)}",
        )
    return drives.GivenInputs(values)


def _inputs_hint(shape: tuple[int, ...], steps: int, width: int) -> str:
    if shape[::2] == (steps, width):
        return "; swap its first two axes: sequences come first, then steps"
    if shape[2] == width and shape[1] > steps:
        return f"; it is {shape[1] - steps} steps longer: cut it, make depth larger, or let burn_in take the first ones"
    return ""


def _initial_state(filled: Filled, network: NetworkSpec) -> drives.InitialState | None:
    state = filled.request.initial_state
    if state is None:
        if filled.request.network.cell == "jacobians":
            return None
        return drives.GaussianState(1.0, derive_seed(filled.request.seed, "initial_state"), unit=True)
    if state.kind == "zeros":
        return None
    if state.kind == "gaussian":
        return drives.GaussianState(state.std, state.seed or 0)
    if state.kind == "values":
        return drives.GivenState(given_state(state, filled.shape))
    if not network.has_matrix:
        raise InvalidRequest((Fault("$.initial_state", "an eigenvector needs a square recurrent matrix"),))
    if state.index >= filled.shape.output_size:
        raise InvalidRequest(
            (
                Fault(
                    "$.initial_state.index",
                    f"must be below {filled.shape.output_size}, the number of eigenvalues",
                ),
            )
        )
    return drives.EigenvectorState(state.index)


def _loss(filled: Filled) -> losses.Loss:
    loss = filled.request.loss
    assert loss is not None, "filled"
    return _LOSSES[loss.kind](loss, filled)


def _cotangent(loss: Any, filled: Filled) -> losses.Loss:
    size = filled.shape.output_size
    if loss.values.ndim and loss.values.shape[-1] != size:
        raise InvalidShape("$.loss.values", f"must have {size} entries a row; it has {loss.values.shape[-1]}")
    return losses.CotangentLoss(loss.values)


def _random(loss: Any, filled: Filled) -> losses.Loss:
    return losses.RandomLoss(loss.seed or 0)


def _cross_entropy(loss: Any, filled: Filled) -> losses.Loss:
    classes = _check_readout(loss, filled)
    targets = _per_step(loss.targets, loss.at, 2, filled, "$.loss.targets")
    if targets.min() < 0 or targets.max() >= classes:
        raise InvalidRequest(
            (Fault("$.loss.targets", f"must be from 0 to {classes - 1}, the rows of readout_weight"),)
        )
    return losses.CrossEntropyLoss(loss.readout_weight, loss.readout_bias, targets)


def _squared_error(loss: Any, filled: Filled) -> losses.Loss:
    if loss.readout_weight is None and loss.readout_bias is not None:
        raise InvalidRequest((Fault("$.loss.readout_bias", "needs readout_weight"),))
    width = filled.shape.output_size if loss.readout_weight is None else _check_readout(loss, filled)
    targets = _per_step(loss.targets, loss.at, 3, filled, "$.loss.targets")
    if targets.ndim and targets.shape[-1] != width:
        raise InvalidShape("$.loss.targets", f"must have {width} entries a row; it has {targets.shape[-1]}")
    return losses.SquaredErrorLoss(targets, loss.readout_weight, loss.readout_bias, loss.reduction)


def _check_readout(loss: Any, filled: Filled) -> int:
    """The number of outputs of a readout that fits the state."""
    rows, columns = loss.readout_weight.shape
    if columns != filled.shape.output_size:
        raise InvalidShape(
            "$.loss.readout_weight", f"must be (K, {filled.shape.output_size}); it is ({rows}, {columns})"
        )
    if loss.readout_bias is not None and loss.readout_bias.ndim and len(loss.readout_bias) != rows:
        raise InvalidShape(
            "$.loss.readout_bias", f"must have {rows} entries; it has {len(loss.readout_bias)}"
        )
    return int(rows)


def _per_step(targets: Any, at: str, axes: int, filled: Filled, path: str) -> Any:
    """Targets that change from step to step need a loss at every step, and as many of them as there are steps."""
    if targets.ndim < axes:
        return targets
    if at != "every_step":
        raise InvalidShape(path, 'changes from step to step; that needs "at": "every_step"')
    depth = filled.request.depth or 0
    if targets.shape[1] != depth:
        raise InvalidShape(path, f"must have {depth} steps on its second axis; it has {targets.shape[1]}")
    return np.broadcast_to(targets, (filled.batch, *targets.shape[1:]))


_LOSSES: Mapping[str, Callable[[Any, Filled], losses.Loss]] = {
    "cotangent": _cotangent,
    "random": _random,
    "cross_entropy": _cross_entropy,
    "squared_error": _squared_error,
}


def _clipping(request: DiagnosisRequest) -> ClippingPolicy | None:
    clipping = request.clipping
    return None if clipping is None or clipping.kind == "none" else worker_policy(clipping)


def _lags(request: DiagnosisRequest, depth: int) -> Any:
    if request.lags is None:
        return None
    if max(request.lags) > depth:
        raise InvalidRequest(
            (Fault("$.lags", f"must be from 0 to the depth, {depth}; it holds {max(request.lags)}"),)
        )
    return np.unique(np.array(request.lags, dtype=np.int64))


def _with_diagnostics(problem: Problem, request: DiagnosisRequest) -> Problem:
    """Every diagnostic that applies, or those asked for, in the order of the table."""
    names = []
    for name, row in DIAGNOSTICS.items():
        reason = row.not_applicable(problem)
        if request.diagnostics is None:
            if reason is None:
                names.append(name)
        elif name in request.diagnostics:
            if reason is not None:
                raise DiagnosticNotApplicable(name, reason)
            names.append(name)
    return replace(problem, diagnostics=tuple(names))
