"""The asynchronous client: the same requests, answers, retries and errors."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

import gradhorizon
from gradhorizon import AsyncClient, Client

NETWORK = {"cell": "linear", "weights": np.eye(100)}
AsyncClientWith = Callable[..., AsyncClient]


def test_report_is_the_same(async_client_with: AsyncClientWith, diagnosis_document: dict[str, Any]) -> None:
    async def main() -> Any:
        async with async_client_with(lambda _: httpx.Response(200, json=diagnosis_document)) as client:
            return await client.diagnose(network=NETWORK, depth=3)

    report = asyncio.run(main())
    assert json.loads(report.to_json()) == diagnosis_document


def test_passing_failures_are_tried_again(
    async_client_with: AsyncClientWith,
    diagnosis_document: dict[str, Any],
    problem: Callable[..., httpx.Response],
) -> None:
    answers = [problem(503, "overloaded"), httpx.Response(502), httpx.Response(200, json=diagnosis_document)]

    async def main() -> Any:
        async with async_client_with(lambda _: answers.pop(0)) as client:
            return await client.diagnose(network=NETWORK, depth=3)

    assert asyncio.run(main()).verdict.status == "dead"
    assert not answers


def test_refusals_are_raised_at_once(
    async_client_with: AsyncClientWith, problem: Callable[..., httpx.Response]
) -> None:
    answers = [problem(422, "invalid_shape"), problem(500, "internal_error")]

    async def main() -> None:
        async with async_client_with(lambda _: answers.pop(0)) as client:
            await client.spectrum(np.eye(2))

    with pytest.raises(gradhorizon.InvalidRequest):
        asyncio.run(main())
    assert len(answers) == 1


def test_nothing_listening_is_a_failed_connection() -> None:
    async def main() -> bool:
        async with AsyncClient("http://127.0.0.1:1", retries=0) as client:
            assert await client.ready() is False
            await client.health()
        return True

    with pytest.raises(gradhorizon.ConnectionFailed):
        asyncio.run(main())


def test_http_client_brought_along_stays_open() -> None:
    async def main() -> bool:
        async with httpx.AsyncClient() as http_client:
            async with AsyncClient(http_client=http_client):
                pass
            return http_client.is_closed

    assert asyncio.run(main()) is False


@pytest.mark.parametrize("method", ["diagnose", "spectrum", "catalog", "health", "ready", "in_process"])
def test_both_clients_have_the_same_methods(method: str) -> None:
    def parameters(client: type) -> list[tuple[str, Any, Any, Any]]:
        signature = inspect.signature(getattr(client, method))
        return [(p.name, p.kind, p.default, p.annotation) for p in signature.parameters.values()]

    assert parameters(Client) == parameters(AsyncClient)
