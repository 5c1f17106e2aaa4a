"""Clipping policies: what each framework makes of a gradient, in the precision it trains in."""

from __future__ import annotations

import numpy as np
import pytest

from cases import Array
from gradhorizon_service.worker.clipping import ON_OVERFLOW, Clipped, ClippingPolicy, clip
from gradhorizon_service.worker.parameter_gradients import ScaledArray

FRAMEWORKS = ("torch", "optax", "keras", "keras_global")
DTYPES = ("float16", "bfloat16", "float32", "float64")


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


def test_the_largest_entry_is_the_infinity_norm() -> None:
    found = clipped(by_norm("torch", 1.0, np.inf), "float64", a=np.array([3.0, -8.0]), b=np.array([1.0]))
    assert found.after["a"] == pytest.approx(np.array([3.0, -8.0]) / (8.0 + 1e-6), rel=1e-12)
    assert found.after["b"] == pytest.approx(1.0 / (8.0 + 1e-6), rel=1e-12)


def test_the_infinity_norm_does_not_overflow_where_the_euclidean_does() -> None:
    found = clipped(by_norm("torch", 1.0, np.inf), "float32", a=np.full(100, 1e20))
    assert found.after["a"] == pytest.approx(np.ones(100))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_threshold_of_zero_makes_every_gradient_zero(framework: str) -> None:
    assert not clipped(by_norm(framework, 0.0), "float32", a=np.ones(3)).after["a"].any()


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
