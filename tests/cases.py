"""The tables that property tests run over: a cell, an activation or a loss is tested by being listed here.

Everything is small, seeded and spelled out, so that a failing case can be rebuilt by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.drives import GaussianInputs, GaussianState
from gradhorizon_service.worker.losses import CotangentLoss, CrossEntropyLoss, Loss, SquaredErrorLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem
from gradhorizon_service.worker.products.companion import Companion
from gradhorizon_service.worker.sources import MatrixSource

Array = np.ndarray[Any, np.dtype[Any]]

DEPTH = 6
BATCH = 3
SIZE = 4
WIDTH = 2


# -- activations ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ActivationCase:
    """An activation by its name in a request, with parameters away from their defaults where it has any."""

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    is_kinked: bool = False


ACTIVATIONS: Mapping[str, ActivationCase] = {
    "identity": ActivationCase("identity"),
    "tanh": ActivationCase("tanh"),
    "sigmoid": ActivationCase("sigmoid"),
    "relu": ActivationCase("relu", is_kinked=True),
    "leaky_relu": ActivationCase("leaky_relu", is_kinked=True),
    "leaky_relu 0.3": ActivationCase("leaky_relu", {"negative_slope": 0.3}, is_kinked=True),
    "hard_tanh": ActivationCase("hard_tanh", is_kinked=True),
    "softplus": ActivationCase("softplus"),
    "softplus beta 2": ActivationCase("softplus", {"beta": 2.0}),
    "softsign": ActivationCase("softsign"),
    "elu": ActivationCase("elu"),
    "elu alpha 1.7": ActivationCase("elu", {"alpha": 1.7}, is_kinked=True),
    "selu": ActivationCase("selu", is_kinked=True),
    "silu": ActivationCase("silu"),
    "gelu": ActivationCase("gelu"),
    "erf": ActivationCase("erf"),
    "sin": ActivationCase("sin"),
}


# -- cells ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class CellCase:
    """A network: its cell's name, its parameters as plain arrays by their names in a request, and its sizes.

    `layers` and `biases` of a feed-forward network are lists of arrays. `width` is the number of inputs a step, None
    for an undriven network; `size` counts the entries of s_0, `outputs` those of h_T. `is_trained` says that its
    arrays are parameters with gradients.
    """

    cell: str
    parameters: Mapping[str, Any]
    depth: int = DEPTH
    width: int | None = None
    size: int = SIZE
    outputs: int = SIZE
    is_trained: bool = True

    def network(self, **changed: Any) -> NetworkSpec:
        """The network, with some parameters replaced."""
        return NetworkSpec(self.cell, {k: as_source(k, v) for k, v in {**self.parameters, **changed}.items()})


_MATRICES = ("weights", "input_weights", "skip_weights", "projection")


def as_source(name: str, value: Any) -> Any:
    """A parameter as the analysis hands it over: matrices are sources."""
    if name == "layers":
        return [MatrixSource(matrix) for matrix in value]
    return MatrixSource(value) if name in _MATRICES and isinstance(value, np.ndarray) else value


def _entries(seed: int, *shape: int, scale: float = 1.0) -> Array:
    return scale * np.random.default_rng(seed).standard_normal(shape)


def _matrix(seed: int, size: int = SIZE) -> Array:
    """Gaussian, spectral radius about one."""
    return _entries(seed, size, size, scale=size**-0.5)


def _rnn(activation: ActivationCase, **more: Any) -> CellCase:
    parameters = {
        "weights": _matrix(1),
        "input_weights": _entries(2, SIZE, WIDTH),
        "bias": _entries(3, SIZE, scale=0.5),
        "activation": activation.name,
        **activation.parameters,
    }
    return CellCase("rnn", {**parameters, **more}, width=WIDTH)


def _leaky(activation: str, **more: Any) -> CellCase:
    parameters = {"weights": _matrix(1), "leak_rate": 0.3, "activation": activation, **_DRIVE}
    return CellCase("leaky", {**parameters, **more}, width=WIDTH)


def _residual(activation: str, scale: float) -> CellCase:
    parameters = {"weights": _matrix(1), "scale": scale, "activation": activation, **_DRIVE}
    return CellCase("residual", parameters, width=WIDTH)


def _skip(activation: str, delay: int, combine: str, **more: Any) -> CellCase:
    parameters = {
        "weights": _matrix(1),
        "skip_weights": _matrix(9),
        "delay": delay,
        "combine": combine,
        "activation": activation,
        **_DRIVE,
    }
    return CellCase("skip", {**parameters, **more}, width=WIDTH, size=delay * SIZE)


def _echo_state(activation: str, **more: Any) -> CellCase:
    parameters = {"weights": _matrix(1), "activation": activation, **_DRIVE}
    return CellCase("echo_state", {**parameters, **more}, width=WIDTH, is_trained=False)


def _feedforward(
    activation: ActivationCase, widths: tuple[int, ...], *, residual: bool, biased: bool
) -> CellCase:
    shapes = list(zip(widths[1:], widths, strict=False))
    parameters: dict[str, Any] = {
        "layers": [_entries(10 + t, *shape, scale=shape[1] ** -0.5) for t, shape in enumerate(shapes)],
        "activation": activation.name,
        "residual": residual,
        **activation.parameters,
    }
    if biased:
        parameters["biases"] = [_entries(30 + t, rows, scale=0.5) for t, (rows, _) in enumerate(shapes)]
    return CellCase("feedforward", parameters, depth=len(shapes), size=widths[0], outputs=widths[-1])


_HIDDEN = 3


def _gated(cell: str, **more: Any) -> CellCase:
    """A driven LSTM or GRU of three units, with both biases unless one is given."""
    rows = _HIDDEN * {"lstm": 4, "gru": 3}[cell]
    parameters = {
        "weights": _entries(20, rows, _HIDDEN),
        "input_weights": _entries(21, rows, WIDTH),
        "input_bias": _entries(22, rows, scale=0.5),
        "recurrent_bias": _entries(23, rows, scale=0.5),
        **more,
    }
    if "bias" in more:
        parameters = {k: v for k, v in parameters.items() if k not in ("input_bias", "recurrent_bias")}
    outputs = parameters["weights"].shape[1]
    size = outputs + _HIDDEN if cell == "lstm" else outputs
    return CellCase(cell, parameters, width=WIDTH, size=size, outputs=outputs)


def _undriven(cell: str) -> CellCase:
    case = _gated(cell)
    return replace(case, parameters={"weights": case.parameters["weights"]}, width=None)


_PROJECTED = {
    "weights": _entries(24, 4 * _HIDDEN, 2),
    "projection": _entries(25, 2, _HIDDEN),
}
_PEEPHOLES = {"peepholes": _entries(26, 3, _HIDDEN)}

_GATED: Mapping[str, CellCase] = {
    "lstm": _gated("lstm"),
    "lstm undriven": _undriven("lstm"),
    "lstm one bias": _gated("lstm", bias=_entries(27, 4 * _HIDDEN)),
    "lstm projection": _gated("lstm", **_PROJECTED),
    "lstm peepholes": _gated("lstm", **_PEEPHOLES),
    "lstm projection and peepholes": _gated("lstm", **_PROJECTED, **_PEEPHOLES),
    "lstm other activations": _gated("lstm", activation="softsign", gate_activation="hard_tanh"),
    "lstm relu": _gated("lstm", activation="leaky_relu", negative_slope=0.3, gate_activation="erf"),
    **{
        f"gru {reset} {update}": _gated("gru", reset=reset, update=update)
        for reset in ("after", "before")
        for update in ("keep", "replace")
    },
    "gru undriven": _undriven("gru"),
    "gru one bias": _gated("gru", bias=_entries(28, 3 * _HIDDEN)),
    "gru before, one bias": _gated("gru", reset="before", bias=_entries(28, 3 * _HIDDEN)),
    "gru other activations": _gated("gru", activation="softplus", beta=2.0, gate_activation="softsign"),
    "gru before, other activations": _gated(
        "gru", reset="before", activation="softsign", gate_activation="erf"
    ),
}

_SPECTRUM = BlockDiagonal(np.array([0.9, 0.6 + 0.7j, -1.1]))
_DRIVE = {"input_weights": _entries(2, SIZE, WIDTH), "bias": _entries(3, SIZE, scale=0.5)}
_PAIR = {"input_bias": _entries(4, SIZE), "recurrent_bias": _entries(5, SIZE)}
_TANH = ACTIVATIONS["tanh"]

_MODES: Mapping[str, Mapping[str, Any]] = {
    "eigenvalues": {"eigenvalues": np.array([0.9, 0.6 + 0.7j, -1.1])},
    "s4d": {
        "s4d": {
            "A": np.array([-0.5, -0.3 + 2j, 0.1]),
            "step": np.array([0.2, 0.5, 1.5]),
            "discretization": "zoh",
        }
    },
    "s4d bilinear": {
        "s4d": {"A": np.array([-0.5 + 3j, 0.2 - 1j]), "step": np.array(0.3), "discretization": "bilinear"}
    },
    "lru": {"lru": {"nu": np.array([0.1, -0.2]), "theta": np.array([0.0, 2.5])}},
    "lru logs": {"lru": {"nu_log": np.array([-2.0, 0.3]), "theta_log": np.array([0.5, -1.0])}},
    "decays": {"decays": _entries(7, DEPTH, SIZE)},
    "decays of each sequence": {"decays": _entries(8, BATCH, DEPTH, SIZE)},
}
"""What a diagonal recurrence may be given, of four coordinates each."""

CELLS: Mapping[str, CellCase] = {
    "linear": CellCase("linear", {"weights": _matrix(1)}),
    "linear driven": CellCase("linear", {"weights": _matrix(1), **_DRIVE}, width=WIDTH),
    "linear diagonal": CellCase("linear", {"weights": _SPECTRUM}),
    "linear diagonal driven": CellCase("linear", {"weights": _SPECTRUM, **_DRIVE}, width=WIDTH),
    "linear diagonal biased": CellCase("linear", {"weights": _SPECTRUM, "bias": np.array(0.3)}),
    **{f"diagonal {name}": CellCase("diagonal", modes) for name, modes in _MODES.items()},
    **{
        f"diagonal {name} driven": CellCase("diagonal", {**modes, **_DRIVE}, width=WIDTH)
        for name, modes in _MODES.items()
    },
    "diagonal decays biased": CellCase("diagonal", {**_MODES["decays"], "bias": np.array(0.3)}),
    "rnn undriven": CellCase("rnn", {"weights": _matrix(1)}),
    "rnn pair of biases": CellCase(
        "rnn", {"weights": _matrix(1), "input_weights": _entries(2, SIZE, WIDTH), **_PAIR}, width=WIDTH
    ),
    "leaky undriven": CellCase("leaky", {"weights": _matrix(1), "leak_rate": 0.3}),
    "leaky tanh": _leaky("tanh"),
    "leaky relu": _leaky("relu"),
    "leaky sigmoid, nothing kept": _leaky("sigmoid", leak_rate=1.0),
    "leaky softplus": _leaky("softplus", beta=2.0),
    "leaky identity": _leaky("identity"),
    "leaky identity undriven": CellCase(
        "leaky", {"weights": _matrix(1), "leak_rate": 0.3, "activation": "identity"}
    ),
    "residual tanh": _residual("tanh", 1.0),
    "residual relu": _residual("relu", -0.5),
    "residual gelu": _residual("gelu", 0.1),
    "residual identity": _residual("identity", 0.2),
    "skip tanh": _skip("tanh", 3, "inside"),
    "skip tanh outside": _skip("tanh", 3, "outside"),
    "skip relu": _skip("relu", 2, "inside"),
    "skip relu outside": _skip("relu", 2, "outside"),
    "skip sigmoid longer than the depth": _skip("sigmoid", DEPTH + 1, "inside"),
    "skip identity": _skip("identity", 2, "inside"),
    "skip identity outside": _skip("identity", 3, "outside"),
    "skip pair of biases": _skip("elu", 2, "outside", bias=None, **_PAIR),
    "echo_state tanh": _echo_state("tanh", spectral_radius=0.8, leak_rate=0.5),
    "echo_state relu as it is": _echo_state("relu"),
    "echo_state identity": _echo_state("identity", spectral_radius=1.1, leak_rate=0.2),
    "feedforward residual": _feedforward(_TANH, (4, 4, 3, 3, 4), residual=True, biased=False),
    "jacobians": CellCase("jacobians", {"values": _entries(6, DEPTH, SIZE, SIZE, scale=0.5)}),
    **_GATED,
    **{f"rnn {name}": _rnn(activation) for name, activation in ACTIVATIONS.items()},
    **{
        f"feedforward {name}": _feedforward(activation, (3, 5, 2, 4, 4), residual=False, biased=True)
        for name, activation in ACTIVATIONS.items()
    },
}

SATURATED: Mapping[str, CellCase] = {
    name: _rnn(
        ACTIVATIONS[name], weights=3.0 * _matrix(1), input_weights=_entries(2, SIZE, WIDTH, scale=12.0)
    )
    for name in ("tanh", "sigmoid", "softplus", "softsign", "elu", "silu", "gelu", "erf")
}
"""Pre-activations up to about 30, where 1 - tanh(a)^2 has not one digit left."""


GATED_SATURATED: Mapping[str, CellCase] = {
    name: replace(
        CELLS[name],
        parameters={
            **CELLS[name].parameters,
            "input_weights": _entries(29, rows * _HIDDEN, WIDTH, scale=12.0),
        },
    )
    for name, rows in {
        "lstm": 4,
        "lstm projection and peepholes": 4,
        "gru after keep": 3,
        "gru after replace": 3,
        "gru before keep": 3,
        "gru before replace": 3,
    }.items()
}
"""Gates whose pre-activations reach about 30, open and closed."""


# -- losses --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LossCase:
    """A loss, from the number of outputs, the batch and the depth; `needs_states` says that only networks with states
    have it.
    """

    build: Callable[[int, int, int], Loss]
    every_step: bool = False
    needs_states: bool = True


def _cotangent(outputs: int, batch: int, depth: int) -> Loss:
    return CotangentLoss(_entries(40, batch, outputs))


def _cross_entropy(outputs: int, batch: int, depth: int) -> Loss:
    targets = np.random.default_rng(41).integers(0, 3, batch)
    return CrossEntropyLoss(_entries(42, 3, outputs), _entries(43, 3), targets)


def _cross_entropy_by_step(outputs: int, batch: int, depth: int) -> Loss:
    targets = np.random.default_rng(41).integers(0, 3, (batch, depth))
    return CrossEntropyLoss(_entries(42, 3, outputs), None, targets)


def _mean_squared_error(outputs: int, batch: int, depth: int) -> Loss:
    return SquaredErrorLoss(_entries(44, batch, outputs), None, None, "mean")


def _half_sum_readout(outputs: int, batch: int, depth: int) -> Loss:
    return SquaredErrorLoss(_entries(45, 2), _entries(46, 2, outputs), _entries(47, 2), "half_sum")


def _squared_error_by_step(outputs: int, batch: int, depth: int) -> Loss:
    return SquaredErrorLoss(_entries(48, batch, depth, 2), _entries(46, 2, outputs), None, "mean")


LOSSES: Mapping[str, LossCase] = {
    "cotangent": LossCase(_cotangent, needs_states=False),
    "cotangent at every step": LossCase(_cotangent, every_step=True, needs_states=False),
    "cross_entropy": LossCase(_cross_entropy),
    "cross_entropy at every step": LossCase(_cross_entropy_by_step, every_step=True),
    "squared_error mean": LossCase(_mean_squared_error),
    "squared_error half_sum": LossCase(_half_sum_readout),
    "squared_error half_sum at every step": LossCase(_half_sum_readout, every_step=True),
    "squared_error mean at every step": LossCase(_squared_error_by_step, every_step=True),
}


def pairs() -> Mapping[str, tuple[CellCase, LossCase]]:
    """Every cell with every loss it can have."""
    return {
        f"{cell_name} / {loss_name}": (cell, loss)
        for cell_name, cell in CELLS.items()
        for loss_name, loss in LOSSES.items()
        if not (cell.cell == "jacobians" and loss.needs_states)
        and not (cell.cell == "feedforward" and loss.every_step)
    }


# -- problems ------------------------------------------------------------------------------------------------------


def problem(network: NetworkSpec, depth: int, **changed: Any) -> Problem:
    """One sequence from a zero state, a cotangent of ones and no diagnostics, but for what is named."""
    defaults: dict[str, Any] = {
        "network": network,
        "depth": depth,
        "burn_in": 0,
        "inputs": None,
        "initial_state": None,
        "batch": 1,
        "loss": CotangentLoss(np.array(1.0)),
        "every_step": False,
        "truncate": None,
        "clipping": None,
        "dtype": "float64",
        "diagnostics": (),
        "leading": None,
        "include": frozenset(),
        "horizon_level": 0.001,
        "tolerance_decades": 3.0,
        "max_points": 256,
        "lags": None,
        "seed": 0,
    }
    assert set(changed) <= set(defaults)
    return Problem(**{**defaults, **changed})


def problem_of(cell: CellCase, loss: LossCase = LOSSES["cotangent"], **changed: Any) -> Problem:
    """The problem of a cell with a loss: Gaussian inputs where it has any, and a Gaussian initial state."""
    inputs = None if cell.width is None else GaussianInputs(1.0, BATCH, cell.width, seed=7)
    built = problem(
        cell.network(),
        cell.depth,
        inputs=inputs,
        initial_state=None if cell.cell == "jacobians" else GaussianState(1.0, seed=8),
        batch=BATCH,
        loss=loss.build(cell.outputs, BATCH, cell.depth),
        every_step=loss.every_step,
    )
    return replace(built, **changed)


def linear(weights: Array, depth: int, **changed: Any) -> Problem:
    """An undriven linear recurrence."""
    return problem(CellCase("linear", {"weights": weights}).network(), depth, **changed)


def delayed_relu(seed: int, size: int, steps: int) -> Companion:
    """The Jacobians of h_t = relu(W h_{t-1} + V h_{t-3}), some of whose units are always off and some at times."""
    rng = np.random.default_rng(seed)
    matrix, delayed = (gain * rng.standard_normal((size, size)) / size**0.5 for gain in (1.2, 0.6))
    states = [np.zeros(size), np.zeros(size), rng.standard_normal(size)]
    for _ in range(steps):
        states.append(np.maximum(matrix @ states[-1] + delayed @ states[-3], 0.0))
    slopes = (np.array(states[3:]) > 0.0).astype(float)
    return Companion(matrix, delayed, slopes[:, None], 3, inside=True)
