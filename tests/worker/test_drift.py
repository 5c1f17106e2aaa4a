"""How far a matrix moved: closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.drift import leading_directions, matrix_drift


def turned(angle: float) -> np.ndarray:
    """Rotation in the plane of the first two of four axes."""
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation


A = np.diag([8.0, 2.0, 1.0, 0.5])


@pytest.mark.parametrize("angle", [1e-9, 0.3, 1.2])
def test_the_leading_direction_turns_by_the_angle_of_a_rotation(angle: float) -> None:
    left = matrix_drift("W", A, turned(angle) @ A)
    assert left.directions == 1
    assert left.left_angles == pytest.approx([angle], rel=1e-6)
    assert left.right_angles == pytest.approx([0.0], abs=1e-12)
    right = matrix_drift("W", A, A @ turned(angle))
    assert right.right_angles == pytest.approx([angle], rel=1e-6)


def test_a_multiple_changes_norms_and_no_direction() -> None:
    found = matrix_drift("W", A, 3.0 * A)
    assert found.relative_change == pytest.approx(2.0)
    assert (found.spectral_norm_before, found.spectral_norm_after) == pytest.approx((8.0, 24.0))
    assert (found.spectral_radius_before, found.spectral_radius_after) == pytest.approx((8.0, 24.0))
    assert found.frobenius_norm_before == pytest.approx(np.sqrt(69.25))
    assert found.left_angles == pytest.approx([0.0], abs=1e-12)


def test_the_largest_gap_says_how_many_directions_lead() -> None:
    assert leading_directions(np.array([5.0, 4.0, 1.0, 0.9]))[0] == 2
    k, reason = leading_directions(np.array([1.0, 0.99, 0.98]))
    assert k == 2
    assert "no gap is clear" in reason
    assert leading_directions(np.zeros(3)) == (0, "the matrix is zero")
    assert leading_directions(np.array([2.0, 0.0]))[0] == 1


def test_a_zero_matrix_has_no_relative_change() -> None:
    found = matrix_drift("W", np.zeros((2, 2)), np.eye(2))
    assert found.relative_change is None
    assert found.relative_change_reason
    assert len(found.left_angles) == 0


def test_a_matrix_that_is_not_square_has_no_radius() -> None:
    found = matrix_drift("U", np.ones((3, 2)), np.ones((3, 2)))
    assert found.spectral_radius_before is None
    assert found.spectral_radius_reason
