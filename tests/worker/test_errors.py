"""Refusals of the worker travel: between processes, and up to whoever knows the path of a part."""

from __future__ import annotations

import pickle

from gradhorizon_service.worker.errors import CannotRun, WorkerError

REFUSAL = CannotRun("rescale.to", "a 3 x 2 matrix has no eigenvalues", code="not_square")


def test_refusal_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(REFUSAL))
    assert (copy.field, copy.message, copy.code) == (REFUSAL.field, REFUSAL.message, REFUSAL.code)


def test_owner_of_a_part_puts_its_path_in_front() -> None:
    assert REFUSAL.under("network.weights").field == "network.weights.rescale.to"


def test_refusal_of_a_part_as_a_whole_gets_the_path_alone() -> None:
    assert CannotRun("", "empty").under("network.weights").field == "network.weights"


def test_moving_a_refusal_keeps_message_and_code() -> None:
    moved = REFUSAL.under("network.weights")
    assert (moved.message, moved.code) == (REFUSAL.message, "not_square")


def test_refusal_is_a_worker_error_with_a_default_code() -> None:
    refusal = CannotRun("seed", "missing")
    assert isinstance(refusal, WorkerError)
    assert refusal.code == "cannot_run"


def test_refusal_reads_as_field_and_sentence() -> None:
    assert str(REFUSAL) == "rescale.to: a 3 x 2 matrix has no eigenvalues"
