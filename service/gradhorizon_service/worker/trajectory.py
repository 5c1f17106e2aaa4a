"""The forward loop over time, written once for every cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ._types import Array
from .cells import Cell, DriveByStep, Linearisation
from .errors import CannotRun
from .history import History
from .statistics import log_norms_by_step

_LARGE = 2.0**32  # far from the edge, so that weights of 1e290 do not overflow the next step
_SMALL = 2.0**-32


@dataclass(frozen=True, eq=False)
class Trajectory:
    """States s_0..s_T of a batch, as far as they stayed in float64.

    states: T + 1 arrays (B, N_t), one (T + 1, B, N) array for a recurrent cell; the state itself is
    exp(log_scales[t, b]) states[t][b]. `steps_asked` is larger than `steps` where the forward state diverged.
    """

    states: Sequence[Array]
    log_scales: Array
    linearisation: Linearisation
    steps: int
    steps_asked: int

    def log_norms(self) -> Array:
        """ln of the norm of every state, (T + 1, B)."""
        return log_norms_by_step(self.states) + self.log_scales

    def final_state(self) -> Array | None:
        """s_T, (B, N); None where it is not a float64."""
        with np.errstate(over="ignore", invalid="ignore"):
            state = self.states[-1] * np.exp(self.log_scales[-1])[:, None]
        return np.asarray(state) if np.isfinite(state).all() else None


def run_forward(
    cell: Cell,
    initial: Array,
    inputs: Array | None,
    steps: int,
    *,
    burn_in: int = 0,
    rescale: bool = False,
    is_usable: Callable[[Array, int], bool] = lambda state, step: True,
) -> Trajectory:
    """Advance `burn_in` steps that are not kept and `steps` that are.

    initial (B, N), inputs (burn_in + steps, B, D) or None. With `rescale` (for undriven-linear cells, whose Jacobians
    do not depend on the state) states carry powers of two as a scale of their own and never leave float64. The run ends
    at the last state that `is_usable` (s_t, t), or at the initial one. Raises CannotRun where the burn-in alone leaves
    float64.
    """
    batch = len(initial)
    drive = cell.drive(inputs, burn_in + steps, batch)
    driven = rescale and isinstance(drive, np.ndarray) and bool(drive.any())
    state, log_scale = initial, np.zeros(batch)
    states = History(steps + 1, cell.recurrent)
    preactivations = History(steps, cell.recurrent, _reusable(drive, burn_in))
    log_scales = np.zeros((steps + 1, batch))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if rescale:
            state, log_scale = _rescaled(state, log_scale, upwards=not driven)
        for step in range(-burn_in, steps):
            pushed = None if drive is None else drive[step + burn_in]
            if (
                driven and log_scale.any()
            ):  # what pushes with nothing needs no scale, and the scale may be no float64
                pushed = pushed * np.exp(-log_scale)[:, None]
            if step >= 0:
                states.append(state)
                if rescale:
                    log_scales[step] = log_scale
            state, preactivation = cell.advance(step, state, pushed)
            if step >= 0:
                preactivations.append(preactivation)
            if rescale:
                state, log_scale = _rescaled(state, log_scale, upwards=not driven)
    states.append(state)
    log_scales[steps] = log_scale
    done = states.count_finite() - 1
    if done < 0:
        raise CannotRun(
            "burn_in",
            f"the forward state left float64 within the burn-in of {burn_in} steps: shorten it, or rescale the weights",
        )
    kept = states.values(done + 1)
    while done > 0 and not is_usable(kept[done], done):
        done -= 1
    kept = kept[: done + 1]
    linearisation = cell.linearise(kept, preactivations.values(done))
    return Trajectory(kept, log_scales[: done + 1], linearisation, done, steps)


def _reusable(drive: Array | DriveByStep | None, burn_in: int) -> Array | None:
    """The memory of a drive that nobody else reads: a step's drive is done with once its pre-activation is known."""
    return drive[burn_in:] if isinstance(drive, np.ndarray) and drive.flags.writeable else None


def _rescaled(state: Array, log_scale: Array, upwards: bool) -> tuple[Array, Array]:
    """Move a power of two from states that grew large (or small, where nothing is added to them) into the scale."""
    size = np.abs(state).max(axis=1)
    moving = size > _LARGE
    if upwards:
        moving |= (size < _SMALL) & (size > 0)
    if not moving.any():
        return state, log_scale
    exponents = np.where(moving, np.frexp(size)[1], 0)
    return np.ldexp(state, -exponents[:, None]), log_scale + exponents * np.log(2.0)
