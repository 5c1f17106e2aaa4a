"""Gradient descent of all runs at once, and everything there is to record of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .._types import Array
from ..clipping import clip_runs
from ..grid import thinned_evenly
from ..precision import PRECISIONS
from ..seeds import derive_seed
from ..statistics import log_norms
from .curvature import curvature_along
from .network import Data
from .optimizers import OPTIMIZERS
from .parameters import Layout
from .problem import DescentProblem
from .progress import progress_lost, rises
from .tasks import Batch, Verdict


@dataclass(frozen=True, eq=False)
class Record:
    """What happened at theta_0 .. theta_K, (K + 1, R), natural logarithms; NaN from where a run is not finite.

    loss, log_gradient_norm (before clipping), log_parameter_norm: at theta_k. loss_after: at theta_k too, of the
    sequences that theta_{k-1} saw. clipped: whether the policy steps in on
    that gradient, of which nothing is made at theta_K. progress_lost and rise: by the step that led to
    theta_k, zero for k = 0. curvature_step and curvature
    (P, R): along the step that leaves theta_k. first_non_finite: by quantity, (R,), -1 for never.
    """

    loss: Array
    loss_after: Array
    log_gradient_norm: Array
    log_parameter_norm: Array
    clipped: Array
    progress_lost: Array
    rise: Array
    curvature_step: Array
    curvature: Array
    first_non_finite: dict[str, Array]
    initial: dict[str, Array]
    final: dict[str, Array]
    verdict: Verdict
    test: Data


class _Finished:
    """Which quantity of which run stopped being finite at which step."""

    def __init__(self, runs: int) -> None:
        self.first = {name: np.full(runs, -1) for name in ("loss", "gradient", "parameters")}

    def note(self, name: str, step: int, finite: Array) -> None:
        first = self.first[name]
        first[(first < 0) & ~finite] = step


def descend(problem: DescentProblem) -> Record:
    """Run every policy from every start. Raises CannotRun where a start cannot be drawn."""
    return _Descent(problem).run()


class _Descent:
    """The loop, with what stays the same from step to step."""

    def __init__(self, problem: DescentProblem) -> None:
        self.problem = problem
        self.kind = PRECISIONS[problem.dtype].carrier
        self.starts = [problem.start.draw(place, seed) for place, seed in enumerate(problem.seeds)]
        stacked = {name: np.stack([one[name] for one in self.starts]) for name in self.starts[0]}
        self.layout = Layout({name: values.shape[1:] for name, values in stacked.items()})
        rows = self.layout.flat(stacked)
        with np.errstate(over="ignore", under="ignore"):
            self.theta = np.tile(rows, (len(problem.policies), 1)).astype(self.kind)
        self.cut = self._cut()

    def _cut(self) -> Array | None:
        """The threshold of every run whose state gradients are cut, infinity for the others; None where none is."""
        policies = self.problem.policies.values()
        limits = [policy.threshold if policy.kind == "per_step" else np.inf for policy in policies]
        if np.isinf(limits).all():
            return None
        return np.repeat(np.array(limits, dtype=self.kind), len(self.problem.seeds))

    def run(self) -> Record:
        problem, network = self.problem, self.problem.network
        K, R = problem.steps, problem.runs
        loss, gradient_norm, parameter_norm = (np.full((K + 1, R), np.nan) for _ in range(3))
        after = np.full((K + 1, R), np.nan)
        clipped = np.zeros((K + 1, R), dtype=bool)
        measured = thinned_evenly(np.arange(K), problem.curvature_points)
        curvature = np.full((len(measured), R), np.nan)
        optimizer = OPTIMIZERS[problem.optimizer["kind"]](
            **{name: value for name, value in problem.optimizer.items() if name != "kind"}
        )
        finished = _Finished(R)
        initial = self._copied()
        batches = self._batches()
        data = next(batches)
        with np.errstate(all="ignore"):
            for k in range(K + 1):
                losses, gradients, were_cut = network.gradients(self.layout.views(self.theta), data, self.cut)
                flat = self.layout.flat(gradients)
                alive = finished.first["parameters"] < 0
                finished.note("loss", k, np.isfinite(losses) | ~alive)
                finished.note("gradient", k, np.isfinite(flat).all(axis=1) | ~alive)
                loss[k] = np.where(alive, losses, np.nan)
                gradient_norm[k] = _log_norms(flat, alive)
                parameter_norm[k] = _log_norms(self.theta, alive)
                if not problem.fresh:
                    after[k] = loss[k]
                if k == K:
                    break
                reduced, stepped_in = self._clip(gradients)
                clipped[k] = (stepped_in | were_cut) & alive
                before = self.theta
                self.theta = before + optimizer.update(reduced)
                place = np.searchsorted(measured, k)
                if place < len(measured) and measured[place] == k:
                    step = self.theta.astype(np.float64) - before
                    curvature[place] = curvature_along(network, self.layout, before, data, step)
                if problem.fresh:
                    after[k + 1] = network.losses(self.layout.views(self.theta), data)
                    data = next(batches)
                finished.note("parameters", k + 1, np.isfinite(self.theta).all(axis=1))
                self._freeze(finished.first["parameters"] == k + 1)
            test = self._unseen() if problem.task.is_drawn else data
            outputs = network.outputs(self.layout.views(self.theta), test)
            verdict = problem.task.judge(outputs, test.targets)
        lost = progress_lost(loss, after)
        return Record(
            np.where(np.isfinite(loss), loss, np.nan), after, gradient_norm, parameter_norm, clipped, lost,
            rises(loss, after), measured, curvature, finished.first, initial, self._copied(), verdict, test,
        )  # fmt: skip

    def _copied(self) -> dict[str, Array]:
        return self.layout.views(self.theta.astype(np.float64))

    def _freeze(self, runs: Array) -> None:
        """NaN everywhere in a run that left the numbers somewhere: nothing it does from here on means anything."""
        self.theta[runs] = np.nan

    def _clip(self, gradients: dict[str, Array]) -> tuple[Array, Array]:
        """What each policy makes of the gradients of its runs, (R, n), and whether it stepped in, (R,)."""
        problem, seeds = self.problem, len(self.problem.seeds)
        rows, stepped_in = [], []
        for place, policy in enumerate(problem.policies.values()):
            own = slice(place * seeds, (place + 1) * seeds)
            after, triggered = clip_runs(policy, {n: g[own] for n, g in gradients.items()}, problem.dtype)
            rows.append(self.layout.flat(after))
            stepped_in.append(triggered)
        return np.concatenate(rows), np.concatenate(stepped_in)

    def _batches(self) -> Iterator[Data]:
        """The sequences of every step; the same ones again and again unless fresh ones are asked for."""
        generators = self._generators("train")
        data = self._drawn(generators, self.problem.batch)
        while True:
            yield data
            if self.problem.fresh:
                data = self._drawn(generators, self.problem.batch)

    def _unseen(self) -> Data:
        return self._drawn(self._generators("test"), self.problem.test_batch)

    def _generators(self, role: str) -> list[np.random.Generator]:
        return [np.random.default_rng(derive_seed(seed, role)) for seed in self.problem.seeds]

    def _drawn(self, generators: list[np.random.Generator], batch: int) -> Data:
        task = self.problem.task
        drawn = zip(generators, self.starts, strict=True)
        return self._data([task.draw(generator, batch, start) for generator, start in drawn])

    def _data(self, batches: list[Batch]) -> Data:
        """One batch a seed as data of all runs, in the precision of the descent."""
        inputs = [batch.inputs for batch in batches if batch.inputs is not None]
        initial = [batch.initial for batch in batches if batch.initial is not None]
        data = Data(
            self.problem.task.length,
            np.stack(inputs, axis=1) if inputs else None,
            np.stack(initial) if initial else None,
            np.stack([batch.targets for batch in batches]),
        )
        return data.cast(self.kind).repeated(len(self.problem.policies))


def _log_norms(rows: Array, alive: Array) -> Array:
    """ln of the norm of each row in float64, whatever its precision; NaN where an entry is not finite."""
    finite = np.isfinite(rows).all(axis=1) & alive
    return np.where(finite, log_norms(np.where(finite[:, None], rows, 0.0).astype(np.float64)), np.nan)
