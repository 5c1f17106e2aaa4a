"""Remedies: each is what a run of the changed network says, and searched numbers are where closed forms put them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cases import BATCH, CELLS, LOSSES, Array, BlockDiagonal, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.cells import CELLS as KINDS
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.diagnostics.remedies import REMEDIES, Counterfactual, Remedies, remedies
from gradhorizon_service.worker.diagnostics.remedies._remedy import Effect, Subject, Trial, effect_of
from gradhorizon_service.worker.diagnostics.remedies._search import balanced
from gradhorizon_service.worker.diagnostics.remedies.orthogonalise import polar_factor
from gradhorizon_service.worker.drives import EigenvectorState, GaussianInputs, GaussianState
from gradhorizon_service.worker.horizon import undefined
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.problem import NetworkSpec, Problem


def of(asked: Problem) -> Remedies:
    return remedies(runs.start(asked))


def by_name(found: Remedies) -> dict[str, Counterfactual]:
    return {row.name: row for row in found.counterfactuals}


def horizon(asked: Problem) -> int | None:
    return runs.horizon_of(runs.start(asked)).steps


def gaussian(size: int, gain: float, seed: int = 0) -> Array:
    return gain * np.random.default_rng(seed).standard_normal((size, size)) / np.sqrt(size)


def plain(gain: float, depth: int = 60, activation: str = "tanh") -> Problem:
    """A driven network of eight units."""
    parameters = {
        "weights": gaussian(8, gain),
        "input_weights": np.random.default_rng(1).standard_normal((8, 2)),
        "activation": activation,
    }
    case = CellCase("rnn", parameters, depth=depth, width=2, size=8, outputs=8)
    return replace(problem_of(case), inputs=GaussianInputs(0.5, BATCH, 2, seed=3), initial_state=None)


def test_rescaling_a_scalar_takes_one_over_its_modulus() -> None:
    found = by_name(of(linear(np.array([[-0.8]]), 200)))["rescale"]
    assert found.change["gain"] == pytest.approx(1.25, rel=1e-12)
    assert found.change["spectral_radius"] == pytest.approx(1.0)
    assert (found.horizon_before, found.horizon_after, found.censored_after) == (31, None, True)
    assert found.log10_growth_before == pytest.approx(200 * np.log10(0.8))
    assert found.log10_growth_after == pytest.approx(0.0, abs=1e-9)


def test_rescaling_balances_a_saturating_network_by_search() -> None:
    """No closed form, and no monotone growth: ten runs come near a gain at which nothing is lost over the depth."""
    asked = plain(0.7)
    found = by_name(of(asked))["rescale"]
    assert found.censored_after
    assert abs(found.log10_growth_after) < 0.02 * abs(found.log10_growth_before)
    assert found.runs <= 10
    changed = _with(asked, weights=found.change["gain"] * gaussian(8, 0.7))
    change = runs.start(changed).transported_log_norms(np.array([0, asked.depth]))
    assert np.median(change[1] - change[0]) / np.log(10.0) == pytest.approx(
        found.log10_growth_after, abs=1e-9
    )


def _with(asked: Problem, cell: str | None = None, **changed: Any) -> Problem:
    case = CellCase(cell or asked.network.cell, {**asked.network.parameters, **changed})
    return replace(asked, network=case.network())


def test_the_leak_rate_is_the_largest_that_reaches_all_the_way() -> None:
    """A step of h' = (1-a) h + a w h keeps 1 - a (1 - w), and (1 - a (1 - w))^T = 0.001 gives the largest a."""
    depth, w = 100, 0.5
    largest = (1.0 - 0.001 ** (1.0 / depth)) / (1.0 - w)
    found = by_name(of(linear(np.array([[w]]), depth)))["leak"]
    assert found.horizon_after is None
    assert largest / 1.06 <= found.change["leak_rate"] <= largest  # type: ignore[operator]


def test_the_residual_scale_is_the_largest_that_reaches_all_the_way() -> None:
    """(1 + s w)^T = 1000."""
    depth, w = 100, 0.5
    largest = (1000.0 ** (1.0 / depth) - 1.0) / w
    found = by_name(of(linear(np.array([[w]]), depth)))["residual"]
    assert largest / 1.06 <= found.change["scale"] <= largest  # type: ignore[operator]


def test_orthogonal_weights_keep_every_norm_of_a_linear_network() -> None:
    found = by_name(of(linear(gaussian(6, 0.5), 500)))["orthogonalise"]
    assert found.horizon_after is None
    assert found.log10_growth_after == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_polar_factor_is_orthogonal_and_nearest(scale: float) -> None:
    """W = Q P with P symmetric and positive."""
    W = scale * gaussian(5, 1.0)
    Q = polar_factor(W)
    assert pytest.approx(np.eye(5), abs=1e-14) == Q.T @ Q
    P = Q.T @ (W / scale)
    assert pytest.approx(P.T, abs=1e-13) == P
    assert np.linalg.eigvalsh(P).min() > 0


