"""LSTM and GRU requests: what fits, what is refused by name, and what their reports hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon.schemas import Diagnosis, DiagnosisRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.errors import DiagnosticNotApplicable, InvalidRequest, LimitExceeded
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import prepare_diagnosis, run_inline

LSTM: dict[str, Any] = {
    "cell": "lstm",
    "weights": {"source": "ensemble", "family": "glorot", "shape": [12, 3]},
}
GRU: dict[str, Any] = {"cell": "gru", "weights": {"source": "ensemble", "family": "glorot", "shape": [9, 3]}}
DRIVEN = {**LSTM, "input_weights": np.ones((12, 2)), "input_bias": np.zeros(12), "recurrent_bias": 0.5}


def diagnosed(network: dict[str, Any], limits: Limits | None = None, **fields: Any) -> Diagnosis:
    request = read_request(DiagnosisRequest, {"network": network, "depth": 5, **fields}, {})
    report = run_inline(prepare_diagnosis(request, limits or Limits(), Costs()))
    assert isinstance(report, Diagnosis)
    return report


@pytest.mark.parametrize(
    ("network", "path", "says"),
    [
        ({**LSTM, "weights": np.ones((10, 3))}, "$.network.weights", "10 rows are no multiple of 4"),
        ({**LSTM, "weights": np.ones((12, 5))}, "$.network.weights", "needs a projection (5, 3)"),
        (
            {**LSTM, "weights": np.ones((12, 2)), "projection": np.ones((3, 2))},
            "$.network.projection",
            "(2, 3)",
        ),
        ({**LSTM, "projection": np.ones((2, 3))}, "$.network.projection", "(P, H) = (3, 3)"),
        ({**LSTM, "peepholes": np.ones((3, 4))}, "$.network.peepholes", "(3, H) = (3, 3)"),
        ({**LSTM, "peepholes": np.ones((4, 3))}, "$.network.peepholes", "a row each for i, f and o"),
        ({**LSTM, "bias": [1.0, 2.0]}, "$.network.bias", "12 entries"),
        ({**LSTM, "bias": 1.0, "input_bias": 1.0}, "$.network", "either bias or the pair"),
        ({**LSTM, "input_weights": np.ones((3, 2))}, "$.network.input_weights", "(12, D)"),
        ({**LSTM, "gate_activation": "hard"}, "$.network.gate_activation", "'sigmoid'"),
        ({**LSTM, "alpha": 1.0}, "$.network", "belongs to the activation elu"),
        ({**LSTM, "reset": "after"}, "$.network.reset", "no field here"),
        ({**GRU, "weights": np.ones((10, 3))}, "$.network.weights", "10 rows are no multiple of 3"),
        ({**GRU, "weights": np.ones((9, 4))}, "$.network.weights", "must have 3 columns; it has 4"),
        ({**GRU, "recurrent_bias": np.ones(4)}, "$.network.recurrent_bias", "9 entries"),
        ({**GRU, "reset": "never"}, "$.network.reset", "'after' or 'before'"),
        ({**GRU, "update": "forget"}, "$.network.update", "'keep' or 'replace'"),
        ({**GRU, "projection": np.ones((2, 3))}, "$.network.projection", "no field here"),
    ],
)
def test_what_does_not_fit_is_named_with_what_would(network: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        diagnosed(network)
    assert refused.value.faults[0].path == path
    assert says in refused.value.faults[0].message


@pytest.mark.parametrize(("network", "found"), [(LSTM, 12), (GRU, 9)])
def test_stacked_rows_and_states_have_a_limit(network: dict[str, Any], found: int) -> None:
    with pytest.raises(LimitExceeded, match=f"{found} is over this server's limit max_size = 8"):
        diagnosed(network, Limits(max_size=8))


@pytest.mark.parametrize("network", [LSTM, GRU])
@pytest.mark.parametrize("diagnostic", ["spectrum", "nonnormality", "modes"])
def test_diagnostics_of_one_matrix_do_not_apply(network: dict[str, Any], diagnostic: str) -> None:
    assert getattr(diagnosed(network), diagnostic) is None
    with pytest.raises(DiagnosticNotApplicable, match=diagnostic):
        diagnosed(network, diagnostics=[diagnostic])


def test_an_eigenvector_is_no_initial_state() -> None:
    with pytest.raises(InvalidRequest, match="eigenvector"):
        diagnosed(LSTM, initial_state={"kind": "eigenvector"})


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"h": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]),
        ({"c": 4.0}, [0.0, 0.0, 0.0, 4.0, 4.0, 4.0]),
        ({"h": 0.5, "c": [1.0, 2.0, 3.0]}, [0.5, 0.5, 0.5, 1.0, 2.0, 3.0]),
        ({"values": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]),
        ({"values": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
    ],
)
def test_an_initial_state_has_two_parts(state: dict[str, Any], expected: list[float]) -> None:
    report = diagnosed(LSTM, initial_state={"kind": "values", **state}, lags=[5], diagnostics=["state_norms"])
    assert report.state_norms is not None
    assert report.state_norms.log10_norm[0] == pytest.approx(np.log10(np.linalg.norm(expected)), abs=1e-12)


def test_a_state_a_sequence_makes_a_batch() -> None:
    report = diagnosed(LSTM, initial_state={"kind": "values", "h": 0.0, "c": np.eye(3)})
    assert report.state_norms is not None
    assert report.state_norms.final_state is not None
    assert report.state_norms.final_state.shape == (3, 6)


def test_a_part_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"\$\.initial_state\.c: must have 3 entries a row"):
        diagnosed(LSTM, initial_state={"kind": "values", "c": [1.0, 2.0]})
    with pytest.raises(InvalidRequest, match="has no c"):
        diagnosed(GRU, initial_state={"kind": "values", "c": 1.0})


@pytest.mark.parametrize("kind", ["zeros", "gaussian"])
def test_named_initial_states_cover_h_and_c(kind: str) -> None:
    report = diagnosed(LSTM, initial_state={"kind": kind}, lags=[5], diagnostics=["state_norms"])
    assert report.state_norms is not None
    assert np.isneginf(report.state_norms.log10_norm[0]) == (kind == "zeros")


def test_a_gradient_has_parts_that_make_the_whole() -> None:
    found = diagnosed(DRIVEN).gradient_norms
    assert found is not None
    assert found.parts is not None
    squares = [10.0 ** (2.0 * part.log10_batch_norm) for part in found.parts.values()]
    assert list(found.parts) == ["h", "c"]
    assert sum(squares) == pytest.approx(10.0 ** (2.0 * found.log10_batch_norm), rel=1e-12)
    assert np.isneginf(found.parts["c"].log10_norm[0])


@pytest.mark.parametrize(
    ("network", "gates"),
    [(DRIVEN, ["input", "forget", "cell", "output"]), (GRU, ["reset", "update", "new"])],
    ids=["lstm", "gru"],
)
def test_a_parameters_gates_make_its_norm(network: dict[str, Any], gates: list[str]) -> None:
    found = diagnosed(network).parameter_gradient
    assert found is not None
    assert found.gates is not None
    assert set(found.gates) == set(found.log10_norm)
    for name, by_gate in found.gates.items():
        assert list(by_gate) == gates
        whole = 0.5 * np.log10(sum(10.0 ** (2.0 * norm) for norm in by_gate.values()))
        assert whole == pytest.approx(found.log10_norm[name], rel=1e-12)


def test_peepholes_have_three_gates_and_a_projection_none() -> None:
    network = {
        **LSTM,
        "weights": np.ones((12, 2)),
        "projection": np.ones((2, 3)),
        "peepholes": np.ones((3, 3)),
    }
    found = diagnosed(network).parameter_gradient
    assert found is not None
    assert found.gates is not None
    assert list(found.gates["peepholes"]) == ["input", "forget", "output"]
    assert "projection" in found.log10_norm
    assert "projection" not in found.gates


def test_ungated_cells_have_no_gates() -> None:
    found = diagnosed({"cell": "rnn", "weights": np.eye(3)}).parameter_gradient
    assert found is not None
    assert found.gates is None


@pytest.mark.parametrize("network", [DRIVEN, {**GRU, "reset": "before", "update": "replace"}])
def test_every_diagnostic_that_applies_is_answered(network: dict[str, Any]) -> None:
    report = diagnosed(network, clipping={"kind": "per_step", "threshold": 0.1})
    for name in (
        "state_norms",
        "gradient_norms",
        "parameter_gradient",
        "singular_values",
        "lyapunov",
        "clipping",
    ):
        assert getattr(report, name) is not None
    assert report.parameter_gradient is not None
    assert report.parameter_gradient.share.sum() == pytest.approx(1.0)


def test_networks_drawn_as_remedies_can_be_asked_about_as_the_report_gives_them() -> None:
    rng = np.random.default_rng(0)
    plain = {
        "cell": "rnn",
        "weights": 0.4 * rng.standard_normal((6, 6)),
        "input_weights": rng.standard_normal((6, 2)),
    }
    shared = {"depth": 40, "inputs": {"kind": "gaussian", "batch": 3, "std": 0.5, "seed": 1}}
    asked = diagnosed(plain, **shared, diagnostics=["remedies"])
    assert asked.remedies is not None
    drawn = {row.name: row for row in asked.remedies.counterfactuals if row.network is not None}
    assert set(drawn) == {"lstm", "gru", "forget_bias"}
    for row in drawn.values():
        assert row.network is not None
        again = diagnosed(row.network, **shared, loss={"kind": "random"})
        assert again.horizon.steps == row.horizon_after
        assert again.horizon.censored == row.censored_after
