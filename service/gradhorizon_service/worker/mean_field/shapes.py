"""What an integral over an activation has to know of it: where it bends, how fast, and what it tends to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..activations import (
    Activation,
    Elu,
    Erf,
    Gelu,
    HardTanh,
    Identity,
    LeakyRelu,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Tanh,
)


@dataclass(frozen=True)
class Shape:
    """Bends of phi and its behaviour far away.

    `breaks` are where phi has kinks, or its bend where it is smooth; `width` is how wide that is. Far away phi is
    within a bounded distance of left_slope a, respectively right_slope a. `limits` are phi(-inf) and phi(inf) where
    phi reaches them exponentially fast. `odd`: phi(-a) = -phi(a).
    """

    breaks: tuple[float, ...] = (0.0,)
    width: float = 1.0
    left_slope: float = 0.0
    right_slope: float = 0.0
    limits: tuple[float, float] | None = None
    odd: bool = False


def shape_of(activation: Activation) -> Shape:
    """The shape of an activation that is integrated numerically."""
    return _SHAPES[type(activation)](activation)


_SHAPES: Mapping[type[Any], Callable[[Any], Shape]] = {
    Identity: lambda phi: Shape(left_slope=1.0, right_slope=1.0, odd=True),
    Tanh: lambda phi: Shape(limits=(-1.0, 1.0), odd=True),
    Sigmoid: lambda phi: Shape(limits=(0.0, 1.0)),
    Relu: lambda phi: Shape(right_slope=1.0),
    LeakyRelu: lambda phi: Shape(
        left_slope=phi.negative_slope, right_slope=1.0, odd=phi.negative_slope == 1.0
    ),
    HardTanh: lambda phi: Shape(breaks=(-1.0, 1.0), limits=(-1.0, 1.0), odd=True),
    Softplus: lambda phi: Shape(
        breaks=(0.0, phi.threshold / phi.beta), width=1.0 / phi.beta, right_slope=1.0
    ),
    Softsign: lambda phi: Shape(odd=True),
    Elu: lambda phi: Shape(right_slope=1.0),
    Selu: lambda phi: Shape(right_slope=phi.scale),
    Silu: lambda phi: Shape(right_slope=1.0),
    Gelu: lambda phi: Shape(right_slope=1.0),
    Erf: lambda phi: Shape(limits=(-1.0, 1.0), odd=True),
}