def test_the_skip_has_the_shortest_delay_that_is_enough() -> None:
    asked = plain(0.7)
    found = by_name(of(asked))["skip"]
    delay = int(found.change["delay"])
    assert found.horizon_after == horizon(_skipped(asked, delay))
    if found.horizon_after is None and delay > 2:
        assert horizon(_skipped(asked, delay - 1 if delay <= 4 else delay - 2)) is not None


def _skipped(asked: Problem, delay: int) -> Problem:
    return _with(asked, "skip", delay=delay, skip_weights=polar_factor(gaussian(8, 0.7)), combine="inside")


@pytest.mark.parametrize(("name", "cell"), [("leak", "leaky"), ("residual", "residual")])
def test_a_changed_cell_runs_on_the_same_inputs(name: str, cell: str) -> None:
    asked = plain(0.7)
    found = by_name(of(asked))[name]
    again = _with(asked, cell, **found.change)
    assert found.horizon_after == horizon(again)
    assert np.array_equal(again.inputs.build(5), asked.inputs.build(5))  # type: ignore[union-attr]


def _lstm(size: int, **more: Any) -> NetworkSpec:
    parameters = {
        "weights": np.zeros((4 * size, size)),
        "input_bias": np.zeros(4 * size),
        "recurrent_bias": np.zeros(4 * size),
    }
    return CellCase("lstm", {**parameters, **more}).network()


def test_the_forget_bias_is_the_smallest_that_reaches_all_the_way() -> None:
    """Without recurrent weights and input c is 0, and dL/dc_{T-k} = o f^k v with o = 1/2, against v at lag 0."""
    depth = 100
    keeping = (0.001 / 0.5) ** (1.0 / depth)
    smallest = np.log(keeping / (1.0 - keeping))
    asked = problem(_lstm(3), depth, loss=CotangentLoss(np.array([1.0, 2.0, 3.0])))
    found = by_name(of(asked))["forget_bias"]
    assert smallest <= found.change["forget_bias_increase"] <= smallest * 1.06  # type: ignore[operator]
    assert found.horizon_before == 1 + int(np.log(0.001 / 0.5) / np.log(0.5))
    assert found.horizon_after is None


def test_a_gru_is_biased_to_keep_its_state_either_way_round() -> None:
    for update, sign in (("keep", 1.0), ("replace", -1.0)):
        asked = problem_of(CellCase("gru", {**_gru(update)}, depth=60, width=2))
        found = by_name(of(asked))["forget_bias"]
        increase = float(found.change["update_bias_increase"])
        bias = np.zeros(12)
        bias[4:8] = sign * increase
        again = replace(asked, network=CellCase("gru", {**_gru(update), "input_bias": bias}).network())
        assert found.horizon_after == horizon(again)
        assert found.censored_after


def _gru(update: str) -> Mapping[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "weights": 0.3 * rng.standard_normal((12, 4)),
        "input_weights": 0.3 * rng.standard_normal((12, 2)),
        "update": update,
    }


def test_gated_networks_of_the_same_size_stand_beside_a_plain_one() -> None:
    found = by_name(of(plain(0.7)))
    assert found["lstm"].change == {"cell": "lstm", "hidden_size": 8}
    assert found["gru"].change == {"cell": "gru", "hidden_size": 8}
    assert found["forget_bias"].censored_after
    assert found["lstm"].horizon_after is not None


def test_long_biases_are_left_out_of_the_report_unless_asked_for() -> None:
    asked = replace(plain(0.7), network=CellCase("rnn", {"weights": gaussian(160, 0.7)}).network())
    asked = replace(asked, depth=8, inputs=None, loss=CotangentLoss(np.array(1.0)))
    asked = replace(asked, initial_state=GaussianState(1.0, seed=1))
    found = by_name(of(asked))["lstm"]
    assert found.network is None
    assert "remedy_networks" in (found.network_reason or "")
    found = by_name(of(replace(asked, include=frozenset({"remedy_networks"}))))["lstm"]
    assert found.network is not None
    assert len(found.network["input_bias"]) == 640


def test_clipping_and_truncation_leave_the_horizon_where_it_was() -> None:
    found = by_name(of(plain(0.7)))
    for name in ("clipping", "truncation"):
        assert found[name].horizon_after == found[name].horizon_before
        assert found[name].update_factor is not None
        assert "stays where it was" in found[name].says
    assert found["clipping"].rank == found["truncation"].rank == max(row.rank for row in found.values())


