"""What the handlers share: settings, limits, calibrated costs, the pool, artifacts, and how much may be in flight."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from threadpoolctl import threadpool_limits

from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.artifacts.store import ArtifactStore
from gradhorizon_service.artifacts.temporary import temporary_folder
from gradhorizon_service.processes.functions import TABLE
from gradhorizon_service.processes.pool import Pool
from gradhorizon_service.settings import Settings

from .admission import ByteBudget

Result = TypeVar("Result")

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 3600.0
_DISK_THREADS = 8


@dataclass
class Service:
    """One running service."""

    settings: Settings
    limits: Limits
    costs: Costs
    pool: Pool
    pending: ByteBudget
    artifacts: ArtifactStore
    disk: ThreadPoolExecutor
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Whether new work is welcome: every worker process is warm, and nobody told the server to stop."""
        return self.pool.ready and not self.draining

    def on_disk(self, function: Callable[..., Result], *arguments: object) -> asyncio.Future[Result]:
        """Run what waits for a disk in a thread of its own kind: a slow disk delays artifacts and nothing else."""
        return asyncio.get_running_loop().run_in_executor(self.disk, function, *arguments)


@contextlib.asynccontextmanager
async def running_service(settings: Settings) -> AsyncIterator[Service]:
    """Start a service, and stop it with every process it started.

    BLAS gets one thread in this process too: two threads of OpenBLAS on a busy machine spin for a scheduler tick.
    """
    with (
        threadpool_limits(1, user_api="blas"),
        _artifacts(settings) as artifacts,
        ThreadPoolExecutor(_DISK_THREADS, thread_name_prefix="artifacts") as disk,
    ):
        pool = Pool(
            TABLE,
            workers=settings.workers,
            queue_length=settings.queue_length,
            queue_seconds=settings.queue_seconds,
        )
        pool.start()
        sweeping = asyncio.create_task(_sweep(artifacts, settings.artifact_retention_seconds))
        try:
            pending = ByteBudget(settings.max_pending_bytes)
            yield Service(settings, settings.limits(), Costs.measure(), pool, pending, artifacts, disk)
        finally:
            sweeping.cancel()
            await pool.close()


@contextlib.contextmanager
def _artifacts(settings: Settings) -> Iterator[ArtifactStore]:
    """Open the store in its folder, or in a temporary one; raises OSError, which stops the start."""
    with contextlib.ExitStack() as stack:
        folder = settings.artifacts_folder or stack.enter_context(temporary_folder())
        store = ArtifactStore(folder, settings.artifact_limits())
        store.open()
        yield store


async def _sweep(artifacts: ArtifactStore, retention_seconds: float) -> None:
    """Remove what is kept no longer, also where nothing is uploaded."""
    while retention_seconds:
        await asyncio.sleep(min(max(retention_seconds / 4, 1.0), _SWEEP_SECONDS))
        try:
            await asyncio.to_thread(artifacts.sweep)
        except OSError:
            logger.exception("the artifacts were not swept")
