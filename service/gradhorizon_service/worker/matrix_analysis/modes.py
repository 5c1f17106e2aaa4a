"""How long a mode lasts and how fast it turns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ._scaling import EPSILON

_NEUTRAL = 64.0 * EPSILON  # moduli this close to 1 are 1 to rounding; a half-life of 5e13 steps is no loss


@dataclass(frozen=True, eq=False)
class ModeTimes:
    """Half-life and period of each mode in steps, (N,); NaN where a mode has none, with a sentence why."""

    half_life: Array
    half_life_reason: str | None
    period: Array
    period_reason: str | None


def mode_times(eigenvalues: Array) -> ModeTimes:
    """ln(1/2) / ln abs(lambda) and 2 pi / abs(arg lambda) for each eigenvalue.

    A mode of modulus 0 has half-life 0. A negative real eigenvalue has period 2; a real one that is not
    negative never turns.
    """
    moduli = np.abs(eigenvalues)
    shrinks = (moduli < 1.0 - _NEUTRAL) & (moduli > 0.0)
    half_life = np.where(moduli == 0.0, 0.0, np.nan)
    half_life[shrinks] = -math.log(2.0) / np.log(moduli[shrinks])
    turns = (eigenvalues.imag != 0.0) | (eigenvalues.real < 0.0)
    period = np.full(moduli.shape, np.nan)
    period[turns] = 2.0 * math.pi / np.abs(np.angle(eigenvalues[turns]))
    lasting, straight = np.isnan(half_life).any(), not turns.all()
    return ModeTimes(
        half_life=half_life,
        half_life_reason="modes of modulus 1 or more do not decay" if lasting else None,
        period=period,
        period_reason="modes with a real eigenvalue that is not negative do not turn" if straight else None,
    )
