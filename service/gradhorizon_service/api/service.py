"""What the handlers share: settings, limits, the calibrated costs, the pool, and how much may be in flight."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.processes.functions import TABLE
from gradhorizon_service.processes.pool import Pool
from gradhorizon_service.settings import Settings

from .admission import ByteBudget


@dataclass
class Service:
    """One running service."""

    settings: Settings
    limits: Limits
    costs: Costs
    pool: Pool
    pending: ByteBudget
    draining: bool = False

    @property
    def ready(self) -> bool:
        """Whether new work is welcome: every worker process is warm, and nobody told the server to stop."""
        return self.pool.ready and not self.draining


@contextlib.asynccontextmanager
async def running_service(settings: Settings) -> AsyncIterator[Service]:
    """Start a service, and stop it with every process it started.

    BLAS gets one thread in this process too: two threads of OpenBLAS on a busy machine spin for a scheduler tick.
    """
    with threadpool_limits(1, user_api="blas"):
        pool = Pool(
            TABLE,
            workers=settings.workers,
            queue_length=settings.queue_length,
            queue_seconds=settings.queue_seconds,
        )
        pool.start()
        try:
            yield Service(
                settings, settings.limits(), Costs.measure(), pool, ByteBudget(settings.max_pending_bytes)
            )
        finally:
            await pool.close()
