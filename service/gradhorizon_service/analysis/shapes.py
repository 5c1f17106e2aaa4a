"""Shapes of a network, checked once before anything is built: those of a recurrence, or of the cell's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from gradhorizon.schemas.networks import (
    DiagonalNetwork,
    FeedforwardNetwork,
    GruNetwork,
    JacobiansNetwork,
    LruModes,
    LstmNetwork,
    S4dModes,
    SkipNetwork,
)
from gradhorizon.schemas.sources import Source

from .errors import Fault, InvalidRequest, InvalidShape
from .sources import shape_of


@dataclass(frozen=True)
class NetworkShape:
    """What other fields must fit: entries of s_0 and of h_T, inputs a step, the depth where the network fixes it.

    `largest` is the longest side of any matrix. `parts` are the entries of the named parts of the state, in order,
    where it holds more than h.
    """

    state_size: int
    output_size: int
    input_width: int | None
    depth: int | None
    largest: int
    biased: bool
    parts: Mapping[str, int] = field(default_factory=dict)


def network_shape(network: Any) -> NetworkShape:
    """Check a network's own shapes. Raises InvalidShape naming the field."""
    return _SHAPES.get(network.cell, _recurrent)(network)


def _recurrent(network: Any) -> NetworkShape:
    """W (N, N), U (N, D) and biases (N,), with a state of N entries."""
    rows, columns = shape_of(network.weights)
    if rows != columns:
        raise InvalidShape("$.network.weights", f"must be square (N, N); it is ({rows}, {columns})")
    width, biased = _drive(network, rows)
    return NetworkShape(rows, rows, width, None, max(rows, width or 0), biased)


def _drive(network: Any, rows: int) -> tuple[int | None, bool]:
    """The number of inputs, None without any, and whether there is a bias: all of them fit the rows of `weights`."""
    width = _input_width(network, rows, "weights")
    biases = [name for name in ("bias", "input_bias", "recurrent_bias") if getattr(network, name) is not None]
    for name in biases:
        _check_vector(f"$.network.{name}", getattr(network, name), rows)
    return width, bool(biases)


def _lstm(network: LstmNetwork) -> NetworkShape:
    rows, outputs = shape_of(network.weights)
    hidden = _gate_size(rows, 4, "i, f, g and o", "(4H, H), or (4H, P) with a projection")
    if network.projection is None and outputs != hidden:
        raise InvalidShape(
            "$.network.weights",
            f"must be (4H, H): {rows} rows make H = {hidden}, so that it must have {hidden} columns; it has {outputs}"
            + _lstm_hint(rows, outputs, hidden),
        )
    if network.projection is not None and shape_of(network.projection) != (outputs, hidden):
        raise InvalidShape(
            "$.network.projection",
            f"must be (P, H) = ({outputs}, {hidden}) to fit weights ({rows}, {outputs}); "
            f"it is {shape_of(network.projection)}",
        )
    if network.peepholes is not None and network.peepholes.shape != (3, hidden):
        raise InvalidShape(
            "$.network.peepholes",
            f"must be (3, H) = (3, {hidden}), a row each for i, f and o; it is {network.peepholes.shape}",
        )
    width, biased = _drive(network, rows)
    state = outputs + hidden
    return NetworkShape(
        state, outputs, width, None, max(rows, state, width or 0), biased, {"h": outputs, "c": hidden}
    )


def _lstm_hint(rows: int, columns: int, hidden: int) -> str:
    """What a matrix of another shape is likely to be."""
    if rows == 3 * columns:
        return ", which are the stacked gates of a GRU"
    if columns == 4 * rows:
        return "; transpose it: gates are rows, as in PyTorch's weight_hh"
    return f", which needs a projection ({columns}, {hidden})"


def _gru(network: GruNetwork) -> NetworkShape:
    rows, columns = shape_of(network.weights)
    hidden = _gate_size(rows, 3, "r, z and n", "(3H, H)")
    if columns != hidden:
        raise InvalidShape(
            "$.network.weights",
            f"must be (3H, H): {rows} rows make H = {hidden}, so that it must have {hidden} columns; it has {columns}"
            + _gru_hint(rows, columns),
        )
    width, biased = _drive(network, rows)
    return NetworkShape(hidden, hidden, width, None, max(rows, width or 0), biased)


def _gru_hint(rows: int, columns: int) -> str:
    if rows == 4 * columns:
        return ", which are the stacked gates of an LSTM"
    return "; transpose it: gates are rows, as in PyTorch's weight_hh" if columns == 3 * rows else ""


def _gate_size(rows: int, gates: int, stacked: str, wanted: str) -> int:
    """H, from the rows of stacked gates."""
    if rows % gates:
        raise InvalidShape(
            "$.network.weights",
            f"must be {wanted}: {rows} rows are no multiple of {gates}; {stacked} are stacked, as in PyTorch",
        )
    return rows // gates


def _input_width(network: Any, rows: int, field: str) -> int | None:
    if network.input_weights is None:
        return None
    found, width = shape_of(network.input_weights)
    if found != rows:
        raise InvalidShape(
            "$.network.input_weights", f"must be ({rows}, D) to fit {field}; it is ({found}, {width})"
        )
    return width


