"""W times the gain at which the gradient neither grows nor shrinks."""

from __future__ import annotations

import numpy as np

from ...block_diagonal import BlockDiagonal
from ...matrix_analysis import spectral_radius
from ._remedy import Change, Remedy, Subject, Trial, effect_of, without_weights
from ._search import balanced


def _search(subject: Subject) -> tuple[Trial, int]:
    return balanced(lambda gain: _trial(subject, gain), subject.before.log10_growth, subject.depth)


def _trial(subject: Subject, gain: float) -> Trial:
    if not subject.problem.network.kind.is_recurrent:
        return Trial({"gain": gain}, effect_of(subject.with_layers([gain * W for W in subject.layers])))
    matrix = subject.matrix()
    if isinstance(matrix, BlockDiagonal):
        radius = float(np.max(np.abs(matrix.multipliers)))
        changed = subject.with_matrix(matrix.with_multipliers(gain * matrix.multipliers))
    else:
        radius = spectral_radius(matrix)
        changed = subject.with_matrix(gain * matrix)
    change: Change = {"gain": gain, "spectral_radius": gain * radius}
    return Trial(change, effect_of(changed))


rescale = Remedy(
    without_weights,
    _search,
    "the forward signal is rescaled with it: a larger gain drives units further into saturation, a smaller one makes "
    "the state forget sooner; training moves the gain away again unless it is held",
)
