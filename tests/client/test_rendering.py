"""Reports for people: the same facts on a terminal and in a notebook."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from gradhorizon import Client, Clippings, Descent, Diagnosis, Spectrum
from gradhorizon._summaries.text import ROWS, bars, complex_number, decades, spread


class Balance(HTMLParser):
    """Collects tags that are opened and not closed, and all text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def full(here: Client) -> Diagnosis:
    """A report with every diagnostic a linear recurrence has."""
    return here.diagnose(
        network={"cell": "linear", "weights": [[0.5, 1.0], [0.0, -0.4]]},
        depth=60,
        clipping={"kind": "norm", "threshold": 1e-3},
    )


@pytest.fixture(scope="module")
def matrix(here: Client) -> Spectrum:
    return here.spectrum([[0.0, 2.0], [-0.5, 0.0]])


@pytest.fixture(scope="module")
def clipped(here: Client) -> Clippings:
    return here.clippings(
        gradients={"large": np.full(4, 1e20), "<small>": [0.5, np.nan]},
        policies=[{"kind": "norm", "threshold": 1.0}, {"kind": "value", "threshold": 1.0}, {"kind": "none"}],
    )


@pytest.fixture(scope="module")
def history(here: Client) -> Clippings:
    norms = np.append(np.random.default_rng(0).lognormal(size=500), [0.0, np.nan, 1e30])
    return here.clippings(norms=norms, policies=[{"kind": "norm", "threshold": 2.0, "norm_type": "inf"}])


@pytest.fixture(scope="module")
def descent(here: Client) -> Descent:
    """Of its two policies one leaves float32, and the other does not."""
    return here.descend(
        task={"kind": "recurrence", "weights": [[9.0]], "length": 20},
        policies={"<none>": {"kind": "none"}, "norm": {"kind": "norm", "threshold": 0.001}},
        steps=6,
        seeds=2,
    )


def test_a_printed_descent_says_what_every_policy_comes_to(descent: Descent) -> None:
    printed = str(descent)
    assert printed.startswith("recurrence, linear  <none>: 0 of 2 runs solve the task; 2 leave float32")
    assert "norm: 0 of 2 runs solve the task; gradients are clipped at 100 % of the steps" in " ".join(
        printed.split()
    )
    assert max(map(len, printed.splitlines())) <= 100


def test_json_of_a_descent_reads_back_as_itself(descent: Descent) -> None:
    assert Descent.model_validate_json(descent.to_json()).to_json() == descent.to_json()
    assert repr(descent) == "<Descent: recurrence, linear, solved <none> 0 of 2, norm 0 of 2>"


def test_printed_clippings_say_what_comes_out_of_every_policy(clipped: Clippings, history: Clippings) -> None:
    printed = str(clipped)
    assert printed.startswith("no threshold")
    for policy in ("torch norm at 1", "value at 1", "no clipping"):
        assert f"{policy}: " in printed
    printed = str(history)
    assert printed.startswith(f"threshold {history.advice.threshold:.4g}")
    for part in ("nan at step 501", "torch inf-norm at 2", "10 times the median", "outliers"):
        assert part in printed
    assert max(map(len, [*str(clipped).splitlines(), *printed.splitlines()])) <= 100


def test_printed_diagnosis_says_verdict_horizon_and_every_diagnostic(full: Diagnosis) -> None:
    printed = str(full)
    assert printed.startswith("vanishing  ")
    for title in (
        "Verdict",
        "Gradient by lag",
        "Singular values",
        "Gradient of each parameter",
        "Clipping",
        "First lags at which the gradient leaves a format",
        "State, log10",
        "Lyapunov exponents",
        "Modes",
        "The recurrent matrix",
    ):
        assert title in printed
    assert f"{full.horizon.steps} steps, then the gradient has decayed by a factor 1000" in printed


def test_printed_saturation_says_what_slopes_and_weights_make_of_the_decay(here: Client) -> None:
    """One relu that is never active; the other halves and halves again."""
    report = here.diagnose(
        network={
            "cell": "rnn",
            "weights": [[0.5, 0.0], [0.0, 0.5]],
            "bias": [1.0, -9.0],
            "activation": "relu",
        },
        depth=10,
        initial_state={"kind": "zeros"},
        loss={"kind": "cotangent", "values": [1.0, 0.0]},
        diagnostics=["saturation"],
    )
    printed = " ".join(str(report).split())
    assert "saturated slopes 50 %, below 5.96e-08" in printed
    assert "units saturated mostly, always, dead 1, 1, 1 of 2" in printed
    assert "of these, from slopes 0 of these, from weights -0.301" in printed


