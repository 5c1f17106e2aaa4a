"""Back substitution beyond float64."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from gradhorizon_service.worker.matrix_analysis._columns import solve_shifted

GENERATOR = np.random.default_rng(0)


def solved(triangle: np.ndarray, shift: complex, right: np.ndarray) -> tuple[np.ndarray, float]:
    """The unit solution and the logarithm of its length, in fifty digits and without a bound on exponents."""
    size = len(triangle)
    with mp.workdps(50):
        x = [mp.mpc(0)] * size
        for i in range(size - 1, -1, -1):
            total = mp.mpc(complex(right[i])) - mp.fsum(
                mp.mpc(complex(triangle[i, j])) * x[j] for j in range(i + 1, size)
            )
            x[i] = total / (mp.mpc(complex(triangle[i, i])) - mp.mpc(shift))
        length = mp.sqrt(mp.fsum(abs(value) ** 2 for value in x))
        return np.array([complex(value / length) for value in x]), float(mp.log(length))


CASES = {
    "ordinary": np.triu(GENERATOR.standard_normal((40, 40)) / 6.0),
    "growing": 0.9 * np.eye(200) + 1e3 * np.eye(200, k=1),
    "growing fast": 0.9 * np.eye(20) + 1e200 * np.eye(20, k=1),
    "shrinking": 0.9 * np.eye(40) + 1e-30 * np.eye(40, k=1),
}


@pytest.mark.parametrize("triangle", CASES.values(), ids=CASES)
def test_solutions_are_those_of_exact_arithmetic(triangle: np.ndarray) -> None:
    shifts = np.array([1.1, -1.5 + 0.5j, 2j])
    right = GENERATOR.standard_normal((len(triangle), 3)) / 5.0
    vectors, logs = solve_shifted(triangle.astype(np.complex128), shifts, right).normalised()
    for k, shift in enumerate(shifts):
        expected, log_length = solved(triangle, complex(shift), right[:, k])
        assert logs[k] == pytest.approx(log_length, rel=1e-12, abs=1e-12)
        np.testing.assert_allclose(vectors[:, k], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("couplings", [(1e5, 1e2), (1e200, 1e50)])
def test_independent_parts_keep_their_ratio(couplings: tuple[float, float]) -> None:
    """The lower part grows first and far; what the upper part then starts from has to shrink with it."""
    lower, upper = (0.5 * np.eye(60) + coupling * np.eye(60, k=1) for coupling in couplings)
    triangle = np.block([[upper, np.zeros((60, 60))], [np.zeros((60, 60)), lower]]).astype(np.complex128)
    vectors, _ = solve_shifted(triangle, np.array([1.5]), np.ones((120, 1))).normalised()
    assert np.abs(vectors[:60]).max() < 1e-100


def test_zero_right_sides_have_zero_solutions() -> None:
    vectors, logs = solve_shifted(
        np.eye(3, dtype=np.complex128), np.array([2.0]), np.zeros((3, 1))
    ).normalised()
    np.testing.assert_array_equal(vectors, 0.0)
    assert logs[0] == -np.inf
