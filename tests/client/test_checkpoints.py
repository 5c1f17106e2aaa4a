"""Whole checkpoints from Python: by path, by artifact, by hash, over a wire and without one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import gradhorizon
from gradhorizon import AsyncClient, CheckpointComparison, CheckpointDiagnosis, Client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(
        {"gru.weight_hh_l0": np.eye(6)[[0, 1, 0, 1, 0, 1]][:, :2], "gru.weight_ih_l0": np.ones((6, 1))}, path
    )
    return path


@pytest.fixture
def later(tmp_path: Path) -> Path:
    path = tmp_path / "later.safetensors"
    save_file({"gru.weight_hh_l0": np.ones((6, 2)), "gru.weight_ih_l0": np.ones((6, 1))}, path)
    return path


def without_time(report: CheckpointDiagnosis | CheckpointComparison) -> object:
    tree = json.loads(report.to_json())
    tree["provenance"]["seconds"] = 0
    for layer in tree["layers"]:
        for name in ("diagnosis", "before", "after"):
            if layer.get(name):
                layer[name]["provenance"]["seconds"] = 0
    return tree


def test_every_way_to_name_a_checkpoint_is_the_same_report(model: Path, live_url: str) -> None:
    with Client(live_url) as wire, Client.in_process() as here:
        artifact = wire.upload(model)
        inputs = {"kind": "values", "values": np.ones((2, 9, 1))}
        reports = [
            wire.diagnose_checkpoint(model, depth=9, inputs=inputs),
            wire.diagnose_checkpoint(artifact, {"depth": 9}, inputs=inputs),
            wire.diagnose_checkpoint(artifact.sha256, depth=9, inputs=inputs),
            here.diagnose_checkpoint(model, depth=9, inputs=inputs),
            here.diagnose_checkpoint(here.upload(model), depth=9, inputs=inputs),
        ]
    assert all(without_time(report) == without_time(reports[0]) for report in reports[1:])
    assert isinstance(reports[0], CheckpointDiagnosis)
    assert "gru.l0" in str(reports[0])
    assert "4 units with only zeros there" in str(reports[0])


def test_a_comparison_is_the_same_over_the_wire_and_here(model: Path, later: Path, live_url: str) -> None:
    with Client(live_url) as wire, Client.in_process() as here:
        report = wire.compare_checkpoints(a=model, b=later, depth=5)
        assert without_time(report) == without_time(here.compare_checkpoints(a=model, b=later, depth=5))
    assert isinstance(report, CheckpointComparison)
    assert report.moved_most == "gru.l0"
    assert "gru.l0 moved most" in str(report)
    assert report._repr_html_().startswith("<div>")


def test_the_asynchronous_client_does_the_same(model: Path, later: Path, live_url: str) -> None:
    async def ask() -> tuple[CheckpointDiagnosis, CheckpointComparison]:
        async with AsyncClient(live_url) as wire, AsyncClient.in_process() as here:
            return (
                await wire.diagnose_checkpoint(model, depth=5),
                await here.compare_checkpoints(a=model, b=later, depth=5),
            )

    diagnosis, comparison = asyncio.run(ask())
    assert diagnosis.layers[0].cell == "gru"
    assert comparison.moved_most == "gru.l0"


def test_a_folder_of_shards_is_read_in_process(model: Path, later: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    folder.mkdir()
    save_file({"gru.weight_hh_l0": np.ones((6, 2))}, folder / "1.safetensors")
    save_file({"gru.weight_ih_l0": np.ones((6, 1))}, folder / "2.safetensors")
    index = {"weight_map": {"gru.weight_hh_l0": "1.safetensors", "gru.weight_ih_l0": "2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with Client.in_process() as here:
        report = here.compare_checkpoints(a=folder, b=later, depth=5)
    assert report.moved_most is None


def test_refusals_are_those_of_the_service(model: Path, live_url: str) -> None:
    with Client(live_url) as wire, Client.in_process() as here:
        for client in (wire, here):
            with pytest.raises(gradhorizon.InvalidRequest, match=r"none of the layers of this file: gru\.l0"):
                client.diagnose_checkpoint(model, depth=5, only=["l7"])
            with pytest.raises(gradhorizon.NotFound):
                client.diagnose_checkpoint("0" * 64, depth=5)
            with pytest.raises(gradhorizon.InvalidRequest, match="64 hexadecimal digits"):
                client.diagnose_checkpoint("model.safetensors", depth=5)
