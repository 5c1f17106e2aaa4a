"""What the command measures, as it is kept in docs/golden-table.json."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Settings(_Record):
    """How every row is measured."""

    seeds: int = 5
    depth: int = 500
    burn_in: int = 300
    curve_lags: int = 60


class Row(_Record):
    """One network at one size: a number a seed, from `first_seed` on.

    A horizon is None where the gradient stays within a factor of 1000 over the whole depth; `curve` is the
    change of its log10 norm by lag, the median over seeds.
    """

    network: str
    hidden_size: int
    first_seed: int
    exponents: list[float]
    horizons: list[int | None]
    directions: list[str | None]
    spectral_radii: list[float] | None
    spectral_norms: list[float] | None
    curve: list[float]
    further_exponents: list[float] | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.exponents))

    @property
    def spread(self) -> float:
        """The standard deviation over seeds."""
        return float(np.std(self.exponents, ddof=1))

    @property
    def horizon(self) -> int | None:
        """The median over seeds."""
        return median(self.horizons)

    @property
    def asymptotic_steps(self) -> float | None:
        """ln(1000) over minus the exponent: lags to a thousandth at the asymptotic rate; None where it grows."""
        return math.log(1000.0) / -self.mean if self.mean < 0.0 else None


class Swept(_Record):
    """The horizon at one forget bias, a number a seed."""

    forget_bias: float
    horizons: list[int | None]
    directions: list[str | None]

    @property
    def horizon(self) -> int | None:
        """The median over seeds."""
        return median(self.horizons)


class Theory(_Record):
    """Mean-field theory at the two variances of a plain recurrent layer."""

    network: str
    hidden_size: int
    weight_variance: float
    bias_variance: float
    chi_1: float
    growth_rate: float


class Record(_Record):
    """Everything on the page."""

    settings: Settings
    rows: list[Row]
    sweep: list[Swept]
    theory: list[Theory]
    engine_version: str
    seconds: float
    cpu_seconds: float

    def text(self) -> str:
        """JSON, a list of numbers a line."""
        lists = re.compile(r"\[\s+([^\[\]{}]+?)\s+\]")
        return (
            lists.sub(lambda found: f"[{' '.join(found[1].split())}]", self.model_dump_json(indent=1)) + "\n"
        )

    def row(self, network: str, size: int) -> Row:
        return next(row for row in self.rows if (row.network, row.hidden_size) == (network, size))


def median(horizons: Sequence[int | None]) -> int | None:
    """The middle one of an odd number of horizons, those that are not reached counting as longest."""
    reached = sorted(math.inf if steps is None else steps for steps in horizons)
    middle = reached[len(reached) // 2]
    return None if middle == math.inf else int(middle)


def rounded(value: float, digits: int = 6) -> float:
    """Short enough to read; the digits behind are those of another processor's rounding errors."""
    return round(float(value), digits)
