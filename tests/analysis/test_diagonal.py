"""Diagonal networks from a request: what is refused by name, what is filled in, and what they cost."""

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
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.analysis.tasks import prepare_diagnosis, run_inline

DECAYS = np.full((8, 3), 0.9).tolist()


def prepared(limits=Limits(), *, depth=None, **fields):  # noqa: B008
    known = {"eigenvalues", "s4d", "lru", "decays", "input_weights", "bias"}
    network = {"cell": "diagonal", **{name: value for name, value in fields.items() if name in known}}
    rest = {name: value for name, value in fields.items() if name not in known}
    request = read_request(DiagnosisRequest, {"network": network, "depth": depth, **rest}, {})
    return prepare_diagnosis(request, limits, Costs())


def report(**fields):
    return run_inline(prepared(**fields))


@pytest.mark.parametrize(
    ("fields", "path", "says"),
    [
        ({}, "$.network", "none of them"),
        ({"eigenvalues": [0.5], "decays": DECAYS}, "$.network", "eigenvalues and decays"),
        ({"eigenvalues": []}, "$.network.eigenvalues", "empty"),
        ({"eigenvalues": [0.5, [1, 2, 3]]}, "$.network.eigenvalues", "[1] must be a number or a pair"),
        ({"s4d": {"A": [-1.0]}}, "$.network.s4d.step", "required"),
        ({"s4d": {"A": [-1.0, -2.0], "step": [0.1]}}, "$.network.s4d.step", "2 entries"),
        ({"s4d": {"A": [-1.0, -2.0], "step": [0.1, 0.0]}}, "$.network.s4d.step", "positive"),
        (
            {"s4d": {"A": [-1.0], "step": 0.1, "discretization": "euler"}},
            "$.network.s4d.discretization",
            "bilinear",
        ),
        ({"lru": {"nu": [0.1], "theta_log": [0.1]}}, "$.network.lru", "nu and theta"),
        ({"lru": {"nu": [0.1], "theta": [0.1], "nu_log": [0.1]}}, "$.network.lru", "nu and theta"),
        ({"lru": {"nu": [0.1], "theta": [0.1, 0.2]}}, "$.network.lru.theta", "1 entries, as many as nu"),
        ({"lru": {"nu": [0.1], "theta": [float("nan")]}}, "$.network.lru.theta[0]", "NaN"),
        ({"eigenvalues": [[0.5, 0.5]], "bias": [1.0]}, "$.network.bias", "2 entries"),
        ({"eigenvalues": [[0.5, 0.5]], "input_weights": [[1.0]]}, "$.network.input_weights", "(2, D)"),
        ({"decays": [0.5, 0.5]}, "$.network.decays", "2 or 3"),
        ({"decays": DECAYS, "depth": 9}, "$.depth", "8 steps of decays"),
        ({"decays": DECAYS, "depth": 8, "burn_in": 2}, "$.depth", "6 steps of decays"),
        ({"decays": DECAYS, "burn_in": 8}, "$.burn_in", "one of the 8 steps"),
        (
            {"decays": [DECAYS, DECAYS], "initial_state": {"kind": "gaussian", "batch": 3}},
            "$.network.decays",
            "2 sequences",
        ),
        (
            {"decays": DECAYS, "initial_state": {"kind": "eigenvector"}},
            "$.initial_state",
            "square recurrent matrix",
        ),
    ],
)
def test_a_misfit_names_its_field_and_what_would_fit(fields, path, says):
    fields = {"depth": 4, **fields} if "decays" not in fields else fields
    with pytest.raises(InvalidRequest) as refused:
        prepared(**fields)
    assert refused.value.faults[0].path == path
    assert says in refused.value.faults[0].message


def test_an_eigenvalue_beyond_float64_names_its_mode():
    with pytest.raises(InvalidRequest) as refused:
        report(lru={"nu": [0.1, -1e4], "theta": [0.0, 0.0]}, depth=3)
    assert refused.value.faults[0].path == "$.network.lru.nu[1]"


@pytest.mark.parametrize("name", ["spectrum", "modes", "nonnormality"])
def test_decays_have_no_one_matrix(name):
    with pytest.raises(DiagnosticNotApplicable, match="change at every step"):
        prepared(decays=DECAYS, diagnostics=[name])


def test_decays_fix_the_depth_and_the_batch():
    problem = prepared(decays=[DECAYS, DECAYS], burn_in=3).problem
    assert (problem.depth, problem.burn_in, problem.batch) == (5, 3, 2)


