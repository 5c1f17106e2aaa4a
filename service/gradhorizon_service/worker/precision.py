"""The floating-point formats people train in, emulated operation by operation where NumPy has no such type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ._types import Array

_LN2 = math.log(2.0)


@dataclass(frozen=True)
class Precision:
    """A format: the NumPy type that carries it and the rounding applied after every operation.

    `digits` are the bits of its significand p, the leading one included; 2^lowest is its smallest normal number. The
    largest is 2^(2 - lowest) (1 - 2^-p), and the subnormal ones are multiples of 2^(lowest - p + 1).
    """

    name: str
    carrier: type[np.floating]
    rounded: Callable[[Array], Array]
    digits: int
    lowest: int

    @property
    def unit_roundoff(self) -> float:
        """2^-p, the largest relative error of rounding to a normal number."""
        return math.ldexp(1.0, -self.digits)

    @property
    def log_subnormal(self) -> float:
        """ln of 2^lowest (1 - 2^-p): what is below rounds to a subnormal number or to zero."""
        return self.lowest * _LN2 + math.log1p(-self.unit_roundoff)

    @property
    def log_zero(self) -> float:
        """ln of half the smallest subnormal number, 2^(lowest - p): it and what is below round to zero."""
        return (self.lowest - self.digits) * _LN2

    @property
    def log_infinite(self) -> float:
        """ln of 2^(2 - lowest) (1 - 2^-(p + 1)): it and what is above round to infinity."""
        return (2 - self.lowest) * _LN2 + math.log1p(-0.5 * self.unit_roundoff)

    def cast(self, values: Array) -> Array:
        """Round float64 values to this format; too large becomes infinite, too small zero or subnormal."""
        with np.errstate(over="ignore", under="ignore"):
            return self.rounded(values.astype(self.carrier))

    def scaled(self, values: Array, log_scale: float) -> Array:
        """Round exp(log_scale) * values, whatever the scale: the true numbers need not be float64."""
        exponent = int(np.floor(log_scale / _LN2))
        rest = float(np.exp(log_scale - exponent * _LN2))
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
    "float16": Precision("float16", np.float16, _exact, 11, -14),
    "bfloat16": Precision("bfloat16", np.float32, _bfloat16, 8, -126),
    "float32": Precision("float32", np.float32, _exact, 24, -126),
    "float64": Precision("float64", np.float64, _exact, 53, -1022),
}
"""Formats by their names in a request."""
