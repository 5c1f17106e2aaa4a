"""Named distributions of eigenvalues."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .._types import Array
from ._blocks import Blocks


class Distribution(Protocol):
    """Where the eigenvalues of a matrix of a given size come from."""

    @property
    def size(self) -> int:
        """How many eigenvalues there are, conjugates included."""
        ...

    def draw(self, generator: np.random.Generator) -> Blocks:
        """Draw the eigenvalues, real ones and conjugate pairs."""
        ...


@dataclass(frozen=True)
class Constant:
    """Every eigenvalue is `value`."""

    size: int
    value: float

    def draw(self, generator: np.random.Generator) -> Blocks:
        return _real(np.full(self.size, self.value))


@dataclass(frozen=True)
class Uniform:
    """Real, uniform between `low` and `high`."""

    size: int
    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> Blocks:
        return _real(generator.uniform(self.low, self.high, self.size))


@dataclass(frozen=True)
class LogUniform:
    """Positive, with a logarithm uniform between ln(low) and ln(high)."""

    size: int
    low: float
    high: float

    def draw(self, generator: np.random.Generator) -> Blocks:
        logs = generator.uniform(math.log(self.low), math.log(self.high), self.size)
        return _real(np.exp(logs))


@dataclass(frozen=True)
class Ring:
    """Conjugate pairs, uniform in area between the radii `inner` and `outer`.

    Of an odd number one is real: a modulus of the same distribution with a random sign.
    """

    size: int
    inner: float
    outer: float

    def draw(self, generator: np.random.Generator) -> Blocks:
        pairs, single = divmod(self.size, 2)
        upper = self._moduli(pairs, generator) * np.exp(1j * generator.uniform(0.0, math.pi, pairs))
        real = self._moduli(single, generator) * generator.choice([-1.0, 1.0], single)
        return Blocks(real, upper)

    def _moduli(self, count: int, generator: np.random.Generator) -> Array:
        # Interpolating the squares would give sqrt(0.9^2) on a circle, one rounding off the radius asked for.
        share = generator.random(count)
        inward = (self.inner / self.outer) ** 2
        return self.outer * np.sqrt(inward + share * (1.0 - inward))


@dataclass(frozen=True)
class Semicircle:
    """Real, with Wigner's density proportional to sqrt(radius^2 - x^2): the abscissae of a uniform disk."""

    size: int
    radius: float = 1.0

    def draw(self, generator: np.random.Generator) -> Blocks:
        lengths = self.radius * np.sqrt(generator.random(self.size))
        return _real(lengths * np.cos(generator.uniform(0.0, math.pi, self.size)))


def circle(size: int, radius: float = 1.0) -> Ring:
    """Conjugate pairs, uniform on the circle of the given radius."""
    return Ring(size, inner=radius, outer=radius)


def disk(size: int, radius: float = 1.0) -> Ring:
    """Conjugate pairs, uniform in the disk of the given radius, as Ginibre's circular law has them."""
    return Ring(size, inner=0.0, outer=radius)


def _real(values: Array) -> Blocks:
    return Blocks(values, np.empty(0, dtype=np.complex128))


DISTRIBUTIONS: Mapping[str, Callable[..., Distribution]] = {
    "constant": Constant,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "circle": circle,
    "disk": disk,
    "ring": Ring,
    "semicircle": Semicircle,
}
