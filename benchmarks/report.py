"""The page of results: what was measured on, then a table for each row."""

from __future__ import annotations

import datetime as dt
import importlib
import time
from collections.abc import Sequence
from types import ModuleType

import scipy.linalg  # noqa: F401 - loads SciPy's own BLAS, which must be there when the threads are limited
import torch
from threadpoolctl import threadpool_limits

from . import machine
from .comparison import table


def measured(names: Sequence[str], *, full: bool, command: str) -> str:
    """Measure the rows one after the other, with one BLAS thread on both sides, and print the page as it grows."""
    rows = [importlib.import_module(f".{name}", __package__) for name in names]
    machine.keep_freed_memory()
    torch.set_num_threads(1)
    with threadpool_limits(1, user_api="blas"):
        page = [_head(command)]
        print(page[0])
        for row in rows:
            page.append(_measured_row(row, full))
            print(page[-1], flush=True)
    return "\n".join(page)


def _head(command: str) -> str:
    today = dt.datetime.now(tz=dt.UTC).date()
    facts = "\n".join(f"- {fact}" for fact in machine.description())
    return f"# Results\n\n`{command}`, {today}. [README.md](README.md) says how to read it.\n\n{facts}\n"


def _measured_row(row: ModuleType, full: bool) -> str:
    started, load = time.perf_counter(), machine.load()
    lines = [line.cells() for line in row.run(full)]
    seconds = time.perf_counter() - started
    note = f"Load average {load} before and {machine.load()} after; {seconds:.0f} seconds."
    return f"## {row.TITLE}\n\n{table(lines)}\n\n{note}\n"
