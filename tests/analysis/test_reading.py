"""Reading a request: every fault is named by the path in what was sent, and never repeats what was sent."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon.schemas import DiagnosisRequest, SpectrumRequest
from gradhorizon_service.analysis.errors import Fault, InvalidRequest
from gradhorizon_service.analysis.reading import MAX_FAULTS, UnusedPart, read_request

SQUARE = [[0.9, 0.2], [0.0, 1.1]]


def rnn(**fields: Any) -> dict[str, Any]:
    return {"network": {"cell": "rnn", "weights": SQUARE, **fields}, "depth": 5}


def network(cell: str, **fields: Any) -> dict[str, Any]:
    return {"network": {"cell": cell, "weights": SQUARE, **fields}, "depth": 5}


def diagnosis(**fields: Any) -> dict[str, Any]:
    return {**rnn(), **fields}


def faults(
    data: Any, parts: Mapping[str, Any] | None = None, model: Any = DiagnosisRequest
) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as refusal:
        read_request(model, data, parts or {})
    return {fault.path: fault.message for fault in refusal.value.faults}


REFUSED = {
    "nothing": ({}, "$.network", "is required"),
    "a list": ([], "$", "must be an object"),
    "a network that is a number": ({"network": 3, "depth": 1}, "$.network", "must be an object"),
    "no cell": ({"network": {}, "depth": 1}, "$.network.cell", "is required"),
    "an unknown cell": ({"network": {"cell": "rnm"}}, "$.network.cell", "'linear', 'rnn'"),
    "an unknown activation": (rnn(activation="thanh"), "$.network.activation", "'identity', 'tanh'"),
    "an unknown field": (rnn(weigths=1), "$.network.weigths", "no field here"),
    "a field named like its cell": (rnn(rnn={"weights": 1}), "$.network.rnn", "no field here"),
    "a field with an odd name": (diagnosis(**{"a b": 1}), '$["a b"]', "no field here"),
    "a missing field of a loss": (
        diagnosis(loss={"kind": "cross_entropy", "targets": [0]}),
        "$.loss.readout_weight",
        "required",
    ),
    "an unknown source": (rnn(weights={"source": "file"}), "$.network.weights", "matrix, spectrum"),
    "no leak rate": (network("leaky"), "$.network.leak_rate", "is required"),
    "a leak rate of 0": (network("leaky", leak_rate=0.0), "$.network.leak_rate", "above 0"),
    "a leak rate above 1": (network("echo_state", leak_rate=1.5), "$.network.leak_rate", "at most 1"),
    "a scale of 0": (network("residual", scale=0), "$.network.scale", "other than 0"),
    "a delay of 0": (network("skip", skip_weights=SQUARE, delay=0), "$.network.delay", "2 or more"),
    "a delay of 1": (network("skip", skip_weights=SQUARE, delay=1), "$.network.delay", "2 or more"),
    "no delay": (network("skip", skip_weights=SQUARE), "$.network.delay", "is required"),
    "no skip weights": (network("skip", delay=2), "$.network.skip_weights", "is required"),
    "an unknown combination": (
        network("skip", skip_weights=SQUARE, delay=2, combine="beside"),
        "$.network.combine",
        "'inside' or 'outside'",
    ),
    "a spectral radius of 0": (
        network("echo_state", spectral_radius=0.0),
        "$.network.spectral_radius",
        "greater than 0",
    ),
    "a fault between fields": (rnn(bias=1, input_bias=1), "$.network", "either bias or the pair"),
    "a flat distribution": (
        rnn(weights={"source": "spectrum", "distribution": "disk", "size": 4, "radius": -1}),
        "$.network.weights.radius",
        "greater than 0",
    ),
    "an unknown distribution": (
        rnn(weights={"source": "spectrum", "distribution": "blob", "size": 4}),
        "$.network.weights.distribution",
        "'constant'",
    ),
    "a name or a matrix": (
        rnn(weights={"source": "singular_values", "values": [1], "left": "up"}),
        "$.network.weights.left",
        "'random' or 'identity' or",
    ),
    "a negative depth": (diagnosis(depth=-1), "$.depth", "at least 1|greater than or equal to 1"),
    "a depth with a fraction": (diagnosis(depth=1.5), "$.depth", "whole number"),
    "a depth as text": (diagnosis(depth="5"), "$.depth", "whole number"),
    "a depth that is true": (diagnosis(depth=True), "$.depth", "whole number"),
    "a seed beyond 63 bits": (diagnosis(seed=2**63), "$.seed", "less than"),
    "an unknown diagnostic": (diagnosis(diagnostics=["modes", "moods"]), "$.diagnostics[1]", "'spectrum'"),
    "no diagnostics": (diagnosis(diagnostics=[]), "$.diagnostics", "at least 1 item"),
    "text in a bias": (rnn(bias=[0.0, "1"]), "$.network.bias[1]", "a string"),
    "a boolean in a matrix": (rnn(weights=[[1, 2], [3, True]]), "$.network.weights[1][1]", "a boolean"),
    "a null in a matrix": (
        rnn(weights={"source": "matrix", "values": [[None]]}),
        "$.network.weights.values[0][0]",
        "a null",
    ),
    "a ragged matrix": (rnn(weights=[[1, 2], [3]]), "$.network.weights", "ragged"),
    "a large ragged matrix": (rnn(weights=[np.ones(70), np.ones(69)]), "$.network.weights", "ragged"),
    "a matrix of one axis": (
        rnn(weights={"source": "matrix", "values": [1, 2]}),
        "$.network.weights.values",
        "1 axes",
    ),
    "an empty matrix": (rnn(weights=[[]]), "$.network.weights", "empty"),
    "an infinite entry": (rnn(weights=np.array([[1, np.inf]])), "$.network.weights[0][1]", "infinity"),
    "an array of texts": (rnn(weights=np.array([["a"]])), "$.network.weights", "numbers"),
    "a layer that is ragged": (
        {"network": {"cell": "feedforward", "layers": [SQUARE, [[1], [2, 3]]]}},
        "$.network.layers[1]",
        "ragged",
    ),
    "a part that did not come": (rnn(weights={"tensor": "w"}), "$.network.weights", "no part named 'w'"),
    "a list as large as an array": (diagnosis(lags=np.arange(30_000)), "$.lags", "more than 20000 items"),
}


@pytest.mark.parametrize(("data", "path", "says"), REFUSED.values(), ids=REFUSED)
def test_a_fault_names_its_path_and_what_to_change(data: Any, path: str, says: str) -> None:
    found = faults(data)
    assert path in found
    assert any(choice in found[path] for choice in says.split("|"))


def test_every_fault_is_named_at_once() -> None:
    found = faults(
        {"network": {"cell": "rnn", "weights": SQUARE, "activation": "x", "bias": "y"}, "depth": 0}
    )
    assert set(found) == {"$.network.activation", "$.network.bias", "$.depth"}


def test_faults_are_bounded() -> None:
    assert len(faults({"network": {"cell": "feedforward", "layers": [0] * 1000}})) == MAX_FAULTS


def test_the_fields_of_a_bare_source_are_named_where_they_stand() -> None:
    found = faults({"source": "ensemble", "family": "gaussian", "size": -4}, model=SpectrumRequest)
    assert set(found) == {"$.size"}


def test_a_value_that_was_sent_is_never_repeated() -> None:
    secret = "hunter2"
    data = {
        "network": {"cell": secret, "weights": secret},
        "depth": secret,
        "seed": [secret],
        "dtype": secret,
    }
    assert secret not in str(faults(data))
    assert secret not in str(faults(rnn(activation=secret, bias=[secret], weights={"source": secret})))


def test_a_part_that_nothing_refers_to_is_refused() -> None:
    with pytest.raises(UnusedPart) as refusal:
        read_request(
            DiagnosisRequest, rnn(weights={"tensor": "w"}), {"w": np.eye(2), "extra part": np.eye(2)}
        )
    assert [fault.path for fault in refusal.value.faults] == ['$.parts["extra part"]']


def test_a_reference_becomes_the_array_of_its_part() -> None:
    parts = {"w": {"weight_hh_l0": np.eye(3), "other": np.eye(2)}}
    data = rnn(weights={"tensor": "w", "name": "weight_hh_l0"})
    read = read_request(DiagnosisRequest, data, parts)
    np.testing.assert_array_equal(read.network.weights.values, np.eye(3))  # type: ignore[union-attr]


def test_arrays_stand_for_lists_where_the_schema_wants_a_list() -> None:
    """A JSON body's large lists arrive as arrays, whatever field they are meant for."""
    layers = np.stack([np.eye(8)] * 3)
    data = {
        "network": {"cell": "feedforward", "layers": layers, "biases": np.zeros((3, 8))},
        "lags": np.arange(4),
    }
    before = copy.deepcopy(data)
    read = read_request(DiagnosisRequest, data, {})
    assert read.lags == [0, 1, 2, 3]
    np.testing.assert_array_equal([layer.values for layer in read.network.layers], layers)  # type: ignore[union-attr]
    np.testing.assert_array_equal(data["network"]["layers"], before["network"]["layers"])


