"""Random matrices: the moments and structure each family promises."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.sources import FAMILIES, EnsembleSource

SQUARE_ONLY = {"symmetric", "antisymmetric_exponential"}
FAMILY_NAMES = sorted(FAMILIES)
RECTANGULAR = sorted(set(FAMILIES) - SQUARE_ONLY)


def built(family: str, *shape: int, seed: int = 0, **options: float) -> np.ndarray:
    return EnsembleSource(family, shape=(shape[0], shape[-1]), seed=seed, **options).build()


# Entry variance by rows m and columns n, as each family defines it.
VARIANCES = {
    "gaussian": lambda m, n: 1.0 / n,
    "uniform": lambda m, n: 1.0 / n,
    "sparse": lambda m, n: 1.0 / n,
    "glorot": lambda m, n: 2.0 / (m + n),
    "he": lambda m, n: 2.0 / n,
    "lecun": lambda m, n: 1.0 / n,
    "torch_default": lambda m, n: 1.0 / (3.0 * m),
}
# Largest absolute entry of those that are bounded.
BOUNDS = {
    "uniform": lambda m, n: np.sqrt(3.0 / n),
    "glorot": lambda m, n: np.sqrt(6.0 / (m + n)),
    "torch_default": lambda m, n: 1.0 / np.sqrt(m),
}


@pytest.mark.parametrize("family", VARIANCES)
@pytest.mark.parametrize("shape", [(300, 300), (400, 200), (200, 400)])
def test_entries_have_mean_zero_and_the_variance_of_the_family(family: str, shape: tuple[int, int]) -> None:
    matrix = built(family, *shape)
    expected = VARIANCES[family](*shape)
    # Five standard errors of a mean and of a variance, whose kurtosis is at most 3 / density = 30.
    assert abs(matrix.mean()) < 5.0 * np.sqrt(expected / matrix.size)
    assert np.mean(matrix**2) == pytest.approx(expected, rel=5.0 * np.sqrt(30.0 / matrix.size))


@pytest.mark.parametrize("family", BOUNDS)
def test_bounded_families_reach_their_bounds(family: str) -> None:
    bound = BOUNDS[family](400, 200)
    assert 0.999 * bound < np.abs(built(family, 400, 200)).max() <= bound


@pytest.mark.parametrize("family", ["gaussian", "uniform", "sparse", "lecun"])
def test_spectral_radius_of_independent_entries_is_near_the_gain(family: str) -> None:
    """Girko's circular law; at N = 400 the radius fluctuates by a few percent."""
    radius = np.abs(np.linalg.eigvals(built(family, 400, gain=1.5))).max()
    assert radius == pytest.approx(1.5, rel=0.1, abs=0.0)


def test_spectral_radius_of_the_default_of_torch_is_near_one_over_root_three() -> None:
    radius = np.abs(np.linalg.eigvals(built("torch_default", 400))).max()
    assert radius == pytest.approx(1.0 / np.sqrt(3.0), rel=0.1, abs=0.0)


@pytest.mark.parametrize("shape", [(6, 6), (9, 4), (4, 9)])
def test_orthogonal_matrices_are_semi_orthogonal_where_they_are_not_square(shape: tuple[int, int]) -> None:
    singular = np.linalg.svd(built("orthogonal", *shape, gain=1.5), compute_uv=False)
    np.testing.assert_allclose(singular, 1.5, rtol=1e-14)


def test_orthogonal_matrices_are_uniformly_distributed() -> None:
    """E[trace] = 0 and E[trace^2] = 1 for the Haar measure; LAPACK's raw Q has a negative mean trace."""
    traces = np.array([np.trace(built("orthogonal", 4, seed=seed)) for seed in range(2000)])
    assert abs(traces.mean()) < 5.0 / np.sqrt(2000.0)
    assert np.mean(traces**2) == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / 2000.0))


def test_symmetric_matrices_fill_the_interval_of_the_gain() -> None:
    matrix = built("symmetric", 400, gain=1.5)
    np.testing.assert_array_equal(matrix, matrix.T)
    values = np.linalg.eigvalsh(matrix)
    assert (values[0], values[-1]) == (
        pytest.approx(-1.5, rel=0.05, abs=0.0),
        pytest.approx(1.5, rel=0.05, abs=0.0),
    )
    assert np.mean(values**2) == pytest.approx(
        1.5**2 / 4.0, rel=0.05, abs=0.0
    )  # second moment of the semicircle


