"""The backward loop, on scalar and orthogonal recurrences whose gradients are known by heart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.backprop import Backpropagated, backpropagate, backpropagate_window
from gradhorizon_service.worker.cells import CELLS

LN10 = np.log(10.0)


class Steps:
    """Jacobians (T, N, N), the first applied first; the delta is the gradient before the product."""

    def __init__(self, *jacobians: Array) -> None:
        self.jacobians = jacobians

    def vjp(self, step: int, gradient: Array) -> tuple[Array, Array]:
        return gradient @ self.jacobians[step], gradient

    def deltas(self, gradients: Array) -> Array:
        return gradients[:-1]

    def parameter_terms(self, deltas: Array, states: Array, inputs: Array | None) -> dict[str, object]:
        return {}

    def factors(self) -> None:
        return None


def scalars(*values: float) -> Steps:
    return Steps(*(np.array([[value]]) for value in values))


def final(gradient: Array, steps: int) -> Callable[[int], Array | None]:
    return lambda step: gradient if step == steps else None


def everywhere(gradient: Array) -> Callable[[int], Array | None]:
    return lambda step: gradient


def gradients(found: Backpropagated) -> Array:
    return np.asarray(found.gradients) * np.exp(found.log_scales)[:, :, None]


def window_by_hand(jacobians: Array, terms: Array, window: int) -> Array:
    """dL/ds by lag: every loss term t carried back by itself, to lag `window` from t, and added up."""
    depth = len(jacobians)
    summed = np.zeros((depth + 1, *terms.shape[1:]))
    for taken in range(depth, 0, -1):
        g = terms[taken]
        for step in range(taken, max(-1, taken - window - 1), -1):
            summed[depth - step] += g
            if step > 0:
                g = g @ jacobians[step - 1]
    return summed


def test_a_scalar_recurrence_multiplies_its_weight() -> None:
    found = backpropagate(scalars(*[-0.7] * 9), 9, final(np.array([[2.0]]), 9))
    assert gradients(found)[:, 0, 0] == pytest.approx(2.0 * (-0.7) ** np.arange(10.0), rel=1e-14)


def test_the_last_jacobian_is_the_first_to_be_crossed() -> None:
    found = backpropagate(scalars(2.0, 3.0, 5.0), 3, final(np.ones((1, 1)), 3))
    assert np.exp(found.log_norms[:, 0]) == pytest.approx([1.0, 5.0, 15.0, 30.0])


def test_the_transpose_is_what_travels_back() -> None:
    J = np.array([[0.0, 1.0], [0.0, 0.0]])
    found = backpropagate(Steps(J), 1, final(np.array([[1.0, 0.0]]), 1))
    assert gradients(found)[1, 0].tolist() == [0.0, 1.0]


def test_orthogonal_weights_keep_norms() -> None:
    Q, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))
    found = backpropagate(Steps(*[Q] * 2000), 2000, final(np.full((2, 5), 3.0), 2000))
    assert found.log_norms == pytest.approx(np.full((2001, 2), np.log(3.0 * np.sqrt(5.0))), rel=1e-12)


@pytest.mark.parametrize("weight", [10.0, 0.1, 1e200, 1e-200, 1e290, 1e-290])
def test_neither_depth_nor_weights_can_overflow_a_gradient(weight: float) -> None:
    found = backpropagate(scalars(*[weight] * 5000), 5000, final(np.array([[1e-3], [1e3]]), 5000))
    expected = np.arange(5001)[:, None] * np.log(weight) + np.log([1e-3, 1e3])
    assert found.log_norms == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_a_gradient_may_start_at_the_edge_of_float64(size: float) -> None:
    found = backpropagate(scalars(*[0.5] * 50), 50, final(np.array([[size]]), 50))
    assert found.log_norms[:, 0] == pytest.approx(np.log(size) - np.arange(51) * np.log(2.0), rel=1e-13)


def test_an_exact_zero_is_minus_infinity() -> None:
    found = backpropagate(scalars(0.5, 0.0, 0.5), 3, final(np.ones((1, 1)), 3))
    assert np.isneginf(found.log_norms[:, 0]).tolist() == [False, False, True, True]


def test_a_zero_gradient_stays_beside_one_that_explodes() -> None:
    found = backpropagate(scalars(*[1e30] * 100), 100, final(np.array([[0.0], [1.0]]), 100))
    assert (found.log_norms[:, 0] == -np.inf).all()
    assert found.log_norms[-1, 1] == pytest.approx(3000 * LN10, rel=1e-12)


def test_the_gradient_of_a_sum_is_the_sum_of_gradients() -> None:
    """1 + w + w^2 + ... for a loss at every step, but for s_0, where there is none."""
    w = 0.6
    found = backpropagate(scalars(*[w] * 8), 8, everywhere(np.ones((1, 1))))
    sums = np.cumsum(w ** np.arange(8.0))
    assert gradients(found)[:, 0, 0] == pytest.approx([*sums, w * sums[-1]], rel=1e-14)


def test_a_loss_at_every_step_survives_a_gradient_that_explodes() -> None:
    found = backpropagate(scalars(*[10.0] * 2000), 2000, everywhere(np.ones((1, 1))))
    expected = np.arange(2000) * LN10 + np.log(10.0 / 9.0)
    assert found.log_norms[20:2000, 0] == pytest.approx(expected[20:], rel=1e-12)


@pytest.mark.parametrize("size", [1e-290, 1e290])
def test_terms_at_the_edge_of_float64_are_added_at_their_size(size: float) -> None:
    found = backpropagate(scalars(*[0.5] * 8), 8, everywhere(np.array([[size]])))
    assert found.log_norms[:8, 0] == pytest.approx(
        np.log(size) + np.log(2.0 - 0.5 ** np.arange(8.0)), rel=1e-14
    )


@pytest.mark.parametrize("weight", [1e-20, 1e20])
def test_terms_that_are_zero_do_not_disturb_the_scale(weight: float) -> None:
    """A squared error can be exactly zero at a step; adding it must not flush 1e-400 to zero."""
    found = backpropagate(scalars(*[weight] * 30), 30, lambda step: np.array([[1.0 if step == 30 else 0.0]]))
    assert found.log_norms[:, 0] == pytest.approx(np.arange(31) * np.log(weight), rel=1e-12)


def test_a_loss_after_a_dead_step_starts_afresh() -> None:
    """The gradient reaches 1e600, meets a zero Jacobian, and the loss terms before that are all there is."""
    found = backpropagate(scalars(*[0.5] * 4, 0.0, *[1e30] * 20), 25, everywhere(np.ones((1, 1))))
    assert np.exp(found.log_norms[21:25, 0]) == pytest.approx([1.0, 1.5, 1.75, 1.875], rel=1e-13)


def test_deltas_carry_the_scale_of_their_lag() -> None:
    found = backpropagate(scalars(*[1e20] * 40), 40, final(np.ones((1, 1)), 40))
    logs = np.log(np.asarray(found.deltas)[:, 0, 0]) + found.log_scales[:-1, 0]
    assert logs == pytest.approx(np.arange(40) * 20 * LN10, rel=1e-12)


def test_a_part_has_the_norm_of_its_entries() -> None:
    found = backpropagate(Steps(*[np.diag([1e10, 1e-10])] * 60), 60, final(np.ones((1, 2)), 60))
    assert found.part_log_norms(slice(0, 1))[:, 0] == pytest.approx(np.arange(61) * 10 * LN10, rel=1e-12)


def test_layers_may_have_different_sizes() -> None:
    found = backpropagate(
        Steps(np.ones((3, 2)), np.ones((1, 3))), 2, final(np.ones((1, 1)), 2), recurrent=False
    )
    assert [g.shape[1] for g in found.gradients] == [1, 3, 2]
    assert np.exp(found.log_norms[:, 0]) == pytest.approx([1.0, np.sqrt(3.0), 3.0 * np.sqrt(2.0)])


def test_a_truncated_gradient_has_nothing_beyond_the_window() -> None:
    found = backpropagate(scalars(*[0.5] * 5), 5, final(np.ones((1, 1)), 5)).truncated(2)
    assert gradients(found)[:, 0, 0].tolist() == [1.0, 0.5, 0.25, 0.0, 0.0, 0.0]
    assert np.isneginf(found.log_norms[:, 0]).tolist() == [False] * 3 + [True] * 3
    assert [float(delta[0, 0]) != 0.0 for delta in found.deltas] == [True] * 3 + [False] * 2


@pytest.mark.parametrize("window", [0, 1, 3, 7, 50])
def test_a_sliding_window_is_the_double_loop_over_loss_terms(window: int) -> None:
    rng = np.random.default_rng(window)
    jacobians, terms = rng.standard_normal((7, 3, 3)), rng.standard_normal((8, 2, 3))
    found = backpropagate_window(Steps(*jacobians), 7, lambda step: terms[step], window)
    expected = window_by_hand(jacobians, terms, window)
    assert gradients(found) == pytest.approx(expected, rel=1e-12, abs=1e-13)
    deltas = np.asarray(found.deltas) * np.exp(found.log_scales[:-1])[:, :, None]
    assert deltas == pytest.approx(expected[:-1], rel=1e-12, abs=1e-13)


def test_a_window_as_long_as_the_series_is_no_window() -> None:
    rng = np.random.default_rng(0)
    jacobians, terms = rng.standard_normal((9, 2, 2)), rng.standard_normal((10, 3, 2))
    wide = backpropagate_window(Steps(*jacobians), 9, lambda step: terms[step], 9)
    whole = backpropagate(Steps(*jacobians), 9, lambda step: terms[step])
    assert wide.log_norms == pytest.approx(whole.log_norms, rel=1e-12)


@pytest.mark.parametrize("weight", [10.0, 0.1])
def test_terms_of_a_long_window_keep_their_own_scales(weight: float) -> None:
    """400 lags at a decade each: the newest term is a 1e-400th of the oldest, and what is left when that is dropped."""
    steps, window = 1000, 400
    found = backpropagate_window(scalars(*[weight] * steps), steps, everywhere(np.ones((1, 1))), window)
    largest = max(0.0, window * np.log(weight)) + np.log(10.0 / 9.0)
    assert found.log_norms[window + 1 : steps, 0] == pytest.approx(
        np.full(steps - window - 1, largest), rel=1e-12
    )


def test_a_window_reaches_past_steps_without_a_loss() -> None:
    terms = {5: np.ones((1, 1)), 2: np.ones((1, 1))}
    found = backpropagate_window(scalars(*[0.5] * 5), 5, terms.get, 2)
    assert gradients(found)[:, 0, 0] == pytest.approx([1.0, 0.5, 0.25, 1.0, 0.5, 0.25])


@pytest.mark.parametrize("clip", [0.0, 1e-3, 0.5, 1e3])
@pytest.mark.parametrize("every_step", [False, True])
def test_clipping_at_every_step_is_a_plain_loop(clip: float, every_step: bool) -> None:
    rng = np.random.default_rng(1)
    jacobians, term = rng.standard_normal((12, 3, 3)), rng.standard_normal((2, 3))
    loss = everywhere(term) if every_step else final(term, 12)
    found = backpropagate(Steps(*jacobians), 12, loss, clip=clip)
    g = np.clip(term, -clip, clip)
    expected = [g]
    for step in range(11, -1, -1):
        g = g @ jacobians[step]
        addition = loss(step) if step > 0 else None
        g = np.clip(g if addition is None else g + addition, -clip, clip)
        expected.append(g)
    assert gradients(found) == pytest.approx(np.array(expected), rel=1e-12, abs=1e-14)


def test_clipping_at_every_step_stops_an_explosion() -> None:
    found = backpropagate(scalars(*[1e200] * 50), 50, final(np.ones((1, 1)), 50), clip=2.0)
    assert np.exp(found.log_norms[1:, 0]) == pytest.approx(np.full(50, 2.0), rel=1e-12)


def test_clipping_far_below_what_float64_holds_is_at_the_bound() -> None:
    """A gradient of 1e500 cannot be compared with the threshold as a number."""
    found = backpropagate(scalars(1e250, 1e250), 2, final(np.ones((1, 1)), 2), clip=1e-250)
    assert found.log_norms[:, 0] == pytest.approx(np.full(3, -250 * LN10), rel=1e-12)


def test_clipping_leaves_a_vanishing_gradient_alone() -> None:
    free = backpropagate(scalars(*[0.1] * 900), 900, final(np.ones((1, 1)), 900))
    cut = backpropagate(scalars(*[0.1] * 900), 900, final(np.ones((1, 1)), 900), clip=2.0)
    assert np.array_equal(free.log_norms, cut.log_norms)


def test_saturated_units_pass_back_what_the_true_slope_lets_through() -> None:
    """At a = 30 the slope of tanh is 4 e^-60, where 1 - tanh^2 is exactly zero."""
    cell = CELLS["rnn"].build(weights=np.eye(1), bias=np.array([30.0]))
    states, preactivations = np.ones((4, 1, 1)), np.full((3, 1, 1), 30.0)
    found = backpropagate(cell.linearise(states, preactivations), 3, final(np.ones((1, 1)), 3))
    assert found.log_norms[:, 0] == pytest.approx(np.arange(4) * (np.log(4.0) - 60.0), rel=1e-12)
