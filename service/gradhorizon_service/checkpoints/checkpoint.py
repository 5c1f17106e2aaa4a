"""A checkpoint: named tensors and what the file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from .session import Session
from .tensor import Tensor

Format = Literal["safetensors", "npz", "npy", "torch", "keras", "hdf5", "onnx", "flax"]


@dataclass(frozen=True)
class DeclaredLayer:
    """A recurrent layer that the file itself describes: a layer of a Keras configuration, a node of an ONNX graph.

    `kind` and the names of `options` are the file's own. `tensors` maps the role a tensor plays, again in the
    file's own words (`recurrent_kernel`, `R`), to its name; `missing` gives the reason where none was found.
    """

    name: str
    kind: str
    options: Mapping[str, Any]
    tensors: Mapping[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """What a reader makes of an open file."""

    format: Format
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[DeclaredLayer, ...] = ()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """An open checkpoint; its tensors can be loaded until it is closed.

    `metadata` is plain data: safetensors' `__metadata__`, the numbers and strings beside the tensors of a PyTorch
    or Flax file, which version of Keras wrote it, who produced an ONNX graph. `layers` is what a Keras configuration or
    an ONNX graph says of its recurrent layers; the other formats say nothing.
    """

    format: Format
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    layers: tuple[DeclaredLayer, ...]
    _session: Session = field(repr=False)

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
