"""Parts without a seed of their own get one from the request's seed and their role."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gradhorizon_service.worker.seeds import derive_seed

SEEDS = st.integers(0, 2**63 - 1)
ROLES = st.text(max_size=20)


def test_derived_seeds_never_change_between_versions() -> None:
    """Reports are reproducible only as long as this number stays."""
    assert derive_seed(0, "network.weights") == 5226790214552153153


@given(SEEDS, ROLES)
def test_derived_seed_is_a_seed(seed: int, role: str) -> None:
    assert 0 <= derive_seed(seed, role) < 2**63


@given(SEEDS, ROLES, ROLES)
def test_two_roles_get_two_seeds(seed: int, one: str, other: str) -> None:
    assert (derive_seed(seed, one) == derive_seed(seed, other)) == (one == other)


@given(SEEDS, SEEDS)
def test_two_requests_get_two_seeds(one: int, other: int) -> None:
    assert (derive_seed(one, "inputs") == derive_seed(other, "inputs")) == (one == other)
