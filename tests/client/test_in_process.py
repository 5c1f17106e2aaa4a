"""Computing without a server: the same answers, the same refusals, and what is missing is named."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import gradhorizon
from gradhorizon import AsyncClient, Client

RNG = np.random.default_rng(0)
RNN = {
    "cell": "rnn",
    "weights": RNG.standard_normal((80, 80)) / 9,
    "input_weights": RNG.standard_normal((80, 2)),
    "bias": 0.1,
}
INPUTS = {"kind": "gaussian", "batch": 2}


def test_eigenvalues_inside_the_circle_vanish_at_their_own_rate(here: Client) -> None:
    """0.5^k falls below 0.001 at k = 10: ceil(3 / log10 2)."""
    report = here.diagnose(network={"cell": "linear", "weights": 0.5 * np.eye(3)}, depth=40)
    assert report.verdict.status == "vanishing"
    assert report.horizon.steps == 10


def test_limits_are_the_services(here: Client) -> None:
    with Client.in_process(max_depth=10) as small, pytest.raises(gradhorizon.LimitExceeded) as refused:
        small.diagnose(network={"cell": "linear", "weights": [[0.5]]}, depth=11)
    assert refused.value.limit == "max_depth"
    assert (
        here.diagnose(network={"cell": "linear", "weights": [[0.5]]}, depth=11).outcome.steps_completed == 11
    )


def test_estimate_of_a_cost_over_the_limit_is_told() -> None:
    with Client.in_process(sync_seconds=1e-9) as hurried, pytest.raises(gradhorizon.CostOverLimit) as refused:
        hurried.diagnose(network=RNN, depth=50)
    assert refused.value.estimate is not None
    assert refused.value.estimate > 1e-9


def test_unknown_limit_is_an_argument_error() -> None:
    with pytest.raises(TypeError, match="max_sise"):
        Client.in_process(max_sise=3)


def test_catalog_shows_the_limits_in_force() -> None:
    with Client.in_process(max_depth=10) as small:
        limits = {limit.name: limit.value for limit in small.catalog().limits}
    assert limits["max_depth"] == 10


def test_nothing_to_wait_for(here: Client) -> None:
    assert here.ready() is True
    assert here.health() == {"status": "ok"}


def test_asynchronous_client_computes_the_same(here: Client) -> None:
    async def main() -> list[Any]:
        async with AsyncClient.in_process() as client:
            return await asyncio.gather(
                *(client.diagnose(network=RNN, inputs=INPUTS, depth=20, seed=seed) for seed in range(3))
            )

    for seed, report in enumerate(asyncio.run(main())):
        assert comparable(report) == comparable(
            here.diagnose(network=RNN, inputs=INPUTS, depth=20, seed=seed)
        )


def comparable(report: Any) -> str:
    """Everything but the time it took."""
    return report.model_copy(
        update={"provenance": report.provenance.model_copy(update={"seconds": 0.0})}
    ).to_json()


@pytest.mark.parametrize("package", ["scipy", "orjson", "threadpoolctl"])
def test_missing_package_of_the_extra_is_named_with_the_command_that_installs_it(package: str) -> None:
    """The wheel holds the service's code whatever was installed with it: only its dependencies can be missing."""
    code = f"""
import sys
sys.modules[{package!r}] = None  # as if it were not installed
from gradhorizon import Client, ServiceMissing
try:
    Client.in_process()
except ServiceMissing as missing:
    print(missing.missing, missing)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.startswith(f"{package} the service needs the package {package}")
    assert "pip install 'gradhorizon[service]'" in run.stdout