def test_printed_precision_says_lags_and_scale(here: Client) -> None:
    report = here.diagnose(
        network={"cell": "linear", "weights": [[0.9]]}, depth=2000, dtype="float16", diagnostics=["precision"]
    )
    printed = " ".join(str(report).split())
    assert "float16 93 165 never 2^15: 191, 264" in printed
    assert "in float16 this gradient becomes subnormal at lag 93 and rounds to zero at lag 165" in printed


def test_lines_fit_the_width(full: Diagnosis, matrix: Spectrum) -> None:
    assert max(map(len, str(full).splitlines())) <= 100
    assert max(map(len, str(matrix).splitlines())) <= 100


def test_printed_spectrum_says_radius_and_eigenvalues(matrix: Spectrum) -> None:
    """The characteristic polynomial is x^2 + 1."""
    printed = str(matrix)
    assert printed.startswith("2 x 2")
    assert "0 + 1i" in printed


def test_notebooks_get_balanced_html_with_the_same_facts(
    full: Diagnosis, matrix: Spectrum, clipped: Clippings, history: Clippings, descent: Descent
) -> None:
    for report in (full, matrix, clipped, history, descent):
        page = Balance()
        page.feed(report._repr_html_())
        assert not page.open
        text = " ".join(page.text)
        assert report.provenance.engine_version in text
    assert "vanishing" in full._repr_html_()


def test_text_of_a_report_cannot_become_markup(diagnosis_document: dict[str, Any]) -> None:
    report = Diagnosis.model_validate_json(json.dumps(diagnosis_document))
    assert "&lt;v&gt;" in report._repr_html_()
    assert "[0]" in str(report.model_copy(update={"assumptions": ["seed [0]"]}))


def test_exact_zeros_are_called_zero(diagnosis_document: dict[str, Any]) -> None:
    report = Diagnosis.model_validate_json(json.dumps(diagnosis_document))
    assert "inf" not in str(report)
    assert "zero" in str(report)


def test_repr_is_one_line(full: Diagnosis, matrix: Spectrum) -> None:
    assert repr(full) == f"<Diagnosis: vanishing, horizon {full.horizon.steps}>"
    assert repr(matrix) == "<Spectrum: 2 x 2, radius 1>"


@pytest.mark.parametrize("name", ["clipped", "history"])
def test_json_of_clippings_reads_back_as_itself(name: str, request: pytest.FixtureRequest) -> None:
    """Decades that are zero and decades that are undefined are both null: a reason tells them apart."""
    report: Clippings = request.getfixturevalue(name)
    assert Clippings.model_validate_json(report.to_json()).to_json() == report.to_json()


def test_json_of_a_report_reads_back_as_itself(full: Diagnosis, matrix: Spectrum) -> None:
    assert Diagnosis.model_validate_json(full.to_json()).to_json() == full.to_json()
    assert Spectrum.model_validate_json(matrix.to_json()).to_json() == matrix.to_json()


@pytest.mark.parametrize(
    ("value", "shown"), [(-1e-9, "0.000"), (-np.inf, "zero"), (np.nan, "undefined"), (-3.14159, "-3.142")]
)
def test_decades_are_shown_to_a_thousandth(value: float, shown: str) -> None:
    assert decades(value) == shown


@pytest.mark.parametrize("count", [1, 2, 5, 100, 4096])
def test_shown_lags_are_few_and_hold_both_ends_and_the_horizon(count: int) -> None:
    shown = spread(np.arange(count), count // 2)
    assert {0, count // 2, count - 1} <= set(shown)
    assert len(shown) <= ROWS + 1
    assert shown == sorted(set(shown))


def test_bars_grow_with_the_numbers_and_vanish_with_zero() -> None:
    drawn = bars(np.array([0.0, 1.0, -np.inf, 0.5]))
    assert len(drawn[1]) > len(drawn[3]) > len(drawn[0]) > len(drawn[2]) == 0


@pytest.mark.parametrize(
    ("value", "shown"), [(1 + 0j, "1"), (0.5 - 0.25j, "0.5 - 0.25i"), (0 + 2j, "0 + 2i")]
)
def test_complex_numbers_read_as_written_by_hand(value: complex, shown: str) -> None:
    assert complex_number(value) == shown
