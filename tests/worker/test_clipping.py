"""Clipping policies: what each framework makes of a gradient, in the precision it trains in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.clipping import (
    ON_OVERFLOW,
    Clipped,
    ClippingPolicy,
    clip,
    clip_norms,
    clip_runs,
    clip_tensors,
)
from gradhorizon_service.worker.parameter_gradients import ScaledArray
from gradhorizon_service.worker.precision import PRECISIONS

FRAMEWORKS = ("torch", "optax", "keras", "keras_global")
DTYPES = ("float16", "bfloat16", "float32", "float64")
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22, "float64": 2.0**-50}
SMALLEST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}

RECORDED = json.loads((Path(__file__).parents[1] / "recorded" / "clipping.truth.json").read_text("utf-8"))
RECORDS = {
    f"{policy} {dtype}": [r for r in RECORDED["results"] if (r["policy"], r["dtype"]) == (policy, dtype)]
    for policy in ("optax", "keras", "keras_global", "optax value", "keras value")
    for dtype in DTYPES
}


def clipped(policy: ClippingPolicy, dtype: str, **tensors: Array) -> Clipped:
    return clip(
        policy, {name: ScaledArray.of(np.asarray(t, dtype=np.float64)) for name, t in tensors.items()}, dtype
    )


def by_norm(framework: str, threshold: float = 1.0, norm_type: float = 2.0) -> ClippingPolicy:
    return ClippingPolicy("norm", threshold, norm_type, framework)


def norm(*tensors: Array) -> float:
    return float(np.sqrt(sum(np.sum(np.square(t.astype(np.float64))) for t in tensors)))


@pytest.mark.parametrize("framework", ["torch", "optax", "keras_global"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-6), ("float32", 2e-6), ("float16", 2e-3), ("bfloat16", 1e-2)]
)
def test_a_global_norm_above_the_threshold_becomes_the_threshold(
    framework: str, dtype: str, tolerance: float
) -> None:
    found = clipped(by_norm(framework), dtype, a=np.full(50, 3.0), b=np.full((5, 10), -3.0))
    assert norm(*found.after.values()) == pytest.approx(1.0, rel=tolerance)
    assert found.triggered


def test_torch_divides_by_the_norm_and_a_millionth() -> None:
    found = clipped(by_norm("torch"), "float64", a=np.array([3e-3, 4e-3]), b=np.array([12e-3]))
    assert not found.triggered
    found = clipped(by_norm("torch", 1e-3), "float64", a=np.array([3e-3, 4e-3]), b=np.array([12e-3]))
    assert norm(*found.after.values()) == pytest.approx(13e-3 * 1e-3 / (13e-3 + 1e-6), rel=1e-12)


@pytest.mark.parametrize("framework", ["optax", "keras_global"])
def test_others_divide_by_the_norm_alone(framework: str) -> None:
    found = clipped(by_norm(framework, 1e-3), "float64", a=np.array([3e-3, 4e-3]), b=np.array([12e-3]))
    assert norm(*found.after.values()) == pytest.approx(1e-3, rel=1e-12)


def test_keras_clips_each_tensor_by_itself() -> None:
    found = clipped(by_norm("keras"), "float64", large=np.array([3.0, 4.0]), small=np.array([0.1]))
    assert found.after["large"] == pytest.approx([0.6, 0.8])
    assert found.after["small"].tolist() == [0.1]
    assert found.triggered


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_gradient_within_the_threshold_is_untouched(framework: str, dtype: str) -> None:
    found = clipped(by_norm(framework), dtype, a=np.array([0.25, -0.5]))
    assert not found.triggered
    assert np.array_equal(found.after["a"], found.before["a"])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_zero_gradient_stays_zero(framework: str) -> None:
    found = clipped(by_norm(framework), "float32", a=np.zeros(3))
    assert found.after["a"].tolist() == [0.0] * 3
    assert not found.triggered


def test_an_overflowing_norm_makes_torch_and_optax_drop_every_gradient() -> None:
    for framework in ("torch", "optax"):
        found = clipped(by_norm(framework), "float32", a=np.full(100, 1e20), b=np.ones(3))
        assert not found.after["a"].any()
        assert not found.after["b"].any()
        assert found.triggered


def test_an_overflowing_norm_makes_keras_drop_one_tensor() -> None:
    found = clipped(by_norm("keras"), "float32", a=np.full(100, 1e20), b=np.array([3.0, 4.0]))
    assert not found.after["a"].any()
    assert found.after["b"] == pytest.approx([0.6, 0.8])


def test_an_overflowing_norm_makes_keras_global_return_nan() -> None:
    found = clipped(by_norm("keras_global"), "float32", a=np.full(100, 1e20), b=np.ones(3))
    assert np.isnan(found.after["a"]).all()
    assert np.isnan(found.after["b"]).all()


@pytest.mark.parametrize("framework", ["torch", "optax", "keras"])
def test_one_infinity_among_ones_becomes_nan_and_the_rest_zero(framework: str) -> None:
    values = np.ones(10)
    values[3] = 1e39
    after = clipped(by_norm(framework), "float32", a=values).after["a"]
    assert np.isnan(after[3])
    assert not np.delete(after, 3).any()


def test_one_infinity_among_ones_makes_keras_global_return_nan() -> None:
    after = clipped(by_norm("keras_global"), "float32", a=np.array([1.0, 1e39])).after["a"]
    assert np.isnan(after).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_underflowing_norm_leaves_the_gradient_alone(framework: str) -> None:
    """The squares of 1e-30 are zero in float32, and so is the norm."""
    found = clipped(by_norm(framework), "float32", a=np.full(100, 1e-30))
    assert not found.triggered
    assert np.array_equal(found.after["a"], np.full(100, np.float32(1e-30)))


def test_torch_squares_no_number_that_is_alone() -> None:
    """Its absolute value is its norm, which does not overflow where the square would."""
    alone = clipped(by_norm("torch"), "float32", a=np.array([1e20]))
    assert alone.norm == pytest.approx(1e20)
    assert alone.after["a"] == pytest.approx([1.0])
    assert clipped(by_norm("torch"), "float32", a=np.array([1e20, 0.0])).norm == np.inf
    assert clipped(by_norm("optax"), "float32", a=np.array([1e20])).norm == np.inf


def test_the_largest_entry_is_the_infinity_norm() -> None:
    found = clipped(by_norm("torch", 1.0, np.inf), "float64", a=np.array([3.0, -8.0]), b=np.array([1.0]))
    assert found.after["a"] == pytest.approx(np.array([3.0, -8.0]) / (8.0 + 1e-6), rel=1e-12)
    assert found.after["b"] == pytest.approx(1.0 / (8.0 + 1e-6), rel=1e-12)


def test_the_infinity_norm_does_not_overflow_where_the_euclidean_does() -> None:
    found = clipped(by_norm("torch", 1.0, np.inf), "float32", a=np.full(100, 1e20))
    assert found.after["a"] == pytest.approx(np.ones(100))


@pytest.mark.parametrize("framework", ["torch", "optax"])
def test_a_threshold_of_zero_makes_every_gradient_zero(framework: str) -> None:
    found = clipped(by_norm(framework, 0.0), "float32", a=np.ones(3))
    assert not found.after["a"].any()
    assert found.factors == {"a": 0.0}


@pytest.mark.parametrize("framework", ["keras", "keras_global"])
def test_keras_reads_a_threshold_of_zero_as_no_clipping(framework: str) -> None:
    found = clipped(by_norm(framework, 0.0), "float32", a=np.ones(3))
    assert found.after["a"].tolist() == [1.0] * 3
    assert found.factors == {"a": 1.0}
    assert not found.triggered


def test_optax_divides_zero_by_zero_where_norm_and_threshold_are_zero() -> None:
    assert np.isnan(clipped(by_norm("optax", 0.0), "float32", a=np.zeros(3)).after["a"]).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_one_nan_spreads_over_everything_that_is_scaled_with_it(framework: str) -> None:
    found = clipped(by_norm(framework), "float32", a=np.array([1.0, np.nan]), b=np.array([3.0, 4.0]))
    assert np.isnan(found.after["a"]).all()
    assert np.isnan(found.after["b"]).all() == (framework != "keras")
    assert found.triggered


def test_clipping_by_value_keeps_a_nan_where_it_is() -> None:
    found = clipped(ClippingPolicy("value", 1.0), "float32", a=np.array([np.nan, 9.0]))
    assert np.array_equal(found.after["a"], [np.nan, 1.0], equal_nan=True)
    assert found.triggered


def test_no_clipping_changes_nothing_but_the_format() -> None:
    found = clipped(ClippingPolicy("none"), "float16", a=np.array([1e5, 0.1]))
    assert found.after["a"].tolist() == [np.inf, float(np.float16(0.1))]
    assert not found.triggered


@pytest.mark.parametrize("dtype", DTYPES)
def test_clipping_by_value_cuts_entry_by_entry(dtype: str) -> None:
    found = clipped(ClippingPolicy("value", 0.5), dtype, a=np.array([0.25, -3.0, 9.0]))
    assert found.after["a"].tolist() == [0.25, -0.5, 0.5]
    assert found.triggered


def test_clipping_by_value_hides_an_overflow() -> None:
    assert clipped(ClippingPolicy("value", 1.0), "float32", a=np.array([1e39, 0.5])).after["a"].tolist() == [
        1.0,
        0.5,
    ]


def test_a_gradient_beyond_float64_overflows_in_every_format() -> None:
    found = clip(by_norm("torch"), {"a": ScaledArray(np.array([0.5, 1e-300]), 2000.0)}, "float64")
    assert np.isposinf(found.before["a"]).tolist() == [True, True]


def test_float16_norms_are_formed_in_float32() -> None:
    """The square of 300 is no float16, and PyTorch does not square in float16."""
    found = clipped(by_norm("torch"), "float16", a=np.full(4, 300.0))
    assert found.after["a"] == pytest.approx(np.full(4, 0.5), rel=2e-3)


def test_every_framework_says_what_it_does_where_the_norm_overflows() -> None:
    assert set(ON_OVERFLOW) == {*FRAMEWORKS, "value", "per_step"}


# -- what optax and Keras did: tests/recorded/record_clipping.py ------------------------------------------------------


def recorded_gradients(case: str, dtype: str) -> dict[str, Array]:
    tensors = RECORDED["gradients"][case]
    return {name: PRECISIONS[dtype].cast(np.array(v, dtype=np.float64)) for name, v in tensors.items()}


def policy_of(record: dict[str, Any]) -> ClippingPolicy:
    if record["policy"].endswith("value"):
        return ClippingPolicy("value", record["threshold"])
    return by_norm(record["policy"], record["threshold"])


def agrees(found: Any, expected: Any, dtype: str) -> bool:
    """Within two units in the last place: no framework fixes the order in which squares are added."""
    found, expected = np.asarray(found, dtype=np.float64), np.array(expected, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        near = np.abs(found - expected) <= 2 * UNITS[dtype] * np.abs(expected) + 2 * SMALLEST[dtype]
    return bool((near | (found == expected) | (np.isnan(found) & np.isnan(expected))).all())


@pytest.mark.parametrize("name", RECORDS)
def test_optax_and_keras_did_the_same_eagerly_and_compiled(name: str) -> None:
    """Keras does not clip by a value of zero, where every other framework makes everything zero."""
    assert RECORDS[name]
    for record in RECORDS[name]:
        if record["policy"] == "keras value" and record["threshold"] == 0.0:
            continue
        found = clip_tensors(
            policy_of(record), recorded_gradients(record["case"], record["dtype"]), record["dtype"]
        )
        for outcome in (record, record.get("compiled", record)):
            for tensor, expected in outcome["after"].items():
                assert agrees(found.after[tensor], expected, record["dtype"]), (record, found.after[tensor])
            if "norm" in outcome:
                assert agrees(found.norm, outcome["norm"], record["dtype"]), (record, found.norm)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_history_of_norms_is_clipped_as_gradients_of_a_number_beside_a_zero_are(
    framework: str, dtype: str
) -> None:
    norms = np.concatenate([np.geomspace(1e-45, 1e45, 91), [0.0, 1.0, 0.5, np.inf, np.nan]])
    for threshold in (0.0, 0.5, 3.0):
        policy = by_norm(framework, threshold)
        history = clip_norms(policy, norms, dtype)
        for index, norm in enumerate(norms):
            one = clip_tensors(policy, {"a": PRECISIONS[dtype].cast(np.array([norm, 0.0]))}, dtype)
            assert one.factors is not None
            assert np.array_equal(history.factor[index], one.factors["a"], equal_nan=True)
            assert history.triggered[index] == one.triggered


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_factor_is_what_gradients_were_multiplied_by(framework: str, dtype: str) -> None:
    found = clipped(by_norm(framework), dtype, a=np.full(4, 3.0), b=np.array([-0.25]))
    assert found.factors is not None
    for name, before in found.before.items():
        expected = before.astype(np.float64) * found.factors[name]
        assert agrees(found.after[name], expected, dtype)


EXTREMES = {
    "ordinary": 1.0,
    "small": 1e-4,
    "overflowing squares": 1e25,
    "underflowing squares": 1e-30,
    "zero": 0.0,
    "infinite": np.inf,
    "nan": np.nan,
}


@pytest.mark.parametrize("threshold", [0.0, 0.5])
@pytest.mark.parametrize("framework", [*FRAMEWORKS, "value", "none", "per_step"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_runs_are_clipped_as_each_would_be_alone(framework: str, dtype: str, threshold: float) -> None:
    """Bit for bit, whatever stands beside it."""
    rng = np.random.default_rng(0)
    scales = np.array([*EXTREMES.values()])
    with np.errstate(invalid="ignore"):
        runs = {
            "weights": (scales[:, None, None] * rng.standard_normal((len(scales), 3, 4))).astype(dtype),
            "bias": (scales[:, None] * rng.standard_normal((len(scales), 5))).astype(dtype),
        }
    policy = (
        by_norm(framework, threshold) if framework in FRAMEWORKS else ClippingPolicy(framework, threshold)
    )
    after, triggered = clip_runs(policy, runs, dtype)
    for run in range(len(scales)):
        alone = {name: values[run] for name, values in runs.items()}
        if framework == "per_step":  # acts elsewhere
            expected, stepped_in = alone, False
        else:
            found = clip_tensors(policy, alone, dtype)
            expected, stepped_in = found.after, found.triggered
        assert triggered[run] == stepped_in
        for name, values in expected.items():
            assert after[name].dtype == values.dtype
            np.testing.assert_array_equal(after[name][run], values)
