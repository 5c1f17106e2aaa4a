"""Random matrices with orthonormal columns or rows."""

from __future__ import annotations

import numpy as np

from .._types import Array


def haar(rows: int, columns: int, generator: np.random.Generator) -> Array:
    """A matrix with orthonormal columns, or rows where there are fewer of them, uniformly distributed.

    The Q of a Gaussian matrix is uniform only once the signs of R's diagonal are moved into it (F. Mezzadri,
    Notices of the AMS 54 (2007) 592-604). The distribution is that of `torch.nn.init.orthogonal_`.
    """
    tall = generator.standard_normal((max(rows, columns), min(rows, columns)))
    frame, triangle = np.linalg.qr(tall)
    frame *= np.where(np.diagonal(triangle) < 0.0, -1.0, 1.0)
    return frame if rows >= columns else np.ascontiguousarray(frame.T)
