"""Defaults of the contract: what a request means that does not say."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.schemas import DiagnosisRequest
from gradhorizon_service.analysis.errors import InvalidRequest, InvalidShape
from gradhorizon_service.analysis.filling import fill

RNN = {"cell": "rnn", "weights": [[0.5, 0.0], [0.0, 0.5]]}
DRIVEN = {**RNN, "input_weights": [[1.0], [0.0]]}
LINEAR = {"cell": "linear", "weights": [[0.5, 0.0], [0.0, 0.5]]}


def filled(network, **fields):
    fields.setdefault("depth", 5)
    return fill(DiagnosisRequest.model_validate({"network": network, **fields}))


def test_input_weights_bring_gaussian_inputs_and_a_zero_state():
    found = filled(DRIVEN)
    assert (found.request.inputs.kind, found.request.inputs.std, found.batch) == ("gaussian", 1.0, 16)
    assert found.request.initial_state.kind == "zeros"
    assert len(found.assumptions) == 3


def test_without_inputs_the_initial_state_is_gaussian():
    found = filled(RNN)
    assert (found.request.inputs, found.request.initial_state.kind, found.batch) == (None, "gaussian", 16)


def test_a_reservoir_that_is_not_rescaled_says_so():
    reservoir = {**DRIVEN, "cell": "echo_state"}
    assert any("spectral_radius" in line for line in filled(reservoir).assumptions)
    assert filled({**reservoir, "spectral_radius": 0.9}).assumptions == filled(DRIVEN).assumptions


def test_a_linear_recurrence_starts_from_one_unit_vector():
    found = filled(LINEAR)
    assert (found.request.initial_state, found.batch) == (None, 1)
    assert "unit vector" in found.assumptions[0]


def test_what_the_request_says_is_no_assumption():
    found = filled(RNN, initial_state={"kind": "zeros"}, loss={"kind": "cotangent", "values": [1.0, 0.0]})
    assert found.assumptions == []


def test_the_batch_is_what_the_parts_agree_on():
    inputs = {"kind": "values", "values": np.zeros((3, 5, 1))}
    assert filled(DRIVEN, inputs=inputs).batch == 3
    assert filled(LINEAR, loss={"kind": "cotangent", "values": np.ones((4, 2))}).batch == 4


def test_parts_for_different_batches_are_refused_by_name():
    inputs = {"kind": "values", "values": np.zeros((3, 5, 1))}
    with pytest.raises(InvalidShape, match=r"\$\.loss\.values"):
        filled(DRIVEN, inputs=inputs, loss={"kind": "cotangent", "values": np.ones((2, 2))})


def test_seeds_follow_from_the_request_and_never_coincide():
    ensemble = {"source": "ensemble", "family": "gaussian", "size": 2}
    network = {"cell": "rnn", "weights": ensemble, "input_weights": ensemble}
    one, other = filled(network), filled(network, seed=1)
    seeds = [
        one.request.network.weights.seed,
        one.request.network.input_weights.seed,
        one.request.inputs.seed,
    ]
    assert len(set(seeds)) == 3
    assert one.request.network.weights.seed != other.request.network.weights.seed
    assert one.request.network.weights.seed == filled(network).request.network.weights.seed


def test_a_seed_given_is_kept():
    network = {"cell": "rnn", "weights": {"source": "ensemble", "family": "gaussian", "size": 2, "seed": 7}}
    assert filled(network).request.network.weights.seed == 7


def test_layers_and_jacobians_fix_the_depth():
    assert filled({"cell": "jacobians", "values": np.zeros((7, 2, 2))}, depth=None).request.depth == 7
    with pytest.raises(InvalidShape, match="leave it out"):
        filled({"cell": "feedforward", "layers": [np.eye(2), np.eye(2)]}, depth=3)


@pytest.mark.parametrize(
    ("network", "fields", "path"),
    [
        (RNN, {"depth": None}, "$.depth"),
        (RNN, {"inputs": {"kind": "zeros"}}, "$.inputs"),
        (
            {"cell": "jacobians", "values": np.zeros((5, 2, 2))},
            {"initial_state": {"kind": "zeros"}},
            "$.initial_state",
        ),
        ({"cell": "jacobians", "values": np.zeros((5, 2, 2))}, {"burn_in": 2}, "$.burn_in"),
        (
            {"cell": "jacobians", "values": np.zeros((5, 2, 2))},
            {"loss": {"kind": "squared_error", "targets": 0.0}},
            "$.loss",
        ),
        (
            {"cell": "feedforward", "layers": [np.eye(2)]},
            {"depth": 1, "loss": {"kind": "random", "at": "every_step"}},
            "$.loss",
        ),
    ],
)
def test_what_does_not_belong_is_refused_by_path(network, fields, path):
    with pytest.raises(InvalidRequest) as refused:
        filled(network, **fields)
    assert refused.value.faults[0].path == path
