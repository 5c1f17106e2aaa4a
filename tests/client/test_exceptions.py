"""The error tree: what can be told apart, and what every error carries."""

from __future__ import annotations

import inspect
import pickle
from typing import get_args

import pytest

import gradhorizon
from gradhorizon import _exceptions
from gradhorizon._exceptions import BY_CODE, class_of
from gradhorizon.schemas.errors import ErrorCode, FieldError

CLASSES = [
    value
    for name, value in vars(_exceptions).items()
    if inspect.isclass(value) and issubclass(value, gradhorizon.GradhorizonError) and not name.startswith("_")
]


def drawn_parents() -> dict[str, str]:
    """The tree at the top of the module: class -> parent."""
    assert _exceptions.__doc__ is not None
    parents: dict[str, str] = {}
    above: dict[int, str] = {}
    for line in _exceptions.__doc__.splitlines():
        depth, _, rest = line.partition("── ") if "── " in line else ("", "", line)
        name = rest.split(" ")[0]
        if name and name in vars(_exceptions):
            level = (len(depth) + 3) // 4 if depth else 0
            above[level] = name
            if level:
                parents[name] = above[level - 1]
    return parents


def test_every_code_of_the_service_has_a_class() -> None:
    assert set(BY_CODE) == set(get_args(ErrorCode))


def test_every_class_is_public() -> None:
    assert {cls.__name__ for cls in CLASSES} <= set(gradhorizon.__all__)


def test_drawing_at_the_top_of_the_module_is_the_tree() -> None:
    def public_parent(cls: type) -> str:
        return next(base.__name__ for base in cls.__mro__[1:] if not base.__name__.startswith("_"))

    tree = {cls.__name__: public_parent(cls) for cls in CLASSES if cls is not gradhorizon.GradhorizonError}
    assert drawn_parents() == tree


@pytest.mark.parametrize(
    ("status", "cls"),
    [(418, gradhorizon.RequestRefused), (599, gradhorizon.ServerFailed), (None, gradhorizon.RequestRefused)],
)
def test_code_of_a_newer_service_goes_by_its_status(status: int | None, cls: type) -> None:
    assert class_of("not_invented_yet", status) is cls


def test_refusal_survives_a_process_boundary() -> None:
    """Researchers send diagnoses from process pools, and a pool hangs on an exception it cannot unpickle."""
    refused = gradhorizon.InvalidRequest(
        "a sentence",
        code="invalid_shape",
        status=422,
        errors=[FieldError(path="$.depth", message="too small")],
    )
    read = pickle.loads(pickle.dumps(refused))
    assert (str(read), read.code, read.status, read.errors) == (
        "a sentence",
        "invalid_shape",
        422,
        refused.errors,
    )


def test_one_fault_is_said_once() -> None:
    error = FieldError(path="$.depth", message="must be at least 1")
    assert (
        str(gradhorizon.InvalidRequest("$.depth: must be at least 1", errors=[error]))
        == "$.depth: must be at least 1"
    )


def test_several_faults_are_all_said() -> None:
    errors = [FieldError(path="$.depth", message="too small"), FieldError(path="$.seed", message="negative")]
    said = str(gradhorizon.InvalidRequest("$.depth: too small (and 1 more)", errors=errors))
    assert said.splitlines() == [
        "$.depth: too small (and 1 more)",
        "  $.depth: too small",
        "  $.seed: negative",
    ]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_can_be_raised_with_a_sentence_alone(cls: type[Exception]) -> None:
    assert str(cls("a sentence")) == "a sentence"
