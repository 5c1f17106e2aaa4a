"""Charts of reports, drawn here and asked for; claims through both clients."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradhorizon import AsyncClient, Client, InvalidRequest, NotFound, ServiceMissing

WEIGHTS = [[0.5, 0.1], [0.0, 0.4]]
QUICK = {"draws": 2, "depth": 30, "batch": 1}


@pytest.fixture(scope="module")
def here() -> Iterator[Client]:
    with Client.in_process() as client:
        yield client


@pytest.fixture(scope="module")
def report(here: Client) -> Any:
    return here.diagnose(
        network={"cell": "linear", "weights": WEIGHTS}, depth=10, diagnostics=["gradient_norms", "spectrum"]
    )


def test_a_plot_is_the_main_chart_of_its_report(report: Any, here: Client) -> None:
    assert report.plot().spec["title"]["text"] == "How far back the gradient reaches"
    assert here.spectrum(WEIGHTS).plot().spec == report.plot("spectrum").spec


def test_a_diagnosis_without_gradient_norms_is_plotted_by_what_it_holds(here: Client) -> None:
    network = {"cell": "linear", "weights": WEIGHTS}
    found = here.diagnose(network=network, depth=10, diagnostics=["singular_values"])
    assert found.plot().spec == found.plot("singular_values").spec


def test_a_chart_of_what_is_not_there_says_so(report: Any) -> None:
    with pytest.raises(
        ValueError, match="the chart lyapunov needs lyapunov, which this report does not hold"
    ):
        report.plot("lyapunov")
    with pytest.raises(ValueError, match="there is no chart 'pie'"):
        report.plot("pie")


def test_notebooks_get_the_specification_and_the_picture(report: Any) -> None:
    bundle = report.plot()._repr_mimebundle_()
    assert bundle["application/vnd.vegalite.v5+json"] == report.plot().spec
    assert bundle["image/svg+xml"].startswith("<svg")


def test_notebooks_get_the_specification_without_the_extra(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert set(report.plot()._repr_mimebundle_()) == {"application/vnd.vegalite.v5+json", "text/plain"}
    with pytest.raises(ServiceMissing, match="vl_convert"):
        report.plot().to_svg()


def test_a_chart_is_saved_as_its_name_ends(report: Any, tmp_path: Path) -> None:
    chart = report.plot()
    for name, start in (("a.svg", b"<svg"), ("a.PNG", b"\x89PNG"), ("a.json", b"{")):
        chart.save(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    with pytest.raises(ValueError, match=r"must end in \.svg"):
        chart.save(tmp_path / "a.gif")


def test_the_service_draws_what_is_drawn_here(report: Any, live_url: str) -> None:
    with Client(live_url) as client:
        assert json.loads(client.chart(report, picture="vega-lite")) == report.plot().spec
        assert (
            client.chart(json.loads(report.to_json()), "spectrum")
            == report.plot("spectrum").to_svg().encode()
        )
        assert client.chart(report, picture="png").startswith(b"\x89PNG")
        with pytest.raises(NotFound, match="there is no such kind of chart"):
            client.chart(report, "pie")
        with pytest.raises(InvalidRequest) as refused:
            client.chart(report, "lyapunov")
        assert refused.value.errors[0].path == "$.lyapunov"


def test_charts_are_the_same_without_a_server(report: Any, here: Client) -> None:
    assert here.chart(report) == report.plot().to_svg().encode()
    with pytest.raises(NotFound, match="there is no such kind of chart"):
        here.chart(report, "pie")
    with pytest.raises(InvalidRequest) as refused:
        here.chart(report, "lyapunov")
    assert refused.value.errors[0].path == "$.lyapunov"


def test_a_claim_is_the_same_over_the_wire_and_here(here: Client, live_url: str) -> None:
    with Client(live_url) as client:
        far, near = client.claim("leaky-units", **QUICK), here.claim("leaky-units", **QUICK)
        assert client.claims() == here.claims()
    assert far.id == near.id
    assert (far.verdict, far.numbers, far.points) == (near.verdict, near.numbers, near.points)
    assert near.plot().spec == near.chart
    assert here.chart(near, picture="vega-lite") == near.plot().to_json().encode()


def test_the_asynchronous_client_judges_and_draws_too() -> None:
    async def both() -> tuple[Any, bytes]:
        async with AsyncClient.in_process() as client:
            await client.claims()
            report = await client.claim("eigenvalue-growth", depths=[3])
            return report, await client.chart(report, picture="vega-lite")

    report, chart = asyncio.run(both())
    assert json.loads(chart) == report.chart


def test_an_unknown_claim_is_not_found(here: Client, live_url: str) -> None:
    with Client(live_url) as client, pytest.raises(NotFound, match="there is no such claim"):
        client.claim("flat-earth")
    with pytest.raises(NotFound):
        here.claim("flat-earth")


def test_a_claim_prints_its_verdict_and_its_numbers(here: Client) -> None:
    printed = str(here.claim("leaky-units", **QUICK, leak_rate=1.0))
    assert printed.startswith("fails  leaky-units: Leaky units")
    assert "at least 0.8" in printed
    assert "depth-ten" in str(here.claims())
