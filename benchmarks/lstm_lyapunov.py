"""Row 6. All Lyapunov exponents of a driven LSTM, over h and c."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from gradhorizon_service.worker.products.factors import KnownDeterminants
from gradhorizon_service.worker.products.lyapunov import lyapunov_exponents

from .comparison import Comparison
from .gated_network import GatedNetwork, random_gated_network
from .machine import dgemm, dgemm_rate
from .measuring import interleaved

TITLE = "Full Lyapunov spectrum of an LSTM, 2H exponents"
STEPS = {32: 300, 128: 300}
FULL_STEPS = {32: 1000, 128: 1000}


def run(full: bool) -> Iterator[Comparison]:
    """H = 32 and 128; `full` takes a thousand steps, which is minutes."""
    for size, steps in (FULL_STEPS if full else STEPS).items():
        yield _compared(random_gated_network(size, steps), f"H = {size}, T = {steps}", 30.0)


def _compared(network: GatedNetwork, case: str, seconds: float) -> Comparison:
    contenders = {
        "Gradhorizon": partial(gradhorizon, network),
        "torch, func.jacrev + QR": partial(torch_jacrev, network),
    }
    found, theirs = gradhorizon(network), torch_jacrev(network).sum().item()
    timings = interleaved({**contenders, "dgemm": dgemm}, seconds)
    factors = network.forward().linearisation.factors()
    assert isinstance(factors, KnownDeterminants)
    exact = float(factors.log_abs_dets().mean())
    return Comparison(
        case,
        timings,
        dgemm_rate(timings.pop("dgemm").cpu_seconds),
        {
            "error of the sum, nats a step, ours and torch's": f"{abs(found - exact):.0e}, {abs(theirs - exact):.0e}"
        },
    )


def gradhorizon(network: GatedNetwork) -> float:
    """The sum of the exponents over all steps, with their errors and convergence, as a diagnosis computes them."""
    factors = network.forward().linearisation.factors()
    return float(lyapunov_exponents(factors, transient=0).sum_of_exponents[0])


def torch_jacrev(network: GatedNetwork) -> torch.Tensor:
    """The general PyTorch script: the Jacobian of a step of (h, c) by reverse differentiation, and QR."""
    H = network.size
    W, U, b = map(torch.from_numpy, (network.weights, network.input_weights, network.bias))
    inputs, h, c, _ = network.tensors()

    def step(state: torch.Tensor, drive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        i, f, g, o = (W @ state[:H] + drive).chunk(4)
        following = torch.sigmoid(f) * state[H:] + torch.sigmoid(i) * torch.tanh(g)
        whole = torch.cat([torch.sigmoid(o) * torch.tanh(following), following])
        return whole, whole

    jacobian = torch.func.jacrev(step, has_aux=True)
    state, Q = torch.cat([h[0], c[0]]), torch.eye(2 * H, dtype=W.dtype)
    sums = torch.zeros(2 * H, dtype=W.dtype)
    for drive in (inputs[:, 0] @ U.T + b).unbind():
        J, state = jacobian(state, drive)
        Q, R = torch.linalg.qr(J @ Q)
        sums += R.diagonal().abs().log()
    return sums / len(inputs)
