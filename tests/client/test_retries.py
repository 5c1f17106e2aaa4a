"""When the client tries again, and how long it waits first."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

import gradhorizon
from gradhorizon._base import LONGEST_WAIT, retry_after, wait_before_retry


def overloaded(seconds: float | None) -> gradhorizon.Overloaded:
    error = gradhorizon.Overloaded("busy")
    error.retry_after = seconds
    return error


def failed(cause: Exception) -> gradhorizon.ConnectionFailed:
    error = gradhorizon.ConnectionFailed("no answer")
    error.__cause__ = cause
    return error


def answer(value: str) -> httpx.Response:
    return httpx.Response(503, headers={"retry-after": value})


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (overloaded(3.0), 3.0),
        (overloaded(LONGEST_WAIT), LONGEST_WAIT),
        (overloaded(LONGEST_WAIT + 1), False),
        (overloaded(None), True),
        (gradhorizon.NotReady("starting"), True),
        (gradhorizon.GatewayFailed("bad gateway"), True),
        (failed(httpx.ConnectError("refused")), True),
        (failed(httpx.ProxyError("no")), False),
        (failed(httpx.UnsupportedProtocol("ftp")), False),
        (gradhorizon.TimedOut("60 s"), False),
        (gradhorizon.ComputationTimedOut("180 s"), False),
        (gradhorizon.ServerFailed("a defect"), False),
        (gradhorizon.InvalidRequest("a field"), False),
        (gradhorizon.NotUnderstood("another program"), False),
        (ValueError("not ours"), False),
    ],
)
def test_waits(error: Exception, wait: float | bool) -> None:
    assert wait_before_retry(error) == wait
    assert type(wait_before_retry(error)) is type(wait)


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("", None)]
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(answer(value)) == seconds


@pytest.mark.parametrize(("offset", "low", "high"), [(60, 55, 60), (-60, 0, 0)])
def test_retry_after_as_a_date(offset: int, low: float, high: float) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=offset), usegmt=True)
    seconds = retry_after(answer(when))
    assert seconds is not None
    assert low <= seconds <= high
