"""How far back a gradient reaches in each format."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from importlib import import_module

import mpmath
import numpy as np
import pytest

from cases import CELLS, Array, CellCase, linear, problem, problem_of
from gradhorizon_service.worker import runs
from gradhorizon_service.worker.block_diagonal import BlockDiagonal
from gradhorizon_service.worker.diagnostics.precision import FormatReach, PrecisionReach, precision
from gradhorizon_service.worker.losses import CotangentLoss
from gradhorizon_service.worker.precision import PRECISIONS
from gradhorizon_service.worker.problem import Problem

FORMATS = {"float16": (11, -14), "bfloat16": (8, -126), "float32": (24, -126), "float64": (53, -1022)}
"""Bits of the significand, exponent of the smallest normal number."""

BELOW_SMALLEST = {
    0.5: {"float16": (15, 25), "bfloat16": (127, 134), "float32": (127, 150), "float64": (1023, 1075)},
    0.9: {"float16": (93, 158), "bfloat16": (829, 875), "float32": (829, 981), "float64": (6724, 7066)},
    0.99: {
        "float16": (966, 1656),
        "bfloat16": (8690, 9173),
        "float32": (8690, 10277),
        "float64": (70485, 74072),
    },
}
"""First k with rho^k below the smallest normal and the smallest subnormal number."""

OVERFLOW = {
    1.1: {"float16": 117, "bfloat16": 931, "float32": 931, "float64": 7448},
    1.5: {"float16": 28, "bfloat16": 219, "float32": 219, "float64": 1751},
}


def of(asked: Problem) -> PrecisionReach:
    return precision(runs.start(asked))


def scalar_runs(rho: float, depth: int) -> list[Problem]:
    """The same scalar recurrence by powers, in closed form and step by step."""
    stepped = CellCase("rnn", {"weights": np.array([[rho]]), "activation": "identity"})
    return [
        linear(np.array([[rho]]), depth),
        linear(BlockDiagonal(np.array([rho + 0j])), depth),
        problem(stepped.network(), min(depth, 11_000)),
    ]


def rounded(rho: float, k: int, digits: int, lowest: int) -> Fraction:
    """rho^k rounded to nearest, ties to even, in rational arithmetic."""
    exact = Fraction(rho) ** k
    exponent = exact.numerator.bit_length() - exact.denominator.bit_length()
    exponent -= exact < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, lowest) - digits + 1)
    return round(exact / unit) * unit


@pytest.mark.parametrize("rho", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_lags_are_those_of_exact_rounding(rho: float, name: str) -> None:
    digits, lowest = FORMATS[name]
    smallest = Fraction(2) ** lowest
    for found in (of(asked).formats[name] for asked in scalar_runs(rho, 11_000)):
        assert found.first_subnormal_lag is not None
        assert found.first_zero_lag is not None
        for lag, bound in (
            (found.first_subnormal_lag, smallest),
            (found.first_zero_lag, Fraction(2, 10**400)),
        ):
            assert rounded(rho, lag, digits, lowest) < bound <= rounded(rho, lag - 1, digits, lowest)


@pytest.mark.parametrize("rho", BELOW_SMALLEST)
def test_lags_agree_with_the_table_of_powers_to_rounding(rho: float) -> None:
    """Numbers above half of the smallest one round up to it: zero comes ln 2 / -ln rho lags after the table's."""
    for asked in scalar_runs(rho, 10**6)[:2]:
        for name, (subnormal, smallest) in BELOW_SMALLEST[rho].items():
            found = of(asked).formats[name]
            assert found.first_subnormal_lag is not None
            assert found.first_zero_lag is not None
            assert found.first_subnormal_lag - subnormal in (0, 1)
            assert (
                found.first_zero_lag - smallest == pytest.approx(np.log(2) / -np.log(rho), abs=1)
                or rho == 0.5
            )
            assert found.first_infinite_lag is None


@pytest.mark.parametrize("rho", OVERFLOW)
def test_overflow_is_where_the_power_exceeds_the_format(rho: float) -> None:
    for asked in scalar_runs(rho, 10**6)[:2]:
        assert {name: reach.first_infinite_lag for name, reach in of(asked).formats.items()} == OVERFLOW[rho]


