"""Row 3. Every log singular value of the product of a thousand step Jacobians."""

from __future__ import annotations

from collections.abc import Iterator

import mpmath as mp
import numpy as np
import torch

from gradhorizon_service.worker.products.factors import Factors
from gradhorizon_service.worker.products.singular_values import LogSingularValues, log_singular_values

from .comparison import Comparison
from .machine import dgemm, dgemm_rate
from .measuring import interleaved
from .network import Network, random_network

TITLE = "Log singular values of a product of T = 1000 Jacobians"
SIZES = (64, 128)
STEPS = 1000
RIGHT = 1e-8
CHECKED_SIZE = 8
"""Small enough for mpmath, which needs a decimal digit for each decade that the values span, twice."""


def run(full: bool) -> Iterator[Comparison]:
    """The size mpmath can follow, then the sizes that count."""
    for size in (CHECKED_SIZE, *SIZES):
        yield _compared(random_network(size, STEPS), size, 20.0 if full else 8.0)


def _compared(network: Network, size: int, seconds: float) -> Comparison:
    tensors = network.tensors()[:-1]
    timings = interleaved(
        {
            "Gradhorizon": lambda: gradhorizon(network),
            "torch, Jacobian by hand + QR": lambda: torch_qr(*tensors),
            "dgemm": dgemm,
        },
        seconds,
    )
    rate = dgemm_rate(timings.pop("dgemm").cpu_seconds)
    factors = network.forward().linearisation.factors()
    ours, theirs = log_singular_values(factors), np.sort(torch_qr(*tensors).numpy())[::-1]
    truth = exact(factors) if size == CHECKED_SIZE else ours.log_values[0]
    checked = f"{error(ours.log_values[0], truth):.0e} (mpmath)" if size == CHECKED_SIZE else _judgement(ours)
    facts = {
        "span, decades": f"{np.ptp(truth) / np.log(10.0):.0f}",
        "our largest relative error": checked,
        "torch's values right to 1e-8": f"{right(theirs, truth)} of {size}",
        "torch's largest error, nats": f"{np.abs(theirs - truth).max():.2g}",
    }
    return Comparison(f"N = {size}", timings, rate, facts)


def gradhorizon(network: Network) -> np.ndarray:
    """ln sigma, largest first, each with the relative accuracy of the contract or marked as unreliable."""
    return log_singular_values(network.forward().linearisation.factors()).log_values[0]


def torch_qr(
    W: torch.Tensor, U: torch.Tensor, b: torch.Tensor, x: torch.Tensor, h: torch.Tensor
) -> torch.Tensor:
    """The usual script: QR at every step, and the diagonals taken for singular values, which they are not."""
    h, Q = h[0], torch.eye(len(W), dtype=W.dtype)
    sums = torch.zeros(len(W), dtype=W.dtype)
    for drive in (x[:, 0] @ U.T + b).unbind():
        h = torch.tanh(W @ h + drive)
        Q, R = torch.linalg.qr((1 - h * h)[:, None] * (W @ Q))
        sums += R.diagonal().abs().log()
    return sums


def exact(factors: Factors) -> np.ndarray:
    """ln sigma of the same float64 factors, from their product in as many digits as it takes."""
    first_guess = log_singular_values(factors).log_values[0]
    with mp.workdps(int(2.2 * np.ptp(first_guess) / np.log(10.0)) + 60):
        product = mp.eye(factors.size)
        for step in range(factors.steps):
            product = mp.matrix(factors.dense(step)[0].tolist()) * product
        squares = mp.eigsy(product.T * product, eigvals_only=True)
        return np.sort([float(mp.log(square) / 2) for square in squares])[::-1]


def error(values: np.ndarray, truth: np.ndarray) -> float:
    """The largest difference, relative to max(1, abs(ln sigma))."""
    return float(np.max(np.abs(values - truth) / np.maximum(1.0, np.abs(truth))))


def right(values: np.ndarray, truth: np.ndarray) -> int:
    """How many lie within 1e-8 on that scale."""
    return int(np.sum(np.abs(values - truth) <= RIGHT * np.maximum(1.0, np.abs(truth))))


def _judgement(found: LogSingularValues) -> str:
    return f"{found.estimated_error[0]:.0e} (own estimate{'' if found.reliable[0] else ', unreliable'})"
