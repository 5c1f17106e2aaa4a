"""The variance of one entry of each family whose entries are independent, with gain 1 (see `families`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

EntryVariance = Callable[[int, int, int], float | None]
"""From rows, columns (the fan-in) and hidden size; None where entries depend on each other after all."""


def _keras_default(rows: int, columns: int, hidden_size: int) -> float | None:
    return None if columns == hidden_size else _glorot(rows, columns, hidden_size)


def _glorot(rows: int, columns: int, hidden_size: int) -> float:
    return 2.0 / (rows + columns)


ENTRY_VARIANCES: Mapping[str, EntryVariance] = {
    "gaussian": lambda rows, columns, hidden_size: 1.0 / columns,
    "uniform": lambda rows, columns, hidden_size: 1.0 / columns,
    "sparse": lambda rows, columns, hidden_size: 1.0 / columns,
    "glorot": _glorot,
    "he": lambda rows, columns, hidden_size: 2.0 / columns,
    "lecun": lambda rows, columns, hidden_size: 1.0 / columns,
    "torch_default": lambda rows, columns, hidden_size: 1.0 / (3.0 * hidden_size),
    "keras_default": _keras_default,
}