def test_float64_underflows_where_mpmath_says_at_a_depth_of_a_million() -> None:
    """0.9995^k <= 2^-1075, and below 2^-1022 (1 - 2^-53)."""
    with mpmath.workdps(40):
        rate = mpmath.log(mpmath.mpf(0.9995))
        zero = int(mpmath.ceil(-1075 * mpmath.log(2) / rate))
        subnormal = int(mpmath.ceil((-1022 * mpmath.log(2) + mpmath.log1p(-(mpmath.mpf(2) ** -53))) / rate))
    for asked in scalar_runs(0.9995, 10**6 * 2)[:2]:
        found = of(asked).formats["float64"]
        assert (found.first_subnormal_lag, found.first_zero_lag) == (subnormal, zero)


def test_a_loop_in_the_format_sticks_where_the_exact_gradient_is_long_gone() -> None:
    """0.9 times 5 x 2^-1074 rounds back to itself: a loop until underflow does not end."""
    x = 1.0
    for _ in range(8000):
        x *= 0.9
    assert x == 5 * 2.0**-1074
    found = of(linear(np.array([[0.9]]), 8000)).formats["float64"]
    assert found.first_zero_lag == 7073


def cast(name: str, log_values: Array) -> Array:
    one = np.array([1.0])
    return np.array([PRECISIONS[name].scaled(one, x)[0] for x in log_values], dtype=np.float64)


def first(hits: Array) -> int | None:
    return int(np.argmax(hits)) if hits.any() else None


def by_casting(name: str, log_norms: Array, log2_scale: int = 0) -> tuple[int | None, int | None, int | None]:
    numbers = cast(name, log_norms + log2_scale * np.log(2.0))
    return (
        first(numbers < 2.0 ** FORMATS[name][1]),
        first(numbers == 0.0),
        first(np.isinf(numbers)),
    )


CASES = {
    "rnn tanh": lambda: problem_of(CELLS["rnn tanh"], depth=900),
    "rnn sin": lambda: problem_of(CELLS["rnn sin"], depth=400),
    "feedforward tanh": lambda: problem_of(CELLS["feedforward tanh"]),
    "jordan": lambda: linear(0.9 * np.eye(10) + np.diag(np.full(9, 1.5), 1), 2500),
    "every step": lambda: problem_of(CELLS["rnn tanh"], depth=900, every_step=True),
    "large cotangent": lambda: linear(np.array([[0.5]]), 400, loss=CotangentLoss(np.array([1e5]))),
    "tiny cotangent": lambda: linear(np.array([[0.9]]), 400, loss=CotangentLoss(np.array([1e-250]))),
    "growing": lambda: linear(np.array([[1.2]]), 600, loss=CotangentLoss(np.array([1e-20]))),
}


@cache
def measured(case: str) -> tuple[Array, PrecisionReach]:
    """ln of the median norm at every lag, and the report."""
    run = runs.start(CASES[case]())
    return np.median(run.transported_log_norms(np.arange(run.depth + 1)), axis=1), precision(run)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FORMATS)
def test_lags_are_those_at_which_casting_the_norm_says_so(case: str, name: str) -> None:
    log_norms, report = measured(case)
    found = report.formats[name]
    expected = by_casting(name, log_norms)
    assert (found.first_subnormal_lag, found.first_zero_lag, found.first_infinite_lag) == expected
    if found.log2_loss_scale is not None:
        subnormal, zero, infinite = by_casting(name, log_norms, found.log2_loss_scale)
        assert (found.scaled_first_subnormal_lag, found.scaled_first_zero_lag) == (subnormal, zero)
        assert infinite is None


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FORMATS)
def test_twice_the_loss_scale_overflows_or_is_no_number(case: str, name: str) -> None:
    log_norms, report = measured(case)
    scale = report.formats[name].log2_loss_scale
    if scale is not None and scale < (1023 if name == "float64" else 127):
        assert by_casting(name, log_norms, scale + 1)[2] is not None


