"""Named distributions: where eigenvalues may lie, and how they spread there."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.sources import DISTRIBUTIONS

PARAMETERS = {
    "constant": {"value": -0.9},
    "uniform": {"low": -0.5, "high": 2.0},
    "log_uniform": {"low": 1e-3, "high": 10.0},
    "circle": {"radius": 0.9},
    "disk": {"radius": 0.9},
    "ring": {"inner": 0.5, "outer": 0.9},
    "semicircle": {"radius": 2.0},
}
"""Parameters of every distribution."""

COMPLEX = ["circle", "disk", "ring"]
REAL = ["constant", "uniform", "log_uniform", "semicircle"]
MANY = 100_000

# The share of eigenvalues below a given value (complex ones: of that modulus) by integrating each density.
SHARES = {
    "uniform": [(-0.5, 0.0), (0.75, 0.5), (2.0, 1.0)],
    "log_uniform": [(1e-3, 0.0), (1e-1, 0.5), (1.0, 0.75)],
    "circle": [(0.8999, 0.0), (0.9001, 1.0)],
    "disk": [(0.45, 0.25), (0.9, 1.0)],
    "ring": [(0.5, 0.0), (0.7, 0.24 / 0.56), (0.9, 1.0)],
    "semicircle": [(0.0, 0.5), (1.0, 0.5 + np.sqrt(3.0) / (4.0 * np.pi) + 1.0 / 6.0), (2.0, 1.0)],
}


def drawn(kind: str, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    blocks = DISTRIBUTIONS[kind](size=size, **PARAMETERS[kind]).draw(np.random.default_rng(seed))
    return blocks.real, blocks.pairs


def test_every_distribution_is_tested() -> None:
    assert set(PARAMETERS) == set(DISTRIBUTIONS) == set(COMPLEX + REAL)


@pytest.mark.parametrize("kind", PARAMETERS)
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_there_are_as_many_eigenvalues_as_asked_for(kind: str, size: int) -> None:
    real, pairs = drawn(kind, size)
    assert len(real) + 2 * len(pairs) == size
    assert DISTRIBUTIONS[kind](size=size, **PARAMETERS[kind]).size == size


@pytest.mark.parametrize("kind", REAL)
def test_real_distributions_have_no_pairs(kind: str) -> None:
    assert len(drawn(kind, 8)[1]) == 0


@pytest.mark.parametrize("kind", COMPLEX)
def test_of_an_odd_number_of_complex_eigenvalues_one_is_real(kind: str) -> None:
    assert len(drawn(kind, 7)[0]) == 1
    assert len(drawn(kind, 8)[0]) == 0


@pytest.mark.parametrize("kind", COMPLEX)
def test_pairs_are_named_by_their_upper_member(kind: str) -> None:
    assert (drawn(kind, 1000)[1].imag > 0.0).all()


@pytest.mark.parametrize(("kind", "at", "share"), [(k, *row) for k, rows in SHARES.items() for row in rows])
def test_eigenvalues_spread_as_the_density_says(kind: str, at: float, share: float) -> None:
    real, pairs = drawn(kind, MANY)
    values = np.abs(pairs) if kind in COMPLEX else real
    # Five standard deviations of a binomial share.
    assert np.mean(values <= at * (1.0 + 1e-12)) == pytest.approx(share, abs=2.5 / np.sqrt(len(values)))


@pytest.mark.parametrize("kind", COMPLEX)
def test_angles_are_uniform(kind: str) -> None:
    angles = np.angle(drawn(kind, MANY)[1])
    assert np.mean(angles <= np.pi / 3.0) == pytest.approx(1.0 / 3.0, abs=2.5 / np.sqrt(len(angles)))


def test_circle_has_one_modulus_to_rounding() -> None:
    real, pairs = drawn("circle", 1001)
    np.testing.assert_allclose(np.abs(np.concatenate([real, pairs])), 0.9, rtol=4e-16)


def test_constant_is_the_value() -> None:
    np.testing.assert_array_equal(drawn("constant", 3)[0], [-0.9, -0.9, -0.9])


@pytest.mark.parametrize("kind", ["uniform", "log_uniform", "circle", "disk", "ring", "semicircle"])
def test_the_generator_decides(kind: str) -> None:
    same, again, other = (np.concatenate(drawn(kind, 10, seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)
