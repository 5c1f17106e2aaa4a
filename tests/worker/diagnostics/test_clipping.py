"""What clipping does to a gradient, its direction, and where it comes from."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, LOSSES, Array, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.diagnostics.clipping import ClippingEffect, clipping
from gradhorizon_service.worker.drives import GivenState
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import Problem


def of(asked: Problem) -> ClippingEffect:
    return clipping(runs.start(asked))


def bias_gradient(gradient: Array, policy: ClippingPolicy, dtype: str = "float64") -> ClippingEffect:
    """One step from a zero state: the bias has the cotangent for its gradient, and the weights have none."""
    network = CellCase(
        "linear", {"weights": np.eye(len(gradient)), "bias": np.zeros(len(gradient))}
    ).network()
    return of(problem(network, 1, loss=CotangentLoss(gradient), clipping=policy, dtype=dtype))


def scalar(w: float, depth: int, policy: ClippingPolicy, **changed: object) -> ClippingEffect:
    return of(
        linear(np.array([[w]]), depth, initial_state=GivenState(np.ones(1)), clipping=policy, **changed)
    )


def norm(threshold: float, framework: str = "torch") -> ClippingPolicy:
    return ClippingPolicy("norm", threshold, 2.0, framework)


def test_a_norm_is_brought_to_its_threshold_without_turning() -> None:
    found = bias_gradient(np.array([3.0, 4.0]), norm(1.0))
    assert found.triggered
    assert found.log10_norm_before == pytest.approx(np.log10(5.0))
    assert found.factor == pytest.approx(1.0 / (5.0 + 1e-6), rel=1e-9)
    assert found.log10_norm_after == pytest.approx(np.log10(5.0 / (5.0 + 1e-6)))
    assert found.cosine == pytest.approx(1.0)


@pytest.mark.parametrize("framework", ["keras", "keras_global"])
def test_a_threshold_of_zero_is_no_clipping_in_keras(framework: str) -> None:
    found = bias_gradient(np.array([3.0, 4.0]), norm(0.0, framework))
    assert not found.triggered
    assert found.factor == pytest.approx(1.0)
    assert "Keras reads a threshold of 0 as no clipping" in found.says


def test_values_are_cut_one_by_one_which_turns_the_gradient() -> None:
    found = bias_gradient(np.array([0.3, 4.0]), ClippingPolicy("value", 1.0))
    before, after = np.array([0.3, 4.0]), np.array([0.3, 1.0])
    assert found.cosine == pytest.approx(before @ after / np.linalg.norm(before) / np.linalg.norm(after))
    assert found.factor == pytest.approx(np.linalg.norm(after) / np.linalg.norm(before))


def test_clipping_by_norm_leaves_horizon_and_shares_where_they_were() -> None:
    found = of(problem_of(CELLS["rnn tanh"], LOSSES["cross_entropy"], clipping=norm(1e-3)))
    assert found.triggered
    assert found.horizon_after == found.horizon_before
    assert found.share_after is not None
    assert np.array_equal(found.share_after, found.share_before)
    assert "horizon stays where it was" in found.says


def test_clipping_by_value_has_no_shares_by_lag() -> None:
    found = of(problem_of(CELLS["rnn tanh"], clipping=ClippingPolicy("value", 1e-3)))
    assert found.share_after is None
    assert "no longer splits into lags" in (found.share_after_reason or "")
    assert found.horizon_after == found.horizon_before


def test_clipping_at_every_step_moves_the_horizon_of_an_explosion() -> None:
    """Doubled at every step and cut to one again: the gradient stays at one, and every lag has its share."""
    found = scalar(2.0, 20, ClippingPolicy("per_step", 1.0))
    assert found.triggered
    assert (found.horizon_before, found.horizon_after) == (10, None)
    # With g_k = 1 the part of lag k is h_{T-1-k} = 2^(T-1-k).
    assert found.share_after is not None
    assert found.share_after == pytest.approx(2.0 ** (19.0 - np.arange(20)) / (2.0**20 - 1))
    assert found.share_before == pytest.approx(np.full(20, 0.05))
    assert found.cosine == pytest.approx(1.0)


def test_clipping_at_every_step_does_not_touch_what_vanishes() -> None:
    found = scalar(0.5, 20, ClippingPolicy("per_step", 2.0))
    assert not found.triggered
    assert found.factor == pytest.approx(1.0)
    assert found.horizon_before == found.horizon_after == 10


def test_a_policy_within_its_threshold_does_nothing() -> None:
    found = bias_gradient(np.array([3.0, 4.0]), norm(100.0))
    assert not found.triggered
    assert (found.factor, found.cosine) == (pytest.approx(1.0), pytest.approx(1.0))
    assert "does not step in" in found.says


def test_what_overflows_in_the_training_format_is_destroyed() -> None:
    """10^9 is no float16: PyTorch turns the infinity into NaN."""
    found = scalar(10.0, 10, norm(1.0), dtype="float16")
    assert found.triggered
    assert np.isnan(found.log10_norm_after)
    assert found.log10_norm_after_reason is not None
    assert found.cosine is None
    assert "destroys" in found.says
    assert "NaN" in found.on_overflow


def test_a_destroyed_gradient_has_no_shares() -> None:
    found = scalar(10.0, 10, norm(1.0), dtype="float16")
    assert found.share_after is None
    assert found.share_after_reason is not None


def test_value_clipping_hides_the_same_overflow() -> None:
    found = scalar(10.0, 10, ClippingPolicy("value", 1.0), dtype="float16")
    assert found.log10_norm_after == pytest.approx(0.0)


def test_a_norm_that_overflows_while_its_entries_do_not_is_dropped() -> None:
    found = bias_gradient(np.full(100, 1e20), norm(1.0), dtype="float32")
    assert found.triggered
    assert found.log10_norm_after == -np.inf
    assert found.factor == 0.0
    assert found.cosine is None
    assert found.cosine_reason is not None


def test_the_norm_before_is_the_true_one() -> None:
    assert bias_gradient(np.full(100, 1e20), norm(1.0), dtype="float32").log10_norm_before == pytest.approx(
        21.0
    )
    assert scalar(10.0, 10**5, norm(1.0)).log10_norm_before == pytest.approx(99_999 + 5)


def test_a_zero_gradient_stays_zero() -> None:
    found = bias_gradient(np.zeros(2), norm(1.0))
    assert not found.triggered
    assert found.log10_norm_before == -np.inf
    assert found.factor is None
    assert found.factor_reason is not None


def test_a_zero_gradient_is_clipped_by_a_threshold_under_the_guard_of_torch() -> None:
    """c / (0 + 1e-6) is below one from thresholds of 1e-6 down."""
    found = bias_gradient(np.zeros(2), norm(1e-9))
    assert (found.triggered, found.factor) == (True, None)
    assert "exactly zero" in found.says


def test_clipping_each_tensor_by_itself_turns_the_whole_gradient() -> None:
    asked = problem_of(CELLS["rnn pair of biases"], LOSSES["cross_entropy"], clipping=norm(1e-2, "keras"))
    found = of(asked)
    assert found.cosine is not None
    assert found.cosine < 0.999
    assert "scaled by itself" in found.says


def test_all_parameters_count_both_biases_and_the_readout_too() -> None:
    found = of(problem_of(CELLS["rnn pair of biases"], LOSSES["cross_entropy"], clipping=norm(1.0)))
    assert set(found.parameters) == {
        "weights",
        "input_weights",
        "input_bias",
        "recurrent_bias",
        "readout_weight",
        "readout_bias",
    }
    run = runs.start(problem_of(CELLS["rnn pair of biases"], LOSSES["cross_entropy"]))
    norms = [g.log_norm for g in run.parameter_gradients().values()]
    assert 10**found.log10_norm_before == pytest.approx(np.sqrt(np.sum(np.exp(2 * np.array(norms)))))


@pytest.mark.parametrize("framework", ["torch", "optax", "keras", "keras_global", None])
def test_every_framework_is_named_with_what_it_does(framework: str | None) -> None:
    found = bias_gradient(np.array([3.0, 4.0]), ClippingPolicy("norm", 1.0, 2.0, framework))
    assert found.log10_norm_after == pytest.approx(0.0, abs=1e-6)
    assert found.on_overflow