@pytest.mark.parametrize("samples", [2, 3])
def test_a_largest_lag_between_the_sampled_ones_is_found(
    samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transient of the Jordan block peaks near lag 89; without it the scale would be 2^127."""
    expected = of(CASES["jordan"]())
    module = import_module("gradhorizon_service.worker.diagnostics.precision")
    monkeypatch.setattr(module, "_SAMPLES", samples)
    assert of(CASES["jordan"]()).formats == expected.formats
    scale = expected.formats["float32"].log2_loss_scale
    assert scale is not None
    assert scale < 100


def test_every_entry_rounds_to_zero_where_the_norm_does() -> None:
    loss = CotangentLoss(np.array([1.0, -2.0, 0.5, 1.0]))
    run = runs.start(
        replace(problem_of(CELLS["rnn tanh"], depth=200, batch=1, inputs=None, initial_state=None), loss=loss)
    )
    found = precision(run).formats["float16"].first_zero_lag
    assert found is not None
    gradients = run.transported  # type: ignore[attr-defined]
    entries = gradients.gradients[found] * np.exp(gradients.log_scales[found])[:, None]
    assert not PRECISIONS["float16"].cast(entries).any()


def test_the_median_sequence_decides() -> None:
    loss = CotangentLoss(np.array([[1.0], [2.0**-10], [2.0**-20]]))
    found = of(linear(np.array([[0.5]]), 100, batch=3, loss=loss)).formats["float16"]
    assert (found.first_subnormal_lag, found.first_zero_lag) == (5, 15)


def test_sequences_without_a_gradient_are_left_out() -> None:
    loss = CotangentLoss(np.array([[1.0], [0.0], [0.0]]))
    for weights in (np.array([[0.5]]), BlockDiagonal(np.array([0.5 + 0j]))):
        for depth in (100, 10**6):
            found = of(linear(weights, depth, batch=3, loss=loss)).formats["float16"]
            assert (found.first_subnormal_lag, found.first_zero_lag) == (15, 25)


@pytest.mark.parametrize("weights", [np.array([[0.5]]), BlockDiagonal(np.array([0.5 + 0j]))])
@pytest.mark.parametrize("depth", [10, 10**6])
def test_no_gradient_at_all_is_zero_from_the_start_and_no_scale_helps(weights: Array, depth: int) -> None:
    for reach in of(linear(weights, depth, loss=CotangentLoss(np.array([0.0])))).formats.values():
        assert (reach.first_subnormal_lag, reach.first_zero_lag, reach.first_infinite_lag) == (0, 0, None)
        assert reach.log2_loss_scale is None
        assert "none helps" in (reach.loss_scale_reason or "")


def test_an_annihilated_gradient_is_zero_in_every_format_and_no_scale_helps() -> None:
    found = of(linear(np.diag(np.ones(3), 1), 100))
    for reach in found.formats.values():
        assert reach.first_zero_lag == 4
        assert reach.log2_loss_scale is None


def test_nothing_is_needed_where_norms_stay() -> None:
    found = of(linear(np.eye(2), 10**6))
    assert set(found.formats.values()) == {
        FormatReach(None, None, None, None, reach.loss_scale_reason, None, None)
        for reach in found.formats.values()
    }
    assert all("none is needed" in (reach.loss_scale_reason or "") for reach in found.formats.values())
    assert "at every lag up to 1000000" in found.says


def test_a_gradient_that_spans_more_than_a_format_has_no_scale() -> None:
    reach = of(linear(np.array([[1.1]]), 10**5)).formats["float64"]
    assert reach.log2_loss_scale is None
    assert "spans more" in (reach.loss_scale_reason or "")


def test_a_large_gradient_is_scaled_down() -> None:
    """1e5 = 2^16.6 overflows in float16; halved once more than to 2^15.6 it would not be the largest scale."""
    reach = of(linear(np.array([[0.5]]), 10, loss=CotangentLoss(np.array([1e5])))).formats["float16"]
    assert reach.first_infinite_lag == 0
    assert reach.log2_loss_scale == -1


@pytest.mark.parametrize(
    ("rho", "depth", "says"),
    [
        (
            0.9,
            2000,
            "in float32 this gradient becomes subnormal at lag 829 and rounds to zero at lag 987; with a",
        ),
        (1.1, 2000, "in float32 this gradient overflows at lag 931; of loss scales none helps"),
        (0.9, 900, "2^127 it is a normal number at every lag up to 900"),
        (0.9, 1700, "2^127 nothing overflows, and it becomes subnormal at lag 1665"),
    ],
)
def test_the_sentence_is_about_the_dtype_of_the_request(rho: float, depth: int, says: str) -> None:
    assert says in of(linear(np.array([[rho]]), depth, dtype="float32")).says


def test_a_gradient_made_of_rounding_is_not_reliable() -> None:
    rotated = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    symmetric = rotated @ np.diag([2.0, 0.5, 0.1]) @ rotated.T
    found = of(linear(0.5 * (symmetric + symmetric.T), 100, loss=CotangentLoss(rotated[:, 1])))
    assert not found.reliable
    assert "rounding re-excites" in (found.reliable_reason or "")