def test_truncation_keeps_the_lags_that_hold_the_gradient() -> None:
    asked = plain(0.7)
    found = by_name(of(asked))["truncation"]
    whole = runs.start(asked)
    shares = whole.shares(np.arange(asked.depth))
    assert shares is not None
    assert found.change["truncate"] == shares.cumulative_95
    cut = runs.start(replace(asked, truncate=shares.cumulative_95)).parameter_gradients()
    norms = [
        np.sqrt(sum(np.exp(2.0 * g.log_norm) for g in gradients.values()))
        for gradients in (whole.parameter_gradients(), cut)
    ]
    assert found.update_factor == pytest.approx(norms[1] / norms[0])


def test_cutting_the_state_gradient_at_every_step_moves_the_horizon_of_an_explosion() -> None:
    policy = ClippingPolicy("per_step", 1.0)
    found = by_name(of(linear(np.array([[2.0]]), 20, clipping=policy)))["clipping"]
    assert (found.horizon_before, found.horizon_after) == (10, None)
    assert found.log10_growth_after == pytest.approx(0.0, abs=1e-9)


def test_remedies_are_ranked_by_how_far_they_reach() -> None:
    found = of(plain(0.7)).counterfactuals
    reach = [np.inf if row.horizon_after is None else row.horizon_after for row in found]
    assert reach == sorted(reach, reverse=True)
    assert [row.rank for row in found] == sorted(row.rank for row in found)
    assert found[0].rank == 1


def test_every_remedy_is_run_or_says_why_not() -> None:
    for case in CELLS.values():
        if not KINDS[case.cell].has_states:
            continue
        found = of(problem_of(case))
        assert {row.name for row in found.counterfactuals} | {row.name for row in found.not_run} == set(
            REMEDIES
        )
        assert all(row.reason for row in found.not_run)
        assert all(row.cost and row.says and row.runs >= 1 for row in found.counterfactuals)


def test_a_spectrum_is_changed_without_forming_a_matrix() -> None:
    found = by_name(of(linear(BlockDiagonal(np.array([0.5, 0.3 + 0.4j])), 10**6)))
    assert found["rescale"].change["gain"] == pytest.approx(2.0)
    assert found["orthogonalise"].horizon_after is None
    assert found["leak"].horizon_after is None


def test_layers_are_rescaled_together() -> None:
    layers = [0.5 * np.eye(3)] * 12
    case = CellCase("feedforward", {"layers": layers}, depth=12, size=3, outputs=3)
    found = by_name(of(problem_of(case)))
    assert found["rescale"].change["gain"] == pytest.approx(2.0)
    assert found["orthogonalise"].log10_growth_after == pytest.approx(0.0, abs=1e-12)
    assert found["residual"].log10_growth_after == pytest.approx(12 * np.log10(1.5))


def test_an_echo_state_network_is_rescaled_by_its_radius() -> None:
    asked = plain(0.7)
    network = _with(asked, "echo_state", spectral_radius=0.6, leak_rate=1.0)
    found = by_name(of(network))["rescale"]
    again = _with(network, spectral_radius=found.change["spectral_radius"])
    assert found.horizon_after == horizon(again)
    assert abs(found.log10_growth_after) < 0.05 * abs(found.log10_growth_before)


def test_a_dead_gradient_has_no_remedies() -> None:
    found = of(linear(np.array([[0.5]]), 5, loss=CotangentLoss(np.array([0.0]))))
    assert found.counterfactuals == []
    assert {row.name for row in found.not_run} == set(REMEDIES)


def test_a_change_that_diverges_is_last_and_says_so() -> None:
    """An exploding relu network whose residual variant grows without bound on the way forward."""
    found = of(replace(plain(30.0, depth=300, activation="relu"), depth=300))
    for row in found.counterfactuals:
        assert np.isfinite(row.log10_growth_after) or np.isneginf(row.log10_growth_after)


def test_a_network_that_diverges_is_rescaled_until_it_does_not() -> None:
    """h' = relu(3 h + 1) leaves float64 after 645 steps; any gain that keeps the gradient keeps the state."""
    parameters = {"weights": np.array([[3.0]]), "bias": np.array([1.0]), "activation": "relu"}
    asked = problem(CellCase("rnn", parameters).network(), 1000)
    found = by_name(of(asked))["rescale"]
    assert found.horizon_before == 7
    assert found.censored_after
    assert found.change["gain"] == pytest.approx(1.0 / 3.0, rel=1e-3)


def test_a_network_that_reaches_all_the_way_is_told_so() -> None:
    found = of(linear(np.eye(2), 50))
    assert "already" in found.says
    assert found.counterfactuals[0].rank == 1


