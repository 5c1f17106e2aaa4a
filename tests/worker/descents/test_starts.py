"""Where a descent starts: PyTorch's ranges, gates one by one, and what is set apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon_service.worker.descents.cells import CELLS
from gradhorizon_service.worker.descents.starts import FromSources, Initialised
from gradhorizon_service.worker.errors import CannotRun
from gradhorizon_service.worker.sources import EnsembleSource, Rescale

H = 16


def drawn(cell: str, seed: int = 1, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return Initialised(CELLS[cell](**(options or {})), H, 3, 2, **more).draw(0, seed)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_parameters_are_those_of_pytorchs_layers_in_shape_and_range(cell: str) -> None:
    """uniform(-1/sqrt(H), 1/sqrt(H)) for all of them, the readout included."""
    gates = {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    found = drawn(cell)
    assert {name: values.shape for name, values in found.items()} == {
        "weights": (gates * H, H),
        "input_weights": (gates * H, 3),
        "input_bias": (gates * H,),
        "recurrent_bias": (gates * H,),
        "readout_weight": (2, H),
        "readout_bias": (2,),
    }
    for name, values in found.items():
        assert np.abs(values).max() <= 0.25, name
    assert found["weights"].std() == pytest.approx(0.25 / np.sqrt(3.0), rel=0.1)


def test_a_family_fills_every_gate_by_itself() -> None:
    weights = drawn("lstm", family="orthogonal", gain=0.5)["weights"]
    for gate in weights.reshape(4, H, H):
        assert gate @ gate.T == pytest.approx(0.25 * np.eye(H), abs=1e-12)


def test_the_forget_bias_is_what_both_biases_make_together() -> None:
    plain, raised = drawn("lstm"), drawn("lstm", forget_bias=3.0)
    total = raised["input_bias"] + raised["recurrent_bias"]
    assert (total[H : 2 * H] == 3.0).all()
    for name in ("input_bias", "recurrent_bias"):
        assert np.array_equal(
            np.delete(plain[name], range(H, 2 * H)), np.delete(raised[name], range(H, 2 * H))
        )


def test_a_skip_has_a_matrix_of_its_own() -> None:
    found = drawn("skip", options={"delay": 2}, family="orthogonal")
    assert not np.array_equal(found["weights"], found["skip_weights"])


def test_another_seed_starts_elsewhere_and_the_same_one_does_not() -> None:
    assert np.array_equal(drawn("gru")["weights"], drawn("gru")["weights"])
    assert not np.array_equal(drawn("gru")["weights"], drawn("gru", seed=2)["weights"])


def test_refusals_name_the_field() -> None:
    with pytest.raises(CannotRun, match=r"cell.spectral_radius"):
        drawn("echo_state", gain=0.0, spectral_radius=0.9)
    nothing = EnsembleSource("gaussian", size=2, gain=0.0, rescale=Rescale("spectral_radius", 1.0))
    with pytest.raises(CannotRun, match=r"task.weights.rescale"):
        FromSources([nothing]).draw(0, 0)
