"""Every cell of the table: its Jacobian's products against finite differences of its own step."""

from __future__ import annotations

import numpy as np
import pytest

from cases import BATCH, CELLS, SATURATED, Array, CellCase
from gradhorizon_service.worker.activations import Identity
from gradhorizon_service.worker.cells import CELLS as BUILDERS
from gradhorizon_service.worker.cells import Cell, Linearisation
from gradhorizon_service.worker.cells.decays import DecaysCell
from gradhorizon_service.worker.cells.linear import DiagonalLinearCell
from reference import numerical_gradient


@pytest.fixture(params=CELLS)
def case(request: pytest.FixtureRequest) -> CellCase:
    return CELLS[request.param]


class Walk:
    """A few steps of a cell from random states, with its Jacobians."""

    def __init__(self, case: CellCase) -> None:
        rng = np.random.default_rng(0)
        self.case = case
        self.cell: Cell = case.network().build()
        self.inputs = None if case.width is None else rng.standard_normal((case.depth, BATCH, case.width))
        self.drive = self.cell.drive(self.inputs, case.depth, BATCH)
        self.states: list[Array] = [rng.standard_normal((BATCH, case.size))]
        self.preactivations: list[Array] = []
        for step in range(case.depth):
            state, preactivation = self.advance(step, self.states[-1])
            self.states.append(state)
            self.preactivations.append(preactivation)
        self.linearisation: Linearisation = self.cell.linearise(self.states, self.preactivations)

    def advance(self, step: int, state: Array) -> tuple[Array, Array]:
        return self.cell.advance(step, state, None if self.drive is None else self.drive[step])

    def gradient(self, step: int) -> Array:
        return np.random.default_rng(step).standard_normal(self.states[step + 1].shape)


@pytest.fixture
def walk(case: CellCase) -> Walk:
    return Walk(case)


def test_every_cell_is_in_the_table_of_cases() -> None:
    assert {case.cell for case in CELLS.values()} == set(BUILDERS)


def test_a_step_returns_the_sizes_it_promises(case: CellCase, walk: Walk) -> None:
    assert walk.cell.state_size == case.size
    assert walk.cell.output_size == case.outputs
    assert walk.states[-1].shape == (BATCH, case.size if walk.cell.recurrent else case.outputs)


def test_vjp_is_the_slope_of_a_step(walk: Walk) -> None:
    for step, state in enumerate(walk.states[:-1]):
        g = walk.gradient(step)
        expected = numerical_gradient(
            lambda s, step=step, g=g: float(np.sum(g * walk.advance(step, s)[0])), state
        )
        assert walk.linearisation.vjp(step, g)[0] == pytest.approx(expected, rel=1e-7, abs=1e-9)


def test_vjp_takes_several_loss_terms_at_once(walk: Walk) -> None:
    """Windows carry terms side by side, (K, B, S)."""
    g = walk.gradient(1)
    stacked = walk.linearisation.vjp(1, np.stack([g, 2.0 * g]))
    before, delta = walk.linearisation.vjp(1, g)
    assert stacked[0] == pytest.approx(np.stack([before, 2.0 * before]))
    assert stacked[1] == pytest.approx(np.stack([delta, 2.0 * delta]))


def test_deltas_of_a_backward_pass_are_those_of_its_steps(walk: Walk) -> None:
    gradients, deltas = [walk.gradient(len(walk.preactivations) - 1)], []
    for step in reversed(range(len(walk.preactivations))):
        before, delta = walk.linearisation.vjp(step, gradients[-1])
        gradients.append(before)
        deltas.append(delta)
    found = walk.linearisation.deltas(gradients)
    assert len(found) == len(deltas)
    for lag, delta in enumerate(deltas):
        assert found[lag] == pytest.approx(delta, rel=1e-14)


def test_factors_are_the_jacobians_that_vjp_applies(walk: Walk) -> None:
    """Rectangular chains come without square factors, and a diagonal recurrence has closed forms instead."""
    factors = walk.linearisation.factors()
    if factors is None:
        sizes = {state.shape[1] for state in walk.states}
        assert len(sizes) > 1 or isinstance(walk.cell, DiagonalLinearCell | DecaysCell)
        return
    assert factors.steps == len(walk.preactivations)
    for step in range(factors.steps):
        g = walk.gradient(step)
        J = np.broadcast_to(factors.dense(step), (BATCH, factors.size, factors.size))
        before = walk.linearisation.vjp(step, g)[0]
        assert np.einsum("bij,bi->bj", J, g) == pytest.approx(before, rel=1e-12, abs=1e-13)