def test_the_loss_of_a_readout_is_carried_along() -> None:
    found = of(problem_of(CELLS["rnn tanh"], LOSSES["cross_entropy"]))
    assert {"lstm", "gru", "leak"} <= set(by_name(found))


def test_a_change_that_is_enough_is_found_even_where_the_extreme_overshoots() -> None:
    """A forget bias near ln T carries this gradient; the largest one looked at lets it grow beyond the level."""
    rng = np.random.default_rng(0)
    parameters = {
        "weights": rng.uniform(-1.0, 1.0, (16, 4)),
        "input_weights": rng.uniform(-1.0, 1.0, (16, 2)),
        "input_bias": np.zeros(16),
    }
    asked = replace(
        problem_of(CellCase("lstm", parameters, depth=80, width=2, size=8, outputs=4)), horizon_level=0.2
    )
    found = by_name(of(asked))["forget_bias"]
    reached = []
    for increase in np.linspace(0.5, 10.0, 20):
        bias = np.zeros(16)
        bias[4:8] = increase
        changed = CellCase("lstm", {**parameters, "input_bias": bias}).network()
        reached.append(horizon(replace(asked, network=changed)))
    if None in reached:
        assert found.censored_after
    else:
        assert found.horizon_after is not None
        assert found.horizon_after >= 0.5 * max(reached)  # type: ignore[type-var]


def test_a_search_that_finds_nothing_enough_says_so() -> None:
    """Slopes of a sigmoid are at most 1/4, and no skip of 32 steps makes up for that over 400."""
    found = by_name(of(plain(0.01, depth=400, activation="sigmoid")))
    short = [row for row in found.values() if REMEDIES[row.name].is_mildest and row.horizon_after is not None]
    assert all("none carries the gradient all the way" in row.says for row in short)


def test_no_mildest_change_is_looked_for_where_none_is_needed() -> None:
    found = of(linear(np.eye(2), 50))
    reasons = {row.name: row.reason for row in found.not_run}
    for name in ("leak", "residual", "skip", "forget_bias"):
        assert "no change is needed" in reasons[name]


def test_a_change_that_leaves_float64_in_its_burn_in_is_one_that_does_not_run() -> None:
    """relu(0.1 h + 1) settles; h + relu(..) sums up a thousand steps before the first that is diagnosed."""
    parameters = {"weights": np.full((2, 2), 0.2), "input_weights": np.ones((2, 1)), "activation": "relu"}
    case = CellCase("rnn", parameters, depth=30, width=1, size=2, outputs=2)
    asked = replace(problem_of(case), inputs=GaussianInputs(1.0, 1, 1, seed=0), batch=1, burn_in=4000)
    asked = replace(asked, initial_state=None, loss=CotangentLoss(np.ones(2)))
    rows = by_name(of(asked))
    assert set(rows) >= {"rescale", "leak", "residual"}
    assert all(row.log10_growth_after_reason for row in rows.values() if np.isnan(row.log10_growth_after))


def test_an_eigenvector_to_start_from_stays_that_of_the_given_matrix() -> None:
    W = gaussian(4, 0.5)
    asked = replace(linear(W, 20), initial_state=EigenvectorState(0), inputs=None)
    start = runs.start(asked).initial_state
    changed = Subject(asked, effect_of(asked)).with_parameters(weights=polar_factor(W))
    assert runs.start(changed).initial_state == pytest.approx(start, abs=0)


def test_a_negative_scale_keeps_its_sign() -> None:
    """h + s (-1) h grows by 1 - s: (1 - s)^60 = 1000 at s = 1 - 1000^(1/60)."""
    parameters = {"weights": -np.eye(2), "scale": -0.7, "activation": "identity"}
    found = by_name(of(problem_of(CellCase("residual", parameters, depth=60, size=2, outputs=2))))["residual"]
    largest = 1.0 - 1000.0 ** (1.0 / 60.0)
    assert largest <= float(found.change["scale"]) < 0.94 * largest


def test_a_gain_that_leaves_nothing_ends_the_search_outward_and_not_the_search() -> None:
    """The growth rises up to a gain of 4 and is minus infinity from 8 on; the best lies inside."""

    def trial(gain: float) -> Trial:
        x = np.log10(gain)
        growth = -np.inf if gain > 8.0 else -4.0 - 30.0 * (x - np.log10(4.0)) ** 2
        steps = 1 if np.isinf(growth) else int(100 + growth)
        return Trial({"gain": gain}, Effect(replace(undefined(0.001), steps=steps), growth, False))

    found, used = balanced(trial, trial(1.0).effect.log10_growth, 60)
    assert used <= 10
    assert float(found.change["gain"]) == pytest.approx(4.0, rel=0.3)
