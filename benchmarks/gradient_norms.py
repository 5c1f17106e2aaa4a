"""Row 1. Norms of dL/dh_t at every step of a driven tanh network, one backward pass."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gradhorizon_service.worker.backprop import backpropagate

from .comparison import Comparison
from .machine import dgemm, dgemm_rate
from .measuring import interleaved
from .network import Network, random_network

TITLE = "Gradient norms by lag, T = 1000"
SIZES = (16, 64, 128, 512)
BATCHES = (1, 16)
STEPS = 1000


def run(full: bool) -> Iterator[Comparison]:
    """Every size with and without a batch; `full` measures longer."""
    for size in SIZES:
        for batch in BATCHES:
            yield _compared(
                random_network(size, STEPS, batch), f"N = {size}, batch {batch}", 20.0 if full else 6.0
            )


def _compared(network: Network, case: str, seconds: float) -> Comparison:
    tensors = network.tensors()
    contenders = {
        "Gradhorizon": lambda: gradhorizon(network),
        "torch, retain_grad": lambda: torch_retain_grad(*tensors),
        "torch, autograd.grad": lambda: torch_autograd_grad(*tensors),
    }
    difference = np.abs(gradhorizon(network) - np.log(torch_autograd_grad(*tensors).numpy())[::-1]).max()
    timings = interleaved({**contenders, "dgemm": dgemm}, seconds)
    rate = dgemm_rate(timings.pop("dgemm").cpu_seconds)
    return Comparison(case, timings, rate, {"largest difference, ln norm": f"{difference:.0e}"})


def gradhorizon(network: Network) -> np.ndarray:
    """ln ||dL/dh_(T-k)||, (T + 1, B), as a diagnosis computes it."""
    trajectory = network.forward()
    steps = trajectory.steps

    def loss_gradient(step: int) -> np.ndarray | None:
        return network.cotangent if step == steps else None

    return backpropagate(trajectory.linearisation, steps, loss_gradient).log_norms


def torch_retain_grad(
    W: torch.Tensor, U: torch.Tensor, b: torch.Tensor, x: torch.Tensor, h: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """The script most people write: keep every hidden state, ask each for its gradient."""
    h = h.clone().requires_grad_()
    states = [h]
    for t in range(len(x)):
        h = torch.tanh(h @ W.T + x[t] @ U.T + b)
        h.retain_grad()
        states.append(h)
    (h * v).sum().backward()
    return torch.stack([state.grad for state in states]).norm(dim=-1)


def torch_autograd_grad(
    W: torch.Tensor, U: torch.Tensor, b: torch.Tensor, x: torch.Tensor, h: torch.Tensor, v: torch.Tensor
) -> torch.Tensor:
    """The fairer one: inputs projected at once, one fused operation a step, one call for all gradients."""
    h = h.clone().requires_grad_()
    states, drive, transposed = [h], x @ U.T + b, W.T
    for pushed in drive.unbind():
        h = torch.addmm(pushed, h, transposed).tanh()
        states.append(h)
    return torch.stack(torch.autograd.grad((h * v).sum(), states)).norm(dim=-1)
