"""`python -m benchmarks.golden [--quick] [--write]`: measure the golden table, print it, and keep the page if asked."""

from __future__ import annotations

import argparse
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from gradhorizon import Client

from . import page
from .figures import FIGURES, svg
from .measuring import measured, with_further_seeds
from .networks import SIZES, SWEPT_BIASES
from .record import Record, Settings

DOCS = Path(__file__).parents[2] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.golden", description="What default initialisations do to gradients."
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"H = {SIZES[0]} only: seconds instead of minutes"
    )
    parser.add_argument(
        "--write", action="store_true", help="write docs/golden-table.md, its numbers and figures"
    )
    parser.add_argument(
        "--page", action="store_true", help="measure nothing: write page and figures from the numbers there"
    )
    arguments = parser.parse_args()
    if arguments.quick and arguments.write:
        parser.error("--quick measures half of the page; --write needs all of it")
    if (arguments.write or arguments.page) and find_spec("vl_convert") is None:
        parser.error("the figures need vl-convert-python: pip install vl-convert-python")
    if arguments.page:
        _write(Record.model_validate_json(DOCS.joinpath(page.RECORD).read_text(encoding="utf-8")))
    else:
        _measure(quick=arguments.quick, write=arguments.write)


def _measure(*, quick: bool, write: bool) -> None:
    sizes = SIZES[:1] if quick else SIZES
    with Client.in_process() as client:
        biases = () if quick else SWEPT_BIASES
        record = measured(client, sizes, biases, Settings(), say=partial(print, flush=True))
        if write:
            record = _settled(client, record)
    print("\n" + "\n\n".join(page.table(record, size) for size in sizes))
    print(f"\n{record.seconds:.0f} seconds, {record.cpu_seconds:.0f} of them of this process's CPU.")
    if write:
        _write(record)


def _settled(client: Client, record: Record) -> Record:
    """The record, its rows that lie outside the earlier spread with further seeds."""
    rows = [
        with_further_seeds(client, row, record.settings) if page.outside(row) else row for row in record.rows
    ]
    return record.model_copy(update={"rows": rows})


def _write(record: Record) -> None:
    DOCS.joinpath(page.RECORD).write_text(record.text(), encoding="utf-8")
    DOCS.joinpath(page.PAGE).write_text(page.written(record), encoding="utf-8")
    for name, figure in FIGURES.items():
        DOCS.joinpath(name).write_text(svg(figure(record)), encoding="utf-8")


if __name__ == "__main__":
    main()
