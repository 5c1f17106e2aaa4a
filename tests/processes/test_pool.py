"""The pool of worker processes: results come back, and whatever happens to one task happens to no other."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.processes.errors import PoolClosed, QueueFull, TaskTimeout, WorkerDied, WorkerFailed
from gradhorizon_service.processes.pool import Pool

TABLE = "pool_tasks:FUNCTIONS"
LONG = 30.0


@pytest.fixture(autouse=True)
def _tasks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@contextlib.asynccontextmanager
async def running(
    workers: int = 1, queue_length: int = 4, queue_seconds: float = LONG
) -> AsyncIterator[Pool]:
    pool = Pool(TABLE, workers=workers, queue_length=queue_length, queue_seconds=queue_seconds)
    pool.start()
    try:
        await until(lambda: pool.ready)
        yield pool
    finally:
        await pool.close()


async def until(condition: Callable[[], bool], seconds: float = LONG) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to offer
            await asyncio.sleep(0.005)


def gone(pid: int) -> bool:
    """Whether a process has ended, be it still in the list because nobody has asked for its status."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@in_loop
async def test_objects_and_arrays_come_back_as_they_went() -> None:
    sent = {
        "w": np.random.default_rng(0).standard_normal((300, 200)),
        "n": 3,
        "z": np.array([1j, 2]),
        "f": np.eye(40).T,
    }
    async with running() as pool:
        back = await pool.run("echo", sent, timeout=LONG)
        assert set(back) == set(sent)
        for name, value in sent.items():
            np.testing.assert_array_equal(back[name], value)
        np.testing.assert_array_equal(
            await pool.run("matrix", 500, timeout=LONG), np.arange(250_000.0).reshape(500, 500)
        )


@in_loop
async def test_a_worker_process_imports_neither_pydantic_nor_the_web_framework() -> None:
    """Under pytest, whose own main module imports much more than a worker may."""
    async with running() as pool:
        modules = set(await pool.run("modules", timeout=LONG))
    assert {"numpy", "scipy"} <= modules
    assert not modules & {
        "pydantic",
        "fastapi",
        "starlette",
        "uvicorn",
        "asyncio",
        "multiprocessing",
        "pytest",
        "httpx",
    }


@in_loop
async def test_a_worker_process_computes_on_one_thread() -> None:
    async with running() as pool:
        threads = await pool.run("threads", timeout=LONG)
    assert threads
    assert set(threads) == {1}


@in_loop
async def test_an_exception_comes_back_and_the_process_goes_on() -> None:
    async with running() as pool:
        pid = await pool.run("pid", timeout=LONG)
        with pytest.raises(ValueError, match="no such number"):
            await pool.run("fail", timeout=LONG)
        with pytest.raises(WorkerFailed, match="Stubborn: one two"):
            await pool.run("fail_stubbornly", timeout=LONG)
        with pytest.raises(KeyError):
            await pool.run("no such function", timeout=LONG)
        assert await pool.run("pid", timeout=LONG) == pid


@in_loop
async def test_a_stray_print_does_not_disturb_the_answers() -> None:
    async with running() as pool:
        assert await pool.run("shout", 1, timeout=LONG) == 1
        assert await pool.run("echo", 2, timeout=LONG) == 2


@in_loop
async def test_a_task_over_its_time_is_killed_with_its_process() -> None:
    async with running() as pool:
        pid = await pool.run("pid", timeout=LONG)
        started = time.monotonic()
        with pytest.raises(TaskTimeout):
            await pool.run("sleep", LONG, timeout=0.1)
        await until(lambda: gone(pid), 1.0)
        assert time.monotonic() - started < 1.0
        assert await pool.run("echo", 1, timeout=LONG) == 1


@in_loop
async def test_a_cancelled_caller_frees_its_slot() -> None:
    async with running() as pool:
        pid = await pool.run("pid", timeout=LONG)
        caller = asyncio.create_task(pool.run("sleep", LONG, timeout=LONG))
        await asyncio.sleep(0.1)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await until(lambda: gone(pid), 1.0)
        assert await pool.run("echo", 1, timeout=LONG) == 1


@in_loop
async def test_a_crash_fails_its_own_task_only() -> None:
    async with running(workers=2) as pool:
        neighbour = asyncio.create_task(pool.run("sleep", 0.5, timeout=LONG))
        await asyncio.sleep(0.1)
        with pytest.raises(WorkerDied):
            await pool.run("crash", timeout=LONG)
        assert await neighbour > 0
        assert await pool.run("echo", 1, timeout=LONG) == 1


@in_loop
async def test_a_process_that_died_idle_costs_no_task() -> None:
    async with running() as pool:
        pid = await pool.run("pid", timeout=LONG)
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert await pool.run("pid", timeout=LONG) != pid


@in_loop
async def test_the_queue_is_bounded_and_says_when_to_come_back() -> None:
    async with running(queue_length=1) as pool:
        first = asyncio.create_task(pool.run("sleep", 0.3, timeout=LONG))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(pool.run("echo", 2, timeout=LONG))
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull) as refusal:
            await pool.run("echo", 3, timeout=LONG)
        assert 1 <= refusal.value.retry_after_seconds <= 60
        assert await first > 0
        assert await second == 2


@in_loop
async def test_nobody_waits_longer_than_a_task_may_wait() -> None:
    async with running(queue_seconds=0.1) as pool:
        first = asyncio.create_task(pool.run("sleep", 0.5, timeout=LONG))
        await asyncio.sleep(0.05)
        with pytest.raises(QueueFull):
            await pool.run("echo", 2, timeout=LONG)
        assert await first > 0


@in_loop
async def test_many_tasks_over_few_processes_all_come_back() -> None:
    async with running(workers=2, queue_length=200) as pool:
        results = await asyncio.gather(*(pool.run("echo", number, timeout=LONG) for number in range(200)))
    assert results == list(range(200))


@in_loop
async def test_a_closed_pool_leaves_no_process_and_takes_no_task() -> None:
    async with running(workers=2) as pool:
        pids = {await pool.run("pid", timeout=LONG) for _ in range(4)}
        busy = asyncio.create_task(pool.run("sleep", LONG, timeout=LONG))
        await asyncio.sleep(0.05)
    assert all(gone(pid) for pid in pids)
    with pytest.raises(WorkerDied):
        await busy
    with pytest.raises(PoolClosed):
        await pool.run("echo", 1, timeout=LONG)
    assert not pool.ready


@in_loop
async def test_a_pool_whose_processes_cannot_start_is_never_ready() -> None:
    pool = Pool("no_such_module:FUNCTIONS", workers=1, queue_length=1, queue_seconds=0.1)
    pool.start()
    with pytest.raises(QueueFull):
        await pool.run("echo", 1, timeout=LONG)
    assert not pool.ready
    await pool.close()


def test_a_worker_ends_when_its_parent_is_killed_even_in_the_middle_of_a_task() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.kill()
        deadline = time.monotonic() + 5
        while not gone(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


_PARENT = f"""
import threading, time
from gradhorizon_service.processes.worker_process import WorkerProcess
worker = WorkerProcess({TABLE!r})
worker.wait_until_ready()
threading.Thread(target=worker.run, args=("sleep", ({LONG},)), daemon=True).start()
time.sleep(0.1)
print(worker.pid, flush=True)
time.sleep({LONG})
"""
