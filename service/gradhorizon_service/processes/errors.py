"""How a task handed to the pool can fail other than by an exception of its own."""

from __future__ import annotations


class PoolError(Exception):
    """Base of the pool's own failures."""


class PoolClosed(PoolError):
    """The pool is not started, or shutting down."""


class QueueFull(PoolError):
    """Every worker is busy and as many tasks wait as may wait, or one waited as long as it may."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TaskTimeout(PoolError):
    """A task ran longer than it may; its process was killed."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"stopped after {seconds:g} seconds")
        self.seconds = seconds


class WorkerDied(PoolError):
    """The process ended in the middle of a task (killed by the system for memory, most often)."""


class WorkerFailed(PoolError):
    """A task raised something that cannot travel back as it is; the message holds its traceback."""
