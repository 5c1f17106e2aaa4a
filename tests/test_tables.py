"""What the wire types allow and what the worker can do are the same lists: a forgotten row has a name here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from gradhorizon.schemas import descents, diagnoses, networks, sources
from gradhorizon_service.analysis.tasks.descents import BUILDERS as DESCENT_TASKS
from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.cells import CELLS
from gradhorizon_service.worker.descents.cells import CELLS as TRAINED_CELLS
from gradhorizon_service.worker.descents.optimizers import OPTIMIZERS
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS
from gradhorizon_service.worker.sources import FAMILIES


def literals(annotation: Any) -> set[str]:
    return set(get_args(annotation))


def tags(union: Any, field: str) -> set[str]:
    """Values of the field that tells the members of a union of models apart."""
    return {name for model in members(union) for name in get_args(model.model_fields[field].annotation)}


def members(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from members(argument)


PAIRS = {
    "cells": (tags(networks.Network, "cell"), set(CELLS)),
    "activations": (literals(networks.ActivationName), set(ACTIVATIONS)),
    "diagnostics": (literals(diagnoses.DiagnosticName), set(DIAGNOSTICS)),
    "cells of descents": (tags(descents.TrainedCell, "kind"), set(TRAINED_CELLS)),
    "optimizers": (tags(descents.DescentOptimizer, "kind"), set(OPTIMIZERS)),
    "tasks of descents": (tags(descents.DescentTask, "kind"), set(DESCENT_TASKS)),
    "ensembles": (literals(sources.Family), set(FAMILIES)),
}


@pytest.mark.parametrize(("wire", "worker"), PAIRS.values(), ids=PAIRS)
def test_wire_names_are_the_workers_names(wire: set[str], worker: set[str]) -> None:
    assert wire == worker


def test_a_diagnosis_has_a_field_for_every_diagnostic() -> None:
    assert set(DIAGNOSTICS) <= set(diagnoses.Diagnosis.model_fields)
