"""Findings in weights: each rule on a layer that has it, and on one that has not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.checkpoints.hygiene import RULES, Finding, Subject

H = 8


def layer(cell: str = "lstm", **fields: Any) -> Subject:
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * H
    random = np.random.default_rng(5)
    network = {
        "weights": random.standard_normal((rows, H)),
        "input_weights": random.standard_normal((rows, 3)),
        "input_bias": np.zeros(rows),
        "recurrent_bias": np.zeros(rows),
        **fields,
    }
    return Subject("l0", cell, network, {"weights": ("weight_hh_l0",), "input_weights": ("weight_ih_l0",)})


def found(subject: Subject, rule: str) -> list[Finding]:
    return [finding for check in RULES.values() for finding in check(subject) if finding.rule == rule]


def bias(cell: str, gate: int, value: float, units: int = H) -> np.ndarray:
    array = np.zeros({"gru": 3, "lstm": 4}[cell] * H)
    array[gate * H : gate * H + units] = value
    return array


def test_forget_bias_is_the_mean_of_both_biases_of_that_gate() -> None:
    subject = layer(input_bias=bias("lstm", 1, 1.0), recurrent_bias=bias("lstm", 1, 0.5))
    (finding,) = found(subject, "forget_bias")
    assert finding.value == pytest.approx(1.5)
    kept = 1 / (1 + math.exp(-1.5))
    assert f"time constant of {-1 / math.log(kept):.3g} steps" in finding.says


def test_the_gate_that_keeps_of_a_gru_is_its_update_gate_whichever_way_it_works() -> None:
    subject = layer("gru", input_bias=bias("gru", 1, 2.0))
    assert found(subject, "forget_bias")[0].value == pytest.approx(2.0)
    subject = layer("gru", input_bias=bias("gru", 1, 2.0), update="replace")
    assert found(subject, "forget_bias")[0].value == pytest.approx(-2.0)


def test_plain_layers_have_no_gate_to_report() -> None:
    assert found(layer("rnn"), "forget_bias") == []


def test_gates_that_their_biases_hold_shut_are_counted() -> None:
    subject = layer(input_bias=bias("lstm", 0, -7.0, units=2), weights=np.zeros((4 * H, H)))
    (finding,) = found(subject, "saturated_gates")
    assert finding.value == pytest.approx(2 / H)
    assert "2 of 8 units" in finding.says
    assert "(2 closed, 0 open)" in finding.says
    assert "move 2 of them" in finding.says


def test_a_gate_that_the_state_can_open_is_not_dead() -> None:
    weights = np.zeros((4 * H, H))
    weights[0, 0] = 1.0
    subject = layer(input_bias=bias("lstm", 0, -7.0, units=2), weights=weights)
    assert "move 1 of them" in found(subject, "saturated_gates")[0].says


@pytest.mark.parametrize("value", [6.9, -6.9])
def test_a_gate_within_reach_is_not_reported(value: float) -> None:
    assert found(layer(input_bias=bias("lstm", 0, value)), "saturated_gates") == []


def uniform(cell: str, seed: int) -> Subject:
    rows = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * H
    random, bound = np.random.default_rng(seed), 1 / math.sqrt(H)
    return layer(
        cell,
        weights=random.uniform(-bound, bound, (rows, H)),
        input_weights=random.uniform(-bound, bound, (rows, 3)),
        input_bias=random.uniform(-bound, bound, rows),
        recurrent_bias=random.uniform(-bound, bound, rows),
    )


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_pytorchs_default_initialisation_is_told(cell: str) -> None:
    hits = sum(bool(found(uniform(cell, seed), "default_initialisation")) for seed in range(50))
    assert hits >= 47  # one in a hundred is missed


def test_a_trained_layer_does_not_look_fresh() -> None:
    subject = uniform("lstm", 0)
    moved = subject.network["weights"] * 1.2
    assert found(layer(**{**subject.network, "weights": moved}), "default_initialisation") == []
    assert found(layer(), "default_initialisation") == []


def test_keras_default_initialisation_is_told() -> None:
    rows = np.linalg.qr(np.random.default_rng(0).standard_normal((4 * H, H)))[
        0
    ]  # the kernel has orthonormal rows
    fields = {"weights": rows, "input_bias": bias("lstm", 1, 1.0), "recurrent_bias": bias("lstm", 1, 0.0)}
    (finding,) = found(layer(**fields), "default_initialisation")
    assert "Keras" in finding.says
    assert found(layer(**{**fields, "input_bias": bias("lstm", 0, 1.0)}), "default_initialisation") == []


def test_units_with_equal_weights_are_counted_within_a_gate() -> None:
    subject = layer()
    weights, inputs = subject.network["weights"].copy(), subject.network["input_weights"].copy()
    weights[1], inputs[1] = weights[0], inputs[0]
    weights[H], inputs[H] = weights[0], inputs[0]  # the first unit of another gate
    (finding,) = found(layer(weights=weights, input_weights=inputs), "duplicated_rows")
    assert finding.value == 1.0
    assert "1 of input" in finding.says
    assert found(layer(weights=weights), "duplicated_rows") == []


def test_rows_of_zeros_name_their_tensor() -> None:
    weights = layer().network["weights"].copy()
    weights[[2, 3]] = 0.0
    (finding,) = found(layer(weights=weights), "zero_rows")
    assert (finding.value, finding.tensor) == (2.0, "weight_hh_l0")
