"""torch.nn.utils.clip_grad_norm_ and clip_grad_value_, format by format, where they overflow and where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradhorizon_service.worker.clipping import Clipped, ClippingPolicy, clip, clip_norms, clip_tensors
from gradhorizon_service.worker.parameter_gradients import ScaledArray
from gradhorizon_service.worker.precision import PRECISIONS

DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
}
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22, "float64": 2.0**-50}


def normal(seed: int, size: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(size)


def one_large(value: float) -> np.ndarray:
    return np.array([1.0, value, 1.0, -1.0])


GRADIENTS: dict[str, dict[str, np.ndarray]] = {
    "ordinary": {"a": normal(0, 40), "b": normal(1, 7)},
    "small": {"a": normal(0, 40, 1e-3), "b": normal(1, 7, 1e-4)},
    "tensors of very different sizes": {"a": normal(0, 40, 50.0), "b": normal(1, 7, 1e-4)},
    "squares beyond float16": {"a": normal(0, 10, 400.0)},
    "squares below float16": {"a": normal(0, 10, 1e-4)},
    "norm overflows": {"a": np.full(100, 1e20), "b": np.ones(3)},
    "norm underflows": {"a": np.full(100, 1e-30)},
    "one infinity": {"a": one_large(1e39), "b": np.ones(2)},
    "norm overflows in float64": {"a": one_large(1e300)},
    "zero": {"a": np.zeros(5)},
    "an infinity": {"a": one_large(np.inf), "b": np.ones(2)},
    "a negative infinity": {"a": one_large(-np.inf), "b": np.ones(2)},
    "a NaN": {"a": one_large(np.nan), "b": np.ones(2)},
    "an infinity and a NaN": {"a": one_large(np.nan), "b": np.array([np.inf])},
    "one number whose square overflows": {"a": np.array([1e20])},
    "single numbers whose squares overflow": {"a": np.array([1e20]), "b": np.array([1.0])},
    "one number whose square underflows": {"a": np.array([-1e-30])},
    "a matrix and a scalar": {"a": normal(2, 12).reshape(3, 4), "b": np.array(0.3)},
}


def ours(policy: ClippingPolicy, gradients: dict[str, np.ndarray], dtype: str) -> Clipped:
    """By way of scaled arrays, as a diagnosis has them, and of the numbers themselves, as they are sent."""
    found = clip_tensors(policy, {name: PRECISIONS[dtype].cast(g) for name, g in gradients.items()}, dtype)
    scaled = clip(policy, {name: ScaledArray.of(g) for name, g in gradients.items()}, dtype)
    for name, values in found.after.items():
        assert np.array_equal(scaled.after[name], values, equal_nan=True)
    return found


def theirs(gradients: dict[str, np.ndarray], dtype: str) -> dict[str, torch.Tensor]:
    parameters = {}
    for name, g in gradients.items():
        values = torch.tensor(g).to(DTYPES[dtype])
        parameters[name] = torch.zeros_like(values).requires_grad_()
        parameters[name].grad = values
    return parameters


def gradient(parameter: torch.Tensor) -> np.ndarray:
    assert parameter.grad is not None
    return parameter.grad.to(torch.float64).numpy()


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [2.0, np.inf])
@pytest.mark.parametrize("threshold", [0.0, 1e-6, 0.5, 1.0, 1e6])
def test_norm_clipping_is_what_torch_does(name: str, dtype: str, norm_type: float, threshold: float) -> None:
    """Within two units in the last place: PyTorch does not fix the order in which squares are added."""
    found = ours(ClippingPolicy("norm", threshold, norm_type, "torch"), GRADIENTS[name], dtype)
    parameters = theirs(GRADIENTS[name], dtype)
    total = torch.nn.utils.clip_grad_norm_(parameters.values(), threshold, norm_type)
    assert found.norm == pytest.approx(float(total), rel=2 * UNITS[dtype], nan_ok=True)
    for key, parameter in parameters.items():
        expected, after = gradient(parameter), found.after[key].astype(np.float64)
        assert np.array_equal(np.isnan(after), np.isnan(expected))
        smallest = float(torch.finfo(DTYPES[dtype]).smallest_normal) * UNITS[dtype]
        assert after == pytest.approx(expected, rel=2 * UNITS[dtype], abs=2 * smallest, nan_ok=True)


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_enter_the_format_as_torch_casts_them(name: str, dtype: str) -> None:
    found = ours(ClippingPolicy("value", 1.0), GRADIENTS[name], dtype)
    for key, parameter in theirs(GRADIENTS[name], dtype).items():
        assert np.array_equal(found.before[key].astype(np.float64), gradient(parameter), equal_nan=True)


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_value_clipping_is_what_torch_does(name: str, dtype: str, threshold: float) -> None:
    found = ours(ClippingPolicy("value", threshold), GRADIENTS[name], dtype)
    parameters = theirs(GRADIENTS[name], dtype)
    torch.nn.utils.clip_grad_value_(parameters.values(), threshold)
    for key, parameter in parameters.items():
        assert np.array_equal(found.after[key].astype(np.float64), gradient(parameter), equal_nan=True)


def test_torch_reports_a_norm_of_zero_where_squares_underflow() -> None:
    parameters = theirs({"a": np.full(100, 1e-30)}, "float32")
    assert float(torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)) == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("norm_type", [2.0, np.inf])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 1e39])
def test_a_history_of_norms_is_what_torch_does_to_a_number_beside_a_zero(
    dtype: str, norm_type: float, threshold: float
) -> None:
    norms = np.concatenate([np.geomspace(1e-44, 1e44, 67), [0.0, 0.5, np.inf, np.nan]])
    found = clip_norms(ClippingPolicy("norm", threshold, norm_type, "torch"), norms, dtype)
    for index, norm in enumerate(norms):
        parameters = theirs({"a": np.array([norm, 0.0])}, dtype)
        total = torch.nn.utils.clip_grad_norm_(parameters.values(), threshold, norm_type)
        expected = torch.clamp(threshold / (total + 1e-6), max=1.0)
        assert float(found.norm[index]) == pytest.approx(float(total), rel=2 * UNITS[dtype], nan_ok=True)
        assert float(found.factor[index]) == pytest.approx(float(expected), rel=2 * UNITS[dtype], nan_ok=True)
