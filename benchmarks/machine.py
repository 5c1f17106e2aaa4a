"""What the numbers were measured on: processor, versions, and which kernels each BLAS chose."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
from pathlib import Path

import fastapi
import numpy as np
import scipy
import torch
import uvicorn
from threadpoolctl import threadpool_info

DGEMM_SIZE = 512
_A = np.random.default_rng(0).standard_normal((DGEMM_SIZE, DGEMM_SIZE))
_OUT = np.empty_like(_A)
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # from malloc.h


def dgemm() -> None:
    """One product of two 512 x 512 matrices: the yardstick timed beside every contender."""
    np.matmul(_A, _A, out=_OUT)


def dgemm_rate(seconds: float) -> float:
    """GFLOP/s of that product."""
    return 2 * DGEMM_SIZE**3 / seconds / 1e9


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, so that every round after the first finds its memory there.

    Otherwise large arrays go back to the system each time, and a virtual machine may hand idle pages on to its
    host: getting them again took up to a third of a large network's time, which many small tensors never pay.
    """
    with contextlib.suppress(OSError, AttributeError):  # only the GNU C library has it
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 2**26)


def load() -> str:
    """Load averages of the machine, over 1, 5 and 15 minutes."""
    return ", ".join(f"{value:.1f}" for value in os.getloadavg())


def description() -> list[str]:
    """One fact a line."""
    versions = {"numpy": np, "scipy": scipy, "torch": torch, "fastapi": fastapi, "uvicorn": uvicorn}
    return [
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
        ", ".join(f"{name} {module.__version__}" for name, module in versions.items()),
        *_blas_libraries(),
        f"OPENBLAS_CORETYPE: {os.environ.get('OPENBLAS_CORETYPE', 'not set')}",
        f"torch: {torch.get_num_threads()} thread, MKL and kernels for {torch.backends.cpu.get_cpu_capability()}",
    ]


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas_libraries() -> list[str]:
    return sorted(
        f"BLAS: {found['internal_api']} {found['version']}, architecture {found.get('architecture', 'unknown')}, "
        f"{found['num_threads']} thread ({Path(found['filepath']).name})"
        for found in threadpool_info()
        if found["user_api"] == "blas"
    )
