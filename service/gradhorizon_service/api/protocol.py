"""HTTP/1.1 for clients that do not behave: uvicorn's fast protocol with a deadline and bounds on what has to be kept.

uvicorn waits forever for a request that trickles in, keeps any header, and calls Python for every chunk of a body.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from gradhorizon.schemas import ErrorCode

from .errors import PROBLEM_JSON, TABLE, problem_body

_CHUNKS_ALLOWED = 10_000
_SMALLEST_MEAN_CHUNK = 128
"""Bytes; a full network packet carries ten times that, only a flood of tiny chunks stays below it for so long."""
_SLOWEST_RATE = 32 * 1024
"""Bytes a second at which a body may go on arriving after its time: a large checkpoint over a slow line."""


class _Refused(Exception):
    """Stops the parser; `Protocol._refusal` says why."""


class Protocol(HttpToolsProtocol):
    """One connection. A subclass made by `protocol_class` carries the two settings."""

    receive_seconds: float
    max_header_bytes: int

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._begun = self._head_complete = self._complete = False
        self._head_bytes = self._chunks = self._body_bytes = self._body_bytes_before = 0
        self._reader_check: asyncio.TimerHandle | None = None
        self._refusal: tuple[ErrorCode, int, str] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock: a connection that says nothing is closed too."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._stop_clock()
        if self._reader_check is not None:
            self._reader_check.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; the clock runs from the first byte of a request to its last."""
        self._start_clock()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._head_complete:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_header_bytes:
                self._refuse_head()
                self.send_400_response("")
        elif self._complete and not self.cycle.response_complete:
            self._stop_clock()

    def on_message_begin(self) -> None:
        """Count from zero."""
        super().on_message_begin()
        self._begun, self._head_complete, self._complete = True, False, False
        self._head_bytes = self._chunks = self._body_bytes = self._body_bytes_before = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count_head(len(name) + len(value) + 4)  # the colon, the blank and the line end
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over; its body is still to come."""
        self._head_complete = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count chunks: a few bytes each, they cost more to take apart than they carry."""
        self._chunks += 1
        self._body_bytes += len(body)
        if self._chunks > _CHUNKS_ALLOWED and self._body_bytes < _SMALLEST_MEAN_CHUNK * self._chunks:
            self._refusal = (
                "body_too_large",
                413,
                f"the body comes in more than {_CHUNKS_ALLOWED} tiny chunks; send larger ones",
            )
            raise _Refused
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The last byte is there."""
        self._begun, self._complete = False, True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The application has nothing more to say; the client may still have to read it."""
        super().on_response_complete()
        if self._reader_check is None:
            self._watch_reader(-1)

    def pause_writing(self) -> None:
        """The client reads more slowly than the application writes, or not at all."""
        super().pause_writing()
        if self._reader_check is None:
            self._watch_reader(-1)

    def send_400_response(self, msg: str) -> None:
        """Answer what never became a request, as a problem."""
        code, status, detail = self._refusal or ("invalid_request", 400, msg)
        self._close_with(code, status, detail)

    def _count_head(self, count: int) -> None:
        self._head_bytes += count
        if self._head_bytes > self.max_header_bytes:
            self._refuse_head()
            raise _Refused

    def _refuse_head(self) -> None:
        limit = f"max_header_bytes = {self.max_header_bytes}"
        detail = f"the request line and headers are larger than this server's limit {limit}"
        self._refusal = ("limit_exceeded", 431, detail)

    def _start_clock(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.receive_seconds, self._expire)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._body_bytes - self._body_bytes_before >= _SLOWEST_RATE * self.receive_seconds:
            self._body_bytes_before = self._body_bytes
            self._start_clock()
        elif self._begun:
            limit = f"receive_seconds = {self.receive_seconds:g}"
            detail = f"the request took longer to arrive than this server's limit {limit}"
            self._close_with("request_timeout", TABLE["request_timeout"][0], detail)
        else:
            self.transport.close()

    def _watch_reader(self, unread_before: int) -> None:
        """Drop a client that has stopped reading: closing would wait for it, and keep its answer, for ever."""
        self._reader_check = None
        unread = self.transport.get_write_buffer_size()
        if unread == unread_before:
            self.transport.abort()
        elif unread:
            self._reader_check = self.loop.call_later(self.receive_seconds, self._watch_reader, unread)

    def _close_with(self, code: ErrorCode, status: int, detail: str) -> None:
        """Write a problem where that cannot end up inside or instead of another answer, and close."""
        self._stop_clock()
        if self._may_answer():
            body = problem_body(code, detail, status=status)
            head = f"content-type: {PROBLEM_JSON}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(b"".join((STATUS_LINE[status], head.encode("ascii"), body)))
        self.transport.close()

    def _may_answer(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is None:
            return True
        return not cycle.response_started if self._head_complete else cycle.response_complete


def protocol_class(receive_seconds: float, max_header_bytes: int) -> type[Protocol]:
    """Return the protocol with its settings: uvicorn makes the instances and knows nothing of them."""
    return type(
        "ConfiguredProtocol",
        (Protocol,),
        {"receive_seconds": receive_seconds, "max_header_bytes": max_header_bytes},
    )
