"""Exponents along a run, as a report shows them."""

from __future__ import annotations

import numpy as np
import pytest

from cases import CELLS, linear, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.lyapunov import Lyapunov, lyapunov
from gradhorizon_service.worker.problem import Problem


def of(asked: Problem) -> Lyapunov:
    return lyapunov(runs.start(asked))


@pytest.mark.parametrize("weights", [np.diag([0.5, 2.0]), BlockDiagonal(np.array([0.5, 2.0 + 0j]))])
def test_a_linear_recurrence_has_the_logarithms_of_its_moduli(weights: np.ndarray) -> None:
    found = of(linear(weights, 10**6))
    assert found.exponents == pytest.approx([np.log(2.0), -np.log(2.0)])
    assert found.standard_errors.tolist() == [0.0, 0.0]
    assert found.converged
    assert found.sum_of_exponents == pytest.approx(0.0, abs=1e-12)
    assert found.mean_log_abs_det == pytest.approx(0.0, abs=1e-12)


def test_exponents_sum_to_the_mean_of_the_determinants() -> None:
    found = of(problem_of(CELLS["rnn tanh"], depth=400))
    assert found.sum_of_exponents == pytest.approx(found.mean_log_abs_det, rel=1e-9)
    assert found.transient_steps == 40


def test_a_saturating_network_has_negative_exponents_and_no_dimension() -> None:
    found = of(problem_of(CELLS["rnn tanh"], depth=400))
    assert (found.exponents < 0).all()
    assert found.kaplan_yorke_dimension is None
    assert "not positive" in (found.kaplan_yorke_dimension_reason or "")


def test_an_annihilated_direction_is_undefined_with_a_reason() -> None:
    found = of(linear(np.diag([2.0, 0.0]), 10))
    assert found.exponents[0] == pytest.approx(np.log(2.0))
    assert np.isnan(found.exponents[1])
    assert "annihilated" in (found.exponents_reason or "")
    assert found.sum_of_exponents is None
    assert found.mean_log_abs_det is None


def test_a_few_exponents_have_no_sum() -> None:
    found = of(linear(np.diag([0.5, 2.0, 1.0]), 10, leading=2))
    assert len(found.exponents) == 2
    assert found.sum_of_exponents is None
    assert "leading 2 of 3" in (found.sum_of_exponents_reason or "")
    assert found.kaplan_yorke_dimension is None


def test_volumes_that_grow_have_no_dimension() -> None:
    found = of(linear(np.diag([2.0, 1.5]), 10))
    assert found.kaplan_yorke_dimension is None
    assert "volumes grow" in (found.kaplan_yorke_dimension_reason or "")


def test_a_dimension_interpolates_where_the_sum_turns_negative() -> None:
    """ln 2 - ln 4 < 0: one direction and ln 2 / ln 4 of the next."""
    assert of(linear(np.diag([2.0, 0.25]), 10)).kaplan_yorke_dimension == pytest.approx(1.5)
