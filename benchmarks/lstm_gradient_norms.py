"""Row 5. Norms of dL/dh_t and dL/dc_t at every step of a driven LSTM, one backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from gradhorizon_service.worker.backprop import backpropagate

from .comparison import Comparison
from .gated_network import GatedNetwork, random_gated_network
from .machine import dgemm, dgemm_rate
from .measuring import interleaved

TITLE = "Gradient norms by lag of an LSTM, dL/dh and dL/dc, T = 1000"
CASES = ((32, 1), (256, 1), (256, 16))
STEPS = 1000


def run(full: bool) -> Iterator[Comparison]:
    """H = 32 and 256, alone and as a batch; `full` measures longer."""
    for size, batch in CASES:
        network = random_gated_network(size, STEPS, batch)
        yield _compared(network, f"H = {size}, batch {batch}", 40.0 if full else 12.0)


def _compared(network: GatedNetwork, case: str, seconds: float) -> Comparison:
    contenders = {
        "Gradhorizon": partial(gradhorizon, network),
        "torch, LSTMCell with retain_grad": partial(torch_retain_grad, network),
        "torch, autograd.grad, parameters frozen": partial(torch_autograd_grad, network),
    }
    ours, theirs = gradhorizon(network)[0], np.log(torch_autograd_grad(network)[0].numpy())
    difference = np.abs(ours - theirs[::-1]).max()
    timings = interleaved({**contenders, "dgemm": dgemm}, seconds)
    rate = dgemm_rate(timings.pop("dgemm").cpu_seconds)
    return Comparison(case, timings, rate, {"largest difference, ln norm of dL/dh": f"{difference:.0e}"})


def gradhorizon(network: GatedNetwork) -> tuple[np.ndarray, np.ndarray]:
    """ln norms of dL/dh_(T-k) and dL/dc_(T-k), (T + 1, B) each, as a diagnosis computes them."""
    trajectory = network.forward()
    steps = trajectory.steps
    cotangent = np.pad(network.cotangent, ((0, 0), (0, network.size)))

    def loss_gradient(step: int) -> np.ndarray | None:
        return cotangent if step == steps else None

    found = backpropagate(trajectory.linearisation, steps, loss_gradient)
    return found.part_log_norms(slice(0, network.size)), found.part_log_norms(slice(network.size, None))


def torch_retain_grad(network: GatedNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """The script most people write: keep every state, ask each for its gradient."""
    return _torch_norms(network, network.cell(), retain=True)


def torch_autograd_grad(network: GatedNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """The fairer one: nothing is asked of the parameters, and one call gives all gradients."""
    return _torch_norms(network, network.cell().requires_grad_(False), retain=False)


def _torch_norms(
    network: GatedNetwork, cell: torch.nn.LSTMCell, *, retain: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, h, c, v = network.tensors()
    h, c = h.clone().requires_grad_(), c.clone().requires_grad_()
    all_h, all_c = [h], [c]
    for x in inputs:
        h, c = cell(x, (h, c))
        if retain:
            h.retain_grad()
            c.retain_grad()
        all_h.append(h)
        all_c.append(c)
    loss = (h * v).sum()
    if retain:
        loss.backward()
        gradients = [state.grad for state in [*all_h, *all_c]]
    else:
        gradients = list(torch.autograd.grad(loss, [*all_h, *all_c]))
    half = len(all_h)
    return torch.stack(gradients[:half]).norm(dim=-1), torch.stack(gradients[half:]).norm(dim=-1)
