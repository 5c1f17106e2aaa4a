"""Charts: what a specification says, that nothing in it is fetched, and that it renders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon import Client
from gradhorizon_service.analysis.errors import InvalidShape
from gradhorizon_service.charts import CHARTS
from gradhorizon_service.charts.spec import MOST_ROWS, rows
from gradhorizon_service.processes import rendering

NETWORK = {
    "cell": "rnn",
    "weights": {"source": "ensemble", "family": "gaussian", "size": 6, "gain": 0.8, "seed": 1},
    "input_weights": {"source": "ensemble", "family": "gaussian", "shape": [6, 1], "seed": 2},
}
DIAGNOSTICS = [
    "gradient_norms", "singular_values", "lyapunov", "spectrum", "remedies", "parameter_gradient", "state_norms",
]  # fmt: skip

CHECKPOINT = Path(__file__).parents[2] / "examples" / "digits" / "digits-lstm.safetensors"
NORMS = [
    {"kind": "norm", "threshold": 1.0},
    {"kind": "norm", "threshold": 2.0, "framework": "optax"},
    {"kind": "none"},
]
TORCH_AND_VALUE = [{"kind": "norm", "threshold": 1.0}, {"kind": "value", "threshold": 2.0}]


@pytest.fixture(scope="module")
def reports() -> dict[str, Any]:
    with Client.in_process() as gh:
        diagnosis = gh.diagnose(network=NETWORK, depth=20, diagnostics=DIAGNOSTICS)
        comparison = gh.compare(networks={"one": NETWORK, "two": {**NETWORK, "activation": "relu"}}, depth=20)
        descent = gh.descend(task={"kind": "cliff"}, steps=20)
        checkpoint = gh.diagnose_checkpoint(CHECKPOINT, depth=20)
        clippings = gh.clippings(norms=[0.5, 4.0, 0.0, 1.0, np.nan], policies=NORMS)
        mean_field = gh.mean_field(
            activation="tanh",
            weight_variance=1.5,
            bias_variance=0.05,
            critical_line={"over": "weight_variance", "start": 0.5, "stop": 2.0, "points": 4},
        )
    others = {
        "comparison": comparison, "descent": descent, "checkpoint": checkpoint, "clippings": clippings,
        "mean_field": mean_field,
    }  # fmt: skip
    return {**dict.fromkeys(DIAGNOSTICS, diagnosis), **others}


def spec_of(kind: str, reports: dict[str, Any]) -> dict[str, Any]:
    """Drawn of the JSON, as the service reads it."""
    return CHARTS[kind].draw(CHARTS[kind].reads.model_validate_json(reports[kind].to_json()))


def test_every_chart_is_drawn_here(reports: dict[str, Any]) -> None:
    assert set(reports) == set(CHARTS)


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_is_strict_json_that_loads_nothing(kind: str, reports: dict[str, Any]) -> None:
    spec = spec_of(kind, reports)
    text = json.dumps(spec, allow_nan=False)
    assert '"url"' not in text
    assert [value for value in strings(spec) if "://" in value] == [spec["$schema"]]


@pytest.mark.parametrize("kind", CHARTS)
def test_every_axis_has_a_title(kind: str, reports: dict[str, Any]) -> None:
    for layer in spec_of(kind, reports)["layer"]:
        for axis in ("x", "y"):
            encoded = layer["encoding"].get(axis, {})
            assert encoded.get("title") or encoded.get("type") != "quantitative", layer["encoding"]


@pytest.mark.parametrize("kind", CHARTS)
def test_a_chart_renders_as_svg_with_its_title(kind: str, reports: dict[str, Any]) -> None:
    spec = spec_of(kind, reports)
    picture = rendering.svg(json.dumps(spec)).decode()
    assert picture.startswith("<svg")
    assert spec["title"]["text"] in picture
    assert "NaN" not in picture


def test_the_gradient_is_drawn_as_the_report_has_it(reports: dict[str, Any]) -> None:
    spec, norms = spec_of("gradient_norms", reports), reports["gradient_norms"].gradient_norms
    line = spec["layer"][1]["data"]["values"]
    assert [row["lag"] for row in line] == norms.lag.tolist()
    assert [row["log10_norm"] for row in line] == norms.log10_norm.tolist()


def test_layers_are_drawn_from_where_their_loss_leaves_them(reports: dict[str, Any]) -> None:
    (line,) = spec_of("checkpoint", reports)["layer"]
    (layer,) = reports["checkpoint"].layers
    norms = layer.diagnosis.gradient_norms.log10_norm
    assert [row["layer"] for row in line["data"]["values"]] == [layer.name] * len(norms)
    assert [row["change"] for row in line["data"]["values"]] == pytest.approx(norms - norms[0])


def test_a_history_is_drawn_with_every_threshold_and_the_advised_one(reports: dict[str, Any]) -> None:
    history, *rules = spec_of("clippings", reports)["layer"]
    assert [row["step"] for row in history["data"]["values"]] == [0, 1, 3]
    advised = reports["clippings"].advice.threshold
    heights = [rule["encoding"]["y"]["datum"] for rule in rules if rule["mark"]["type"] == "rule"]
    assert heights == pytest.approx(np.log10([1.0, 2.0, advised]))


def test_gradients_are_drawn_before_and_after_every_policy() -> None:
    gradients = {"w": np.array([3.0, 4.0]), "b": np.array([0.5]), "dead": np.zeros(2)}
    with Client.in_process() as gh:
        report = gh.clippings(gradients=gradients, policies=TORCH_AND_VALUE)
    spec = report.plot().spec
    found = {
        (row["tensor"], row["policy"]): 10 ** row["log10_norm"] for row in spec["layer"][0]["data"]["values"]
    }
    total = np.sqrt(25.25)
    wanted = {
        ("w", "as given"): 5.0, ("w", "torch at 1"): 5.0 / total, ("w", "value at 2"): np.sqrt(8.0),
        ("b", "as given"): 0.5, ("b", "torch at 1"): 0.5 / total, ("b", "value at 2"): 0.5,
    }  # fmt: skip
    assert found == pytest.approx(wanted, rel=1e-6)
    assert spec["title"]["subtitle"][-1] == "not drawn: dead"


def test_the_critical_line_is_drawn_where_there_is_one(reports: dict[str, Any]) -> None:
    line, here = spec_of("mean_field", reports)["layer"]
    assert [row["weight"] for row in line["data"]["values"]] == [1.0, 1.5, 2.0]
    assert here["data"]["values"] == [{"bias": 0.05, "weight": 1.5}]


def test_a_theory_without_its_line_says_what_its_chart_needs() -> None:
    with Client.in_process() as gh:
        theory = gh.mean_field(activation="tanh", weight_variance=1.5, bias_variance=0.05)
    with pytest.raises(ValueError, match="needs critical_line"):
        theory.plot()


def test_png_is_twice_the_size(reports: dict[str, Any]) -> None:
    picture = rendering.png(json.dumps(spec_of("spectrum", reports)))
    assert picture.startswith(b"\x89PNG")
    width = int.from_bytes(picture[16:20], "big")
    assert width > 2 * 360


def test_an_address_in_a_specification_is_not_fetched() -> None:
    """Ours hold none; this is the second lock on that door."""
    spec = {"data": {"url": "http://127.0.0.1:9/x.csv"}, "mark": "point", "encoding": {}}
    with pytest.raises(ValueError, match="not allowed"):
        rendering.svg(json.dumps(spec))


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidShape, match="lag 2, log10_norm 3"):
        rows({"lag": [0, 1], "log10_norm": [0.0, 1.0, 2.0]})


def test_what_is_not_finite_is_left_out() -> None:
    found = rows({"lag": np.arange(3), "log10": np.array([0.0, -np.inf, np.nan])})
    assert found == [{"lag": 0, "log10": 0.0}]


def test_long_series_are_thinned_with_both_ends_kept() -> None:
    found = rows({"lag": np.arange(3 * MOST_ROWS)})
    assert len(found) == MOST_ROWS
    assert (found[0]["lag"], found[-1]["lag"]) == (0, 3 * MOST_ROWS - 1)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
