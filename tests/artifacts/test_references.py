"""References in requests: where they stand, and which tensor each means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.analysis.errors import LimitExceeded
from gradhorizon_service.artifacts.limits import ArtifactLimits
from gradhorizon_service.artifacts.references import plan, references_of
from gradhorizon_service.artifacts.store import ArtifactStore


def tensor(name: str, elements: int = 9, reason: str | None = None) -> dict[str, Any]:
    return {"name": name, "elements": elements, "unread_reason": reason}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    opened = ArtifactStore(tmp_path, ArtifactLimits())
    opened.open()
    return opened


def keep(store: ArtifactStore, *tensors: dict[str, Any]) -> str:
    incoming = store.receive(None)
    incoming.write(json.dumps(tensors).encode())
    sha256 = incoming.finish()
    store.publish(incoming, json.dumps({"tensors": tensors}).encode())
    incoming.discard()
    return sha256


def meant(store: ArtifactStore, *references: dict[str, Any], **bounds: float) -> Any:
    return plan(store, references_of(list(references)), **bounds)


def test_references_are_found_wherever_they_stand_and_each_once() -> None:
    tree = {
        "network": {"weights": {"artifact": "a", "name": "W"}, "bias": {"artifact": "a"}},
        "layers": [[1.0], {"source": "matrix", "artifact": "b", "name": "W"}, {"artifact": "a", "name": "W"}],
        "inputs": np.zeros((3, 3)),
        "artifact": 3,
        "loss": {"artifact": "a", "name": 1},
    }
    assert [(reference.key, reference.path) for reference in references_of(tree)] == [
        (("a", "W"), "$.network.weights"),
        (("a", None), "$.network.bias"),
        (("b", "W"), "$.layers[1]"),
    ]


def test_tensors_are_loaded_once_however_often_they_are_meant(store: ArtifactStore) -> None:
    several, single = keep(store, tensor("W"), tensor("b", 3)), keep(store, tensor("only", 5))
    planned = meant(
        store,
        {"artifact": several, "name": "W"},
        {"artifact": several, "name": "b"},
        {"artifact": single},
        {"artifact": single, "name": "only"},
    )
    assert planned.names() == {several: ["W", "b"], single: ["only"]}
    assert planned.total_bytes == 8 * (9 + 3 + 5 + 5)
    arrays = {several: {"W": np.eye(3), "b": np.ones(3)}, single: {"only": np.zeros(5)}}
    loaded = planned.loaded(arrays)
    assert loaded[single, None] is loaded[single, "only"] is arrays[single]["only"]
    assert loaded[several, "b"] is arrays[several]["b"]


def test_an_artifact_that_could_not_be_loaded_is_the_fault_of_each_of_its_references(
    store: ArtifactStore,
) -> None:
    sha256 = keep(store, tensor("W"))
    planned = meant(store, {"artifact": sha256}, {"artifact": sha256, "name": "W"})
    assert set(planned.loaded({sha256: "went away"}).values()) == {"went away"}


FAULTS: dict[str, tuple[list[dict[str, Any]], str | None, str]] = {
    "a name of another case": ([tensor("weight_hh"), tensor("b")], "Weight_HH", "near it are 'weight_hh'"),
    "a name like nothing there": ([tensor("W"), tensor("b")], "zzz", "it holds 'W', 'b'"),
    "no name for one of many": (
        [tensor(str(i)) for i in range(7)],
        None,
        "7 tensors; say which with 'name': '0', '1', '2', '3', '4' and 2 more",
    ),
    "no name where there is nothing": ([], None, "of 0 tensors"),
    "a number format that is not read": ([tensor("W", reason="holds text")], "W", "artifact that holds text"),
}


@pytest.mark.parametrize(("tensors", "name", "says"), FAULTS.values(), ids=FAULTS)
def test_a_reference_that_means_nothing_says_what_would(
    tensors: list[dict[str, Any]], name: str | None, says: str, store: ArtifactStore
) -> None:
    sha256 = keep(store, *tensors)
    planned = meant(store, {"artifact": sha256, "name": name})
    assert says in planned.faults[sha256, name]
    assert planned.names() == {}


@pytest.mark.parametrize(("sha256", "says"), [("0" * 64, "not here"), ("../x", "64 lower-case hexadecimal")])
def test_an_artifact_that_is_not_here_is_told(sha256: str, says: str, store: ArtifactStore) -> None:
    assert says in meant(store, {"artifact": sha256}).faults[sha256, None]


def test_arrays_over_the_limit_together_are_refused_where_they_stand(store: ArtifactStore) -> None:
    sha256 = keep(store, tensor("W", 10), tensor("U", 10))
    references = {"artifact": sha256, "name": "W"}, {"artifact": sha256, "name": "U"}
    assert meant(store, *references, max_bytes=160).total_bytes == 160
    with pytest.raises(LimitExceeded, match="max_body_bytes") as refused:
        meant(store, *references, max_bytes=159)
    assert refused.value.faults[0].path == "$[1]"


def test_artifacts_over_the_limit_are_refused_where_they_stand(store: ArtifactStore) -> None:
    names = [keep(store, tensor(str(number))) for number in range(3)]
    with pytest.raises(LimitExceeded, match="max_parts") as refused:
        meant(store, *({"artifact": name} for name in names), max_artifacts=2)
    assert refused.value.faults[0].path == "$[2]"
