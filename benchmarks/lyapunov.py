"""Row 2. All Lyapunov exponents of a driven tanh network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from gradhorizon_service.worker.products.lyapunov import lyapunov_exponents

from .comparison import Comparison
from .machine import DGEMM_SIZE, dgemm, dgemm_rate
from .measuring import interleaved
from .network import Network, random_network

TITLE = "Full Lyapunov spectrum"
STEPS = {128: 1000, 512: 100}
FULL_STEPS = {128: 1000, 512: 1000}


def run(full: bool) -> Iterator[Comparison]:
    """N = 128 and 512; `full` takes a thousand steps at 512 too, which is minutes."""
    for size, steps in (FULL_STEPS if full else STEPS).items():
        yield _compared(random_network(size, steps), f"N = {size}, T = {steps}", 30.0)


def _compared(network: Network, case: str, seconds: float) -> Comparison:
    tensors = network.tensors()[:-1]
    contenders = {
        "Gradhorizon": lambda: gradhorizon(network),
        "torch, Jacobian by hand + QR": lambda: torch_by_hand(*tensors),
        "torch, func.jacrev + QR": lambda: torch_jacrev(*tensors),
    }
    theirs = torch_by_hand(*tensors).sum().item()
    found = gradhorizon(network)
    timings = interleaved({**contenders, "dgemm": dgemm}, seconds)
    product = timings.pop("dgemm").cpu_seconds
    size = len(network.weights)
    a_step = timings["Gradhorizon"].cpu_seconds / network.steps
    exact = _mean_log_abs_det(network)
    return Comparison(
        case,
        timings,
        dgemm_rate(product),
        {
            "one N x N x N product a step, share of our time": f"{product * (size / DGEMM_SIZE) ** 3 / a_step:.0%}",
            "error of the sum, nats a step, ours and torch's": f"{abs(found - exact):.0e}, {abs(theirs - exact):.0e}",
        },
    )


def gradhorizon(network: Network) -> float:
    """The sum of the exponents over all steps, with their errors and convergence, as a diagnosis computes them."""
    factors = network.forward().linearisation.factors()
    return float(lyapunov_exponents(factors, transient=0).sum_of_exponents[0])


def torch_by_hand(
    W: torch.Tensor, U: torch.Tensor, b: torch.Tensor, x: torch.Tensor, h: torch.Tensor
) -> torch.Tensor:
    """The best PyTorch script: diag(1 - h^2) W, and a QR factorisation at every step."""
    h, Q = h[0], torch.eye(len(W), dtype=W.dtype)
    sums = torch.zeros(len(W), dtype=W.dtype)
    for drive in (x[:, 0] @ U.T + b).unbind():
        h = torch.tanh(W @ h + drive)
        Q, R = torch.linalg.qr((1 - h * h)[:, None] * (W @ Q))
        sums += R.diagonal().abs().log()
    return sums / len(x)


def torch_jacrev(
    W: torch.Tensor, U: torch.Tensor, b: torch.Tensor, x: torch.Tensor, h: torch.Tensor
) -> torch.Tensor:
    """The general PyTorch script: the Jacobian of any step by reverse differentiation."""

    def step(state: torch.Tensor, drive: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        following = torch.tanh(W @ state + drive)
        return following, following

    jacobian = torch.func.jacrev(step, has_aux=True)
    h, Q = h[0], torch.eye(len(W), dtype=W.dtype)
    sums = torch.zeros(len(W), dtype=W.dtype)
    for drive in (x[:, 0] @ U.T + b).unbind():
        J, h = jacobian(h, drive)
        Q, R = torch.linalg.qr(J @ Q)
        sums += R.diagonal().abs().log()
    return sums / len(x)


def _mean_log_abs_det(network: Network) -> float:
    """What the exponents sum to whatever the frames: the mean over time of ln abs det (diag(phi') W)."""
    trajectory = network.forward()
    h = np.asarray(trajectory.states)[:-1, 0]
    preactivations = h @ network.weights.T + network.inputs[:, 0] @ network.input_weights.T + network.bias
    log_slopes = -2.0 * np.log(np.cosh(preactivations))
    return float(log_slopes.sum(axis=1).mean() + np.linalg.slogdet(network.weights)[1])
