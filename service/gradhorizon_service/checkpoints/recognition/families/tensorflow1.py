"""TensorFlow 1: BasicLSTMCell and its copies. One kernel on inputs and state, gates i, j, f, o, a forget bias."""

from __future__ import annotations

from collections.abc import Iterator

from ..layer import Layer, Misfit, Refusal
from ._family import Found, layer_name, refusal
from .haiku import joined_lstm

_USUAL_FORGET_BIAS = 1.0


def tensorflow1(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise a `kernel` with a `bias` in a module whose name says lstm_cell."""
    for path in found.modules:
        leaves = found.modules[path]
        if not path or "lstm_cell" not in path[-1].lower() or "kernel" not in leaves:
            continue
        parts = {name: leaves[name] for name in ("kernel", "bias") if name in leaves}
        try:
            yield joined_lstm(
                layer_name(path),
                "tensorflow1",
                parts["kernel"],
                parts.get("bias"),
                "igfo",
                _USUAL_FORGET_BIAS,
            )
        except Misfit as misfit:
            yield refusal(parts, misfit)
