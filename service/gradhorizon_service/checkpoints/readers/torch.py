"""PyTorch `.pt` and `.pth`: a zip of one pickle of names and one member for every storage of numbers.

The pickle refers to storages by key and describes every tensor as a window into one: offset, shape and strides. Nothing
is imported; what PyTorch's functions would build, the stand-ins below only note down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..checkpoint import Read
from ..element import NAMES, Element, element
from ..errors import Damaged, TooLarge, Unsupported, shown
from ..limits import ReadLimits
from ..session import Session
from ..tensor import Role, Tensor, row_major
from ..wire.archive import Archive
from ..wire.content import Content
from ..wire.pickles import Call, Global, read_pickle
from ._checks import by_name, checked_shape, role_of

_STORAGES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexFloatStorage": "complex64",
}
_UNTYPED = "torch.storage.UntypedStorage"
_DTYPES = {f"torch.{name}": name for name in NAMES if not name.startswith(("float4", "float6"))}
_CONSTANTS = frozenset(_STORAGES) | frozenset(_DTYPES) | {_UNTYPED, "builtins.dict", "__builtin__.dict"}

_OPTIMIZER_STATE = {"state", "param_groups"}


@dataclass(frozen=True)
class _Storage:
    """A reference to a member of numbers: `dtype` is None where only the tensor says what its bytes are."""

    dtype: str | None
    key: str
    count: int


@dataclass(frozen=True)
class _Window:
    """A tensor as the pickle describes it, unchecked."""

    storage: _Storage
    dtype: str
    offset: Any
    shape: Any
    strides: Any


def is_torch(archive: Archive) -> bool:
    """Whether the archive holds one of PyTorch's pickles."""
    return any(
        name == "data.pkl" or name.endswith(("/data.pkl", "/constants.pkl")) for name in archive.members
    )


def read_torch(archive: Archive, session: Session) -> Read:
    """Read a state dict, or any nesting of dictionaries and lists that holds some; names are joined by dots."""
    root = _root(archive)
    order = _byte_order(archive, root)
    text = archive.read(f"{root}data.pkl", session.limits.max_header_bytes)
    storages = _Storages(archive, root, order)
    tree = read_pickle(text, _CALLS, _CONSTANTS, _storage)
    leaves = list(_leaves(tree, session.limits))
    tensors = (
        storages.tensor(name, leaf, _role(name, tree), session.limits)
        for name, leaf in leaves
        if isinstance(leaf, _Window)
    )
    collected = by_name(tensors, session.limits)
    values = {name: leaf for name, leaf in leaves if not isinstance(leaf, _Window)}
    return Read("torch", collected, {"values": values})


def _root(archive: Archive) -> str:
    """Return the folder of the archive that everything lies in, with its slash."""
    if any(name.endswith("constants.pkl") or "/code/" in name for name in archive.members):
        raise Unsupported("is a TorchScript program, not only weights; save model.state_dict() instead")
    roots = [name.removesuffix("data.pkl") for name in archive.members if name.split("/")[-1] == "data.pkl"]
    if len(roots) != 1 or roots[0].count("/") > 1:
        raise Damaged("is a PyTorch archive without exactly one data.pkl")
    return roots[0]


def _byte_order(archive: Archive, root: str) -> str:
    if f"{root}byteorder" not in archive.members:
        return "<"
    word = archive.read(f"{root}byteorder", 16)
    if word not in (b"little", b"big"):
        raise Damaged("is a PyTorch archive whose byteorder is neither little nor big")
    return "<" if word == b"little" else ">"


class _Storages:
    """The members of numbers, and tensors as checked windows into them."""

    def __init__(self, archive: Archive, root: str, order: str) -> None:
        self._archive = archive
        self._root = root
        self._order = order

    def tensor(self, name: str, window: _Window, role: Role, limits: ReadLimits) -> Tensor:
        kind = element(window.dtype, self._order)
        shape = checked_shape(name, _tuple(name, window.shape), limits)
        strides = checked_shape(name, _tuple(name, window.strides), limits)
        if len(strides) != len(shape) or type(window.offset) is not int or window.offset < 0:
            raise Damaged(
                f"describes {shown(name)} by an offset, a shape and strides that do not fit together"
            )
        content = self._window(name, kind, window, shape, strides)
        plain = strides == row_major(shape) or content.size == 0
        return Tensor(name, window.dtype, shape, kind, content, limits, None if plain else strides, role)

    def _window(
        self, name: str, kind: Element, window: _Window, shape: tuple[int, ...], strides: tuple[int, ...]
    ) -> Content:
        """Return the stretch of the storage from the tensor's first number to its last."""
        member = self._archive.members.get(f"{self._root}data/{window.storage.key}")
        if member is None:
            raise Damaged(f"holds {shown(name)}, whose numbers are missing from the archive")
        width = kind.bits // 8
        stored = element(window.storage.dtype).bits // 8 if window.storage.dtype else 1
        if member.size != window.storage.count * stored:
            raise Damaged(f"holds {shown(name)} in a storage of another length than it says")
        reach = 1 + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
        count = 0 if 0 in shape else reach
        if (window.offset + count) * width > member.size:
            raise Damaged(f"describes {shown(name)} as reaching beyond the end of its storage")
        return member.part(window.offset * width, count * width)


