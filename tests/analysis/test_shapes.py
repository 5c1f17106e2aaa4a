"""Shapes are checked against each other once, and the refusal says what would fit."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.schemas import DiagnosisRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.errors import (
    CostOverLimit,
    DiagnosticNotApplicable,
    InvalidRequest,
    LimitExceeded,
)
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.tasks import prepare_diagnosis

W = np.eye(3) * 0.5


def prepared(network, limits=Limits(), **fields):  # noqa: B008 - limits are immutable
    return prepare_diagnosis(DiagnosisRequest.model_validate({"network": network, **fields}), limits, Costs())


def given(values):
    return {"kind": "values", "values": values}


RNN = {"cell": "rnn", "weights": W}
SKIP = {"cell": "skip", "weights": W, "skip_weights": W, "delay": 4}
DRIVEN = {**RNN, "input_weights": np.ones((3, 2))}
LOSS = {"kind": "cross_entropy", "readout_weight": np.ones((4, 3)), "targets": [0]}


@pytest.mark.parametrize(
    ("network", "fields", "path", "says"),
    [
        ({"cell": "rnn", "weights": np.ones((2, 3))}, {"depth": 2}, "$.network.weights", "square"),
        ({**RNN, "input_weights": np.ones((2, 1))}, {"depth": 2}, "$.network.input_weights", "(3, D)"),
        ({**SKIP, "skip_weights": np.ones((3, 2))}, {"depth": 2}, "$.network.skip_weights", "(3, 3)"),
        ({**SKIP, "weights": np.ones((3, 2))}, {"depth": 2}, "$.network.weights", "square"),
        (SKIP, {"depth": 2, "initial_state": given(np.ones(6))}, "$.initial_state.values", "12 or 3"),
        ({**RNN, "bias": [1.0, 2.0]}, {"depth": 2}, "$.network.bias", "3 entries"),
        (
            {"cell": "feedforward", "layers": [np.ones((2, 3)), np.ones((2, 3))]},
            {},
            "$.network.layers[1]",
            "2 columns",
        ),
        ({"cell": "feedforward", "layers": [W], "biases": [1.0, 2.0]}, {}, "$.network.biases", "must be 1"),
        (
            {"cell": "feedforward", "layers": {"source": "matrix", "values": W}},
            {"depth": 3},
            "$.network.layers",
            "each layer",
        ),
        ({"cell": "jacobians", "values": np.ones((2, 3, 4))}, {}, "$.network.values", "(T, N, N)"),
        (
            DRIVEN,
            {"depth": 4, "inputs": {"kind": "values", "values": np.ones((1, 3, 2))}},
            "$.inputs.values",
            "(B, 4, 2)",
        ),
        (
            RNN,
            {"depth": 4, "initial_state": {"kind": "values", "values": [1.0, 2.0]}},
            "$.initial_state.values",
            "3 entries",
        ),
        (
            {"cell": "feedforward", "layers": [[[1.0], [2.0], [3.0]]]},
            {"initial_state": {"kind": "values", "values": [1.0, 2.0, 3.0]}},
            "$.initial_state.values",
            "must have 1 entries",
        ),
        (
            RNN,
            {"depth": 4, "initial_state": {"kind": "eigenvector", "index": 3}},
            "$.initial_state.index",
            "below 3",
        ),
        (RNN, {"depth": 4, "loss": {"kind": "cotangent", "values": [1.0]}}, "$.loss.values", "3 entries"),
        (RNN, {"depth": 4, "loss": {**LOSS, "targets": [4]}}, "$.loss.targets", "from 0 to 3"),
        (
            RNN,
            {"depth": 4, "loss": {**LOSS, "readout_weight": np.ones((4, 2))}},
            "$.loss.readout_weight",
            "(K, 3)",
        ),
        (RNN, {"depth": 4, "loss": {**LOSS, "readout_bias": [1.0]}}, "$.loss.readout_bias", "4 entries"),
        (RNN, {"depth": 4, "loss": {**LOSS, "targets": [[0, 0, 0, 0]]}}, "$.loss.targets", "every_step"),
        (
            RNN,
            {"depth": 4, "loss": {"kind": "squared_error", "targets": [1.0]}},
            "$.loss.targets",
            "3 entries",
        ),
        (RNN, {"depth": 4, "lags": [0, 5]}, "$.lags", "0 to the depth, 4"),
    ],
)
def test_a_misfit_names_its_field_and_what_would_fit(network, fields, path, says):
    with pytest.raises(InvalidRequest) as refused:
        prepared(network, **fields)
    assert refused.value.faults[0].path == path
    assert says in refused.value.faults[0].message


@pytest.mark.parametrize(
    ("limits", "network", "fields", "name"),
    [
        (Limits(max_size=2), RNN, {"depth": 2}, "max_size"),
        (Limits(max_depth=5), RNN, {"depth": 4, "burn_in": 2}, "max_depth"),
        (Limits(max_layers=2), {"cell": "feedforward", "layers": [W, W, W]}, {}, "max_layers"),
        (Limits(max_batch=8), RNN, {"depth": 2}, "max_batch"),
        (Limits(max_points=8), RNN, {"depth": 2, "max_points": 9}, "max_points"),
        (Limits(max_lags=1), RNN, {"depth": 2, "lags": [0, 1]}, "max_lags"),
    ],
)
def test_a_size_over_its_limit_is_refused_with_the_limits_name(limits, network, fields, name):
    with pytest.raises(LimitExceeded) as refused:
        prepared(network, limits, **fields)
    assert refused.value.limit == name


def test_the_state_of_a_skip_counts_against_the_limit_of_sizes():
    with pytest.raises(LimitExceeded) as refused:
        prepared(SKIP, Limits(max_size=11), depth=2)
    assert refused.value.limit == "max_size"
    assert "12 is over" in str(refused.value)


def test_a_skip_may_start_from_h_alone():
    state = {"kind": "values", "h": [1.0, 2.0, 3.0]}
    built = prepared(SKIP, depth=2, initial_state=state).problem.initial_state.build(1, 12, None)
    assert built.tolist() == [[1.0, 2.0, 3.0] + [0.0] * 9]


def test_one_matrix_at_every_step_costs_its_powers_and_no_more():
    def seconds(activation):
        network = {"cell": "leaky", "leak_rate": 0.5, "weights": np.eye(64), "activation": activation}
        return prepared(network, depth=2000, diagnostics=["lyapunov"]).estimated_seconds

    assert seconds("identity") < 0.1 * seconds("tanh")


def test_a_delay_costs_less_than_units_that_make_as_large_a_state():
    def seconds(network):
        state = {"kind": "gaussian", "batch": 8}
        return prepared(
            network, depth=20, initial_state=state, diagnostics=["lyapunov", "singular_values"]
        ).estimated_seconds

    many = seconds({"cell": "rnn", "weights": np.eye(320)})
    kept = seconds({"cell": "skip", "weights": np.eye(32), "skip_weights": np.eye(32), "delay": 10})
    kept_longer = seconds({"cell": "skip", "weights": np.eye(32), "skip_weights": np.eye(32), "delay": 20})
    assert kept < 0.4 * many
    assert kept < kept_longer


def test_time_over_the_limit_is_refused_with_the_estimate_and_the_dearest_diagnostic():
    with pytest.raises(CostOverLimit, match="costs most") as refused:
        prepared({"cell": "rnn", "weights": np.eye(32)}, Limits(sync_seconds=1e-3), depth=1000)
    assert refused.value.estimate > 1e-3


def test_memory_over_the_limit_is_refused():
    with pytest.raises(CostOverLimit) as refused:
        prepared(RNN, Limits(memory_bytes=1000), depth=1000)
    assert refused.value.limit == "memory_bytes"


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (RNN, "modes"),
        (RNN, "clipping"),
        ({"cell": "jacobians", "values": np.ones((2, 3, 3))}, "state_norms"),
        ({"cell": "feedforward", "layers": [W]}, "spectrum"),
    ],
)
def test_a_diagnostic_that_means_nothing_is_refused_by_name(network, name):
    fields = {"depth": 2} if network["cell"] == "rnn" else {}
    with pytest.raises(DiagnosticNotApplicable, match=name):
        prepared(network, diagnostics=[name], **fields)


def test_every_diagnostic_that_applies_is_run_by_default():
    assert prepared(RNN, depth=2).problem.diagnostics == (
        "spectrum",
        "nonnormality",
        "state_norms",
        "gradient_norms",
        "parameter_gradient",
        "singular_values",
        "lyapunov",
        "saturation",
        "precision",
        "remedies",
    )


def test_remedies_are_left_out_by_default_where_their_searches_take_seconds():
    left_out = prepared({**RNN, "weights": np.eye(64)}, depth=1000)
    assert "remedies" not in left_out.problem.diagnostics
    assert any(line.startswith("remedies: left out") for line in left_out.assumptions)


def test_a_small_linear_diagnosis_is_estimated_below_a_millisecond():
    network = {"cell": "linear", "weights": np.eye(16)}
    assert prepared(network, depth=100, diagnostics=["gradient_norms"]).estimated_seconds < 1e-3


def test_cost_grows_with_depth_size_and_batch():
    def seconds(size, depth, batch):
        state = {"kind": "gaussian", "batch": batch}
        return prepared(
            {"cell": "rnn", "weights": np.eye(size)}, depth=depth, initial_state=state
        ).estimated_seconds

    assert seconds(8, 10, 2) < seconds(8, 100, 2) < seconds(64, 100, 2) < seconds(64, 100, 8)
