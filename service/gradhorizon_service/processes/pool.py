"""A pool of warm worker processes for an event loop.

The queue is bounded, deadlines kill, and a crash hurts one task only.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .errors import PoolClosed, QueueFull, TaskTimeout, WorkerDied
from .worker_process import WorkerProcess

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_FIRST_DELAY, _LAST_DELAY = 0.1, 10.0


class Pool:
    """`workers` processes that run the functions of `table` (`"module:NAME"`), one task each at a time.

    At most `queue_length` tasks wait, each for at most `queue_seconds`; over that, QueueFull says when to come back.
    All methods belong to one event loop. A thread per worker does the blocking reads and writes and holds the GIL only
    while it pickles; large arrays go out of band.
    """

    def __init__(self, table: str, *, workers: int, queue_length: int, queue_seconds: float) -> None:
        self._table = table
        self._size = workers
        self._queue_length = queue_length
        self._queue_seconds = queue_seconds
        # Twice as many threads: the thread of a killed process may still be on its way out when its successor starts.
        self._threads = ThreadPoolExecutor(2 * workers, thread_name_prefix="worker-process")
        self._processes: set[WorkerProcess] = set()
        self._idle: asyncio.Queue[WorkerProcess] = asyncio.Queue()
        self._hiring: set[asyncio.Task[None]] = set()
        self._warm = 0
        self._was_complete = False
        self._waiting = 0
        self._mean_seconds = 1.0
        self._closed = False

    def start(self) -> None:
        """Begin to start the processes; `ready` tells when they are warm."""
        for _ in range(self._size):
            self._hire()

    @property
    def ready(self) -> bool:
        """Whether tasks can run: every process has been warm once, and at least one is now."""
        return self._was_complete and self._warm > 0 and not self._closed

    async def run(self, name: str, *arguments: object, timeout: float) -> Any:  # noqa: ASYNC109 - it kills the process
        """Run one function of the table in a process and return its result, or raise what it raised.

        Raises QueueFull, TaskTimeout, WorkerDied, PoolClosed. When the caller is cancelled, the process is killed: the
        slot is free again as soon as its successor is warm.
        """
        worker = await self._acquire()
        started = time.monotonic()
        call = self._in_thread(worker.run, name, arguments)
        try:
            async with asyncio.timeout(timeout) as deadline:
                return await asyncio.shield(call)
        except TimeoutError:
            if deadline.expired():
                raise TaskTimeout(timeout) from None
            raise
        finally:
            self._mean_seconds += 0.1 * (time.monotonic() - started - self._mean_seconds)
            self._release(worker, call)

    async def close(self) -> None:
        """Kill every process, whatever it does, and wait until all are gone. Wait for running tasks before."""
        self._closed = True
        for hiring in self._hiring:
            hiring.cancel()
        for process in list(self._processes):
            process.kill()
        await asyncio.to_thread(self._threads.shutdown)
        for process in list(self._processes):
            await asyncio.to_thread(process.discard)

    async def _acquire(self) -> WorkerProcess:
        if self._closed:
            raise PoolClosed("the pool is closed")
        if self._idle.empty() and self._waiting >= self._queue_length:
            raise self._full(f"{self._waiting} tasks wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._queue_seconds):
                return await self._idle_and_alive()
        except TimeoutError:
            raise self._full(f"no worker was free within {self._queue_seconds:g} seconds") from None
        finally:
            self._waiting -= 1

    async def _idle_and_alive(self) -> WorkerProcess:
        while True:
            worker = await self._idle.get()
            if worker.alive:
                return worker
            self._replace(worker)

    def _full(self, message: str) -> QueueFull:
        tasks_before = self._waiting / self._size + 1
        return QueueFull(message, min(60.0, max(1.0, math.ceil(self._mean_seconds * tasks_before))))

    def _release(self, worker: WorkerProcess, call: asyncio.Future[Any]) -> None:
        if call.done() and not isinstance(call.exception(), WorkerDied):
            self._idle.put_nowait(worker)
        else:
            self._replace(worker, call)

    def _replace(self, worker: WorkerProcess, call: asyncio.Future[Any] | None = None) -> None:
        self._warm -= 1
        worker.kill()
        if not self._closed:
            logger.warning("worker process %d is replaced", worker.pid)
            self._hire(worker, call)

    def _hire(
        self, predecessor: WorkerProcess | None = None, call: asyncio.Future[Any] | None = None
    ) -> None:
        task = asyncio.create_task(self._succeed(predecessor, call))
        self._hiring.add(task)
        task.add_done_callback(self._hiring.discard)

    async def _succeed(self, predecessor: WorkerProcess | None, call: asyncio.Future[Any] | None) -> None:
        """Start a process in the place of its predecessor, again and again until one becomes ready."""
        if call is not None:
            await asyncio.wait([call])
            call.exception()  # looked at, or the loop would report it as forgotten
        if predecessor is not None:
            await self._discard(predecessor)
        delay = _FIRST_DELAY
        while not await self._start_one():
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LAST_DELAY)

    async def _start_one(self) -> bool:
        worker = await self._in_thread(self._spawn)
        try:
            await self._in_thread(worker.wait_until_ready)
        except WorkerDied:
            logger.exception("worker process %d did not start", worker.pid)
            await self._discard(worker)
            return False
        self._warm += 1
        self._was_complete = self._was_complete or self._warm == self._size
        self._idle.put_nowait(worker)
        return True

    def _spawn(self) -> WorkerProcess:
        process = WorkerProcess(self._table)
        self._processes.add(process)
        return process

    async def _discard(self, process: WorkerProcess) -> None:
        await self._in_thread(process.discard)
        self._processes.discard(process)

    def _in_thread(self, function: Callable[..., Result], *arguments: object) -> asyncio.Future[Result]:
        return asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)