def _tuple(name: str, value: Any) -> tuple[Any, ...]:
    if type(value) is not tuple:
        raise Damaged(f"describes {shown(name)} by something that is no shape")
    return value


# What the pickle may call: PyTorch's functions by name, and what we note down instead.


def _storage(reference: tuple[Any, ...]) -> _Storage:
    if len(reference) != 5 or reference[0] != "storage":
        raise Damaged("refers to something other than a storage")
    _, kind, key, _, count = reference
    if type(kind) is not Global or (kind.name not in _STORAGES and kind.name != _UNTYPED):
        raise Damaged("refers to a storage of no known type")
    if type(key) is not str or not (key.isascii() and key.isdigit()) or type(count) is not int or count < 0:
        raise Damaged("refers to a storage by something other than a number and a length")
    return _Storage(_STORAGES.get(kind.name), key, count)


def _tensor_v2(arguments: tuple[Any, ...]) -> _Window:
    # storage, offset, shape, strides, requires_grad, hooks, and only for views that flip signs: metadata
    if not 6 <= len(arguments) <= 7 or type(arguments[0]) is not _Storage or arguments[0].dtype is None:
        raise Damaged("describes a tensor without its storage")
    if len(arguments) == 7 and arguments[6]:
        raise Unsupported("holds a tensor that is a conjugated or negated view; save its clone()")
    return _Window(arguments[0], arguments[0].dtype, *arguments[1:4])


def _tensor_v3(arguments: tuple[Any, ...]) -> _Window:
    # as above, with the dtype before the metadata: types younger than typed storages
    if not 7 <= len(arguments) <= 8 or type(arguments[0]) is not _Storage:
        raise Damaged("describes a tensor without its storage")
    if len(arguments) == 8 and arguments[7]:
        raise Unsupported("holds a tensor that is a conjugated or negated view; save its clone()")
    kind = arguments[6]
    if type(kind) is not Global or kind.name not in _DTYPES:
        raise Damaged("describes a tensor without its dtype")
    return _Window(arguments[0], _DTYPES[kind.name], *arguments[1:4])


def _parameter(arguments: tuple[Any, ...]) -> _Window:
    if not arguments or type(arguments[0]) is not _Window:
        raise Damaged("describes a parameter without its tensor")
    return arguments[0]


def _size(arguments: tuple[Any, ...]) -> list[Any]:
    if len(arguments) != 1 or type(arguments[0]) is not tuple:
        raise Damaged("describes a torch.Size without its lengths")
    return list(arguments[0])


def _device(arguments: tuple[Any, ...]) -> str:
    if not arguments or not all(type(part) in (str, int) for part in arguments):
        raise Damaged("describes a torch.device without its name")
    return ":".join(map(str, arguments))


def _ordered_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if arguments:
        raise Unsupported("holds a dictionary that is written as a list of pairs")
    return {}


def _default_dict(arguments: tuple[Any, ...]) -> dict[Any, Any]:
    if len(arguments) > 1:
        raise Unsupported("holds a dictionary that is written as a list of pairs")
    return {}


_CALLS: Mapping[str, Call] = {
    "collections.OrderedDict": _ordered_dict,
    "collections.defaultdict": _default_dict,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": _size,
    "torch.device": _device,
}


def _leaves(tree: Any, limits: ReadLimits) -> Iterator[tuple[str, Any]]:
    """Yield every tensor and plain value by its path; lists of a pickle can hold themselves, so steps are counted."""
    steps = 0
    waiting: list[tuple[str, Any, int]] = [("", tree, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        steps += 1 + (len(value) if isinstance(value, (dict, list, tuple)) else 0)
        if steps > 2 * (limits.max_values + limits.max_tensors):
            raise TooLarge(f"holds more than {limits.max_values} values beside its tensors")
        if depth > limits.max_depth:
            raise TooLarge(f"is nested deeper than {limits.max_depth} levels, at {shown(path)}")
        if isinstance(value, (dict, list, tuple)):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inner = [(_joined(path, key), item, depth + 1) for key, item in items]
            waiting.extend(reversed(inner))
        elif isinstance(value, Global):
            yield path, value.name
        elif isinstance(value, _Storage):
            raise Unsupported(f"holds a bare storage at {shown(path)}; save tensors")
        else:
            yield path, value


def _joined(path: str, key: object) -> str:
    joined = f"{path}.{key}" if path else str(key)
    if len(joined) > 1000:
        raise TooLarge(f"holds a name of more than 1000 characters, {shown(joined)}")
    return joined


def _role(name: str, tree: Any) -> Role:
    """Tell what an optimizer keeps: below a key that says so, or in a file that is nothing but an optimizer's state."""
    if isinstance(tree, dict) and set(tree) == _OPTIMIZER_STATE:
        return "optimizer"
    return role_of(name.partition(".")[0])
