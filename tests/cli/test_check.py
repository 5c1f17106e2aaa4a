"""`gradhorizon check`: exit codes, policies, and what a continuous integration reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

Run = Callable[..., Result]


def saved(folder: Path, gain: float, name: str = "model.npz") -> Path:
    """A linear-looking recurrence of known growth: W = gain I, no bias."""
    path = folder / name
    np.savez(path, **{"rnn.weight_hh_l0": gain * np.eye(4), "rnn.weight_ih_l0": 1e-6 * np.ones((4, 1))})
    return path


@pytest.fixture
def vanishing(tmp_path: Path) -> Path:
    """tanh hardly bends so small a signal: 0.5^k falls below 0.001 at k = 10."""
    return saved(tmp_path, 0.5)


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "policy.toml"
        path.write_text(text)
        return path

    return write


def test_a_checkpoint_that_keeps_to_the_default_policy_passes(run: Run, vanishing: Path) -> None:
    result = run("check", vanishing)
    assert result.exit_code == 0, result.stderr
    assert "keeps to the policy" in result.stdout
    assert "depth 100" in result.stdout


def test_a_verdict_that_is_refused_fails(run: Run, vanishing: Path, tmp_path: Path) -> None:
    assert run("check", vanishing, "--fail-on", "exploding").exit_code == 0
    assert run("check", vanishing, "--fail-on", "exploding,vanishing").exit_code == 1
    exploding = saved(tmp_path, 1.5, "wild.npz")
    result = run("check", exploding, "--activation", "identity", "--fail-on", "exploding")
    assert result.exit_code == 1
    assert "FAIL" in result.stdout
    assert run("check", exploding, "--activation", "identity").exit_code == 1


@pytest.mark.parametrize(("steps", "code"), [(9, 0), (10, 0), (11, 1)])
def test_a_horizon_has_to_be_as_long_as_asked_for(run: Run, vanishing: Path, steps: int, code: int) -> None:
    result = run("check", vanishing, "--min-horizon", steps)
    assert result.exit_code == code, result.stdout + result.stderr


def test_a_horizon_beyond_the_depth_is_long_enough(run: Run, tmp_path: Path) -> None:
    assert run("check", saved(tmp_path, 1.0), "-d", 20, "--min-horizon", 20).exit_code == 0


def test_a_layer_of_its_own_rules_is_held_to_those(
    run: Run, vanishing: Path, policy: Callable[[str], Path]
) -> None:
    strict = policy('fail_on = ["vanishing"]\nmin_horizon = 50\n')
    assert run("check", vanishing, "--policy", strict).exit_code == 1
    lenient = policy(
        'fail_on = ["vanishing"]\nmin_horizon = 50\n[layers."rnn.l0"]\nfail_on = []\nmin_horizon = 5\n'
    )
    result = run("check", vanishing, "--policy", lenient)
    assert result.exit_code == 0, result.stdout
    assert "at least 5" in result.stdout


def test_options_win_over_the_policy(run: Run, vanishing: Path, policy: Callable[[str], Path]) -> None:
    path = policy("min_horizon = 50\ndepth = 60\n")
    assert run("check", vanishing, "--policy", path).exit_code == 1
    assert run("check", vanishing, "--policy", path, "--min-horizon", 5).exit_code == 0


def test_a_broken_tensor_fails_whatever_the_verdicts(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    np.savez(path, **{"a.weight_hh_l0": np.eye(3) / 2, "head.weight": np.array([[np.inf, 1.0]])})
    result = run("check", path)
    assert result.exit_code == 1
    assert "error: head.weight: non_finite" in result.stdout


def test_findings_fail_from_the_severity_the_policy_says(
    run: Run, tmp_path: Path, policy: Callable[[str], Path]
) -> None:
    path = tmp_path / "twins.npz"
    np.savez(path, **{"a.weight_hh_l0": np.full((3, 3), 0.2)})
    assert run("check", path).exit_code == 0
    assert run("check", path, "--policy", policy('hygiene = "warning"')).exit_code == 1
    ignoring = policy('hygiene = "warning"\nignore = ["duplicated_rows"]')
    assert run("check", path, "--policy", ignoring).exit_code == 0


def test_json_says_what_failed_and_holds_the_report(run: Run, vanishing: Path) -> None:
    result = run("check", vanishing, "--min-horizon", 50, "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert answer["passed"] is False
    assert answer["violations"][0]["where"] == "rnn.l0"
    assert "10 steps" in answer["violations"][0]["says"]
    assert answer["report"]["layers"][0]["diagnosis"]["horizon"]["steps"] == 10


def test_annotations_are_one_escaped_line_each(run: Run, vanishing: Path) -> None:
    result = run("check", vanishing, "--min-horizon", 50, "--github")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("::")]
    head, _, message = line.removeprefix("::error ").partition("::")
    assert head.startswith("file=")
    assert "title=gradhorizon%3A rnn.l0" in head
    assert "horizon of 10 steps" in message


def test_what_an_annotation_may_not_hold_is_escaped(tmp_path: Path) -> None:
    from gradhorizon.cli._github import annotation
    from gradhorizon.cli._policies import Violation

    line = annotation(Violation("warning", "a,b:c", "50 %\nof it: all"), Path("x,y.npz"))
    assert line == "::warning file=x%2Cy.npz,title=gradhorizon%3A a%2Cb%3Ac::50 %25%0Aof it: all"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("min_horizons = 5", "'min_horizons' is no key of a policy"),
        ("min_horizon = true", "a whole number is needed"),
        ("min_horizon = 0", "1 or more"),
        ("min_horizon = 500", "only 100 steps are run"),
        ('fail_on = ["explodes"]', "verdicts are"),
        ("fail_on = [1]", "a list of names"),
        ('hygiene = "all"', "error, warning, info, off"),
        ('[layers."rnn.l0"]\ndepth = 3', "'depth' is no key of a policy"),
        ('[layers."rnn.l9"]\nmin_horizon = 3', "layers are rnn.l0"),
        ("depth = [", "policy.toml"),
        ('dtype = "float8"', "$.dtype"),
    ],
)
def test_a_policy_that_cannot_be_is_an_exit_code_of_2(
    run: Run, vanishing: Path, policy: Callable[[str], Path], text: str, says: str
) -> None:
    result = run("check", vanishing, "--policy", policy(text))
    assert result.exit_code == 2, result.stdout
    assert says in result.stderr
    assert result.stdout == ""


def test_what_cannot_be_read_is_an_exit_code_of_2(run: Run, tmp_path: Path, vanishing: Path) -> None:
    (tmp_path / "text.txt").write_text("weights")
    np.savez(tmp_path / "nothing.npz", a=np.ones(3), b=np.ones(2))
    for arguments, says in (
        ([tmp_path / "missing.pt"], "no such file"),
        ([tmp_path / "text.txt"], "in no format that is read here"),
        ([tmp_path / "nothing.npz"], "no layer is recognised"),
        ([vanishing, "--url", "http://127.0.0.1:1"], "cannot connect"),
        ([vanishing, "--fail-on", "bad"], "fail_on has 'bad'"),
    ):
        result = run("check", *arguments)
        assert result.exit_code == 2
        assert says in result.stderr
