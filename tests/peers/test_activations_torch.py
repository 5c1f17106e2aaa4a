"""Activations are PyTorch's: values, and at every point, kinks included, the slope its autograd takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional

from gradhorizon_service.worker.activations import ACTIVATIONS

KINKS = np.array([-1.0, -0.0, 0.0, 1.0, 20.0, 20.0 / 3.0])
POINTS = np.concatenate([np.linspace(-6.9, 6.9, 139), np.linspace(19.0, 21.0, 9), KINKS])

CASES: dict[str, tuple[str, dict[str, float], Callable[[torch.Tensor], torch.Tensor]]] = {
    "identity": ("identity", {}, lambda a: a * 1.0),
    "tanh": ("tanh", {}, torch.tanh),
    "sigmoid": ("sigmoid", {}, torch.sigmoid),
    "relu": ("relu", {}, torch.relu),
    "leaky_relu": ("leaky_relu", {}, functional.leaky_relu),
    "leaky_relu 0.2": ("leaky_relu", {"negative_slope": 0.2}, lambda a: functional.leaky_relu(a, 0.2)),
    "hard_tanh": ("hard_tanh", {}, functional.hardtanh),
    "softplus": ("softplus", {}, functional.softplus),
    "softplus 3": ("softplus", {"beta": 3.0}, lambda a: functional.softplus(a, beta=3.0)),
    "softsign": ("softsign", {}, functional.softsign),
    "elu": ("elu", {}, functional.elu),
    "elu 2": ("elu", {"alpha": 2.0}, lambda a: functional.elu(a, alpha=2.0)),
    "selu": ("selu", {}, functional.selu),
    "silu": ("silu", {}, functional.silu),
    "gelu": ("gelu", {}, functional.gelu),
    "erf": ("erf", {}, torch.erf),
    "sin": ("sin", {}, torch.sin),
}


def test_every_activation_is_compared() -> None:
    assert {name for name, _, _ in CASES.values()} == set(ACTIVATIONS)


@pytest.mark.parametrize(("name", "parameters", "peer"), CASES.values(), ids=CASES)
def test_values_and_slopes_agree_with_autograd(
    name: str, parameters: dict[str, float], peer: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    a = torch.tensor(POINTS, requires_grad=True)
    values = peer(a)
    (slopes,) = torch.autograd.grad(values.sum(), a, create_graph=True)
    bends = torch.zeros_like(a)
    if slopes.requires_grad:
        (bends,) = torch.autograd.grad(slopes.sum(), a)
    activation = ACTIVATIONS[name](**parameters)
    np.testing.assert_allclose(activation.value(POINTS), values.detach().numpy(), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(activation.slope(POINTS), slopes.detach().numpy(), rtol=1e-9, atol=1e-15)
    smooth = ~np.isin(POINTS, KINKS)
    np.testing.assert_allclose(activation.bend(POINTS)[smooth], bends.numpy()[smooth], rtol=1e-7, atol=1e-13)
