"""The variance of an entry is that of the entries drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon_service.worker.sources import FAMILIES, EnsembleSource, Rescale
from gradhorizon_service.worker.sources.entry_variances import ENTRY_VARIANCES

SHAPES = [(60, 60), (40, 90), (90, 40)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", ENTRY_VARIANCES)
def test_mean_square_of_the_entries_is_the_variance(family: str, shape: tuple[int, int]) -> None:
    source = EnsembleSource(family, shape=shape, gain=1.7, seed=1)
    expected = source.entry_variance
    if expected is None:
        assert (family, shape) == ("keras_default", (60, 60))  # recurrent weights are orthogonal
        return
    squares = np.square(source.build())
    assert np.mean(squares) == pytest.approx(expected, abs=5 * np.std(squares) / math.sqrt(squares.size))


def test_hidden_size_counts_where_the_family_has_one() -> None:
    source = EnsembleSource("torch_default", shape=(40, 10), hidden_size=10, seed=1)
    assert source.entry_variance == pytest.approx(1 / 30)
    assert np.max(np.abs(source.build())) <= math.sqrt(1 / 10)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(ENTRY_VARIANCES)))
def test_dependent_entries_have_no_variance_of_their_own(family: str) -> None:
    assert EnsembleSource(family, size=5).entry_variance is None


def test_rescaled_entries_have_none_either() -> None:
    assert EnsembleSource("gaussian", size=5, rescale=Rescale("spectral_norm", 1.0)).entry_variance is None


def test_every_variance_belongs_to_a_family() -> None:
    assert set(ENTRY_VARIANCES) <= set(FAMILIES)