def test_factors_multiply_frames_by_their_dense_selves(walk: Walk) -> None:
    factors = walk.linearisation.factors()
    if factors is None:
        return
    frames = np.random.default_rng(1).standard_normal((BATCH, factors.size, 2))
    for step in range(factors.steps):
        J = factors.dense(step)
        assert J.shape == (factors.batch, factors.size, factors.size)
        assert factors.times(step, frames) == pytest.approx(J @ frames, rel=1e-12, abs=1e-13)
        transposed = J.swapaxes(-1, -2) @ frames
        assert factors.transpose_times(step, frames) == pytest.approx(transposed, rel=1e-12, abs=1e-13)


def test_a_frame_product_does_not_touch_its_frame(walk: Walk) -> None:
    factors = walk.linearisation.factors()
    if factors is None:
        return
    frames = np.ones((BATCH, factors.size, 2))
    factors.times(0, frames)
    factors.transpose_times(0, frames)
    assert (frames == 1.0).all()


def test_a_homogeneous_cell_is_linear_without_its_drive(walk: Walk) -> None:
    """What lets states carry a scale of their own; the drive is added to them at that scale."""
    if not walk.cell.homogeneous:
        return
    state = walk.states[0]
    once, scaled = walk.cell.advance(0, state, None)[0], walk.cell.advance(0, 1e100 * state, None)[0]
    assert scaled == pytest.approx(1e100 * once, rel=1e-13)


def test_a_step_does_not_touch_the_state_it_starts_from(walk: Walk) -> None:
    state = walk.states[0].copy()
    walk.advance(0, state)
    assert np.array_equal(state, walk.states[0])


@pytest.mark.parametrize("name", SATURATED)
def test_saturated_states_have_slopes_of_the_pre_activation(name: str) -> None:
    """The slope is positive and tiny where a slope from the output would be exactly zero, or noise."""
    saturated = Walk(SATURATED[name])
    largest = max(float(np.abs(a).max()) for a in saturated.preactivations)
    assert largest > 20.0
    cell = saturated.cell
    for step, preactivation in enumerate(saturated.preactivations):
        g = saturated.gradient(step)
        slopes = cell.activation.slope(preactivation)  # type: ignore[attr-defined]
        assert saturated.linearisation.vjp(step, g)[1] == pytest.approx(g * slopes, rel=1e-14)
        if name in ("tanh", "sigmoid"):
            assert (slopes > 0.0).all()


def test_nonlinearities_saw_the_pre_activations_of_the_steps(walk: Walk) -> None:
    if walk.cell.activation is None or isinstance(walk.cell.activation, Identity):
        assert walk.cell.activation is None or not walk.cell.nonlinearities(walk.states, walk.inputs)
        return
    found = walk.cell.nonlinearities(walk.states, walk.inputs)["h"]
    assert found.activation is walk.cell.activation
    for seen, preactivation in zip(found.preactivations, Walk(walk.case).preactivations, strict=True):
        assert seen == pytest.approx(preactivation, rel=1e-12, abs=1e-12)


def test_a_step_that_splits_goes_through_slopes_and_then_weights(walk: Walk) -> None:
    """J_t^T g = W_t^T delta with delta = phi'(a_t) g, and nothing beside it."""
    if not walk.cell.splits or not walk.cell.nonlinearities(walk.states, walk.inputs):
        return
    found = walk.cell.nonlinearities(walk.states, walk.inputs)["h"]
    for step, a in enumerate(found.preactivations):
        g = walk.gradient(step)
        before, delta = walk.linearisation.vjp(step, g)
        weights = (
            walk.case.parameters["layers"][step] if "layers" in walk.case.parameters else walk.cell.matrix
        )
        assert delta == pytest.approx(found.activation.slope(a) * g, rel=1e-10, abs=1e-12)
        assert before == pytest.approx(delta @ weights, rel=1e-12, abs=1e-12)
