"""`python -m benchmarks [ROW ...] [--full] [--write]`: measure, print, and keep the tables if asked."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

ROWS = (
    "gradient_norms",
    "lyapunov",
    "singular_values",
    "lstm_gradient_norms",
    "lstm_lyapunov",
    "small_diagnoses",
)
RESULTS = Path(__file__).parent / "results.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Gradhorizon beside its peers.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"rows to measure (all): {', '.join(ROWS)}")
    parser.add_argument("--full", action="store_true", help="T = 1000 at N = 512 too, and longer: 15 minutes")
    parser.add_argument("--write", action="store_true", help=f"also write the tables to {RESULTS.name}")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.rows) - set(ROWS))
    if unknown:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    if find_spec("torch") is None:
        parser.error("the peers need PyTorch: `scripts/test --peers` installs it")
    from .report import measured

    command = " ".join(["python -m benchmarks", *arguments.rows, *(["--full"] if arguments.full else [])])
    page = measured(arguments.rows or ROWS, full=arguments.full, command=command)
    if arguments.write:
        RESULTS.write_text(page)


if __name__ == "__main__":
    main()
