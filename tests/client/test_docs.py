"""What the pages of docs show of the client runs, block after block, against a live service."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import gradhorizon
from gradhorizon.cli._policies import read_policy

pytestmark = pytest.mark.timeout(300)  # a page is many requests, on machines that are busy with others

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "client.md").read_text(encoding="utf-8")


def names_after_running(page: str, live_url: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    text = (DOCS / page).read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block.replace("http://localhost:8000", live_url), page, "exec"), names)
    return names


def test_every_example_of_the_client_runs(
    live_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes a file
    names = names_after_running("client.md", live_url)
    assert names["tanh"] != names["relu"]


def test_the_example_of_clippings_runs(live_url: str) -> None:
    names = names_after_running("clippings.md", live_url)
    assert names["now"].policies[0].clipped
    assert names["then"].advice.threshold < 10


def test_the_examples_of_checkpoints_run(
    live_url: str, tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(digits / "digits-rnn-tanh.safetensors", tmp_path / "model.safetensors")
    names = names_after_running("checkpoints.md", live_url)
    assert [layer.name for layer in names["report"].layers] == ["rnn.l0"]
    assert names["weights"].shape == (64, 64)


def test_the_policy_of_checkpoints_is_one(tmp_path: Path) -> None:
    (text,) = re.findall(
        r"```toml\n(.*?)```", (DOCS / "checkpoints.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (tmp_path / "policy.toml").write_text(text)
    policy = read_policy(tmp_path / "policy.toml")
    assert policy.of("decoder.rnn.l0").min_horizon == 100
    assert policy.rules.min_horizon == 50


def test_the_example_of_descents_runs(live_url: str) -> None:
    names = names_after_running("descents.md", live_url)
    free, clipped = names["cliff"].runs
    assert free.step_back.progress_lost > 0.9
    assert clipped.step_back is None or clipped.step_back.progress_lost < 0.1
    assert names["after"].horizon.steps is not None or names["after"].horizon.censored


def test_the_example_of_the_golden_table_gives_the_number_in_the_table(live_url: str) -> None:
    names = names_after_running("golden-table.md", live_url)
    record = json.loads((DOCS / "golden-table.json").read_text(encoding="utf-8"))
    row = next(r for r in record["rows"] if (r["network"], r["hidden_size"]) == ("Keras SimpleRNN", 64))
    assert names["exponent"] == pytest.approx(row["exponents"][0], abs=1e-5)
    assert names["steps"] == row["horizons"][0]


def test_every_error_is_documented() -> None:
    errors = {
        name
        for name in gradhorizon.__all__
        if isinstance(getattr(gradhorizon, name), type) and issubclass(getattr(gradhorizon, name), Exception)
    }
    assert errors - set(re.findall(r"\w+", PAGE)) == set()
