"""What a diagnosis will cost, before it is run: seconds and bytes from sizes, calibrated on this machine.

An estimate, good to a factor of a few: it decides between answering at once, in a worker process, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from gradhorizon_service.worker.diagnostics.remedies import MOST_STEPS
from gradhorizon_service.worker.memory_capacity import MemoryTask
from gradhorizon_service.worker.problem import Problem
from gradhorizon_service.worker.products.shallow_powers import is_shallow
from gradhorizon_service.worker.runs import is_better_stepped, is_undriven_linear

from .shapes import NetworkShape


@dataclass(frozen=True)
class Costs:
    """Seconds per floating-point operation of a matrix product, and per NumPy call on small arrays."""

    per_flop: float = 5e-11
    per_call: float = 1.5e-6

    @classmethod
    def measure(cls) -> Costs:
        """Time matrix products of 256 x 256 and calls on small arrays; about 50 ms."""
        matrix = np.random.default_rng(0).standard_normal((256, 256))
        small = np.ones(8)
        product = _best(lambda: matrix @ matrix, 8)
        call = _best(lambda: [small * small for _ in range(100)], 20) / 100
        return cls(per_flop=product / (2 * 256**3), per_call=2.5 * call)


@dataclass(frozen=True)
class Sizes:
    """What a cost depends on: steps T, state N, sequences B, and how many of them have Jacobians of their own.

    `stepped`: states and gradients go step by step; `shallow`: all powers are kept; `repeated`: every step has the
    same Jacobian, so that transport goes by powers. `weights` are the entries of the recurrent weights of all `gates`.
    With a `delay` the state holds as many earlier ones, and Jacobians multiply by a block of each.
    """

    steps: int
    size: int
    batch: int
    own_jacobians: int
    stepped: bool
    shallow: bool
    repeated: bool
    gates: int = 0
    weights: int = 0
    delay: int = 1

    @property
    def unit_flops(self) -> float:
        """What the gates of all units cost each step besides their products: exponentials, and passes over memory."""
        return 2500.0 * self.size * self.batch if self.gates else 0.0


@dataclass(frozen=True)
class Estimate:
    """Seconds in all and by diagnostic, and bytes at the peak."""

    seconds: float
    by_diagnostic: Mapping[str, float]
    memory_bytes: float

    @property
    def dearest(self) -> str:
        """The diagnostic that costs most."""
        return max(self.by_diagnostic, key=lambda name: self.by_diagnostic[name])


def _best(function: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        times.append(perf_counter() - start)
    return min(times)


def sizes_of(problem: Problem, size: int, driven: bool) -> Sizes:
    """Sizes of a problem whose largest state has `size` entries; `driven`: inputs or biases push the state.

    Four gates share a state of h and c between them, so that their weights are as many as those of one square matrix.
    """
    linear = problem.network.is_linear
    plain_loss = not problem.loss.needs_states and not problem.every_step and problem.truncate is None
    stepped = not linear or driven or not plain_loss
    activated = problem.network.parameters.get("activation", "identity") != "identity"
    kind = problem.network.kind
    own = problem.batch if activated or kind.is_gated else 1
    repeated = kind.has_matrix and not activated and not kind.is_gated
    steps = problem.depth + problem.burn_in
    shallow = not stepped and is_shallow(size, problem.depth)
    stepped = stepped or is_better_stepped(size, problem.depth, problem.batch)
    gates = len(kind.gates)
    delay = problem.network.parameters.get("delay", 1)
    matrices = 2 if delay > 1 else 1 if problem.network.cell == "lstm" else max(gates, 1)
    weights = matrices * (size // delay) ** 2
    return Sizes(steps, size, problem.batch, own, stepped, shallow, repeated, gates, weights, delay)


def estimate(problem: Problem, sizes: Sizes, costs: Costs) -> Estimate:
    """Add up the parts; the verdict needs one product of Jacobians whatever is asked for."""
    parts = {name: _COSTS[name](sizes, costs) for name in problem.diagnostics}
    window = 1 if problem.truncate is None else min(problem.truncate + 1, problem.depth)
    parts["run"] = _run(sizes, costs, window) + _product(sizes, costs)
    return Estimate(sum(parts.values()), parts, _memory(sizes, window))


def diagonal_estimate(problem: Problem, shape: NetworkShape, costs: Costs) -> Estimate:
    """Of a recurrence without a matrix: closed forms cost a few operations a mode and reported lag.

    Driven ones, and losses that need every state, are stepped mode by mode; decays of every step are gone through at
    least a few times.
    """
    stepped = not is_undriven_linear(problem)
    changing = problem.network.parameters.get("decays")
    steps = problem.depth + problem.burn_in
    window = 1 if problem.truncate is None else min(problem.truncate + 1, problem.depth)
    numbers = float(problem.batch * shape.state_size)
    if stepped:
        seconds = steps * (1 + window) * (numbers * 1000 * costs.per_flop + 25 * costs.per_call)
        memory = numbers * (steps * 8.0 + window * 4.0)
    else:
        rows = 4096 if changing is None else steps
        seconds = rows * numbers * 200 * costs.per_flop + 20_000 * costs.per_call
        memory = numbers * 64.0 + 4.0 * rows * problem.batch
    if changing is not None:
        seconds += changing.size * 4000 * costs.per_flop
        memory += changing.size * 12.0
    memory += 2.0 * shape.state_size * (shape.input_width or 0)
    parts = {"run": seconds}
    if "remedies" in problem.diagnostics:
        parts["remedies"] = 40.0 * seconds
    return Estimate(sum(parts.values()), parts, 8.0 * memory)


def _run(sizes: Sizes, costs: Costs, window: int) -> float:
    """Forward and backward vector products, or squarings where the recurrence is linear and undriven."""
    vectors = 2.0 * sizes.weights * sizes.batch
    if sizes.stepped:
        flops, calls = (1 + window) * vectors + sizes.unit_flops, 20 if sizes.gates else 8
        return sizes.steps * (flops * costs.per_flop + calls * costs.per_call)
    if sizes.shallow:
        return 4.0 * sizes.steps * sizes.size**3 * costs.per_flop + 500 * costs.per_call
    return (
        _squarings(sizes) * (2.0 * sizes.size**3 + 512 * sizes.size**2) * costs.per_flop
        + 3000 * costs.per_call
    )


def _product(sizes: Sizes, costs: Costs) -> float:
    """The partial products behind the verdict, and the norms of the largest of them."""
    if sizes.gates:
        flops = sizes.own_jacobians * (2.5 * sizes.size**3 + 300.0 * sizes.size**2)
        return sizes.steps * (flops * costs.per_flop + 130 * costs.per_call)
    if not sizes.repeated:
        if sizes.delay > 1:
            flops = 4.0 * sizes.size**3 / sizes.delay + 400.0 * sizes.size**2
        else:
            flops = 6.0 * sizes.size**3 + 800.0 * sizes.size**2
        return sizes.steps * (sizes.own_jacobians * flops * costs.per_flop + 55 * costs.per_call)
    if sizes.shallow:
        return 40 * costs.per_call
    return 30.0 * _squarings(sizes) * sizes.size**3 * costs.per_flop + 15_000 * costs.per_call


def _squarings(sizes: Sizes) -> float:
    return float(np.log2(max(sizes.steps, 2)))


def _matrix(sizes: Sizes, costs: Costs) -> float:
    """Eigenvalues, norms, numerical radius, resolvents: some hundred matrix products' worth."""
    return (300.0 * sizes.size**3 + 5e4 * sizes.size**2) * costs.per_flop + 3500 * costs.per_call


