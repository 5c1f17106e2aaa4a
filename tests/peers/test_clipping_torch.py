"""torch.nn.utils.clip_grad_norm_ and clip_grad_value_, format by format, where they overflow and where they do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradhorizon_service.worker.clipping import Clipped, ClippingPolicy, clip
from gradhorizon_service.worker.parameter_gradients import ScaledArray

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
}


def ours(policy: ClippingPolicy, gradients: dict[str, np.ndarray], dtype: str) -> Clipped:
    return clip(policy, {name: ScaledArray.of(g) for name, g in gradients.items()}, dtype)


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
    torch.nn.utils.clip_grad_norm_(parameters.values(), threshold, norm_type)
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
        assert np.array_equal(found.before[key].astype(np.float64), gradient(parameter))


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_value_clipping_is_what_torch_does(name: str, dtype: str, threshold: float) -> None:
    found = ours(ClippingPolicy("value", threshold), GRADIENTS[name], dtype)
    parameters = theirs(GRADIENTS[name], dtype)
    torch.nn.utils.clip_grad_value_(parameters.values(), threshold)
    for key, parameter in parameters.items():
        assert np.array_equal(found.after[key].astype(np.float64), gradient(parameter))


def test_torch_reports_a_norm_of_zero_where_squares_underflow() -> None:
    parameters = theirs({"a": np.full(100, 1e-30)}, "float32")
    assert float(torch.nn.utils.clip_grad_norm_(parameters.values(), 1.0)) == 0.0
