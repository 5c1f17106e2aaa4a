"""Rescaling, which every source takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.sources import (
    SOURCES,
    EnsembleSource,
    MatrixSource,
    Rescale,
    SingularValuesSource,
    Source,
    SpectrumSource,
)

RADIUS = Rescale("spectral_radius", 0.95)
NORM = Rescale("spectral_norm", 0.95)

EXAMPLES: dict[str, Callable[[Rescale | None], Source]] = {
    "matrix": lambda rescale: MatrixSource(np.array([[0.9, 3.0], [0.1, 1.1]]), rescale=rescale),
    "spectrum": lambda rescale: SpectrumSource(
        np.array([0.5, 1j, -1j]), basis="nonnormal", coupling=2.0, rescale=rescale
    ),
    "singular_values": lambda rescale: SingularValuesSource(np.array([3.0, 1.0]), seed=4, rescale=rescale),
    "ensemble": lambda rescale: EnsembleSource("gaussian", size=5, seed=4, rescale=rescale),
}


def radius(matrix: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def test_every_source_is_rescaled_here() -> None:
    assert set(EXAMPLES) == set(SOURCES)


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_matrix_gets_the_spectral_radius_asked_for(make: Callable[[Rescale | None], Source]) -> None:
    assert radius(make(RADIUS).build()) == pytest.approx(0.95, rel=1e-14, abs=0.0)


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_matrix_gets_the_spectral_norm_asked_for(make: Callable[[Rescale | None], Source]) -> None:
    assert np.linalg.norm(make(NORM).build(), 2) == pytest.approx(0.95, rel=1e-14, abs=0.0)


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_rescaling_is_multiplication_by_a_positive_factor(make: Callable[[Rescale | None], Source]) -> None:
    ratios = make(RADIUS).build()[make(None).build() != 0.0] / make(None).build()[make(None).build() != 0.0]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-14)
    assert ratios[0] > 0.0


@pytest.mark.parametrize("make", EXAMPLES.values(), ids=EXAMPLES)
def test_rescaling_keeps_the_shape(make: Callable[[Rescale | None], Source]) -> None:
    assert make(RADIUS).shape == make(None).shape


def test_rectangular_matrices_are_rescaled_by_norm() -> None:
    matrix = EnsembleSource("gaussian", shape=(4, 3), rescale=NORM).build()
    assert np.linalg.norm(matrix, 2) == pytest.approx(0.95, rel=1e-14, abs=0.0)


def test_rectangular_matrices_have_no_spectral_radius() -> None:
    with pytest.raises(CannotRun, match="4 x 3 matrix has no eigenvalues") as caught:
        EnsembleSource("gaussian", shape=(4, 3), rescale=RADIUS).build()
    assert caught.value.field == "rescale.to"


@pytest.mark.parametrize("rescale", [RADIUS, NORM])
def test_a_zero_matrix_cannot_be_rescaled(rescale: Rescale) -> None:
    with pytest.raises(CannotRun, match="leave out rescale") as caught:
        MatrixSource(np.zeros((2, 2)), rescale=rescale).build()
    assert caught.value.field == "rescale"


def test_a_nilpotent_matrix_has_no_radius_to_rescale() -> None:
    """Its eigenvalues are read off exactly, where a dense solver would return rounding."""
    nilpotent = MatrixSource(np.array([[0.0, 0.0], [1.0, 0.0]]), rescale=RADIUS)
    with pytest.raises(CannotRun, match="spectral radius 0"):
        nilpotent.build()


def test_zero_blocks_cannot_be_rescaled() -> None:
    source = SpectrumSource(np.zeros(3, dtype=np.complex128), basis="identity", rescale=RADIUS)
    with pytest.raises(CannotRun, match="spectral radius 0"):
        source.blocks()


@pytest.mark.parametrize("scale", [1e-200, 1e200, 1e-320])
def test_scale_of_the_entries_does_not_matter(scale: float) -> None:
    matrix = MatrixSource(np.array([[0.0, -scale], [scale, 0.0]]), rescale=RADIUS).build()
    np.testing.assert_allclose(matrix, [[0.0, -0.95], [0.95, 0.0]], rtol=1e-3 if scale < 1e-300 else 1e-15)


def test_a_factor_that_would_overflow_is_refused() -> None:
    source = MatrixSource(np.array([[1e-300, 1e300], [0.0, 1e-300]]), rescale=RADIUS)
    with pytest.raises(CannotRun, match="overflow"):
        source.build()
