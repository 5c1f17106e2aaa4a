"""`gradhorizon diff`: two checkpoints, one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from typer.testing import Result

Run = Callable[..., Result]


def saved(folder: Path, name: str, gain: float) -> Path:
    np.savez(
        folder / name, **{"rnn.weight_hh_l0": gain * np.eye(4), "rnn.weight_ih_l0": 1e-6 * np.ones((4, 1))}
    )
    return folder / name


def test_the_layer_that_moved_and_how_far_is_told(run: Run, tmp_path: Path) -> None:
    a, b = saved(tmp_path, "a.npz", 0.5), saved(tmp_path, "b.npz", 0.8)
    report = json.loads(run("diff", a, b, "--depth", 40, "--json").stdout)
    assert report["moved_most"] == "rnn.l0"
    (layer,) = report["layers"]
    # 0.5^k < 0.001 at k = 10, 0.8^k at k = 31; exponents are logarithms of the gains
    assert (layer["horizon_before"], layer["horizon_after"]) == (10, 31)
    assert abs(layer["largest_exponent_before"] - np.log(0.5)) < 1e-9
    assert abs(layer["largest_exponent_after"] - np.log(0.8)) < 1e-9
    table = run("diff", a, b, "--depth", 40)
    assert table.exit_code == 0, table.stderr
    assert "rnn.l0 moved most, by 60 % of its size" in table.stdout
    assert "10 steps -> 31 steps" in " ".join(table.stdout.split())


def test_a_file_that_is_missing_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("diff", saved(tmp_path, "a.npz", 0.5), tmp_path / "b.npz")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
