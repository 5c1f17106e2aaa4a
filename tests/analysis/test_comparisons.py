"""Comparisons: the same task for every row, one table, ranked by horizon."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon.schemas import Comparison, ComparisonRequest, DiagnosisRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.errors import (
    CannotCompute,
    CostOverLimit,
    DiagnosticNotApplicable,
    InvalidRequest,
    InvalidShape,
)
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import prepare_comparison, prepare_diagnosis, run_inline

WIDE = {"source": "ensemble", "family": "gaussian", "shape": [4, 2], "seed": 5}


def scalar(w: float) -> dict[str, Any]:
    return {"cell": "linear", "weights": [[w]]}


def driven(gain: float, **more: Any) -> dict[str, Any]:
    weights = {"source": "ensemble", "family": "gaussian", "size": 4, "gain": gain, "seed": 1}
    return {"cell": "rnn", "weights": weights, "input_weights": WIDE, **more}


def prepared(limits: Limits | None = None, **request: Any) -> Any:
    return prepare_comparison(read_request(ComparisonRequest, request, {}), limits or Limits(), Costs())


def compared(**request: Any) -> Comparison:
    report = run_inline(prepared(**request))
    assert isinstance(report, Comparison)
    return report


def test_networks_are_ranked_by_their_horizon() -> None:
    """|w|^k falls below 1e-3 after ln 1000 / -ln w steps; a network that never does comes first."""
    found = compared(networks={"short": scalar(0.5), "long": scalar(0.9), "never": scalar(1.0)}, depth=100)
    assert [(row.name, row.rank, row.horizon_steps) for row in found.rows] == [
        ("never", 1, None),
        ("long", 2, 66),
        ("short", 3, 10),
    ]
    assert found.rows[0].censored
    assert "never reaches farthest, to the end of the depth" in found.says


def test_networks_in_a_list_are_named_by_their_place() -> None:
    found = compared(networks=[scalar(0.5), scalar(0.9)], depth=100)
    assert [row.name for row in found.rows] == ["2", "1"]
    assert list(found.diagnoses) == ["1", "2"]


def test_rows_that_reach_equally_far_share_a_rank() -> None:
    found = compared(networks={"a": scalar(0.5), "b": scalar(-0.5), "c": scalar(0.9)}, depth=100)
    assert [row.rank for row in found.rows] == [1, 2, 2]


def test_a_row_is_the_diagnosis_of_its_network() -> None:
    """The same seeds reach the same inputs, initial state and loss, whatever stands beside the network."""
    networks = {"small": driven(0.5), "large": driven(1.5)}
    asked = {"depth": 20, "diagnostics": ["gradient_norms", "singular_values"], "seed": 3}
    found = compared(networks=networks, **asked)
    for name, network in networks.items():
        request = read_request(DiagnosisRequest, {"network": network, **asked}, {})
        alone: Any = run_inline(prepare_diagnosis(request, Limits(), Costs()))
        row = next(row for row in found.rows if row.name == name)
        assert found.diagnoses[name].id == alone.id
        assert np.array_equal(
            found.diagnoses[name].gradient_norms.log10_norm,  # type: ignore[union-attr]
            alone.gradient_norms.log10_norm,
        )
        assert row.log10_largest_singular_value == pytest.approx(alone.singular_values.log10[0])
        assert row.status == alone.verdict.status


def test_policies_are_compared_on_one_gradient() -> None:
    """w = 2 grows past 1000 in 10 steps; only cutting the state gradient at every step holds it."""
    found = compared(
        network=scalar(2.0),
        depth=20,
        policies={
            "norm": {"kind": "norm", "threshold": 1.0},
            "none": {"kind": "none"},
            "cut": {"kind": "per_step", "threshold": 1.0},
        },
    )
    assert [(row.name, row.rank) for row in found.rows] == [("cut", 1), ("norm", 2), ("none", 2)]
    by_name = {row.name: row for row in found.rows}
    assert by_name["cut"].horizon_after_clipping is None
    assert by_name["norm"].horizon_after_clipping == by_name["norm"].horizon_steps == 10
    assert by_name["norm"].clipped
    assert by_name["norm"].log10_update_norm_after == pytest.approx(0.0, abs=1e-6)
    assert by_name["none"].clipped is None
    assert by_name["none"].log10_update_norm_after_reason is not None


def test_every_network_meets_every_policy() -> None:
    found = compared(
        networks={"a": scalar(0.5), "b": scalar(0.9)},
        policies=[{"kind": "value", "threshold": 1.0}, {"kind": "none"}],
        depth=5,
    )
    assert set(found.diagnoses) == {"a / value 1.0", "a / none", "b / value 1.0", "b / none"}


def test_a_network_that_diverges_comes_last() -> None:
    unbounded = {"cell": "rnn", "activation": "relu", "weights": [[1e200]], "bias": [1.0]}
    found = compared(networks={"diverges": unbounded, "dies": scalar(1e-9)}, depth=10)
    assert [row.name for row in found.rows] == ["dies", "diverges"]


def test_the_same_comparison_has_the_same_id() -> None:
    asked: dict[str, Any] = {"networks": {"a": scalar(0.5), "b": scalar(0.9)}, "depth": 5}
    assert prepared(**asked).id == prepared(**asked).id
    assert prepared(**asked).id != prepared(**{**asked, "depth": 6}).id
    renamed = {"a": scalar(0.5), "c": scalar(0.9)}
    assert prepared(**asked).id != prepared(**{**asked, "networks": renamed}).id


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "one row": ({"networks": {"a": scalar(1.0)}}, InvalidRequest, "they make 1"),
    "nothing": ({}, InvalidRequest, "give either networks"),
    "both": ({"network": scalar(1.0), "networks": [scalar(1.0)] * 2}, InvalidRequest, "give either networks"),
    "too many": ({"networks": [scalar(1.0)] * 65}, InvalidRequest, "they make 65"),
    "a shape": (
        {"networks": {"a b": {"cell": "rnn", "weights": [[1.0, 2.0]]}, "c": scalar(1.0)}},
        InvalidShape,
        r'\$.networks\["a b"\].weights',
    ),
    "inputs of two widths": (
        {"networks": {"a": driven(1.0), "b": driven(1.0, input_weights={**WIDE, "shape": [4, 3]})}},
        InvalidRequest,
        "they take a 2, b 3",
    ),
    "a diagnostic": (
        {"networks": {"a": scalar(1.0), "b": driven(1.0)}, "diagnostics": ["modes"]},
        DiagnosticNotApplicable,
        "only a linear recurrence",
    ),
}


@pytest.mark.parametrize(("request_", "error", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_by_name(
    request_: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        prepared(**{"depth": 5, **request_})


def test_a_fault_outside_the_network_names_the_network_it_is_of() -> None:
    networks = {"a": driven(1.0), "b": scalar(1.0)}
    with pytest.raises(InvalidRequest, match=r"need network.input_weights \(of networks.b\)"):
        prepared(networks=networks, depth=2, inputs={"kind": "zeros"})


def test_policies_in_a_list_are_named_by_what_they_do() -> None:
    norm = {"kind": "norm", "threshold": 0.5, "framework": "optax"}
    policies = [norm, norm, {"kind": "per_step", "threshold": 1.0}]
    found = compared(network=scalar(0.5), policies=policies, depth=5)
    assert set(found.diagnoses) == {"norm 0.5 optax", "norm 0.5 optax (2)", "per step 1.0"}


def test_a_refusal_of_the_worker_names_the_network() -> None:
    nilpotent = {
        "source": "matrix",
        "values": [[0, 1], [0, 0]],
        "rescale": {"to": "spectral_radius", "value": 1},
    }
    networks = {"good": scalar(1.0), "bad": {"cell": "linear", "weights": nilpotent}}
    with pytest.raises(CannotCompute, match=r"\$\.networks\.bad\.weights"):
        compared(networks=networks, depth=5)


def test_the_rows_count_together_against_the_cost_limit() -> None:
    rows = [driven(1.0) for _ in range(10)]
    alone = prepared(networks=rows[:2], depth=1000).estimated_seconds / 2
    with pytest.raises(CostOverLimit, match="fewer rows"):
        prepared(Limits(sync_seconds=5 * alone), networks=rows, depth=1000)
