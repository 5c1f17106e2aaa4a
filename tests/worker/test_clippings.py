"""What clipping policies make of gradients and of histories: factors, directions and losses with their reasons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cases import Array
from gradhorizon_service.worker.clipping import ClippingPolicy
from gradhorizon_service.worker.clippings import (
    SMALL_VALUES,
    ClippedGradients,
    ClippedHistory,
    ClippingsProblem,
    ClippingsResult,
    clippings,
)

FRAMEWORKS = ("torch", "optax", "keras", "keras_global")
DTYPES = ("float16", "bfloat16", "float32", "float64")


def norm(framework: str = "torch", threshold: float = 1.0) -> ClippingPolicy:
    return ClippingPolicy("norm", threshold, 2.0, framework)


VALUE = ClippingPolicy("value", 1.0)
NONE = ClippingPolicy("none")


def run(
    *policies: ClippingPolicy, dtype: str = "float32", norms: Any = None, **tensors: Any
) -> ClippingsResult:
    gradients = {name: np.asarray(values, dtype=np.float64) for name, values in tensors.items()}
    history = None if norms is None else np.asarray(norms, dtype=np.float64)
    return clippings(ClippingsProblem(gradients or None, history, policies, dtype, 64, False))


def one(policy: ClippingPolicy, dtype: str = "float32", **tensors: Any) -> ClippedGradients:
    (found,) = run(policy, dtype=dtype, **tensors).policies
    return found


def past(policy: ClippingPolicy, norms: Any, dtype: str = "float32") -> ClippedHistory:
    (found,) = run(policy, dtype=dtype, norms=norms).policies
    return found


# -- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", ["torch", "optax", "keras_global"])
def test_a_global_norm_shortens_everything_by_one_factor(framework: str) -> None:
    found = one(norm(framework), "float64", a=[[3.0, 0.0]], b=[-4.0])
    assert found.total_norm == 5.0
    assert found.log10_total_norm == pytest.approx(np.log10(5.0))
    assert found.clipped
    assert found.factor == pytest.approx(0.2, rel=1e-6)
    assert found.cosine == pytest.approx(1.0)
    assert found.log10_norm_after == pytest.approx(0.0, abs=1e-6)
    assert [tensor.factor for tensor in found.tensors] == [found.factor] * 2
    assert "multiplied by 0.2" in found.says


def test_keras_has_a_factor_for_every_tensor() -> None:
    found = one(norm("keras"), "float64", a=[3.0, 4.0], b=[0.5])
    assert found.factor is None
    assert found.factor_reason == "every tensor has a factor of its own: see `tensors`"
    assert found.total_norm is None
    assert [tensor.factor for tensor in found.tensors] == [pytest.approx(0.2), 1.0]
    assert found.cosine == pytest.approx((5.0 + 0.25) / np.sqrt(25.25 * 1.25))
    assert found.says.startswith("1 of 2 tensors are scaled")


def test_clipping_by_value_turns_the_gradient() -> None:
    found = one(VALUE, "float64", a=[3.0, 4.0, 0.5])
    assert found.factor is None
    assert found.factor_reason is not None
    assert found.cosine == pytest.approx((3 + 4 + 0.25) / np.sqrt(25.25 * 2.25))


def test_no_policy_steps_in_within_the_threshold() -> None:
    for policy in (*map(norm, FRAMEWORKS), VALUE, NONE):
        found = one(policy, a=[0.3, -0.4])
        assert not found.clipped
        assert found.says.startswith("nothing is clipped")
        assert found.cosine == pytest.approx(1.0)


def test_an_overflowing_norm_is_told_with_what_overflows() -> None:
    found = one(norm(), a=np.full(100, 1e20))
    assert found.total_norm is None
    assert found.total_norm_reason is not None
    assert "the sum of their squares overflows float32" in found.total_norm_reason
    assert found.log10_total_norm == pytest.approx(21.0)
    assert found.factor == 0.0
    assert found.log10_norm_after == -np.inf
    assert found.cosine is None
    assert (
        found.says
        == "every gradient is zero after this policy, because the norm is infinite: this step is lost"
    )


def test_keras_global_destroys_a_gradient_whose_norm_overflows() -> None:
    found = one(norm("keras_global"), a=np.full(100, 1e20), b=[1.0])
    assert (found.non_finite_after, found.factor) == (101, None)
    assert np.isnan(found.log10_norm_after)
    assert found.says.startswith("every gradient is NaN")


def test_an_underflowing_norm_is_told() -> None:
    found = one(norm(), a=np.full(100, 1e-30))
    assert found.total_norm == 0.0
    assert found.log10_total_norm == pytest.approx(-29.0)
    assert "the squares underflow in float32" in found.says


def test_one_nan_is_found_and_what_it_spreads_to() -> None:
    result = run(norm(), norm("keras"), VALUE, a=[np.nan, 1.0], b=[3.0, 4.0])
    assert result.gradients is not None
    assert [(t.nans, t.infinities) for t in result.gradients.tensors] == [(1, 0), (0, 0)]
    assert [found.non_finite_after for found in result.policies] == [4, 2, 1]
    for found in result.policies:
        assert found.cosine is None
        assert found.cosine_reason is not None
        assert found.log10_total_norm_reason is not None
    assert result.policies[0].total_norm_reason == "NaN, because a gradient is NaN"


def test_keras_says_that_zero_is_no_threshold() -> None:
    assert "threshold of 0 as no clipping" in one(norm("keras_global", 0.0), a=[1.0]).says
    assert one(norm("torch", 0.0), a=[1.0]).says.startswith("every gradient is zero")


def test_entries_that_leave_the_format_are_counted() -> None:
    result = run(norm(), dtype="float16", a=[1e5, 1e-9, 1.0, 0.0])
    assert result.gradients is not None
    (tensor,) = result.gradients.tensors
    assert (tensor.become_infinite, tensor.become_zero, tensor.zeros) == (1, 1, 1)
    assert any("beyond float16" in warning for warning in result.warnings)
    assert result.policies[0].total_norm_reason == "infinite, because a gradient is infinite in float16"


def test_a_tensor_that_is_nearly_all_of_the_norm_is_named() -> None:
    result = run(norm(), large=[100.0], small=[1.0])
    assert result.gradients is not None
    assert [t.share for t in result.gradients.tensors] == pytest.approx([1e4 / 10001, 1 / 10001])
    assert any(warning.startswith("large holds 99.99 %") for warning in result.warnings)


def test_clipped_values_come_back_while_they_are_few_or_asked_for() -> None:
    small = one(norm(), "float64", a=[3.0, 4.0]).tensors[0]
    assert small.values == pytest.approx([0.6, 0.8], rel=1e-6)
    many = np.ones(SMALL_VALUES + 1)
    assert one(norm(), a=many).tensors[0].values is None
    asked = ClippingsProblem({"a": many}, None, (norm(),), "float32", 64, True)
    assert clippings(asked).policies[0].tensors[0].values is not None


def test_values_that_are_not_finite_do_not_come_back() -> None:
    tensor = one(NONE, a=[np.inf]).tensors[0]
    assert tensor.values is None
    assert tensor.values_reason is not None


def test_magnitudes_beyond_float64_squares_are_exact() -> None:
    found = one(NONE, "float64", a=[3e200, 4e200], b=[0.0])
    assert found.log10_total_norm == pytest.approx(np.log10(5.0) + 200.0, abs=1e-12)


# -- norms -----------------------------------------------------------------------------------------------------------

HISTORY = np.array([0.5, 2.0, 4.0, 1.0])


@pytest.mark.parametrize("framework", ["optax", "keras", "keras_global"])
def test_a_history_is_clipped_step_by_step(framework: str) -> None:
    found = past(norm(framework), HISTORY, "float64")
    assert found.factor == pytest.approx([1.0, 0.5, 0.25, 1.0])
    assert found.mean_factor == pytest.approx(2.75 / 4)
    assert found.kept_length == pytest.approx(3.5 / 7.5)
    assert found.share_clipped == (
        0.5 if framework != "optax" else 0.75
    )  # optax divides from the threshold on


def test_torch_adds_a_millionth_to_every_norm() -> None:
    found = past(norm(), HISTORY, "float64")
    assert found.factor == pytest.approx(np.minimum(1.0, 1.0 / (HISTORY + 1e-6)), rel=1e-14)


def test_a_finite_norm_whose_square_overflows_is_an_event() -> None:
    found = past(norm(), [1.0, 1e20, 2.0])
    events = {event.kind: event.steps.tolist() for event in found.events}
    assert events == {"overflow": [1], "lost": [1]}
    nan = past(norm("keras_global"), [1.0, 1e20, 2.0])
    assert {event.kind for event in nan.events} == {"overflow", "nan_factor"}
    assert nan.mean_factor is None
    assert nan.mean_factor_reason == "the factor is NaN at one step"


def test_a_norm_whose_square_underflows_is_an_event() -> None:
    assert [event.kind for event in past(norm(), [1e-30, 1.0]).events] == ["underflow"]


def test_steps_that_are_not_finite_are_left_out_of_the_series() -> None:
    result = run(norm(), norms=[1.0, np.nan, 4.0, np.inf])
    assert result.history is not None
    assert result.history.step.tolist() == [0, 2]
    assert result.policies[0].factor == pytest.approx([1.0, 0.25], rel=1e-5)
    assert [event.kind for event in result.history.events] == ["nan", "infinite"]


def test_a_history_without_a_finite_norm_has_reasons() -> None:
    found = past(norm(), [np.nan])
    assert found.mean_factor_reason is not None
    assert found.kept_length_reason is not None


def test_no_clipping_keeps_everything() -> None:
    found = past(NONE, HISTORY)
    assert (found.steps_clipped, found.mean_factor, found.kept_length) == (0, 1.0, 1.0)


# -- whatever is sent ------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.floats(width=64), st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e38, 1e300, np.inf, -np.inf, np.nan])
)


def unreasoned(report: Any) -> list[str]:
    """Fields without a number that have no reason beside them, and those that have both."""
    fields = vars(report)
    found = []
    for name, value in fields.items():
        if f"{name}_reason" in fields:
            missing = value is None or (
                isinstance(value, float) and not np.isfinite(value) and value != -np.inf
            )
            if missing != (fields[f"{name}_reason"] is not None):
                found.append(name)
    return found


@given(
    st.lists(st.lists(NUMBERS, min_size=1, max_size=4), min_size=1, max_size=3),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 1e-30, 0.5, 1.0, 1e39]),
)
def test_whatever_the_gradients_every_missing_number_has_its_reason(
    tensors: list[list[float]], dtype: str, threshold: float
) -> None:
    policies = [*(norm(f, threshold) for f in FRAMEWORKS), ClippingPolicy("value", threshold), NONE]
    policies.append(ClippingPolicy("norm", threshold, np.inf, "torch"))
    result = run(*policies, dtype=dtype, **{f"t{i}": values for i, values in enumerate(tensors)})
    assert result.gradients is not None
    reports = [result.gradients, *result.gradients.tensors, *result.policies]
    for found in result.policies:
        reports += found.tensors
    assert [unreasoned(report) for report in reports] == [[]] * len(reports)


@given(
    st.lists(st.floats(min_value=0.0) | st.just(np.nan), min_size=1, max_size=8),
    st.sampled_from(DTYPES),
    st.sampled_from([0.0, 1e-30, 1.0, 1e39]),
)
def test_whatever_the_history_every_missing_number_has_its_reason(
    norms: list[float], dtype: str, threshold: float
) -> None:
    result = run(*(norm(f, threshold) for f in FRAMEWORKS), NONE, dtype=dtype, norms=norms)
    assert [unreasoned(found) for found in result.policies] == [[]] * 5
    assert all(not np.isinf(found.factor).any() for found in result.policies)


def test_scalars_and_tensors_of_any_rank_are_gradients() -> None:
    for dtype in DTYPES:
        found = one(norm(), dtype, scalar=3.0, cube=np.full((1, 1, 2, 1, 2), 2.0))
        assert found.total_norm == 5.0


def flat(values: Array) -> list[float]:
    return [float(value) for value in np.ravel(values)]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_clipping_twice_changes_nothing_more(framework: str) -> None:
    rng = np.random.default_rng(0)
    once = one(norm(framework), "float64", a=rng.standard_normal((3, 4)), b=rng.standard_normal(5))
    again = one(norm(framework), "float64", **{t.name: t.values for t in once.tensors})
    for first, second in zip(once.tensors, again.tensors, strict=True):
        assert first.values is not None
        assert second.values is not None
        assert flat(second.values) == pytest.approx(flat(first.values), rel=1e-6)
