"""docs/golden-table.md: the prose of page.md.in with the numbers of a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np

from .earlier import EARLIER, Earlier
from .measuring import FURTHER_SEEDS
from .networks import CHRONO_STEPS, DEFAULTS, FIRST_SEED, INPUTS, SIZES, as_json
from .record import Record, Row, Theory

PAGE, RECORD = "golden-table.md", "golden-table.json"
_TEMPLATE = Path(__file__).with_name("page.md.in")
_ROUNDING = 0.0005
"""Of numbers written with three decimals."""


def written(record: Record) -> str:
    """The page."""
    small, large = SIZES
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        inputs=INPUTS,
        small=small,
        large=large,
        seeds=record.settings.seeds,
        depth=record.settings.depth,
        burn_in=record.settings.burn_in,
        table_small=table(record, small),
        table_large=table(record, large),
        **_said(record),
        theory=_theory(record),
        **_compared(record),
        networks=_networks(large),
        keras_seed=FIRST_SEED["Keras SimpleRNN"],
        engine=record.engine_version,
        cpu_seconds=f"{record.cpu_seconds:.0f}",
    )


def table(record: Record, size: int) -> str:
    """The rows of one size as a Markdown table."""
    columns = (
        "initialisation",
        "exponent",
        "earlier",
        "steps by exponent",
        "earlier",
        "horizon",
        "spectral radius",
    )
    return _markdown([columns, *(_cells(row, record) for row in record.rows if row.hidden_size == size)])


def outside(row: Row) -> bool:
    """Whether a row lies farther from the earlier number than the spread given there, rounding aside."""
    earlier = EARLIER.get((row.network, row.hidden_size))
    if earlier is None or earlier.spread is None:
        return False
    return abs(row.mean - earlier.exponent) > earlier.spread + _ROUNDING


def _cells(row: Row, record: Record) -> tuple[str, ...]:
    earlier = EARLIER.get((row.network, row.hidden_size))
    return (
        row.network,
        _exponent(row),
        "" if earlier is None else _spread(earlier) + (" **apart**" if outside(row) else ""),
        _steps(row),
        "" if earlier is None else "grows" if earlier.steps is None else str(earlier.steps),
        f"over {record.settings.depth}" if row.horizon is None else str(row.horizon),
        "" if row.spectral_radii is None else f"{np.mean(row.spectral_radii):.3f}",
    )


def _exponent(row: Row) -> str:
    digits = 3 if row.spread >= _ROUNDING else 4
    return f"{row.mean:+.{digits}f} ± {row.spread:.{digits}f}"


def _steps(row: Row) -> str:
    if abs(row.mean) < 2.0 * row.spread / math.sqrt(len(row.exponents)):
        return "either"
    return "grows" if row.asymptotic_steps is None else f"{row.asymptotic_steps:.0f}"


def _spread(earlier: Earlier) -> str:
    return f"{earlier.exponent:+.3f}" + ("" if earlier.spread is None else f" ± {earlier.spread:.3f}")


def _said(record: Record) -> dict[str, str]:
    """The numbers in the sentences about the table."""
    small, large = SIZES
    torch = {size: record.row("PyTorch RNN, tanh", size) for size in SIZES}
    keras = {size: record.row("Keras SimpleRNN", size) for size in SIZES}
    one, two, three = (record.row(f"PyTorch LSTM, forget bias {bias}", large) for bias in (1, 2, 3))
    chrono = record.row(f"PyTorch LSTM, chrono up to {CHRONO_STEPS}", small)
    return {
        "torch_large": _steps(torch[large]),
        "keras_small": _steps(keras[small]),
        "keras_large": _steps(keras[large]),
        "times_small": f"{torch[small].mean / keras[small].mean:.1f}",
        "times_large": f"{torch[large].mean / keras[large].mean:.1f}",
        "lstm_large": _steps(record.row("PyTorch LSTM", large)),
        "keras_lstm_large": _steps(record.row("Keras LSTM", large)),
        "one_large": _steps(one),
        "two_horizons": _horizons(two, record.settings.depth),
        "three": _exponent(three),
        "three_growth": f"{math.log(1000.0) / three.mean:.2g}",
        "chrono": _exponent(chrono),
        "chrono_last": str(CHRONO_STEPS - 1),
        "chrono_slowest": f"{-math.log1p(1.0 / (CHRONO_STEPS - 1)):.4f}",
        "chrono_horizon": _horizons(chrono, record.settings.depth),
    }


def _horizons(row: Row, depth: int) -> str:
    """The range over seeds."""
    reached = sorted(math.inf if steps is None else steps for steps in row.horizons)
    if reached[0] == math.inf:
        return f"over {depth} steps"
    return f"{reached[0]:.0f} to " + (f"over {depth}" if reached[-1] == math.inf else f"{reached[-1]:.0f}")


def _theory(record: Record) -> str:
    columns = ("layer", "H", "radius", "norm", "chi_1", "mean field", "slopes and radius", "measured")
    lines = [
        _theory_cells(theory, record.row(theory.network, theory.hidden_size)) for theory in record.theory
    ]
    return _markdown([columns, *lines])


def _theory_cells(theory: Theory, row: Row) -> tuple[str, ...]:
    assert row.spectral_radii is not None
    assert row.spectral_norms is not None
    slopes = math.log(theory.chi_1 / theory.weight_variance) / 2.0
    return (
        theory.network,
        str(theory.hidden_size),
        f"{np.mean(row.spectral_radii):.3f}",
        f"{np.mean(row.spectral_norms):.3f}",
        f"{theory.chi_1:.3f}",
        f"{theory.growth_rate:+.3f}",
        f"{np.mean(np.log(row.spectral_radii)) + slopes:+.3f}",
        _exponent(row),
    )


def _compared(record: Record) -> dict[str, str]:
    """What became of the earlier numbers."""
    compared = [row for row in record.rows if (row.network, row.hidden_size) in EARLIER]
    known = [row for row in compared if EARLIER[row.network, row.hidden_size].spread is not None]
    apart = [row for row in known if outside(row)]
    unknown = [row for row in compared if row not in known]
    return {
        "known": str(len(known)),
        "within": str(len(known) - len(apart)),
        "further": str(FURTHER_SEEDS),
        "differences": "\n".join(f"* {_difference(row)}" for row in [*apart, *unknown]),
    }


def _difference(row: Row) -> str:
    earlier = EARLIER[row.network, row.hidden_size]
    spread = row.spread if earlier.spread is None else earlier.spread
    apart = abs(row.mean - earlier.exponent)
    errors = apart / math.sqrt((row.spread**2 + spread**2) / len(row.exponents))
    said = (
        f"{row.network}, H = {row.hidden_size}: {row.mean:+.3f} and {earlier.exponent:+.3f}, {apart:.3f} apart, "
        f"{errors:.1f} standard errors."
    )
    return said if row.further_exponents is None else f"{said} {_over_more_seeds(row, row.further_exponents)}"


def _over_more_seeds(row: Row, further: Sequence[float]) -> str:
    everything = [*row.exponents, *further]
    spread = float(np.std(everything, ddof=1))
    error = spread / math.sqrt(len(everything))
    return f"Over {len(everything)} seeds: {np.mean(everything):+.4f} ± {spread:.4f}, its standard error {error:.4f}."


def _networks(size: int) -> str:
    return "\n\n".join(
        f"{layer.name}:\n\n```json\n{as_json(layer.network(size, 0))}\n```" for layer in DEFAULTS
    )


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    head, *body = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([head, "|" + "|".join("-" * (width + 2) for width in widths) + "|", *body])
