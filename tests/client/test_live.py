"""Both clients against a live service: what travels, what comes back, and that no wire makes a difference."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gradhorizon
from gradhorizon import AsyncClient, Client

RNG = np.random.default_rng(0)
LARGE = RNG.standard_normal((80, 80)) / 9
SMALL = [[0.9, 0.2], [0.0, 1.1]]

REQUESTS: dict[str, dict[str, Any]] = {
    "contract's example": {
        "network": {
            "cell": "rnn",
            "activation": "tanh",
            "weights": {"source": "matrix", "values": SMALL},
            "input_weights": {
                "source": "ensemble",
                "family": "gaussian",
                "shape": [2, 1],
                "gain": 1.0,
                "seed": 1,
            },
            "bias": [0.0, 0.0],
        },
        "depth": 100,
        "inputs": {"kind": "gaussian", "std": 1.0, "batch": 16, "seed": 0},
        "initial_state": {"kind": "zeros"},
        "loss": {"kind": "cotangent", "values": [1.0, 0.0]},
        "clipping": {"kind": "norm", "threshold": 1.0},
        "dtype": "float32",
        "diagnostics": ["gradient_norms", "singular_values", "spectrum", "clipping"],
        "lags": [0, 1, 10, 100],
    },
    "every diagnostic of a linear cell": {
        "network": {"cell": "linear", "weights": SMALL},
        "depth": 1000,
        "clipping": {"kind": "value", "threshold": 0.1},
    },
    "large arrays of several types": {
        "network": {
            "cell": "rnn",
            "weights": LARGE.astype(np.float32),
            "input_weights": LARGE[:, :3],
            "bias": 0.25,
        },
        "depth": 100,
        "inputs": {"kind": "values", "values": RNG.standard_normal((4, 100, 3)).astype(">f8")},
        "diagnostics": ["gradient_norms", "parameter_gradient", "state_norms"],
    },
    "many layers": {
        "network": {"cell": "feedforward", "layers": [LARGE + i for i in range(40)], "activation": "relu"},
        "initial_state": {"kind": "values", "values": LARGE[0]},
        "diagnostics": ["gradient_norms"],
    },
    "layers and lags as arrays": {
        "network": {"cell": "feedforward", "layers": RNG.standard_normal((5, 70, 70))},
        "lags": np.array([0, 2, 5]),
        "diagnostics": ["gradient_norms"],
    },
    "step Jacobians": {
        "network": {"cell": "jacobians", "values": RNG.standard_normal((50, 10, 10))},
        "diagnostics": ["gradient_norms", "singular_values"],
    },
    "complex eigenvalues": {
        "network": {
            "cell": "linear",
            "weights": {
                "source": "spectrum",
                "eigenvalues": np.exp(1j * np.pi * np.array([0.1, -0.1, 0.3, -0.3])),
                "basis": "identity",
            },
        },
        "depth": 10_000,
        "diagnostics": ["gradient_norms"],
    },
    "many complex eigenvalues": {
        "network": {
            "cell": "linear",
            "weights": {
                "source": "spectrum",
                "eigenvalues": np.tile([0.9 + 0.1j, 0.9 - 0.1j], 3000),
                "basis": "identity",
            },
        },
        "depth": 100,
        "diagnostics": ["gradient_norms"],
    },
    "exact zeros": {
        "network": {"cell": "linear", "weights": [[0.0, 1.0], [0.0, 0.0]]},
        "depth": 5,
    },
}

REFUSED: dict[str, dict[str, Any]] = {
    "no network": {"depth": 5},
    "unknown field": {"network": {"cell": "linear", "weights": SMALL, "wieghts": 1}, "depth": 5},
    "unknown cell": {"network": {"cell": "lstn", "weights": SMALL}, "depth": 5},
    "not square": {"network": {"cell": "linear", "weights": [[1.0, 2.0]]}, "depth": 5},
    "ragged": {"network": {"cell": "linear", "weights": [[1.0, 2.0], [3.0]]}, "depth": 5},
    "large and not square": {"network": {"cell": "linear", "weights": LARGE[:, :60]}, "depth": 5},
    "bias of another length": {"network": {"cell": "linear", "weights": LARGE, "bias": [1.0]}, "depth": 5},
    "two faults": {"network": {"cell": "linear", "weights": SMALL}, "depth": -1, "seed": -1},
    "too deep": {"network": {"cell": "linear", "weights": SMALL}, "depth": 10**9},
    "not applicable": {"network": {"cell": "rnn", "weights": SMALL}, "depth": 5, "diagnostics": ["modes"]},
    "no radius to rescale": {
        "network": {
            "cell": "linear",
            "weights": {
                "source": "matrix",
                "values": [[0.0, 1.0], [0.0, 0.0]],
                "rescale": {"to": "spectral_radius", "value": 1.0},
            },
        },
        "depth": 5,
    },
    "reference to nothing": {"network": {"cell": "linear", "weights": {"tensor": "W"}}, "depth": 5},
    "too many loose values": {
        "network": {"cell": "linear", "weights": SMALL},
        "depth": 5,
        "x": [[[1], 2]] * 20_000,
    },
    "nested too deeply": {
        "network": {"cell": "linear", "weights": functools.reduce(lambda inner, _: [inner], range(70), 1.0)},
        "depth": 5,
    },
}


@pytest.fixture(scope="module")
def live(live_url: str) -> Iterator[Client]:
    with Client(live_url) as client:
        yield client


def comparable(report: Any) -> str:
    """Everything but the time it took."""
    return report.model_copy(
        update={"provenance": report.provenance.model_copy(update={"seconds": 0.0})}
    ).to_json()


def differences(here: Any, there: Any, path: str = "") -> list[str]:
    """Paths at which two reports differ in type, dtype or any bit."""
    if type(here) is not type(there):
        return [f"{path}: {type(here)} and {type(there)}"]
    if isinstance(here, np.ndarray):
        same = here.dtype == there.dtype and here.tobytes() == there.tobytes() and here.shape == there.shape
        return [] if same else [f"{path}: {here!r} and {there!r}"]
    if hasattr(here, "model_fields_set"):
        here, there = dict(here), dict(there)
    if isinstance(here, dict):
        assert here.keys() == there.keys()
        return [line for key in here for line in differences(here[key], there[key], f"{path}.{key}")]
    if isinstance(here, list):
        assert len(here) == len(there)
        return [line for i in range(len(here)) for line in differences(here[i], there[i], f"{path}[{i}]")]
    return (
        [] if here == there or path.endswith(".seconds") or here != here else [f"{path}: {here} and {there}"]
    )


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_report_is_the_same_to_the_last_bit_without_a_wire(
    live: Client, here: Client, request_: dict[str, Any]
) -> None:
    assert differences(here.diagnose(request_), live.diagnose(request_)) == []


@pytest.mark.parametrize("request_", REFUSED.values(), ids=REFUSED)
def test_refusal_is_the_same_without_a_wire(live: Client, here: Client, request_: dict[str, Any]) -> None:
    def refusal(client: Client) -> tuple[Any, ...]:
        with pytest.raises(gradhorizon.RequestRefused) as refused:
            client.diagnose(request_)
        error = refused.value
        return type(error), error.code, error.detail, [(e.path, e.message) for e in error.errors], error.limit

    assert refusal(live) == refusal(here)


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": LARGE},
        {"source": SMALL, "include_matrix": True, "depth": 50},
        {"source": {"source": "ensemble", "family": "orthogonal", "size": 8, "seed": 3}, "seed": 4},
    ],
)
def test_spectrum_is_the_same_without_a_wire(live: Client, here: Client, arguments: dict[str, Any]) -> None:
    assert differences(here.spectrum(**arguments), live.spectrum(**arguments)) == []


POLICIES = [
    *(
        {"kind": "norm", "threshold": 1.0, "framework": f}
        for f in ("torch", "optax", "keras", "keras_global")
    ),
    {"kind": "none"},
]
HOLES = np.where(np.arange(5000) % 999 == 7, np.nan, RNG.lognormal(size=5000))

DESCENTS: dict[str, dict[str, Any]] = {
    "cliff": {"task": {"kind": "cliff"}, "policies": POLICIES[:2], "steps": 20},
    "recurrence that leaves float32": {
        "task": {"kind": "recurrence", "weights": 9.0 * np.eye(2), "length": 50},
        "policies": {"none": {"kind": "none"}, "value": {"kind": "value", "threshold": 1e-3}},
        "include": ["parameters", "initial_parameters", "data", "runs"],
        "steps": 6,
        "seeds": 2,
    },
    "a large matrix": {"task": {"kind": "recurrence", "weights": LARGE[:70, :70]}, "seeds": [5], "steps": 2},
    "adding": {
        "task": {"kind": "adding", "length": 6},
        "cell": {"kind": "gru", "hidden_size": 3},
        "optimizer": {"kind": "adam"},
        "include": ["parameters", "data", "runs"],
        "steps": 5,
        "seeds": 2,
        "test_size": 3,
    },
    "refused": {"task": {"kind": "cliff"}, "cell": {"kind": "rnn"}},
    "refused shape": {"task": {"kind": "recurrence", "weights": [[1.0, 2.0]]}},
}


def answer_of(client: Client, request: dict[str, Any]) -> Any:
    try:
        return client.descend(request)
    except gradhorizon.RequestRefused as refused:
        return refused.code, refused.detail


@pytest.mark.parametrize("request_", DESCENTS.values(), ids=DESCENTS)
def test_descents_are_the_same_without_a_wire(live: Client, here: Client, request_: dict[str, Any]) -> None:
    found = answer_of(here, request_), answer_of(live, request_)
    assert found[0] == found[1] if isinstance(found[0], tuple) else differences(*found) == []


CLIPPINGS: dict[str, dict[str, Any]] = {
    "small gradients": {"gradients": {"layers": LARGE[:2, :3], "lags": 0.5}, "include": ["values"]},
    "large gradients": {"gradients": {"a": LARGE, "b": LARGE}, "dtype": "bfloat16"},
    "gradients with holes": {"gradients": {"a": [1.0, np.nan], "b": np.array(np.inf)}, "dtype": "float16"},
    "many gradients with holes": {"gradients": {f"t{i}": np.full(i + 1, np.inf) for i in range(40)}},
    "five axes": {
        "gradients": {"conv": RNG.standard_normal((2, 3, 1, 2, 2)), "big": np.ones((8, 8, 4, 4, 5))}
    },
    "zero": {"gradients": {"a": np.zeros(3)}},
    "norms": {"norms": [1.0, 0.0, 2.0, 1e25]},
    "norms with holes": {"norms": HOLES, "max_points": 50},
}
CLIPPINGS_REFUSED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "both": {"gradients": {"a": [1.0]}, "norms": [1.0]},
    "no gradient": {"gradients": {}},
    "empty gradient": {"gradients": {"a": np.zeros((0, 3))}},
    "two axes of norms": {"norms": [[1.0]]},
    "a negative norm": {"norms": [1.0, -1.0]},
    "too many policies": {"norms": [1.0], "policies": [{"kind": "none"}] * 65},
    "too many tensors": {"gradients": {f"t{i}": 1.0 for i in range(5000)}},
}


@pytest.mark.parametrize("request_", CLIPPINGS.values(), ids=CLIPPINGS)
def test_clippings_are_the_same_without_a_wire(live: Client, here: Client, request_: dict[str, Any]) -> None:
    """Also what is NaN or infinite: it travels in parts, since JSON has no number for it."""
    request_ = {"policies": POLICIES, **request_}
    assert differences(here.clippings(request_), live.clippings(request_)) == []


@pytest.mark.parametrize("request_", CLIPPINGS_REFUSED.values(), ids=CLIPPINGS_REFUSED)
def test_refused_clippings_are_the_same_without_a_wire(
    live: Client, here: Client, request_: dict[str, Any]
) -> None:
    refusals = []
    for client in (live, here):
        with pytest.raises(gradhorizon.RequestRefused) as refused:
            client.clippings(request_)
        refusals.append((refused.value.code, refused.value.detail, refused.value.limit))
    assert refusals[0] == refusals[1]


def test_catalog_and_health_are_the_same_without_a_wire(live: Client, here: Client) -> None:
    assert live.catalog() == here.catalog()
    assert live.health() == here.health()
    assert live.ready() is here.ready() is True


def test_asynchronous_client_gets_the_same(live: Client, live_url: str) -> None:
    request = REQUESTS["large arrays of several types"]

    async def main() -> list[Any]:
        async with AsyncClient(live_url) as client:
            assert await client.ready() is True
            return await asyncio.gather(*(client.diagnose(request, seed=seed) for seed in range(3)))

    for seed, report in enumerate(asyncio.run(main())):
        assert comparable(report) == comparable(live.diagnose(request, seed=seed))


def test_a_client_may_be_used_from_many_threads(live: Client) -> None:
    def horizon(size: int) -> int | None:
        return live.diagnose(
            network={"cell": "linear", "weights": 0.5 * np.eye(size)}, depth=30
        ).horizon.steps

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(horizon, range(1, 9))) == {10}
