"""Singular values of the transport, as a run reports them."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, linear, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.singular_values import singular_values


def test_a_diagonal_recurrence_has_powers_of_its_moduli() -> None:
    for weights in (np.diag([0.5, -2.0, 1.0]), BlockDiagonal(np.array([0.5, -2.0, 1.0 + 0j]))):
        found = singular_values(runs.start(linear(weights, 10**5)))
        assert found.log10 == pytest.approx(np.array([1.0, 0.0, -1.0]) * 1e5 * np.log10(2.0), rel=1e-12)
        assert found.reliable


def test_an_exact_zero_is_minus_infinity() -> None:
    found = singular_values(runs.start(linear(np.diag([2.0, 0.0]), 10)))
    assert found.log10.tolist() == [pytest.approx(10 * np.log10(2.0)), -np.inf]


def test_the_leading_ones_come_with_the_number_of_all() -> None:
    found = singular_values(runs.start(linear(np.diag([0.5, 2.0, 1.0]), 10, leading=2)))
    assert found.log10 == pytest.approx([10 * np.log10(2.0), 0.0], abs=1e-12)
    assert found.count == 3


def test_each_index_has_its_median_over_the_batch() -> None:
    run = runs.start(problem_of(CELLS["rnn tanh"]))
    values = run.singular_values().log_values
    assert singular_values(run).log10 == pytest.approx(np.median(values, axis=0) / np.log(10.0))


def test_the_algorithm_is_on_record() -> None:
    run = runs.start(problem_of(CELLS["rnn tanh"]))
    singular_values(run)
    assert run.algorithms["singular_values"]
