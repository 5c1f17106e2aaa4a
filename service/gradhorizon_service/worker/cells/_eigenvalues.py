"""What the eigenvalues of a diagonal recurrence are made of: their slopes by each parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._types import Array


@dataclass(frozen=True, eq=False)
class Slopes:
    """d lambda / d p, (m,) for the m modes, or one number for all of them.

    `is_complex`: lambda is a holomorphic function of a complex p, whose gradient is (re, im); otherwise p is real.
    `is_shared`: one p serves all modes.
    """

    values: Array
    is_complex: bool = False
    is_shared: bool = False

    @classmethod
    def of_themselves(cls) -> Slopes:
        """The eigenvalues are their own parameters."""
        return cls(np.ones(1, dtype=np.complex128), is_complex=True)