def test_a_matrix_makes_the_difference_between_what_applies_by_default():
    changing = set(prepared(decays=DECAYS).problem.diagnostics)
    constant = set(prepared(eigenvalues=[0.5], depth=3).problem.diagnostics)
    assert {"state_norms", "gradient_norms", "parameter_gradient", "singular_values", "lyapunov"} <= changing
    assert constant - changing == {"spectrum", "modes", "nonnormality"}


def test_clipping_is_of_the_parameters_a_request_names():
    clipping = {"kind": "norm", "threshold": 0.1}
    found = report(s4d={"A": [[-0.1, 1.0]], "step": 0.5}, bias=1.0, depth=9, clipping=clipping).clipping
    assert found.parameters == ["A", "step", "bias"]
    assert found.triggered


def test_an_undriven_network_starts_from_a_random_unit_vector():
    task = prepared(eigenvalues=[0.5, [0.1, 0.9]], depth=3)
    assert any("random unit vector" in line for line in task.assumptions)
    assert report(eigenvalues=[0.5, [0.1, 0.9]], depth=3).state_norms.log10_norm[0] == pytest.approx(
        0.0, abs=1e-12
    )


def test_a_conjugate_pair_is_one_mode_with_two_eigenvalues():
    found = report(eigenvalues=[0.5, [0.6, 0.8]], depth=10).spectrum
    assert found.eigenvalues == pytest.approx(np.array([0.6 + 0.8j, 0.6 - 0.8j, 0.5]))


@pytest.mark.parametrize("theta", [0.0, 1.0, 2.0, 3.0])
def test_the_unit_circle_is_neither_growth_nor_decay(theta):
    found = report(lru={"nu": [0.0], "theta": [theta]}, depth=10**7)
    assert found.verdict.status == "stable"
    assert (found.nonnormality.peak_step, found.nonnormality.kreiss_constant) == (0, 1.0)
    assert found.modes.growth_class == ["neutral", "neutral"]


def test_remedies_keep_the_coordinates_of_complex_modes():
    """Rescaled to the unit circle, an LRU without angles still has two coordinates a mode."""
    found = report(lru={"nu": [0.5, 0.5], "theta": [0.0, 0.0]}, depth=60, diagnostics=["remedies"]).remedies
    by_name = {row.name: row for row in found.counterfactuals}
    assert by_name["rescale"].change["gain"] == pytest.approx(np.exp(0.5), rel=1e-3)
    assert by_name["orthogonalise"].horizon_after is None


def test_remedies_of_decays_are_those_without_a_matrix():
    found = report(decays=DECAYS, diagnostics=["remedies"]).remedies
    assert {row.name for row in found.counterfactuals} == {"truncation", "clipping"}


def test_gradients_of_decays_are_trusted_however_far_they_fall():
    """Modes never mix, so that no rounding of a large one reaches a small one."""
    decays = np.tile([1e10, 1e-10], (50, 1)).tolist()
    found = report(decays=decays, loss={"kind": "cotangent", "values": [0.0, 1.0]}).gradient_norms
    assert found.reliable
    assert found.log10_norm[-1] == pytest.approx(-500.0, rel=1e-12)


def test_limits_are_those_of_a_spectrum():
    limits = Limits(max_size=2, max_modes=5)
    prepared(limits, eigenvalues=[0.5] * 5, depth=3)
    prepared(limits, decays=np.ones((2, 5)).tolist())
    with pytest.raises(LimitExceeded) as refused:
        prepared(limits, lru={"nu": [0.1] * 3, "theta": [0.1] * 3}, depth=3)
    assert refused.value.limit == "max_modes"
    with pytest.raises(LimitExceeded):
        prepared(Limits(max_depth=7), decays=DECAYS)


def test_ten_million_steps_cost_what_a_thousand_do():
    shallow, deep = (
        prepared(eigenvalues=[0.5, 0.9], depth=depth, diagnostics=["parameter_gradient"])
        for depth in (10**3, 10**7)
    )
    assert deep.estimated_seconds == shallow.estimated_seconds < 1.0


@pytest.mark.parametrize(
    "fields", [{"bias": 1.0}, {"loss": {"kind": "cotangent", "values": [1.0, 1.0], "at": "every_step"}}]
)
def test_what_has_to_be_stepped_is_estimated_by_its_steps(fields):
    with pytest.raises(CostOverLimit):
        prepared(eigenvalues=[0.5, 0.9], depth=10**7, **fields)


def test_input_weights_count_in_the_memory_of_a_spectrum():
    weights = {"source": "ensemble", "family": "gaussian", "shape": [100_000, 100_000]}
    with pytest.raises(CostOverLimit) as refused:
        prepared(eigenvalues=[0.5] * 100_000, input_weights=weights, depth=2)
    assert refused.value.limit == "memory_bytes"
