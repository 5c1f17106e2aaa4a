"""Families of random matrices, each with gain 1.

A family is a function of rows, columns and generator, some with an option of their own. Columns are the
fan-in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg import expm

from .._types import Array
from ..errors import CannotRun
from ._orthogonal import haar

Generator = np.random.Generator


def gaussian(rows: int, columns: int, generator: Generator) -> Array:
    """Independent normal entries of variance 1/columns: the spectral radius tends to 1 (the circular law)."""
    return generator.standard_normal((rows, columns)) / math.sqrt(columns)


def uniform(rows: int, columns: int, generator: Generator) -> Array:
    """Independent entries of the same variance 1/columns, uniform between -sqrt(3/columns) and sqrt(3/columns)."""
    return _uniform(rows, columns, math.sqrt(3.0 / columns), generator)


def orthogonal(rows: int, columns: int, generator: Generator) -> Array:
    """Uniformly distributed orthogonal matrices; orthonormal rows or columns where they are not square."""
    return haar(rows, columns, generator)


def symmetric(rows: int, columns: int, generator: Generator) -> Array:
    """Symmetric with normal entries (the Gaussian orthogonal ensemble), whose spectrum tends to fill [-1, 1]."""
    _require_square("symmetric", rows, columns)
    normal = generator.standard_normal((rows, rows))
    return (normal + normal.T) / math.sqrt(8.0 * rows)


def antisymmetric_exponential(rows: int, columns: int, generator: Generator) -> Array:
    """exp(A) with A antisymmetric of normal entries of variance 1/rows: rotations by angles up to about 2."""
    _require_square("antisymmetric_exponential", rows, columns)
    normal = generator.standard_normal((rows, rows))
    return np.asarray(expm((normal - normal.T) / math.sqrt(2.0 * rows)))


def sparse(rows: int, columns: int, generator: Generator, density: float = 0.1) -> Array:
    """Each entry is nonzero with probability `density`, and normal so that the variance is 1/columns all the same."""
    present = generator.random((rows, columns)) < density
    normal = generator.standard_normal((rows, columns))
    return np.where(present, normal, 0.0) / math.sqrt(density * columns)


def identity(rows: int, columns: int, generator: Generator) -> Array:
    """Ones on the diagonal (Le, Jaitly and Hinton, 2015)."""
    return np.eye(rows, columns)


def glorot(rows: int, columns: int, generator: Generator) -> Array:
    """Uniform up to sqrt(6 / (rows + columns)): `torch.nn.init.xavier_uniform_`, the default kernel of Keras."""
    return _uniform(rows, columns, math.sqrt(6.0 / (rows + columns)), generator)


def he(rows: int, columns: int, generator: Generator) -> Array:
    """Normal of variance 2/columns: `torch.nn.init.kaiming_normal_`, critical for ReLU."""
    return generator.standard_normal((rows, columns)) * math.sqrt(2.0 / columns)


def lecun(rows: int, columns: int, generator: Generator) -> Array:
    """Normal of variance 1/columns (not truncated, as Keras would), the choice for SELU."""
    return generator.standard_normal((rows, columns)) / math.sqrt(columns)


def torch_default(rows: int, columns: int, generator: Generator, hidden_size: int | None = None) -> Array:
    """Every parameter of a recurrent layer of PyTorch: uniform up to 1/sqrt(H), the input weights too.

    H, the layer's `hidden_size`, is the number of rows unless given; give it where gates are stacked (4 H
    rows).
    """
    return _uniform(rows, columns, 1.0 / math.sqrt(hidden_size or rows), generator)


def keras_default(rows: int, columns: int, generator: Generator, hidden_size: int | None = None) -> Array:
    """A recurrent layer of Keras: orthogonal recurrent weights, Glorot-uniform input weights.

    Recurrent weights are those with as many columns as the layer's `hidden_size`, which is the number of rows
    unless given; with gates stacked (4 H rows) the whole matrix has orthonormal columns.
    """
    recurrent = columns == (hidden_size or rows)
    return haar(rows, columns, generator) if recurrent else glorot(rows, columns, generator)


FAMILIES: Mapping[str, Callable[..., Array]] = {
    "gaussian": gaussian,
    "uniform": uniform,
    "orthogonal": orthogonal,
    "symmetric": symmetric,
    "antisymmetric_exponential": antisymmetric_exponential,
    "sparse": sparse,
    "identity": identity,
    "glorot": glorot,
    "he": he,
    "lecun": lecun,
    "torch_default": torch_default,
    "keras_default": keras_default,
}


def _uniform(rows: int, columns: int, bound: float, generator: Generator) -> Array:
    return generator.uniform(-bound, bound, (rows, columns))


def _require_square(family: str, rows: int, columns: int) -> None:
    if rows != columns:
        raise CannotRun(
            "shape", f"the family {family} has square matrices only, and {rows} x {columns} is not square"
        )
