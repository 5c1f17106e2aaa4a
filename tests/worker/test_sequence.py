"""Computations one after the other, and networks that a descent has yet to train."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.problem import NetworkSpec
from gradhorizon_service.worker.sequence import SequenceProblem, run_sequence
from gradhorizon_service.worker.sources import MatrixSource
from gradhorizon_service.worker.trained import TrainedNetwork


class Doubled:
    def complete(self, results: Any) -> float | None:
        return None if results["first"] > 100 else 2 * results["first"]


def plus_one(value: float) -> float:
    if value < 0:
        raise CannotRun("network.weights", "is negative")
    return value + 1


FUNCTIONS = {"plus_one": plus_one}


def test_a_deferred_problem_is_completed_by_earlier_results() -> None:
    steps = {"first": ("plus_one", 3.0), "second": ("plus_one", Doubled())}
    assert run_sequence(SequenceProblem(steps), FUNCTIONS) == {"first": 4.0, "second": 9.0}


def test_a_step_that_nothing_is_left_of_has_no_result() -> None:
    steps = {"first": ("plus_one", 300.0), "second": ("plus_one", Doubled())}
    assert run_sequence(SequenceProblem(steps), FUNCTIONS)["second"] is None


def test_a_refusal_says_in_which_step() -> None:
    with pytest.raises(CannotRun, match=r"the request 'first' cannot be run: network.weights: is negative"):
        run_sequence(SequenceProblem({"first": ("plus_one", -1.0)}), FUNCTIONS)


def problem_of(network: NetworkSpec) -> Any:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Template:
        network: NetworkSpec

    return Template(network)


RESULT = SimpleNamespace(
    runs=[SimpleNamespace(policy=p, seed=s) for p in ("free", "clipped") for s in (7, 8)],
    initial=[{"weights": np.full((1, 1), 10.0 + k)} for k in range(2)],
    final=[
        {
            "weights": np.full((1, 1), k, dtype=np.float32),
            "bias": np.ones(1),
            "readout_weight": np.ones((2, 1)),
        }
        for k in range(3)
    ]
    + [None],
)
TEMPLATE = problem_of(
    NetworkSpec("rnn", {"weights": MatrixSource(np.zeros((1, 1))), "bias": None, "activation": "tanh"})
)


@pytest.mark.parametrize(
    ("policy", "seed", "weight"), [("free", 8, 1.0), ("clipped", 7, 2.0), (None, 8, 11.0)]
)
def test_the_parameters_are_those_of_the_run_that_is_named(
    policy: str | None, seed: int, weight: float
) -> None:
    network = TrainedNetwork(TEMPLATE, "training", seed, policy).complete({"training": RESULT}).network  # type: ignore[union-attr]
    assert network.parameters["weights"].build().tolist() == [[weight]]
    assert network.parameters["activation"] == "tanh"
    assert "readout_weight" not in network.parameters


def test_a_run_that_is_not_finite_leaves_nothing_to_diagnose() -> None:
    assert TrainedNetwork(TEMPLATE, "training", 8, "clipped").complete({"training": RESULT}) is None


def test_what_waits_for_a_descent_travels_to_a_worker_process() -> None:
    waiting = TrainedNetwork(None, "training", 8, "clipped")  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(waiting)).seed == 8
