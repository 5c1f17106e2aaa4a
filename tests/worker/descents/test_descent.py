"""Descents whose every step is known, runs that leave the numbers, and many runs as each would be alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.descents import DescentProblem, Record, descend
from gradhorizon_service.worker.descents.cells import CELLS
from gradhorizon_service.worker.descents.network import Network
from gradhorizon_service.worker.descents.starts import Given, Initialised
from gradhorizon_service.worker.descents.tasks import DelayedRecall, Fit, Latch
from gradhorizon_service.worker.drives import GivenState

NONE = ClippingPolicy("none")
SGD = {"kind": "sgd", "learning_rate": 1e-3}


def power(
    w: float,
    length: int = 6,
    start: float = 0.5,
    target: float = 2.0,
    policies: Mapping[str, ClippingPolicy] | None = None,
    **more: Any,
) -> DescentProblem:
    """w^T h_0 is to be the target."""
    task = Fit(length, 1, GivenState(np.array([start])), np.array([target]))
    fields: dict[str, Any] = {
        "task": task,
        "network": Network(CELLS["rnn"](activation="identity"), 1, task.loss),
        "start": Given({"weights": np.array([[w]])}),
        "optimizer": SGD,
        "policies": policies or {"none": NONE},
        "steps": 5,
        "seeds": (0,),
        "curvature_points": 5,
    }
    return DescentProblem(**{**fields, **more})


def latch(**more: Any) -> DescentProblem:
    task = Latch(5)
    cell = CELLS["rnn"]()
    fields: dict[str, Any] = {
        "task": task,
        "network": Network(cell, 4, task.loss),
        "start": Initialised(cell, 4, task.inputs, task.outputs),
        "optimizer": {"kind": "adam", "learning_rate": 0.05},
        "policies": {"none": NONE, "norm": ClippingPolicy("norm", 0.1)},
        "steps": 8,
        "seeds": (3, 4, 5),
        "batch": 6,
        "test_batch": 32,
        "fresh": True,
    }
    return DescentProblem(**{**fields, **more})


def test_one_unit_descends_as_its_formula_says() -> None:
    """L = (w^T h - y)^2 / 2: loss, gradient, curvature and the next w of every step."""
    T, h, y, rate = 6, 0.5, 2.0, 1e-3
    found = descend(power(1.1))
    w = 1.1
    for k in range(6):
        error, slope = w**T * h - y, T * w ** (T - 1) * h
        assert found.loss[k, 0] == pytest.approx(error**2 / 2, rel=1e-13)
        assert found.log_gradient_norm[k, 0] == pytest.approx(np.log(abs(error * slope)), rel=1e-12)
        assert found.log_parameter_norm[k, 0] == pytest.approx(np.log(w), rel=1e-12)
        if k < 5:
            curvature = slope**2 + error * T * (T - 1) * w ** (T - 2) * h
            assert found.curvature[k, 0] == pytest.approx(curvature, rel=1e-12)
            w -= rate * error * slope
    assert found.final["weights"][0, 0, 0] == pytest.approx(w, rel=1e-12)


def test_learning_rates_below_two_over_the_curvature_converge_and_above_it_do_not() -> None:
    """At the minimum the curvature is slope^2; the stable rate is exact there."""
    w, T, h = 2.0 ** (1 / 3), 6, 0.5  # w^6 h = 2
    curvature = (T * w ** (T - 1) * h) ** 2
    near = w * (1.0 + 1e-6)
    for factor, converges in ((0.98, True), (1.02, False)):
        rate = factor * 2.0 / curvature
        found = descend(power(near, optimizer={"kind": "sgd", "learning_rate": rate}, steps=40))
        assert found.curvature[0, 0] == pytest.approx(curvature, rel=1e-4)
        assert (found.loss[-1, 0] < found.loss[0, 0]) == converges


def test_clipping_bounds_the_step() -> None:
    clipped = ClippingPolicy("norm", 0.01)
    steep = {"kind": "sgd", "learning_rate": 0.5}
    found = descend(power(2.0, policies={"none": NONE, "norm": clipped}, optimizer=steep, steps=1))
    moved = np.abs(found.final["weights"][:, 0, 0] - 2.0)
    slope = (2.0**6 * 0.5 - 2.0) * 6 * 2.0**5 * 0.5
    assert moved[0] == pytest.approx(0.5 * slope, rel=1e-12)
    assert moved[1] == pytest.approx(0.5 * 0.01, rel=1e-6)
    assert list(found.clipped[0]) == [False, True]


def test_cutting_the_state_gradient_is_a_clip_event_where_an_entry_is_beyond_the_threshold() -> None:
    """dL/dh_T = w^T h - y = -1.11 at the start; with w > 1 it only grows on its way back."""
    policies = {
        "cut": ClippingPolicy("per_step", 1.0),
        "not cut": ClippingPolicy("per_step", 1e6),
        "none": NONE,
    }
    found = descend(power(1.1, policies=policies, steps=1))
    assert list(found.clipped[0]) == [True, False, False]
    T, h = 6, 0.5
    slopes = T * 1.1 ** (T - 1) * h, sum(1.1**t * h for t in range(T))  # whole, and cut to 1 at every step
    assert np.exp(found.log_gradient_norm[0]) == pytest.approx(
        [slopes[1], *[slopes[0] * (2.0 - 1.1**6 / 2)] * 2]
    )


def test_an_overshoot_undoes_the_progress_made() -> None:
    """Two small steps forward, then one over the valley: the share is (loss after - before) / (start - lowest)."""
    found = descend(power(1.3, optimizer={"kind": "sgd", "learning_rate": 0.03}, steps=30))
    loss = found.loss[:, 0]
    for k in range(1, 31):
        if loss[k] > loss[k - 1] and np.isfinite(loss[k]) and loss[0] - loss[:k].min() > 1e-3 * loss[0]:
            share = min((loss[k] - loss[k - 1]) / (loss[0] - loss[:k].min()), 1000.0)
            assert found.progress_lost[k, 0] == pytest.approx(share, rel=1e-12)
    assert np.nanmax(found.progress_lost) > 0.9


def test_float32_leaves_its_numbers_where_float64_goes_on() -> None:
    """w = 30 over 20 steps: h_T = 1.7e29 is a float32, its square is not; one step throws w to 1e58 or to infinity."""
    tall = power(30.0, length=20, steps=3, optimizer={"kind": "sgd", "learning_rate": 1.0})
    single, double = descend(replace(tall, dtype="float32")), descend(tall)
    assert single.first_non_finite == {"loss": [0], "gradient": [0], "parameters": [1]}
    assert double.first_non_finite["loss"][0] == 1
    assert np.isfinite(double.loss[0, 0])
    assert np.isnan(single.final["weights"]).all()


def test_a_run_that_left_the_numbers_leaves_the_others_alone() -> None:
    policies = {"none": NONE, "norm": ClippingPolicy("norm", 1e-3)}
    tall = power(30.0, length=12, steps=4, policies=policies, optimizer={"kind": "sgd", "learning_rate": 1.0})
    found = descend(tall)
    alone = descend(replace(tall, policies={"norm": policies["norm"]}))
    assert found.first_non_finite["parameters"][0] >= 0
    assert not found.clipped[:, 0].any()
    assert np.array_equal(found.loss[:, 1], alone.loss[:, 0])
    assert np.isfinite(found.loss[:, 1]).all()


def test_the_torch_rule_leaves_parameters_where_they_are_once_the_norm_overflows() -> None:
    """The gradient is finite in float32, the sum of its squares is not: everything is clipped to zero."""
    tall = power(5.0, length=20, steps=3, policies={"norm": ClippingPolicy("norm", 1.0)}, dtype="float32")
    wide = replace(
        tall,
        start=Given({"weights": np.array([[5.0, 0.0], [0.0, 5.0]])}),
        network=replace(tall.network, hidden_size=2),
        task=Fit(20, 2, GivenState(np.array([0.5, 0.25])), np.array([1.0, 1.0])),
    )
    found = descend(wide)
    assert found.clipped[:-1].all()
    assert np.array_equal(found.final["weights"][0], wide.start.draw(0, 0)["weights"])


@pytest.mark.parametrize("fresh", [True, False])
def test_a_seed_does_the_same_alone_and_among_others(fresh: bool) -> None:
    """Many seeds are one batched computation, and each is what it would be alone."""
    together = descend(latch(fresh=fresh))
    for place, seed in enumerate((3, 4, 5)):
        for policy in ("none", "norm"):
            alone = descend(latch(fresh=fresh, seeds=(seed,), policies={policy: latch().policies[policy]}))
            run = place + 3 * ["none", "norm"].index(policy)
            assert alone.loss[:, 0] == pytest.approx(together.loss[:, run], rel=1e-9)
            assert alone.verdict.score[0] == together.verdict.score[run]


def test_policies_share_start_and_sequences() -> None:
    found = descend(latch())
    assert np.array_equal(found.loss[0, :3], found.loss[0, 3:])
    assert len(set(found.loss[0, :3])) == 3
    assert not np.array_equal(found.loss[-1, :3], found.loss[-1, 3:])


def test_fixed_sequences_are_seen_again_and_fresh_ones_are_not() -> None:
    still = {"kind": "sgd", "learning_rate": 1e-300}
    fixed, fresh = (descend(latch(fresh=fresh, optimizer=still)) for fresh in (False, True))
    assert (fixed.loss == fixed.loss[0]).all()
    assert (fresh.loss[1] != fresh.loss[0]).all()
    assert (fresh.progress_lost == 0.0).all()  # on the sequences of the step itself nothing changed


def test_the_readout_alone_of_an_echo_state_network_is_trained() -> None:
    task = DelayedRecall(4)
    cell = CELLS["echo_state"]()
    start = Initialised(cell, 6, task.inputs, task.outputs, spectral_radius=0.9)
    found = descend(latch(task=task, network=Network(cell, 6, task.loss), start=start))
    for name in found.initial:
        changed = not np.array_equal(found.initial[name], found.final[name])
        assert changed == name.startswith("readout")
    radii = np.abs(np.linalg.eigvals(found.initial["weights"])).max(axis=1)
    assert radii == pytest.approx(0.9, rel=1e-12)


def cliff(w: float, b: float, rate: float, policies: Mapping[str, ClippingPolicy]) -> Record:
    task = Fit(50, 1, GivenState(np.array([expit(0.5)])), np.array([0.7]), "squared_error")
    network = Network(CELLS["rnn"](activation="sigmoid"), 1, "squared_error")
    start = Given({"weights": np.array([[w]]), "bias": np.array([b])})
    sgd = {"kind": "sgd", "learning_rate": rate}
    return descend(DescentProblem(task, network, start, sgd, policies, 100, (0,), curvature_points=100))


def test_the_cliff_is_the_surface_of_pascanu_mikolov_and_bengio() -> None:
    """E = (sigma(x_50) - 0.7)^2, x_t = w sigma(x_{t-1}) + b, x_0 = 0.5 (their equation 8 and figure 6)."""
    for w, b in ((4.5, -2.2), (5.0, -2.6), (6.0, -3.0)):
        x = 0.5
        for _ in range(50):
            x = w * expit(x) + b
        assert cliff(w, b, 0.1, {"none": NONE}).loss[0, 0] == pytest.approx((expit(x) - 0.7) ** 2, rel=1e-9)


def test_one_step_off_the_cliff_undoes_the_progress_and_clipping_prevents_it() -> None:
    found = cliff(4.5, -2.2, 0.2, {"none": NONE, "norm": ClippingPolicy("norm", 0.01)})
    lost = np.nanmax(found.progress_lost, axis=0)
    assert lost[0] > 0.9
    assert lost[1] < 0.1
    assert found.loss[-1, 0] > 0.08
    assert found.loss[-1, 1] < 0.001
    step = int(np.nanargmax(found.progress_lost[:, 0]))
    assert 2.0 / found.curvature[step - 1, 0] < 0.2 / 1000.0  # the rate is thousands of times the stable one