def _singular_values(sizes: Sizes, costs: Costs) -> float:
    """Sweeps of triangular factorisations and a Jacobi iteration; by squaring, about 300 products in all."""
    if not sizes.repeated:
        cubic, square = (4.0, 1000.0) if sizes.delay > 1 else (14.0, 2000.0)
        flops = sizes.own_jacobians * (cubic * sizes.size**3 + square * sizes.size**2)
        return sizes.steps * (flops * costs.per_flop + 32 * costs.per_call) + 2000 * costs.per_call
    return 500.0 * sizes.size**3 * costs.per_flop + 3000 * costs.per_call


def _lyapunov(sizes: Sizes, costs: Costs) -> float:
    if not sizes.repeated:
        cubic, square = (1.5, 300.0) if sizes.delay > 1 else (4.0, 1200.0)
        flops = sizes.own_jacobians * (cubic * sizes.size**3 + square * sizes.size**2)
        return sizes.steps * (flops * costs.per_flop + (10 + 3 * sizes.own_jacobians) * costs.per_call)
    return 150.0 * sizes.size**3 * costs.per_flop + 1500 * costs.per_call


def _echo_state(sizes: Sizes, costs: Costs) -> float:
    """A reservoir driven for its memory capacity, the readouts, one exponent, and the eigenvalues and norm of W."""
    task = MemoryTask.of(sizes.size)
    steps, samples = task.washout + task.steps, task.steps * task.sequences
    driven = steps * (2.0 * task.sequences * sizes.size**2 * costs.per_flop + 5 * costs.per_call)
    readouts = samples * sizes.size * (sizes.size + 2.0 * task.delays) + sizes.size**3
    exponent = sizes.steps * (8.0 * sizes.own_jacobians * sizes.size**2 * costs.per_flop + 5 * costs.per_call)
    return driven + (readouts + 50.0 * sizes.size**3) * costs.per_flop + exponent + 1000 * costs.per_call


