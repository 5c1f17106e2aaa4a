"""Row 4. Small diagnoses over HTTP, next to handlers that compute nothing."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .load import Answers, generate
from .servers import Server, running

TITLE = "Small diagnoses over HTTP: 16 x 16, depth 100, JSON, gradient norms"
CONNECTIONS = 8
SECONDS = 1.5
ROUNDS = 3


@dataclass(frozen=True)
class Served:
    """One endpoint under load: what came back in each round, and what it cost the server."""

    case: str
    answers: tuple[Answers, ...]
    cpu_seconds: tuple[float, ...]

    def cells(self) -> dict[str, str]:
        """Column -> text; medians over the rounds."""
        rates = [found.count / found.seconds for found in self.answers]
        costs = [seconds / found.count for found, seconds in zip(self.answers, self.cpu_seconds, strict=True)]
        return {
            "endpoint": self.case,
            "requests per second": f"{statistics.median(rates):,.0f}",
            "per second of the server's own CPU": f"{1.0 / statistics.median(costs):,.0f}",
            "server CPU per request, ms": f"{statistics.median(costs) * 1e3:.3f}",
            "latency p50, ms": f"{statistics.median(found.median_ms for found in self.answers):.2f}",
            "p99, ms": f"{statistics.median(found.p99_ms for found in self.answers):.2f}",
        }


def run(full: bool) -> Iterator[Served]:
    """All endpoints in turn, several rounds, the same connections and body for all."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        linear, rnn = _body(folder, "linear"), _body(folder, "rnn")
        ours = stack.enter_context(running("gradhorizon_service", "/readyz"))
        peers = stack.enter_context(running("benchmarks.empty_app", "/ready"))
        endpoints = {
            "POST /v1/diagnoses, linear": (ours, "/v1/diagnoses", linear),
            "POST /v1/diagnoses, tanh": (ours, "/v1/diagnoses", rnn),
            "empty FastAPI handler": (peers, "/empty", linear),
            "FastAPI handler that only reads the matrix": (peers, "/read", linear),
        }
        found: dict[str, list[tuple[Answers, float]]] = {case: [] for case in endpoints}
        for number in range(ROUNDS + 1):
            for case, (server, path, body) in endpoints.items():
                measured = _loaded(server, path, body, 3 * SECONDS if full else SECONDS)
                if number > 0:  # the first round warms up
                    found[case].append(measured)
    for case, rounds in found.items():
        answers, seconds = zip(*rounds, strict=True)
        yield Served(case, answers, seconds)


def _body(folder: Path, cell: str) -> Path:
    W = np.random.default_rng(0).standard_normal((16, 16)) / 4.0
    network = {"cell": cell, "weights": {"source": "matrix", "values": W.tolist()}}
    if cell == "rnn":
        network["activation"] = "tanh"
    path = folder / f"{cell}.json"
    path.write_text(json.dumps({"network": network, "depth": 100, "diagnostics": ["gradient_norms"]}))
    return path


def _loaded(server: Server, path: str, body: Path, seconds: float) -> tuple[Answers, float]:
    before = server.cpu_seconds()
    found = generate(server.port, path, CONNECTIONS, seconds, body)
    return found, server.cpu_seconds() - before
