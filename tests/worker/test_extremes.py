"""Networks at the edge of float64: what is not known is never called zero, and nothing crashes."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.schemas import DiagnosisRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.encoding import encode
from gradhorizon_service.analysis.errors import CannotCompute
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.tasks import prepare_diagnosis, run_inline


def diagnosis(weights, *, cell="linear", activation=None, **fields):
    network = {"cell": cell, "weights": weights, **({} if activation is None else {"activation": activation})}
    request = DiagnosisRequest.model_validate({"network": network, **fields})
    report = run_inline(prepare_diagnosis(request, Limits(), Costs()))
    encode(report)
    return report


def jordan(size):
    return 0.9 * np.eye(size) + np.diag(np.full(size - 1, 1.5), 1)


def test_a_transient_wider_than_float64_is_stepped_not_squared():
    """(W^T)^k 1 of a Toeplitz bidiagonal matrix: binomial sums, here in integers of any length."""
    size, depth = 256, 5000
    ones = {"kind": "cotangent", "values": np.ones(size) / 16}
    found = diagnosis(jordan(size), depth=depth, loss=ones, diagnostics=["gradient_norms", "singular_values"])
    expected = _log10_norm_of_jordan_power(size, depth)
    assert found.gradient_norms.log10_norm[-1] == pytest.approx(expected, abs=1e-6)
    assert found.verdict.status == "exploding"


def _log10_norm_of_jordan_power(size: int, depth: int) -> float:
    """log10 ||(W^T)^depth 1 / 16||: entry i is the sum over j <= i of C(depth, j) 0.9^(depth - j) 1.5^j."""
    term = 9**depth  # in units of 10^-depth
    total, squares = 0, 0
    for j in range(size):
        total += term
        squares += total * total
        term = term * (depth - j) * 15 // ((j + 1) * 9)
    bits = squares.bit_length() - 60
    return 0.5 * (np.log10(squares >> bits) + bits * np.log10(2.0)) - depth - np.log10(16.0)


def test_unresolved_singular_values_are_left_out_and_the_verdict_is_not_dead():
    found = diagnosis(jordan(128), depth=100_000, diagnostics=["gradient_norms", "singular_values"])
    assert not found.singular_values.reliable
    assert np.isfinite(found.singular_values.log10).all()
    assert found.verdict.status != "dead"
    assert not found.gradient_norms.reliable


def test_states_that_become_exactly_zero_are_exactly_zero():
    found = diagnosis(
        np.outer([1.0, 1.0, 0.0], [1.0, -1.0, 0.0]),
        depth=4,
        initial_state={"kind": "values", "values": [1.0, 2.0, 3.0]},
    )
    assert np.isneginf(found.state_norms.log10_norm[2:]).all()
    assert np.isfinite(found.state_norms.log10_norm[:2]).all()


@pytest.mark.parametrize("value", [1e308, 5e-324, 1e-310])
@pytest.mark.parametrize("cell", ["linear", "rnn"])
def test_entries_at_the_end_of_float64_are_refused_by_name(value, cell):
    with pytest.raises(CannotCompute, match=r"\$\.network\.weights: its largest entry"):
        diagnosis(np.full((4, 4), value), cell=cell, depth=5)


@pytest.mark.parametrize("value", [1e-290, 1e-200, 1e200, 1e290])
def test_entries_far_from_one_are_fine(value):
    found = diagnosis(value * np.eye(3), depth=10)
    assert found.singular_values.log10 == pytest.approx(10 * np.log10(value), abs=1e-6)


def test_numbers_too_far_apart_are_refused_rather_than_crash():
    graded = np.array([[1e-200, 1.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 1e200]])
    try:
        found = diagnosis(graded, depth=7)
    except CannotCompute as refused:
        assert "orders of magnitude" in refused.message  # noqa: PT017 - either answer is right, a crash is not
    else:
        assert found.singular_values.log10[0] == pytest.approx(1400.0, abs=1e-6)


def test_a_rate_that_is_rounding_is_not_extrapolated():
    orthogonal = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    found = diagnosis(orthogonal, depth=1_000_000, diagnostics=["gradient_norms"])
    assert (found.horizon.censored, found.horizon.extrapolated_steps) == (True, None)


def test_underflow_in_the_training_dtype_shows_where_clipping_does_not_step_in():
    found = diagnosis(
        np.eye(3),
        cell="rnn",
        activation="identity",
        depth=1,
        initial_state={"kind": "values", "values": 1.0},
        loss={"kind": "cotangent", "values": 1e-9},
        clipping={"kind": "norm", "threshold": 1.0},
        dtype="float16",
        diagnostics=["clipping"],
    ).clipping
    assert not found.triggered
    assert found.log10_norm_after == -np.inf
    assert "underflows" in found.says


def test_directions_that_do_not_fit_through_a_narrow_layer_are_exact_zeros():
    generator = np.random.default_rng(0)
    layers = [generator.standard_normal((2, 8)), generator.standard_normal((8, 2))]
    request = DiagnosisRequest.model_validate({"network": {"cell": "feedforward", "layers": layers}})
    found = run_inline(prepare_diagnosis(request, Limits(), Costs()))
    expected = np.linalg.svd(layers[1] @ layers[0], compute_uv=False)[:2]
    assert found.singular_values.log10[:2] == pytest.approx(np.log10(expected))
    assert np.isneginf(found.singular_values.log10[2:]).all()
    assert (found.singular_values.count, found.verdict.directions_vanish) == (8, True)


@pytest.mark.parametrize("weight", [1e-200, 1e-3, 1.0, 1e3, 1e200])
@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus", "silu", "sin"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_saturation_and_precision_have_a_number_or_a_reason_whatever_the_scale(weight, activation, dtype):
    found = diagnosis(
        weight * np.array([[1.0, -0.5], [0.3, 0.8]]),
        cell="rnn",
        activation=activation,
        depth=50,
        dtype=dtype,
        loss={"kind": "cotangent", "values": [1.0, 0.0]},
        diagnostics=["saturation", "precision"],
    )
    saturation, reach = found.saturation, getattr(found.precision, dtype)
    assert (saturation.saturated_share is None) == (saturation.saturated_share_reason is not None)
    decay = saturation.decay
    assert (decay.decades_per_step is None) == (decay.decades_per_step_reason is not None)
    assert (reach.log2_loss_scale is None) == (reach.loss_scale_reason is not None)


ONES = {"kind": "values", "values": 1.0}


@pytest.mark.parametrize("targets", [[1.0], [1.0, 2.0]])
def test_a_diverging_network_with_a_loss_of_its_states_is_a_result(targets):
    """The last state may be 1e308: its square, the gradient of the readout, has a logarithm all the same."""
    size = len(targets)
    loss = {"kind": "squared_error", "readout_weight": np.ones((size, 4)), "targets": targets}
    found = diagnosis(
        np.full((4, 4), 1.2), cell="rnn", activation="relu", depth=600, loss=loss, initial_state=ONES
    )
    assert found.verdict.status == "diverged"
    assert found.parameter_gradient.log10_norm["readout_weight"] > 600.0
    assert np.isfinite(found.gradient_norms.log10_norm).all()


def test_inputs_of_1e200_have_a_standard_deviation():
    network = {
        "cell": "rnn",
        "activation": "sigmoid",
        "weights": 0.5 * np.eye(2),
        "input_weights": np.ones((2, 1)),
    }
    inputs = {"kind": "gaussian", "std": 1e200, "batch": 2}
    request = {"network": network, "inputs": inputs, "depth": 20, "diagnostics": ["echo_state"]}
    found = run_inline(prepare_diagnosis(DiagnosisRequest.model_validate(request), Limits(), Costs()))
    encode(found)
    assert found.echo_state.input_std == pytest.approx(1e200, rel=0.5)
    assert found.echo_state.memory_capacity is not None


def test_jacobians_of_1e300_meet_products_of_order_one():
    rng = np.random.default_rng(0)
    jacobians = rng.standard_normal((9, 3, 3))
    jacobians[0, 2, 1] = 1e300
    jacobians[4] *= 1e25
    network = {"cell": "jacobians", "values": jacobians}
    found = run_inline(
        prepare_diagnosis(DiagnosisRequest.model_validate({"network": network}), Limits(), Costs())
    )
    encode(found)
    assert found.verdict.status == "exploding"
    assert found.singular_values.log10[0] > 320.0


def test_gates_that_multiply_weights_beyond_float64_are_refused_with_what_to_do():
    """dh'/dh of a reset before the product holds W_n diag(h sigma'(a_r)) W_r: 1e400, where no state is above 1e200."""
    weights = np.zeros((12, 4))
    weights[1, 0], weights[8:, 1] = 1e200, 1e200
    network = {"cell": "gru", "reset": "before", "weights": weights, "activation": "identity"}
    start = {"kind": "values", "values": [0.0, 1.0, 1.0, 1.0]}
    request = DiagnosisRequest.model_validate({"network": network, "depth": 1, "initial_state": start})
    with pytest.raises(CannotCompute, match="rescale the weights"):
        run_inline(prepare_diagnosis(request, Limits(), Costs()))


def test_a_feedforward_network_that_diverges_at_another_width_cannot_take_its_loss():
    layers = [np.full((2, 3), 1e200), np.full((4, 2), 1e100), np.full((3, 4), 1e100)]
    network = {"cell": "feedforward", "layers": layers, "activation": "relu"}
    request = {
        "network": network,
        "initial_state": ONES,
        "loss": {"kind": "squared_error", "targets": [1.0, 1.0, 1.0]},
    }
    with pytest.raises(CannotCompute, match=r"it is of 3 outputs, .* behind layer 2, which has 4"):
        run_inline(prepare_diagnosis(DiagnosisRequest.model_validate(request), Limits(), Costs()))


@pytest.mark.parametrize("network", [{"cell": "lstm"}, {"cell": "gru"}, {"cell": "gru", "reset": "before"}])
def test_a_gated_network_that_diverges_at_its_first_step_has_gradients_of_exactly_zero(network):
    rows = {"lstm": 8, "gru": 6}[network["cell"]]
    weights = np.full((rows, 2), 1e300)
    network = {**network, "weights": weights, "activation": "relu", "gate_activation": "relu"}
    request = DiagnosisRequest.model_validate(
        {"network": network, "depth": 3, "initial_state": {"kind": "values", "values": 1e100}}
    )
    found = run_inline(prepare_diagnosis(request, Limits(), Costs()))
    encode(found)
    assert (found.verdict.status, found.outcome.steps_completed) == ("diverged", 0)
    assert found.parameter_gradient.log10_norm == {"weights": -np.inf}


@pytest.mark.parametrize("seed", range(4))
def test_gates_that_inputs_saturate_are_answered(seed):
    """Pre-activations of a hundred: what a step shrinks by 1e-100 is no reason to refuse what is asked of the rest."""
    rng = np.random.default_rng(seed)
    network = {
        "cell": "lstm",
        "weights": 0.5 * rng.standard_normal((12, 3)),
        "input_weights": 0.5 * rng.standard_normal((12, 1)),
    }
    inputs = {"kind": "values", "values": 100.0 * rng.standard_normal((30, 1))}
    state = {"kind": "values", "h": rng.standard_normal(3), "c": rng.standard_normal(3)}
    request = {"network": network, "depth": 30, "inputs": inputs, "initial_state": state}
    found = run_inline(prepare_diagnosis(DiagnosisRequest.model_validate(request), Limits(), Costs()))
    encode(found)
    assert np.isfinite(found.gradient_norms.log10_norm).all()
    assert found.lyapunov.sum_of_exponents == pytest.approx(found.lyapunov.mean_log_abs_det, rel=1e-9)
    assert found.singular_values.reliable or found.singular_values.reliable_reason


def test_layers_that_leave_one_direction_have_one_singular_value():
    """Saturated sigmoids between layers of ranks one and two: no warning of NumPy's gets out."""
    layers = [
        np.array([[0.0, -0.1], [0.0, 0.0]]),
        np.array([[0.0, 0.0], [1.2e6, 2.4e6], [0.9e6, 1.3e6]]),
        np.array([[-0.6, -2.0, -0.3], [-0.1, 1.2, -0.4], [0.1, 0.1, 1.7]]),
    ]
    network = {"cell": "feedforward", "activation": "sigmoid", "layers": layers}
    request = DiagnosisRequest.model_validate({"network": network, "depth": 3})
    found = run_inline(prepare_diagnosis(request, Limits(), Costs()))
    assert np.isfinite(found.singular_values.log10).sum() <= 1
