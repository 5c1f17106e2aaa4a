"""Tasks: what their sequences hold, what is asked, and what counts as solved."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.descents.tasks import Adding, DelayedRecall, Fit, Latch, Task
from gradhorizon_service.worker.drives import EigenvectorState

TASKS: dict[str, Task] = {"latch": Latch(7), "delayed_recall": DelayedRecall(7), "adding": Adding(7)}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_sequences_have_the_shapes_that_are_promised_and_depend_on_the_generator_alone(task: Task) -> None:
    first, again, other = (task.draw(np.random.default_rng(seed), 12, {}) for seed in (1, 1, 2))
    assert first.inputs is not None
    assert first.inputs.shape == (7, 12, task.inputs)
    assert np.array_equal(first.inputs, again.inputs)  # type: ignore[arg-type]
    assert not np.array_equal(first.inputs, other.inputs)  # type: ignore[arg-type]
    assert len(first.targets) == 12


def test_the_sign_of_the_first_input_is_the_class_of_a_latch() -> None:
    batch = Latch(9, noise=0.2).draw(np.random.default_rng(0), 1000, {})
    assert batch.inputs is not None
    assert np.array_equal(batch.inputs[0, :, 0] > 0, batch.targets == 1)
    assert batch.inputs[1:].std() == pytest.approx(0.2, rel=0.02)
    assert batch.targets.mean() == 0.5


def test_the_symbol_to_recall_is_the_one_shown_first() -> None:
    batch = DelayedRecall(5, symbols=3, noise=0.0).draw(np.random.default_rng(0), 6, {})
    assert batch.inputs is not None
    assert np.array_equal(np.argmax(batch.inputs[0], axis=1), batch.targets)
    assert not batch.inputs[1:-1].any()
    assert np.array_equal(batch.inputs[-1], np.eye(4)[[3] * 6])
    assert set(batch.targets.tolist()) == {0, 1, 2}


def test_the_marked_numbers_are_added_one_from_each_half() -> None:
    batch = Adding(9).draw(np.random.default_rng(0), 200, {})
    assert batch.inputs is not None
    numbers, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    assert (marks[:4].sum(axis=0) == 1).all()
    assert (marks[4:].sum(axis=0) == 1).all()
    assert (numbers * marks).sum(axis=0) == pytest.approx(batch.targets[:, 0], rel=1e-15)


def test_always_answering_one_has_the_error_one_sixth() -> None:
    """The variance of the sum of two uniform numbers."""
    task = Adding(6)
    targets = task.draw(np.random.default_rng(0), 200_000, {}).targets[None]
    verdict = task.judge(np.ones_like(targets), targets)
    assert verdict.score[0] == pytest.approx(1.0 / 6.0, rel=0.01)
    assert not verdict.solved[0]
    assert task.judge(targets, targets).solved[0]


def test_a_network_that_answers_with_nan_has_no_score() -> None:
    task = Latch(3)
    labels = np.array([[0, 1, 0, 1]])
    outputs = np.eye(2)[labels]
    assert task.judge(outputs, labels).solved.tolist() == [True]
    assert task.judge(1.0 - outputs, labels).score.tolist() == [0.0]
    outputs[0, 0] = np.nan
    verdict = task.judge(outputs, labels)
    assert np.isnan(verdict.score[0])
    assert not verdict.solved[0]


def test_a_fit_may_start_along_an_eigenvector_of_its_own_matrix() -> None:
    task = Fit(3, 2, EigenvectorState(0), np.array([1.0, 0.0]))
    batch = task.draw(np.random.default_rng(0), 1, {"weights": np.diag([0.5, 2.0])})
    assert batch.initial is not None
    assert np.abs(batch.initial).tolist() == [[0.0, 1.0]]


def test_a_fit_draws_unit_vectors_unless_told_otherwise() -> None:
    batch = Fit(3, 4).draw(np.random.default_rng(0), 1, {})
    assert batch.initial is not None
    assert np.linalg.norm(batch.initial) == pytest.approx(1.0)
    assert np.linalg.norm(batch.targets) == pytest.approx(1.0)
    wide = Fit(3, 4, 100.0).draw(np.random.default_rng(0), 1, {})
    assert wide.initial is not None
    assert np.linalg.norm(wide.initial) > 20.0
