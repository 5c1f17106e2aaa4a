"""First lags in each format against PyTorch's own casts, bfloat16 among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases import CELLS, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.diagnostics.precision import precision
from gradhorizon_service.worker.diagnostics.saturation import saturation

FORMATS = ("float16", "bfloat16", "float32")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cell", ["rnn tanh", "rnn sin", "rnn sigmoid", "linear"])
def test_a_norm_cast_by_torch_is_gone_at_the_same_lag(name: str, cell: str) -> None:
    """Norms between 1e-300 and 1e300 are float64 numbers, and torch rounds them to each format itself."""
    run = runs.start(problem_of(CELLS[cell], depth=300))
    norms = np.exp(np.median(run.transported_log_norms(np.arange(run.depth + 1)), axis=1))
    dtype = getattr(torch, name)
    found = torch.tensor(norms, dtype=torch.float64).to(dtype)
    reach = precision(run).formats[name]
    assert reach.first_subnormal_lag == first(found < torch.finfo(dtype).smallest_normal)
    assert reach.first_zero_lag == first(found == 0)
    assert reach.first_infinite_lag == first(torch.isinf(found))


def first(hits: torch.Tensor) -> int | None:
    return int(torch.nonzero(hits)[0]) if hits.any() else None


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
def test_below_the_level_autograd_in_the_dtype_passes_nothing_on(name: str, dtype: str) -> None:
    a = torch.linspace(0.0, 30.0, 3001, dtype=torch.float64)
    exact = a.clone().requires_grad_()
    getattr(torch, name)(exact).sum().backward()
    inside = a.to(getattr(torch, dtype)).requires_grad_()
    getattr(torch, name)(inside).sum().backward()
    assert exact.grad is not None
    assert inside.grad is not None
    report = runs.start(problem_of(CELLS[f"rnn {name}"], dtype=dtype))
    level = saturation(report).units["h"].level
    slopes = exact.grad.numpy()
    representable = inside.detach().double().numpy() >= a.numpy()  # rounding moved no pre-activation back
    assert not inside.grad.double().numpy()[representable & (slopes < 0.99 * level)].any()
    assert (slopes < level).any()
