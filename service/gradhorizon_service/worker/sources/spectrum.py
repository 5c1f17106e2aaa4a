"""A matrix with given eigenvalues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .._types import Array
from ..errors import CannotRun
from ._blocks import Blocks, GivenEigenvalues
from ._orthogonal import haar
from ._source import Shape, Source
from .distributions import DISTRIBUTIONS, Distribution

_LARGEST_CONDITION = 1e12
"""Above it the entries, which are rounded, would have visibly other eigenvalues than those asked for."""


@dataclass(frozen=True, eq=False)
class SpectrumSource(Source):
    """Explicit `eigenvalues`, or a `distribution` to draw them from, in a basis.

    A named distribution may also come as a mapping of its `kind`, `size` and parameters. B is the block diagonal
    matrix of the eigenvalues: real ones first, then [[a, -b], [b, a]] for each pair of a + i b and a - i b. Then

    - basis `identity` is B itself;
    - `orthogonal` is Q B Q^T with Q uniformly distributed, a normal matrix;
    - `nonnormal` with a `condition` k is V B V^-1, where V has uniformly distributed singular vectors, and singular
      values spaced geometrically from 1 to k;
    - `nonnormal` with a `coupling` c is B with c times the identity between each block and the next. It is left
      block triangular, because a rotation would round its eigenvalues away: ten times 0.9 with c = 1.5 are 0.9
      exactly, and after a rotation moduli between 0.86 and 0.94.
    """

    eigenvalues: Array | None = None
    distribution: Distribution | Mapping[str, Any] | None = None
    basis: Literal["identity", "orthogonal", "nonnormal"] = "orthogonal"
    condition: float | None = None
    coupling: float | None = None
    seed: int = 0

    @property
    def shape(self) -> Shape:
        size = self._origin.size
        return size, size

    @property
    def is_diagonal(self) -> bool:
        """Whether the matrix is B itself, so that `blocks` says everything about it."""
        return self.basis == "identity"

    def blocks(self) -> tuple[Array, Array]:
        """The eigenvalues of the matrix where it is diagonal: `real` (m,), `pairs` (p,) complex, upper members.

        They are rescaled as the matrix would be, and no matrix is formed: a million coordinates are fine.
        """
        blocks = self._origin.draw(np.random.default_rng(self.seed))
        if self.rescale is not None:
            scaled = self.rescale.of_blocks(np.concatenate([blocks.real, blocks.pairs]))
            blocks = Blocks(scaled[: len(blocks.real)].real, scaled[len(blocks.real) :])
        return blocks.real, blocks.pairs

    def _matrix(self) -> Array:
        generator = np.random.default_rng(self.seed)
        blocks = self._origin.draw(generator)
        if self.basis == "identity":
            return blocks.diagonal()
        if self.basis == "orthogonal":
            return _rotated(blocks, generator)
        if self.coupling is not None and self.condition is None:
            return blocks.diagonal() + self.coupling * blocks.superdiagonal()
        if self.condition is not None and self.coupling is None:
            return _skewed(blocks, self.condition, generator)
        raise CannotRun("basis", "a nonnormal basis needs either a condition or a coupling")

    @property
    def _origin(self) -> Distribution:
        if (self.eigenvalues is None) == (self.distribution is None):
            raise CannotRun("eigenvalues", "give either eigenvalues or a distribution")
        if self.eigenvalues is not None:
            return GivenEigenvalues(self.eigenvalues)
        if isinstance(self.distribution, Mapping):
            parameters = dict(self.distribution)
            return DISTRIBUTIONS[parameters.pop("kind")](**parameters)
        assert self.distribution is not None
        return self.distribution


def _rotated(blocks: Blocks, generator: np.random.Generator) -> Array:
    basis = haar(blocks.size, blocks.size, generator)
    rotated = basis @ blocks.diagonal() @ basis.T
    # Rounding must not cost a symmetric matrix its symmetry, and with it its real eigenvalues.
    return rotated if len(blocks.pairs) else 0.5 * (rotated + rotated.T)


def _skewed(blocks: Blocks, condition: float, generator: np.random.Generator) -> Array:
    if condition > _LARGEST_CONDITION:
        raise CannotRun(
            "condition",
            f"a condition of {condition:.3g} is over {_LARGEST_CONDITION:.0e}, where rounding would change the"
            " eigenvalues; use a coupling instead, which keeps them exact however non-normal the matrix",
        )
    size = blocks.size
    left, right = haar(size, size, generator), haar(size, size, generator)
    stretch = np.geomspace(1.0, condition, size)
    # V = left diag(stretch) right: no matrix is inverted, so nothing is lost to its condition here.
    inner = (right @ blocks.diagonal() @ right.T) * (stretch[:, None] / stretch[None, :])
    return left @ inner @ left.T
