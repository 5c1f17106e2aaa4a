"""ONNX: the recurrent operators of a graph, with the initialisers that are their weights.

Only the fields that this needs are read (`onnx.proto`, numbers below). A weight is an initialiser or a constant, or one
of these with its axes moved; what the graph would have to compute is not a weight in the file, and said to be missing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

import numpy as np

from ..checkpoint import DeclaredLayer, Read
from ..element import Element, element, unread
from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Tensor, row_major
from ..wire.content import Content, File, FileRange, Held, Joined
from ..wire.protobuf import Field, Message, fields
from ..wire.window import Window
from ._checks import by_name, checked_shape

_OPERATORS = {
    "RNN": ("W", "R", "B"),
    "GRU": ("W", "R", "B"),
    "LSTM": ("W", "R", "B", "", "", "", "P"),  # between B and P: lengths and the two initial states
}
"""Operator -> the roles of its inputs from the second on."""
_OPTIONAL = {"B", "P"}
_OPTIONS = {
    "direction", "activations", "activation_alpha", "activation_beta", "clip", "hidden_size", "layout",
    "linear_before_reset", "input_forget",
}  # fmt: skip
_DOMAINS = ("", "ai.onnx")
_DEEPEST = 8
_LONGEST_LIST = 2**20
_LONGEST_STRING = 10_000
_MAX_NODES = 50_000
_MAX_FIELDS = 300_000

# Field numbers of onnx.proto
_MODEL = {1: "ir_version", 2: "producer_name", 3: "producer_version", 7: "graph", 8: "opset_import"}
_GRAPH = {1: "node", 5: "initializer", 15: "sparse_initializer"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 7: "domain"}
_ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 6: "g", 7: "floats", 8: "ints", 9: "strings"}
_TENSOR = {
    1: "dims", 2: "data_type", 3: "segment", 4: "float_data", 5: "int32_data", 7: "int64_data", 8: "name",
    9: "raw_data", 10: "double_data", 11: "uint64_data", 13: "external_data", 14: "data_location",
}  # fmt: skip

_TYPES = {
    1: ("FLOAT", "float32"),
    2: ("UINT8", "uint8"),
    3: ("INT8", "int8"),
    4: ("UINT16", "uint16"),
    5: ("INT16", "int16"),
    6: ("INT32", "int32"),
    7: ("INT64", "int64"),
    9: ("BOOL", "bool"),
    10: ("FLOAT16", "float16"),
    11: ("DOUBLE", "float64"),
    12: ("UINT32", "uint32"),
    13: ("UINT64", "uint64"),
    14: ("COMPLEX64", "complex64"),
    15: ("COMPLEX128", "complex128"),
    16: ("BFLOAT16", "bfloat16"),
    17: ("FLOAT8E4M3FN", "float8_e4m3fn"),
    18: ("FLOAT8E4M3FNUZ", "float8_e4m3fnuz"),
    19: ("FLOAT8E5M2", "float8_e5m2"),
    20: ("FLOAT8E5M2FNUZ", "float8_e5m2fnuz"),
    21: ("UINT4", "uint4"),
    22: ("INT4", "int4"),
    24: ("FLOAT8E8M0", "float8_e8m0fnu"),
    25: ("UINT2", "uint2"),
    26: ("INT2", "int2"),
}
_STORED_AS = {"float_data": "<f4", "double_data": "<f8"}
_EXTERNAL = 1


def starts_as_onnx(head: bytes) -> bool:
    """Whether a protobuf comes first whose first field is a small number or a short text, as ONNX writes them."""
    return (
        head[0] == 0x08
        and len(head) > 2
        and 0 < head[1] < 0x40
        and (head[2] >> 3) in (2, 3, 4, 5, 6, 7, 8, 14)
    )


def read_onnx(file: File, session: Session) -> Read:
    """Read every tensor of the graph and of the graphs inside it, and the recurrent nodes as layers."""
    model = _Model(session.limits)
    metadata = model.read(Message(Window(FileRange(file, 0, file.size), _MAX_FIELDS), 0, file.size))
    return Read("onnx", by_name(model.tensors.values(), session.limits), metadata, tuple(model.layers))


@dataclass
class _Node:
    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


@dataclass
class _Model:
    limits: ReadLimits
    tensors: dict[str, Tensor] = field(default_factory=dict)
    layers: list[DeclaredLayer] = field(default_factory=list)
    nodes: int = 0

    def read(self, message: Message) -> dict[str, Any]:
        metadata: dict[str, Any] = {"opsets": {}}
        graphs = []
        for found in fields(message):
            word = _MODEL.get(found.number)
            if word == "graph":
                graphs.append(found.message())
            elif word == "opset_import":
                metadata["opsets"].update(_opset(found.message()))
            elif word == "ir_version":
                metadata[word] = found.whole()
            elif word:
                metadata[word] = found.message().text()
        if len(graphs) != 1:
            raise Damaged("is no ONNX model, or is cut off: it does not hold exactly one graph")
        if not metadata["opsets"]:
            raise Damaged("is no ONNX model, or is cut off: it does not say which operators it uses")
        self.graph(graphs[0], {}, "", 0)
        return metadata

    def graph(self, message: Message, outer: Mapping[str, Tensor], prefix: str, depth: int) -> None:
        """Read one graph; what the graphs around it name can be used inside it."""
        if depth > _DEEPEST:
            raise TooLarge(f"holds graphs nested deeper than {_DEEPEST} levels")
        known, nodes = dict(outer), []
        for found in fields(message):
            word = _GRAPH.get(found.number)
            if word == "initializer":
                tensor = self.tensor(found.message())
                known[tensor.name] = self.listed(replace(tensor, name=prefix + tensor.name))
            elif word == "node":
                nodes.append(found.message())
                self.nodes += 1
                if self.nodes > _MAX_NODES:
                    raise TooLarge(f"holds more than {_MAX_NODES} nodes; no more are read")
            elif word == "sparse_initializer":
                raise Unsupported("holds a sparse tensor, which is not read; store it densely")
        for node in nodes:
            self.node(node, known, prefix, depth)

    def node(self, message: Message, known: dict[str, Tensor], prefix: str, depth: int) -> None:
        """Nodes stand in the order of computation, so what a node needs is known by now or never."""
        node, graphs = self.parsed(message)
        if node.operator in _OPERATORS:
            self.layers.append(self.layer(node, known, prefix))
        elif node.operator in _DERIVED and node.outputs:
            derived = _DERIVED[node.operator](node, known)
            if derived is not None:
                known[node.outputs[0]] = replace(derived, name=prefix + node.outputs[0])
        for name, graph in graphs:
            inside = f"{prefix}{node.name or (node.outputs or [node.operator])[0]}/{name}/"
            self.graph(graph, known, inside, depth + 1)

    def listed(self, tensor: Tensor) -> Tensor:
        """Add a tensor to those of the file: every initialiser, and of what is derived only what a layer uses."""
        if self.tensors.setdefault(tensor.name, tensor) is not tensor:
            raise Damaged(f"holds two tensors called {shown(tensor.name)}")
        if len(self.tensors) > self.limits.max_tensors:
            raise TooLarge(f"holds more than {self.limits.max_tensors} tensors; no more are read")
        return tensor

    def layer(self, node: _Node, known: Mapping[str, Tensor], prefix: str) -> DeclaredLayer:
        tensors, missing = {}, {}
        for role, name in zip_longest(_OPERATORS[node.operator], node.inputs[1:], fillvalue=""):
            if not role or (not name and role in _OPTIONAL):
                continue
            if name in known:
                tensor = known[name]
                tensors[role] = tensor.name
                if self.tensors.get(tensor.name) is not tensor:
                    self.listed(tensor)
            else:
                missing[role] = (
                    f"{shown(name)} is computed by the graph" if name else "the node has no such input"
                )
        options = {name: value for name, value in node.attributes.items() if name in _OPTIONS}
        name = node.name or next(filter(None, node.outputs), node.operator)
        return DeclaredLayer(prefix + name, node.operator, options, tensors, missing)

    def parsed(self, message: Message) -> tuple[_Node, list[tuple[str, Message]]]:
        node, domain = _Node("", "", [], [], {}), ""
        attributes: list[Message] = []
        graphs: list[tuple[str, Message]] = []
        for found in fields(message):
            word = _NODE.get(found.number)
            if word == "input":
                node.inputs.append(found.message().text())
            elif word == "output":
                node.outputs.append(found.message().text())
            elif word == "name":
                node.name = found.message().text()
            elif word == "op_type":
                node.operator = found.message().text()
            elif word == "domain":
                domain = found.message().text()
            elif word == "attribute":
                attributes.append(found.message())
        read = node.operator in _OPERATORS or node.operator in _DERIVED
        for one in attributes:
            name, value = self.attribute(one) if read else _graph_of(one)
            if isinstance(value, Message):
                graphs.append((name, value))
            else:
                node.attributes[name] = value
        if domain not in _DOMAINS:
            node.operator = f"{domain}.{node.operator}"
        return node, graphs

    def attribute(self, message: Message) -> tuple[str, Any]:
        """Return the name and the value, which is a Message for a graph."""
        name = ""
        value: Any = None
        many: list[Any] = []
        for found in fields(message):
            word = _ATTRIBUTE.get(found.number)
            if word == "name":
                name = found.message().text()
            elif word == "t":
                value = self.tensor(found.message())
            elif word == "g":
                value = found.message()
            elif word == "floats":
                many.extend(_floats(found.message()))
            elif word == "ints":
                many.extend(found.wholes())
            elif word == "strings":
                many.append(found.message().text())
            elif word in _SINGLE:
                value = _SINGLE[word](found)
        return name, many or value

    def tensor(self, message: Message) -> Tensor:
        """Return a tensor whose numbers stay in the file, wherever they stand there as they are."""
        name, code, dims = "", 0, []
        data: dict[str, list[Field]] = {}
        for found in fields(message):
            word = _TENSOR.get(found.number)
            if word == "name":
                name = found.message().text()
            elif word == "data_type":
                code = found.whole()
            elif word == "dims":
                dims.extend(found.wholes())
            elif word == "external_data" or (word == "data_location" and found.whole() == _EXTERNAL):
                raise Unsafe(
                    "keeps tensors in another file, which is never opened; save it with its data inside "
                    "(onnx.save_model with save_as_external_data=False)"
                )
            elif word == "segment":
                raise Unsupported("holds a tensor in segments, which no exporter writes")
            elif word:
                data.setdefault(word, []).append(found)
        word, kind = _type(code)
        shape = checked_shape(name, dims, self.limits)
        content = _data(name, kind, data)
        tensor = Tensor(name, word, shape, kind, content, self.limits)
        if kind.dtype is not None and tensor.nbytes != content.size:
            raise Damaged(
                f"gives {shown(name)} the shape {list(shape)} of {word}, that is {tensor.nbytes} bytes, "
                f"and holds {content.size}"
            )
        return tensor


def _opset(message: Message) -> dict[str, int]:
    domain, version = "", 0
    for found in fields(message):
        if found.number == 1:
            domain = found.message().text()
        elif found.number == 2:
            version = found.whole()
    return {domain or "ai.onnx": version}


def _graph_of(attribute: Message) -> tuple[str, Message | None]:
    """Return the graph in an attribute of an operator that is of no other interest."""
    name, graph = "", None
    for found in fields(attribute):
        word = _ATTRIBUTE.get(found.number)
        if word == "name":
            name = found.message().text()
        elif word == "g":
            graph = found.message()
    return name, graph


def _floats(message: Message) -> list[float]:
    """Return a repeated float, packed or one of it."""
    text = message.data(_LONGEST_LIST, "a list of numbers")
    if len(text) % 4:
        raise Damaged("holds a list of numbers that ends within one")
    return list(struct.unpack(f"<{len(text) // 4}f", text))


def _words(message: Message) -> str | None:
    """Return a string attribute; those of foreign operators can be any bytes."""
    return (
        message.data(_LONGEST_STRING, "").decode("utf-8", "replace")
        if message.size <= _LONGEST_STRING
        else None
    )


_SINGLE: dict[str, Callable[[Field], Any]] = {
    "f": lambda found: next(iter(_floats(found.message())), None),
    "i": lambda found: found.whole(),
    "s": lambda found: _words(found.message()),
}
"""Field of an attribute -> its value."""


def _type(code: int) -> tuple[str, Element]:
    if code in _TYPES:
        word, name = _TYPES[code]
        return word, element(name)
    return (word := "STRING" if code == 8 else f"type {code}"), unread(word, 0)


def _data(name: str, kind: Element, data: Mapping[str, list[Field]]) -> Content:
    """Return the numbers, little endian: as raw bytes, as a packed list of floats, or rewritten from varints."""
    if len(data) > 1:
        raise Damaged(f"holds the numbers of {shown(name)} in two ways")
    if kind.dtype is None or not data:
        return Held(b"")
    ((word, found),) = data.items()
    if word == "raw_data":
        return found[-1].message().content()
    if word in _STORED_AS:
        if np.dtype(_STORED_AS[word]) != kind.dtype:
            raise Damaged(f"holds the numbers of {shown(name)} in {word}, which is not for {kind.name}")
        parts = tuple(part.message().content() for part in found)
        return parts[0] if len(parts) == 1 else Joined(parts)
    numbers = [number for part in found for number in part.wholes()]
    # Half-precision numbers stand here as the whole numbers that their bits are.
    bits = np.dtype(f"<u{kind.dtype.itemsize}") if kind.dtype.kind == "f" else kind.dtype
    return Held(np.array(numbers, np.int64).astype(bits).tobytes())


# What stands for an initialiser in another arrangement; None where the graph computes more than that.


def _constant(node: _Node, known: Mapping[str, Tensor]) -> Tensor | None:
    value = node.attributes.get("value")
    return value if isinstance(value, Tensor) else None


def _identity(node: _Node, known: Mapping[str, Tensor]) -> Tensor | None:
    return known.get(node.inputs[0]) if node.inputs else None


def _transposed(node: _Node, known: Mapping[str, Tensor]) -> Tensor | None:
    tensor = _identity(node, known)
    if tensor is None:
        return None
    order = node.attributes.get("perm") or list(reversed(range(len(tensor.shape))))
    if sorted(order) != list(range(len(tensor.shape))):
        raise Damaged(f"transposes {shown(tensor.name)} by {order}, which is no order of its axes")
    strides = tensor.strides or row_major(tensor.shape)
    shape = tuple(tensor.shape[axis] for axis in order)
    return replace(tensor, shape=shape, strides=tuple(strides[axis] for axis in order))


def _unsqueezed(node: _Node, known: Mapping[str, Tensor]) -> Tensor | None:
    tensor = _identity(node, known)
    axes = node.attributes.get("axes") or _small(known.get(node.inputs[1]) if len(node.inputs) > 1 else None)
    if tensor is None or axes is None:
        return None
    total = len(tensor.shape) + len(axes)
    places = {axis % total if -total <= axis < total else -1 for axis in axes}
    if len(places) != len(axes) or -1 in places or total > tensor.limits.max_axes:
        raise Damaged(f"gives {shown(tensor.name)} new axes {axes}, which do not fit it")
    old = iter(zip(tensor.shape, tensor.strides or row_major(tensor.shape), strict=True))
    pairs = [(1, 0) if axis in places else next(old) for axis in range(total)]
    shape, strides = tuple(length for length, _ in pairs), tuple(step for _, step in pairs)
    return replace(tensor, shape=shape, strides=None if tensor.strides is None else strides)


def _small(tensor: Tensor | None) -> list[int] | None:
    if tensor is None or tensor.element.name != "int64" or tensor.count > tensor.limits.max_axes:
        return None
    return [int(axis) for axis in tensor.load().reshape(-1)]


_DERIVED: dict[str, Callable[[_Node, Mapping[str, Tensor]], Tensor | None]] = {
    "Constant": _constant,
    "Identity": _identity,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
"""Operator -> what it makes of tensors that are known; anything else is computed by the graph."""
