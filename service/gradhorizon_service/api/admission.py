"""How many bytes of requests the server holds at once: memory is bounded however many clients send however much."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .refusals import Overloaded

_RETRY_AFTER_SECONDS = 2.0


class Hold:
    """The bytes of one request."""

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.bytes = 0

    def add(self, count: int) -> None:
        """Take more bytes; raises Overloaded where the server holds too many."""
        self._budget.take(count)
        self.bytes += count


class ByteBudget:
    """At most `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0

    @contextmanager
    def hold(self) -> Iterator[Hold]:
        """Open a hold that gives its bytes back at the end."""
        hold = Hold(self)
        try:
            yield hold
        finally:
            self._taken -= hold.bytes

    def take(self, count: int) -> None:
        """Count bytes in; raises Overloaded over the limit."""
        if self._taken + count > self._limit:
            raise Overloaded(
                f"the server already holds {self._taken} bytes of requests; send this one again later",
                "max_pending_bytes",
                _RETRY_AFTER_SECONDS,
            )
        self._taken += count