def _parameter_gradient(sizes: Sizes, costs: Costs) -> float:
    if sizes.stepped:
        outer = sizes.batch * (2.0 * sizes.weights + 2.0 * sizes.batch * sizes.size)
        calls = 1500 + (10 * sizes.steps if sizes.gates else 0)
        return sizes.steps * (outer + sizes.unit_flops) * costs.per_flop + calls * costs.per_call
    flops = _squarings(sizes) * (16.0 * sizes.size**3 + 4096.0 * sizes.size**2)
    return flops * costs.per_flop + 2000 * costs.per_call


def _series(sizes: Sizes, costs: Costs) -> float:
    return sizes.steps * costs.per_call if sizes.stepped else (50 if sizes.shallow else 3000) * costs.per_call


def _mean_field(sizes: Sizes, costs: Costs) -> float:
    """Some hundred integrals over the activation, whatever the network's size; the identity needs none."""
    return (100 if sizes.repeated else 30_000) * costs.per_call


def _remedies(sizes: Sizes, costs: Costs) -> float:
    """Some sixty runs without a product of Jacobians: searches of ten, and gated networks of four times the work.

    Up to MOST_STEPS most of them are stepped, whatever the network itself is.
    """
    tried = replace(sizes, stepped=sizes.stepped or sizes.steps <= MOST_STEPS)
    return 90.0 * _run(tried, costs, 1)


def _saturation(sizes: Sizes, costs: Costs) -> float:
    """Pre-activations once more, their slopes, and order statistics of all of them."""
    numbers = float(sizes.steps * sizes.batch * sizes.size)
    return numbers * (2.0 * sizes.size + 2500.0) * costs.per_flop + 600 * costs.per_call


def _precision(sizes: Sizes, costs: Costs) -> float:
    """Two searches over all lags: powers by squaring, their norms, a Schur form for every set of modes that fades."""
    if sizes.stepped or sizes.shallow:
        return sizes.steps * 0.1 * costs.per_call + 400 * costs.per_call
    return 1200.0 * sizes.size**3 * costs.per_flop + 20_000 * costs.per_call


_COSTS: Mapping[str, Callable[[Sizes, Costs], float]] = {
    "spectrum": _matrix,
    "modes": _matrix,
    "nonnormality": _matrix,
    "state_norms": _series,
    "gradient_norms": _series,
    "parameter_gradient": _parameter_gradient,
    "singular_values": _singular_values,
    "lyapunov": _lyapunov,
    "mean_field": _mean_field,
    "saturation": _saturation,
    "precision": _precision,
    "clipping": _parameter_gradient,
    "echo_state": _echo_state,
    "remedies": _remedies,
}


def _memory(sizes: Sizes, window: int) -> float:
    matrices = 40.0 * sizes.size**2 * max(1, sizes.own_jacobians)
    if not sizes.stepped:
        return 8.0 * (2 * matrices + 8192.0 * sizes.size)
    return 8.0 * (
        matrices
        + sizes.steps * sizes.batch * sizes.size * (14.0 if sizes.gates else 8.0)
        + window * sizes.batch * sizes.size * 4.0
    )