def test_antisymmetric_exponential_is_a_rotation_with_angles_up_to_two() -> None:
    matrix = built("antisymmetric_exponential", 200)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(200), atol=1e-13)
    assert np.linalg.slogdet(matrix)[0] == 1.0
    assert np.abs(np.angle(np.linalg.eigvals(matrix))).max() == pytest.approx(2.0, rel=0.05, abs=0.0)


@pytest.mark.parametrize(
    ("options", "density"), [({}, 0.1), ({"density": 0.3}, 0.3), ({"density": 1.0}, 1.0)]
)
def test_sparse_matrices_have_the_given_density(options: dict[str, float], density: float) -> None:
    share = np.mean(built("sparse", 300, **options) != 0.0)
    assert share == pytest.approx(density, abs=5.0 * np.sqrt(density * (1.0 - density)) / 300.0)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4)])
def test_identity_is_the_gain_on_the_diagonal(shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(built("identity", *shape, gain=0.5), 0.5 * np.eye(*shape))


def test_hidden_size_sets_the_bound_of_torch_where_gates_are_stacked() -> None:
    matrix = built("torch_default", 256, 64, hidden_size=64)
    assert 0.999 / 8.0 < np.abs(matrix).max() <= 1.0 / 8.0


def test_recurrent_weights_of_keras_are_orthogonal() -> None:
    np.testing.assert_array_equal(built("keras_default", 30), built("orthogonal", 30))


def test_input_weights_of_keras_are_glorot_uniform() -> None:
    np.testing.assert_array_equal(built("keras_default", 30, 20), built("glorot", 30, 20))


def test_stacked_recurrent_weights_of_keras_are_orthogonal_as_a_whole() -> None:
    stacked = built("keras_default", 120, 30, hidden_size=30)
    np.testing.assert_allclose(stacked.T @ stacked, np.eye(30), atol=1e-14)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_gain_multiplies_the_matrix(family: str) -> None:
    np.testing.assert_allclose(built(family, 8, gain=3.0), 3.0 * built(family, 8), rtol=1e-15)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"identity"}))
def test_the_seed_decides(family: str) -> None:
    np.testing.assert_array_equal(built(family, 8, seed=1), built(family, 8, seed=1))
    assert not np.array_equal(built(family, 8, seed=1), built(family, 8, seed=2))


def test_gaussian_matrix_is_the_one_numpy_draws_from_the_seed() -> None:
    expected = 0.5 * np.random.default_rng(7).standard_normal((3, 4)) / 2.0
    np.testing.assert_allclose(built("gaussian", 3, 4, seed=7, gain=0.5), expected, rtol=1e-15)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_size_one_exists(family: str) -> None:
    assert built(family, 1).shape == (1, 1)


@pytest.mark.parametrize("family", RECTANGULAR)
def test_rectangular_matrices_have_their_shape(family: str) -> None:
    source = EnsembleSource(family, shape=(5, 3))
    assert source.build().shape == source.shape == (5, 3)


@pytest.mark.parametrize("family", sorted(SQUARE_ONLY))
def test_families_of_square_matrices_refuse_others(family: str) -> None:
    with pytest.raises(CannotRun, match="square matrices only") as caught:
        built(family, 5, 3)
    assert caught.value.field == "shape"


def test_size_means_square() -> None:
    source = EnsembleSource("gaussian", size=4, seed=2)
    assert source.shape == (4, 4)
    np.testing.assert_array_equal(source.build(), built("gaussian", 4, seed=2))


def test_the_other_way_to_give_the_shape_may_be_null() -> None:
    """A request with its defaults filled in sends both."""
    assert EnsembleSource("gaussian", size=4, shape=None).shape == (4, 4)  # type: ignore[arg-type]
    assert EnsembleSource("gaussian", size=None, shape=(2, 3)).shape == (2, 3)


@pytest.mark.parametrize("both", [{}, {"size": 3, "shape": (3, 3)}])
def test_exactly_one_of_size_and_shape_is_needed(both: dict[str, object]) -> None:
    with pytest.raises(CannotRun, match="either a size or a shape"):
        EnsembleSource("gaussian", **both)


def test_redrawing_with_another_seed_keeps_the_rest() -> None:
    """How a layer's ensemble is drawn afresh for each layer."""
    source = EnsembleSource("sparse", size=6, gain=2.0, seed=1, density=0.5)
    redrawn = dataclasses.replace(source, seed=2)
    np.testing.assert_array_equal(redrawn.build(), built("sparse", 6, gain=2.0, seed=2, density=0.5))


def test_source_survives_pickling() -> None:
    source = EnsembleSource("sparse", shape=(6, 4), gain=2.0, seed=1, density=0.5)
    np.testing.assert_array_equal(source.build(), pickle.loads(pickle.dumps(source)).build())
