"""POST /v1/descents as a task: what is filled in, refused, and how trained networks go on to a diagnosis."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon.schemas import Descent, DescentRequest, DiagnosisRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.analysis.errors import (
    CannotCompute,
    CostOverLimit,
    InvalidRequest,
    InvalidShape,
    LimitExceeded,
    RequestRefused,
)
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import prepare_descent, prepare_diagnosis, run_inline

CLIFF = {"kind": "cliff"}
LATCH = {"kind": "latch", "length": 4}
SMALL: dict[str, Any] = {"steps": 3, "seeds": 2, "test_size": 5}
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"kind": "rnn", "activation": "elu", "alpha": 1.3},
    "leaky": {"kind": "leaky", "leak_rate": 0.4},
    "skip": {"kind": "skip", "delay": 2, "combine": "outside"},
    "residual": {"kind": "residual", "scale": 0.5},
    "echo_state": {"kind": "echo_state", "spectral_radius": 0.8},
    "lstm": {"kind": "lstm", "forget_bias": 2.0},
    "gru": {"kind": "gru"},
}


def prepared(limits: Limits | None = None, **request: Any) -> Any:
    return prepare_descent(read_request(DescentRequest, request, {}), limits or Limits(), Costs())


def descended(**request: Any) -> Descent:
    report = run_inline(prepared(**request))
    assert isinstance(report, Descent)
    encode(report)  # every number is finite, or null with its reason
    return report


def test_seeds_are_twenty_where_something_is_drawn_and_one_where_nothing_is() -> None:
    state = {"kind": "values", "values": [1.0]}
    fixed = {"kind": "recurrence", "weights": [[0.5]], "initial_state": state, "target": [1.0]}
    counts = [
        len(prepared(task=task).problem.seeds)
        for task in (CLIFF, fixed, {"kind": "recurrence", "weights": [[0.5]]}, LATCH)
    ]
    assert counts == [1, 1, 20, 20]


def test_a_number_of_seeds_and_the_list_of_them_are_the_same_question() -> None:
    counted = prepared(task=LATCH, seeds=3)
    listed = prepared(task=LATCH, seeds=list(counted.problem.seeds))
    assert counted.id == listed.id
    assert prepared(task=LATCH, seeds=3, seed=1).id != counted.id


def test_defaults_spelled_out_are_the_same_question() -> None:
    spelled = prepared(
        task={**LATCH, "noise": 0.2},
        cell={"kind": "rnn", "hidden_size": 8, "activation": "tanh"},
        optimizer={"kind": "sgd", "learning_rate": 0.1},
        policies={"none": {"kind": "none"}},
        data="fresh",
        batch_size=16,
        test_size=256,
        curvature_points=16,
    )
    assert spelled.id == prepared(task=LATCH).id


def test_the_same_request_gives_the_same_report() -> None:
    first, again = (descended(task=LATCH, **SMALL) for _ in range(2))
    assert first.model_dump(exclude={"provenance"}) == again.model_dump(exclude={"provenance"})


@pytest.mark.parametrize("data", ["fresh", "fixed"])
def test_a_run_is_the_same_whatever_policies_stand_beside_it(data: str) -> None:
    norm = {"kind": "norm", "threshold": 0.05}
    alone = descended(task=LATCH, policies={"norm": norm}, data=data, **SMALL)
    beside = descended(task=LATCH, policies={"none": {"kind": "none"}, "norm": norm}, data=data, **SMALL)
    assert alone.runs == [run for run in beside.runs if run.policy == "norm"]


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_trained_networks_can_be_diagnosed_on_the_sequences_they_were_judged_on(cell: dict[str, Any]) -> None:
    """By their own names; the network of the diagnosis makes the same mistakes."""
    found = descended(
        task=LATCH,
        cell={**cell, "hidden_size": 3},
        include=["parameters", "initial_parameters", "data"],
        dtype="float64",
        **SMALL,
    )
    assert found.parameters is not None
    assert found.initial_parameters is not None
    assert found.data is not None
    assert [one.policy for one in found.initial_parameters] == [None, None]
    for trained, data, run in zip(found.parameters, found.data, found.runs, strict=True):
        assert data.inputs is not None
        loss = {
            "kind": "cross_entropy",
            "readout_weight": trained.readout_weight,
            "readout_bias": trained.readout_bias,
            "targets": data.targets.astype(np.int64),
        }
        request = {
            "network": trained.network,
            "depth": 4,
            "inputs": {"kind": "values", "values": data.inputs},
            "initial_state": {"kind": "zeros"},
            "loss": loss,
            "diagnostics": ["gradient_norms", "state_norms"],
            "include": ["final_state"],
        }
        report: Any = run_inline(
            prepare_diagnosis(read_request(DiagnosisRequest, request, {}), Limits(), Costs())
        )
        h = np.array(report.state_norms.final_state)[:, :3]
        logits = h @ np.array(trained.readout_weight).T + np.array(trained.readout_bias)
        assert np.mean(np.argmax(logits, axis=1) == data.targets) == run.score


def test_a_descent_that_leaves_float32_is_a_result() -> None:
    found = descended(
        task={"kind": "recurrence", "weights": [[40.0]], "length": 30},
        optimizer={"kind": "sgd", "learning_rate": 1.0},
        policies={"none": {"kind": "none"}, "value": {"kind": "value", "threshold": 1e-3}},
        include=["parameters", "runs"],
        seeds=2,
        steps=4,
    )
    free = found.runs[0]
    assert free.first_non_finite_parameters is not None
    assert free.final_loss is None
    assert free.loss_reason is not None
    assert found.parameters is not None
    assert found.parameters[0].network is None
    assert found.parameters[0].network_reason == "a parameter left float32"
    assert found.parameters[2].network is not None
    assert found.policies[0].non_finite_runs == 2
    assert "leave float32" in found.policies[0].says


REFUSED: dict[str, tuple[dict[str, Any], type[RequestRefused], str]] = {
    "nothing": ({}, InvalidRequest, r"\$.task"),
    "an unknown task": ({"task": {"kind": "copy"}}, InvalidRequest, r"\$.task"),
    "a cell for the cliff": (
        {"task": CLIFF, "cell": {"kind": "rnn"}},
        InvalidRequest,
        "cell belongs to tasks",
    ),
    "fresh cliffs": ({"task": CLIFF, "data": "fresh"}, InvalidRequest, "data belongs to tasks"),
    "seeds of the cliff": ({"task": CLIFF, "seeds": 2}, InvalidRequest, "nothing is drawn at random"),
    "no steps": ({"task": CLIFF, "steps": 0}, InvalidRequest, r"\$.steps"),
    "too many seeds": ({"task": LATCH, "seeds": 10**9}, InvalidRequest, r"\$.seeds"),
    "too many policies": (
        {"task": LATCH, "policies": [{"kind": "none"}] * 65},
        InvalidRequest,
        r"\$.policies",
    ),
    "nesterov alone": (
        {"task": CLIFF, "optimizer": {"kind": "sgd", "nesterov": True}},
        InvalidRequest,
        "nesterov needs a momentum",
    ),
    "half precision": ({"task": CLIFF, "dtype": "float16"}, InvalidRequest, r"\$.dtype"),
    "an oblong matrix": (
        {"task": {"kind": "recurrence", "weights": [[1.0, 2.0]]}},
        InvalidShape,
        r"\$.task.weights: must be square",
    ),
    "a target of another size": (
        {"task": {"kind": "recurrence", "weights": [[1.0]], "target": [1.0, 2.0]}},
        InvalidShape,
        r"\$.task.target",
    ),
    "a state of another size": (
        {
            "task": {
                "kind": "recurrence",
                "weights": [[1.0]],
                "initial_state": {"kind": "values", "values": [1.0, 2.0]},
            }
        },
        InvalidShape,
        r"\$.task.initial_state.values",
    ),
    "a state that stays at zero": (
        {"task": {"kind": "recurrence", "weights": [[1.0]], "initial_state": {"kind": "zeros"}}},
        InvalidRequest,
        "stays at zero",
    ),
    "an eigenvector there is not": (
        {
            "task": {
                "kind": "recurrence",
                "weights": [[1.0]],
                "initial_state": {"kind": "eigenvector", "index": 1},
            }
        },
        InvalidRequest,
        "must be below 1",
    ),
    "a large network": (
        {"task": LATCH, "cell": {"kind": "rnn", "hidden_size": 4096}},
        LimitExceeded,
        r"\$.cell.hidden_size.*max_size = 2048",
    ),
    "a large batch": ({"task": LATCH, "batch_size": 4096}, LimitExceeded, r"\$.batch_size.*max_batch"),
    "many points": ({"task": LATCH, "max_points": 10**6}, LimitExceeded, r"\$.max_points"),
    "many steps": ({"task": LATCH, "steps": 10**6, "seeds": 1}, CostOverLimit, "sync_seconds"),
    "a long descent": ({"task": LATCH, "steps": 10**12}, CostOverLimit, "memory_bytes"),
    "long sequences": ({"task": {**LATCH, "length": 10**6}}, CostOverLimit, "memory_bytes"),
}


@pytest.mark.parametrize(("request_", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_run_is_refused_by_name(
    request_: dict[str, Any], error: type[RequestRefused], says: str
) -> None:
    with pytest.raises(error, match=says):
        prepared(**request_)


def test_a_radius_that_no_factor_gives_is_refused_by_name() -> None:
    cell = {"kind": "echo_state", "spectral_radius": 0.9, "initialisation": {"gain": 0.0}}
    with pytest.raises(CannotCompute, match=r"\$.cell.spectral_radius"):
        descended(task=LATCH, cell=cell, **SMALL)
