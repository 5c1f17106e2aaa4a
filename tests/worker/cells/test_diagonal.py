"""Eigenvalues of state-space models by their parameters, and numbers of which nothing can be made."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from cases import CellCase
from gradhorizon_service.worker.cells.diagonal import build_diagonal
from gradhorizon_service.worker.cells.linear import DiagonalLinearCell
from gradhorizon_service.worker.errors import CannotRun

A = np.array([-0.5, -0.5 + 3.0j, -1.0 - 40.0j])
STEP = np.array([0.1, 0.02, 0.7])


def built(**fields: Any) -> DiagonalLinearCell:
    cell = CellCase("diagonal", fields).network().build()
    assert isinstance(cell, DiagonalLinearCell)
    return cell


def s4d(A: Any, step: Any, discretization: str = "zoh") -> DiagonalLinearCell:
    return built(
        s4d={"A": np.asarray(A, dtype=complex), "step": np.asarray(step), "discretization": discretization}
    )


def test_zero_order_hold_is_the_exponential() -> None:
    expected = [
        complex(mpmath.exp(mpmath.mpc(a) * s)) for a, s in zip(A.tolist(), STEP.tolist(), strict=True)
    ]
    assert s4d(A, STEP).blocks.multipliers == pytest.approx(expected, rel=1e-15)


def test_bilinear_is_the_trapezoidal_rule() -> None:
    """h' = h + step A (h + h') / 2."""
    multipliers = s4d(A, STEP, "bilinear").blocks.multipliers
    assert multipliers == pytest.approx(1.0 + STEP * A * (1.0 + multipliers) / 2.0, rel=1e-14)


def test_one_step_serves_all_modes() -> None:
    assert np.array_equal(s4d(A, 0.1).blocks.multipliers, s4d(A, np.full(3, 0.1)).blocks.multipliers)


def test_lru_logarithms_are_of_its_rates_and_angles() -> None:
    nu, theta = np.array([0.01, 2.0]), np.array([3.0, 0.1])
    plain = built(lru={"nu": nu, "theta": theta}).blocks.multipliers
    logs = built(lru={"nu_log": np.log(nu), "theta_log": np.log(theta)}).blocks.multipliers
    assert plain == pytest.approx(np.exp(-nu + 1j * theta), rel=1e-15)
    assert logs == pytest.approx(plain, rel=1e-14)


@pytest.mark.parametrize(
    ("cell", "coordinates"),
    [
        (built(eigenvalues=np.array([0.5, 0.5j, 0j])), 4),
        (s4d(A, STEP), 5),
        (s4d([-800.0 + 2.0j], 1.0), 2),
        (built(lru={"nu": np.zeros(2), "theta": np.zeros(2)}), 4),
        (built(lru={"nu_log": np.array([800.0]), "theta_log": np.zeros(1)}), 2),
    ],
    ids=["given", "s4d", "s4d underflowing", "lru without angles", "lru underflowing"],
)
def test_a_complex_state_keeps_two_coordinates_whatever_its_eigenvalue(
    cell: DiagonalLinearCell, coordinates: int
) -> None:
    assert cell.state_size == coordinates
    assert cell.advance(0, np.ones((1, coordinates)), None)[0].shape == (1, coordinates)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (
            {"s4d": {"A": np.array([0j, 2.0 + 0j]), "step": np.array(1.0), "discretization": "bilinear"}},
            "s4d.A[1]",
        ),
        ({"s4d": {"A": np.array([800.0 + 0j]), "step": np.array(1.0), "discretization": "zoh"}}, "s4d.A[0]"),
        (
            {"s4d": {"A": np.array([1e300 + 0j]), "step": np.array(1e300), "discretization": "bilinear"}},
            "s4d.A[0]",
        ),
        ({"lru": {"nu": np.array([0.1, -800.0]), "theta": np.zeros(2)}}, "lru.nu[1]"),
        ({"lru": {"nu_log": np.zeros(1), "theta_log": np.array([800.0])}}, "lru.theta_log[0]"),
        ({"eigenvalues": np.array([1e301 + 0j])}, "eigenvalues"),
        ({"eigenvalues": np.array([1e-310j])}, "eigenvalues"),
    ],
)
def test_eigenvalues_beyond_float64_are_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(CannotRun) as refused:
        build_diagonal(**fields)
    assert refused.value.field == f"network.{field}"