def _check_vector(path: str, values: Any, length: int) -> None:
    if values.ndim and len(values) != length:
        raise InvalidShape(path, f"must have {length} entries, or be one number; it has {len(values)}")


def _skip(network: SkipNetwork) -> NetworkShape:
    """A state of d N entries, h first, and V (N, N)."""
    found = _recurrent(network)
    units, skipped = found.output_size, shape_of(network.skip_weights)
    if skipped != (units, units):
        raise InvalidShape(
            "$.network.skip_weights", f"must be ({units}, {units}), as weights are; it is {skipped}"
        )
    size = network.delay * units
    return replace(found, state_size=size, largest=max(size, found.largest), parts={"h": units})


def _diagonal(network: DiagonalNetwork) -> NetworkShape:
    """One coordinate for a real mode, two for a complex one."""
    field, size, depth = _coordinates(network)
    width = _input_width(network, size, f"the {size} coordinates of {field}")
    if network.bias is not None:
        _check_vector("$.network.bias", network.bias, size)
    return NetworkShape(size, size, width, depth, max(size, width or 0), network.bias is not None)


def _coordinates(network: DiagonalNetwork) -> tuple[str, int, int | None]:
    """The field that says what lambda is, the coordinates of its state, and its steps where it has them."""
    if network.decays is not None:
        return "decays", network.decays.shape[-1], network.decays.shape[-2]
    if network.lru is not None:
        return "lru", 2 * _lru_modes(network.lru), None
    if network.s4d is not None:
        _check_steps(network.s4d)
        return "s4d", _real_and_imaginary(network.s4d.A), None
    return "eigenvalues", _real_and_imaginary(network.eigenvalues), None


def _real_and_imaginary(eigenvalues: Any) -> int:
    return len(eigenvalues) + int((eigenvalues.imag != 0.0).sum())


def _lru_modes(lru: LruModes) -> int:
    """The number of modes, on which both fields agree."""
    (first, rates), (second, angles) = (
        (name, values) for name in type(lru).model_fields if (values := getattr(lru, name)) is not None
    )
    if len(rates) != len(angles):
        raise InvalidShape(
            f"$.network.lru.{second}",
            f"must have {len(rates)} entries, as many as {first}; it has {len(angles)}",
        )
    return len(rates)


def _check_steps(s4d: S4dModes) -> None:
    _check_vector("$.network.s4d.step", s4d.step, len(s4d.A))
    if not (s4d.step > 0.0).all():
        raise InvalidRequest((Fault("$.network.s4d.step", "must be positive: it is a length of time"),))


def _feedforward(network: FeedforwardNetwork) -> NetworkShape:
    if not isinstance(network.layers, list):
        return _drawn_layers(network, network.layers)
    shapes = [shape_of(source) for source in network.layers]
    for layer, ((rows, _), (_, columns)) in enumerate(pairwise(shapes), start=1):
        if rows != columns:
            raise InvalidShape(
                f"$.network.layers[{layer}]",
                f"must have {rows} columns, as many as layer {layer - 1} has rows; it has {columns}",
            )
    _check_biases(network, [rows for rows, _ in shapes])
    largest = max(max(shape) for shape in shapes)
    return NetworkShape(shapes[0][1], shapes[-1][0], None, len(shapes), largest, network.biases is not None)


def _drawn_layers(network: FeedforwardNetwork, source: Source) -> NetworkShape:
    if source.source == "matrix":
        raise InvalidShape(
            "$.network.layers",
            "a single source is drawn afresh for each layer, so it must be random; list given matrices one a layer",
        )
    rows, columns = shape_of(source)
    if rows != columns:
        raise InvalidShape("$.network.layers", f"must be square to be stacked; it is ({rows}, {columns})")
    if network.biases is not None:
        raise InvalidShape("$.network.biases", "belong to a list of layers, one bias a layer")
    return NetworkShape(rows, rows, None, None, rows, False)


def _check_biases(network: FeedforwardNetwork, sizes: list[int]) -> None:
    if network.biases is None:
        return
    if len(network.biases) != len(sizes):
        raise InvalidShape(
            "$.network.biases", f"must be {len(sizes)}, one a layer; they are {len(network.biases)}"
        )
    for layer, (bias, size) in enumerate(zip(network.biases, sizes, strict=True)):
        _check_vector(f"$.network.biases[{layer}]", bias, size)


def _jacobians(network: JacobiansNetwork) -> NetworkShape:
    steps, rows, columns = network.values.shape
    if rows != columns:
        raise InvalidShape("$.network.values", f"must be (T, N, N); it is ({steps}, {rows}, {columns})")
    return NetworkShape(rows, rows, None, steps, rows, False)


_SHAPES: Mapping[str, Callable[[Any], NetworkShape]] = {
    "skip": _skip,
    "lstm": _lstm,
    "gru": _gru,
    "diagonal": _diagonal,
    "feedforward": _feedforward,
    "jacobians": _jacobians,
}
"""Cell -> its shapes, where they are not those of `_recurrent`."""