def test_a_long_list_of_complex_pairs_is_read() -> None:
    angles = np.linspace(0.1, 3, 50)
    pairs = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    for values in (pairs, pairs.tolist()):
        source = {"source": "spectrum", "eigenvalues": values}
        read = read_request(SpectrumRequest, {"source": source}, {})
        np.testing.assert_allclose(read.source.eigenvalues, np.exp(1j * angles))  # type: ignore[union-attr]


EXAMPLE = {
    "network": {
        "cell": "rnn",
        "activation": "tanh",
        "weights": {"source": "spectrum", "distribution": {"kind": "circle", "size": 4, "radius": 1.0}},
        "input_weights": {"source": "ensemble", "family": "gaussian", "shape": [4, 1]},
        "bias": [0.0, 0.0, 0.0, 0.0],
    },
    "depth": 100,
    "inputs": {"kind": "values", "values": [[1.0], [2.0]]},
    "initial_state": {"kind": "eigenvector", "index": 0},
    "loss": {"kind": "cross_entropy", "readout_weight": SQUARE, "targets": [0, 1]},
    "clipping": {"kind": "norm", "threshold": 1.0, "norm_type": "inf"},
    "diagnostics": ["spectrum"],
    "lags": [0, 1],
}
JUNK = st.recursive(
    st.sampled_from(
        [
            None,
            True,
            -1,
            0,
            1,
            2**70,
            0.5,
            1e308,
            "",
            "rnn",
            "source",
            np.eye(2),
            np.ones(3),
            np.zeros((0, 2)),
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["cell", "kind", "source", "values", "tensor", "name", "size", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


@given(st.data())
def test_anything_is_either_read_or_refused_with_paths(data: st.DataObject) -> None:
    tree: Any = copy.deepcopy(EXAMPLE)
    for _ in range(data.draw(st.integers(1, 3))):
        tree = _mutated(tree, data)
    refused: tuple[Fault, ...] = ()
    try:
        read_request(DiagnosisRequest, tree, {})
    except InvalidRequest as refusal:
        refused = refusal.faults
    assert all(fault.path.startswith("$") and fault.message for fault in refused)


def _mutated(tree: Any, data: st.DataObject) -> Any:
    keys: list[Any] = (
        list(tree) if isinstance(tree, dict) else list(range(len(tree))) if isinstance(tree, list) else []
    )
    if not keys or data.draw(st.integers(0, 3)) == 0:
        return data.draw(JUNK)
    key = data.draw(st.sampled_from(keys))
    tree[key] = _mutated(tree[key], data)
    return tree
