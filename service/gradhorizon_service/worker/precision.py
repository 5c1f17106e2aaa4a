"""The floating-point formats people train in, emulated operation by operation where NumPy has no such type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ._types import Array


@dataclass(frozen=True)
class Precision:
    """A format: the NumPy type that carries it and the rounding applied after every operation."""

    name: str
    carrier: type[np.floating]
    rounded: Callable[[Array], Array]

    def cast(self, values: Array) -> Array:
        """Round float64 values to this format; too large becomes infinite, too small zero or subnormal."""
        with np.errstate(over="ignore", under="ignore"):
            return self.rounded(values.astype(self.carrier))

    def scaled(self, values: Array, log_scale: float) -> Array:
        """Round exp(log_scale) * values, whatever the scale: the true numbers need not be float64."""
        exponent = int(np.floor(log_scale / np.log(2.0)))
        rest = float(np.exp(log_scale - exponent * np.log(2.0)))
        with np.errstate(over="ignore", under="ignore"):
            return self.cast(np.ldexp(values * rest, int(np.clip(exponent, -5000, 5000))))


def _bfloat16(values: Array) -> Array:
    """Round float32 to the upper 16 bits, ties to even."""
    bits = np.atleast_1d(np.asarray(values, dtype=np.float32)).view(np.uint32)
    rounding = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    with np.errstate(over="ignore"):
        kept = ((bits + rounding) & np.uint32(0xFFFF0000)).view(np.float32)
    special = ~np.isfinite(values)
    return np.asarray(np.where(special, values, kept.reshape(np.shape(values))), dtype=np.float32)


def _exact(values: Array) -> Array:
    return values


PRECISIONS: Mapping[str, Precision] = {
    "float16": Precision("float16", np.float16, _exact),
    "bfloat16": Precision("bfloat16", np.float32, _bfloat16),
    "float32": Precision("float32", np.float32, _exact),
    "float64": Precision("float64", np.float64, _exact),
}
"""Formats by their names in a request."""
