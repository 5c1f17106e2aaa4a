"""The golden table: its page is what its record says, and its record is what the service answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from benchmarks.golden import figures, page
from benchmarks.golden.earlier import EARLIER
from benchmarks.golden.measuring import FURTHER_SEEDS, measured_row, request, theory
from benchmarks.golden.networks import (
    CHRONO_STEPS,
    DEFAULTS,
    LAYERS,
    SIZES,
    SWEPT_BIASES,
    Layer,
    with_forget_bias,
)
from benchmarks.golden.record import Record, Row, Settings, Theory

from gradhorizon import Client, DiagnosisRequest

DOCS = Path(__file__).parents[1] / "docs"
RECORD = Record.model_validate_json((DOCS / page.RECORD).read_text(encoding="utf-8"))
PAGE = (DOCS / page.PAGE).read_text(encoding="utf-8")
ROWS = {(row.network, row.hidden_size): row for row in RECORD.rows}
LAYER = {layer.name: layer for layer in LAYERS}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client.in_process() as client:
        yield client


def row(exponents: list[float], horizons: list[int | None]) -> Row:
    return Row(
        network="PyTorch LSTM", hidden_size=64, first_seed=0, exponents=exponents, horizons=horizons,
        directions=["decay" if steps else None for steps in horizons],
        spectral_radii=None, spectral_norms=None, curve=[0.0],
    )  # fmt: skip


class TestPage:
    def test_it_says_what_the_record_holds(self) -> None:
        assert page.written(RECORD) == PAGE

    def test_it_has_a_row_for_every_network_and_size(self) -> None:
        assert list(ROWS) == [(layer.name, size) for size in SIZES for layer in LAYERS if size in layer.sizes]
        named = re.findall(r"^\| ([^|]+?) +\| [+-]\d\.\d+ ±", PAGE, flags=re.MULTILINE)
        assert sorted(named) == sorted(name for name, _ in ROWS)

    def test_every_earlier_number_has_a_row(self) -> None:
        assert set(EARLIER) <= set(ROWS)

    def test_rows_apart_from_the_earlier_numbers_were_given_further_seeds(self) -> None:
        further = {key for key, found in ROWS.items() if found.further_exponents is not None}
        assert further == {key for key, found in ROWS.items() if page.outside(found)}

    def test_its_networks_are_requests(self) -> None:
        """Each is sent, with arrays for its references, as the rows are."""
        blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
        assert len(blocks) == len(DEFAULTS)
        for layer, block in zip(DEFAULTS, blocks, strict=True):
            network = layer.network(SIZES[-1], 0)
            arrays = {key: network[key] for key, value in block.items() if value == {"tensor": key}}
            assert all(isinstance(array, np.ndarray) for array in arrays.values())
            assert {**block, **arrays} == network

    def test_it_links_to_its_figures_and_the_index_to_it(self) -> None:
        assert all(f"({name})" in PAGE for name in figures.FIGURES)
        assert f"({page.PAGE})" in (DOCS / "README.md").read_text(encoding="utf-8")


class TestFigures:
    @pytest.mark.parametrize("name", figures.FIGURES)
    def test_nothing_is_loaded_from_elsewhere(self, name: str) -> None:
        drawing = (DOCS / name).read_text(encoding="utf-8")
        assert drawing.startswith("<svg")
        namespaces = set(re.findall(r'xmlns(?::\w+)?="([^"]+)"', drawing))
        assert set(re.findall(r"\w+://[^\s\"'<>)]+", drawing)) <= namespaces
        assert not re.search(r"<(script|image|foreignObject|style)\b|@import", drawing)

    def test_a_line_for_every_default_initialisation(self) -> None:
        drawing = (DOCS / "golden-gradient-by-lag.svg").read_text(encoding="utf-8")
        assert all(layer.name in drawing for layer in DEFAULTS)

    def test_seeds_that_never_leave_the_level_are_drawn_at_the_depth(self) -> None:
        drawn = figures.horizon_by_forget_bias(RECORD)["layer"][-1]["data"]["values"]
        assert len(drawn) == len(SWEPT_BIASES) * RECORD.settings.seeds
        censored = [steps is None for found in RECORD.sweep for steps in found.horizons]
        assert any(censored)
        assert [point["kind"].startswith("neither") for point in drawn] == censored
        assert {point["steps"] for point, out in zip(drawn, censored, strict=True) if out} == {
            RECORD.settings.depth
        }


class TestNetworks:
    @pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
    def test_a_request_is_valid_and_the_same_every_time(self, layer: Layer) -> None:
        first, second = (
            DiagnosisRequest.model_validate(request(layer.network(64, 3), 3, Settings())) for _ in range(2)
        )
        assert first.model_dump_json() == second.model_dump_json()

    def test_forget_biases_add_up_to_the_value_given(self) -> None:
        network = with_forget_bias(2.0, 64, 0)
        total = network["input_bias"] + network["recurrent_bias"]
        np.testing.assert_array_equal(total[64:128], 2.0)
        assert np.abs(np.delete(total, np.s_[64:128])).max() <= 2 / math.sqrt(64)

    def test_chrono_opens_forget_gates_as_far_as_it_closes_input_gates(self) -> None:
        network = LAYER[f"PyTorch LSTM, chrono up to {CHRONO_STEPS}"].network(64, 0)
        inputs, forgets = (network["input_bias"] + network["recurrent_bias"])[:128].reshape(2, 64)
        np.testing.assert_array_equal(inputs, -forgets)
        assert 0 <= forgets.min() <= forgets.max() <= math.log(CHRONO_STEPS - 1)

    def test_the_recurrent_matrix_of_a_keras_rnn_is_orthogonal(self, client: Client) -> None:
        weights = LAYER["Keras SimpleRNN"].network(64, 0)["weights"]
        found = client.spectrum(weights).spectrum
        moduli = [found.spectral_radius, found.spectral_norm, found.smallest_singular_value]
        np.testing.assert_allclose(moduli, 1.0, atol=1e-12)


class TestStatistics:
    def test_steps_by_exponent_are_those_of_a_thousandfold_fall(self) -> None:
        steps = row([-0.4, -0.6], [1, 1]).asymptotic_steps
        assert steps is not None
        assert math.exp(-0.5 * steps) == pytest.approx(1e-3)

    def test_a_growing_gradient_has_no_steps(self) -> None:
        assert row([0.1, -0.05], [1, 1]).asymptotic_steps is None

    def test_horizons_that_are_not_reached_count_as_longest(self) -> None:
        assert row([-0.1] * 3, [None, 40, 30]).horizon == 40
        assert row([-0.1] * 3, [None, 40, None]).horizon is None

    def test_a_row_is_apart_where_it_differs_by_more_than_the_earlier_spread(self) -> None:
        earlier = EARLIER["PyTorch LSTM", 64]
        assert not page.outside(row([earlier.exponent + 0.009] * 5, [12] * 5))
        assert page.outside(row([earlier.exponent + 0.011] * 5, [12] * 5))


class TestAgainstTheory:
    """Numbers computed here, and where theory puts them."""

    SHORT = Settings(seeds=1, depth=200, burn_in=50)

    def test_the_exponent_of_an_untrained_rnn_lies_between_mean_field_theory_and_the_circular_law(
        self, client: Client
    ) -> None:
        """Slopes up to 1 leave ln rho, near ln(1/sqrt(3)) to O(1/sqrt(H)); weights drawn afresh give chi_1."""
        (exponent,) = measured_row(client, LAYER["PyTorch RNN, tanh"], 64, self.SHORT).exponents
        fresh = theory(client, "PyTorch RNN, tanh", 64).growth_rate
        margin = 1 / math.sqrt(64)
        assert fresh - margin < exponent < math.log(1 / math.sqrt(3)) + margin

    def test_slopes_alone_make_the_gradients_of_an_orthogonal_rnn_fade(self, client: Client) -> None:
        """Every J_t is D_t W with W orthogonal: mean-field theory's slope, but for a standard error of 200 steps."""
        (exponent,) = measured_row(client, LAYER["Keras SimpleRNN"], 64, self.SHORT).exponents
        assert exponent == pytest.approx(theory(client, "Keras SimpleRNN", 64).growth_rate, abs=0.03)

    @pytest.mark.parametrize(
        "recorded", RECORD.theory, ids=lambda found: f"{found.network}, {found.hidden_size}"
    )
    def test_recorded_theory_is_what_the_service_answers(self, client: Client, recorded: Theory) -> None:
        found = theory(client, recorded.network, recorded.hidden_size)
        assert found == recorded

    def test_the_recorded_mean_square_slope_is_its_own_fixed_point(self) -> None:
        """q = v E[tanh^2] + b by iteration, E by Gauss-Hermite quadrature."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(80)
        average = partial(np.average, weights=weights)
        for found in RECORD.theory:
            q = 1.0
            for _ in range(500):
                q = found.weight_variance * average(np.tanh(math.sqrt(q) * nodes) ** 2) + found.bias_variance
            chi_1 = found.weight_variance * average(np.cosh(math.sqrt(q) * nodes) ** -4.0)
            assert found.chi_1 == pytest.approx(chi_1, abs=1e-5)
            assert found.growth_rate == pytest.approx(math.log(chi_1) / 2, abs=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["PyTorch RNN, tanh", "Keras GRU"])
def test_a_recorded_row_is_what_the_same_seeds_give(client: Client, name: str) -> None:
    found, recorded = measured_row(client, LAYER[name], 64, RECORD.settings), ROWS[name, 64]
    np.testing.assert_allclose(found.exponents, recorded.exponents, atol=1e-5)
    assert (found.horizons, found.directions) == (recorded.horizons, recorded.directions)
    np.testing.assert_allclose(found.curve, recorded.curve, atol=2e-3)


def test_further_seeds_are_seeds_that_the_row_did_not_have() -> None:
    for found in RECORD.rows:
        if found.further_exponents is not None:
            assert len(found.further_exponents) == FURTHER_SEEDS
            assert set(found.further_exponents).isdisjoint(found.exponents)
