"""From which lags a summed gradient comes."""

from __future__ import annotations

import numpy as np

from .._types import Array
from ._run import Shares

_MOST = 0.95 * (1.0 - 1e-12)
"""38 equal parts of 40 are 95 %; rounding must not say otherwise."""


def log_sum(log_terms: Array) -> float:
    """ln sum exp(x); -inf for nothing but zeros."""
    peak = float(np.max(log_terms, initial=-np.inf))
    return peak if peak == -np.inf else peak + float(np.log(np.sum(np.exp(log_terms - peak))))


def shares_of(log_norms: Array, lags: Array) -> Shares:
    """Shares from ln ||G_k|| at every lag k = 0..T-1; `lags` says which of them to report."""
    whole = log_sum(log_norms)
    reported = lags[lags < len(log_norms)]
    most = None
    if whole > -np.inf:
        held = np.cumsum(np.exp(log_norms - whole))
        most = int(np.searchsorted(held, _MOST * held[-1])) + 1
    return Shares(reported, log_norms[reported], whole, most, True)


def equal_shares(log_sum: float, count: int, lags: Array) -> Shares:
    """The same where all of `count` lags contribute alike, however many they are."""
    reported = lags[lags < count]
    most = int(np.ceil(_MOST * count)) if log_sum > -np.inf else None
    return Shares(reported, np.full(len(reported), log_sum - np.log(count)), log_sum, most, True)


def shares_of_samples(log_norms: Array, sampled: Array, lags: Array, log_reported: Array) -> Shares:
    """The same where ln ||G_k|| is known at the reported lags, and at sampled ones that stand for their neighbours."""
    edges = np.concatenate([[0.0], (sampled[1:] + sampled[:-1] + 1) / 2, [sampled[-1] + 1.0]])
    weighted = log_norms + np.log(np.diff(edges))
    whole = log_sum(weighted)
    most = None
    if whole > -np.inf:
        held = np.cumsum(np.exp(weighted - whole))
        most = int(np.ceil(edges[int(np.searchsorted(held, _MOST * held[-1])) + 1]))
    return Shares(lags, log_reported, whole, most, False)
