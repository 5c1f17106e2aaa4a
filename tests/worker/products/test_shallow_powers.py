"""Powers side by side against the searches for deep recurrences, and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon_service.worker.products.power_norms import log_norms_at
from gradhorizon_service.worker.products.power_peaks import peak_norm
from gradhorizon_service.worker.products.shallow_powers import ShallowPowers, is_shallow
from gradhorizon_service.worker.products.transport_norms import transport_of_power

_GENERATOR = np.random.default_rng(4)
_NORMAL = _GENERATOR.standard_normal((6, 6))
MATRICES = {
    "gaussian": _NORMAL / np.sqrt(6),
    "orthogonal": np.linalg.qr(_NORMAL)[0],
    "growing": 1.7 * np.linalg.qr(_NORMAL)[0],
    "non-normal": 0.9 * np.eye(6) + np.diag(np.full(5, 1.5), 1),
    "tiny": 1e-200 * _NORMAL,
    "huge": 1e200 * _NORMAL,
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("depth", [1, 2, 37, 100])
def test_norms_are_those_of_powers_applied_one_by_one(matrix, depth):
    vectors = np.random.default_rng(0).standard_normal((3, 6))
    found = ShallowPowers.of(matrix, depth).log_norms(vectors)
    expected = log_norms_at(matrix, vectors, np.arange(depth + 1))
    assert np.allclose(found, expected, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_the_peak_is_the_one_the_search_finds(matrix):
    found, expected = ShallowPowers.of(matrix, 100).peak, peak_norm(matrix, 100)
    assert found.log_peak == pytest.approx(expected.log_peak, rel=1e-10, abs=1e-8)
    assert found.peak_step == expected.peak_step


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_the_transport_is_resolved_where_it_agrees_with_squaring(matrix):
    found = ShallowPowers.of(matrix, 60).transport_peak
    expected = transport_of_power(matrix, 60, peak_norm(matrix, 60))
    resolved = (found.log_singular_values > found.log_floor + 12) & (
        expected.log_singular_values > expected.log_floor + 12
    )
    assert resolved[:, 0].all()
    assert np.allclose(
        found.log_singular_values[resolved], expected.log_singular_values[resolved], rtol=1e-9, atol=1e-4
    )


def test_a_nilpotent_matrix_is_exactly_zero_from_its_index_on():
    powers = ShallowPowers.of(np.diag(np.ones(3), 1), 10)
    norms = powers.log_norms(np.ones((1, 4)))[:, 0]
    assert np.isfinite(norms[:4]).all()
    assert np.isneginf(norms[4:]).all()
    assert np.isneginf(powers.transport_peak.log_singular_values).all()


def test_a_scalar_gives_its_powers():
    powers = ShallowPowers.of(np.array([[1.5]]), 50)
    assert np.allclose(powers.log_norms(np.array([[2.0]]))[:, 0], np.log(2.0) + np.arange(51) * np.log(1.5))
    assert powers.peak.peak_step == 50


def test_zero_vectors_have_no_norm():
    assert np.isneginf(ShallowPowers.of(np.eye(2), 3).log_norms(np.zeros((1, 2)))).all()


def test_images_that_may_have_vanished_beside_others_are_not_given():
    powers, small = ShallowPowers.of(np.diag([1.0, 1e-6]), 60), np.array([[0.0, 1.0]])
    assert powers.log_norms(small) is None
    below = ShallowPowers.of(np.diag([1.0, 1e-6]), 40).log_norms(small)
    assert below is not None
    assert below[:, 0] == pytest.approx(-6.0 * np.log(10.0) * np.arange(41))


def test_what_is_deep_or_large_is_not_shallow():
    assert is_shallow(16, 100)
    assert not is_shallow(16, 10_000)
    assert not is_shallow(256, 100)
