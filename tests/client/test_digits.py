"""The real checkpoints, over the wire, against the gradients PyTorch's autograd computed from them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gradhorizon import Client

FOLDER = Path(__file__).parents[2] / "examples" / "digits"
PARAMETERS = {
    "weights": "rnn.weight_hh_l0",
    "input_weights": "rnn.weight_ih_l0",
    "recurrent_bias": "rnn.bias_hh_l0",
    "input_bias": "rnn.bias_ih_l0",
    "readout_weight": "head.weight",
    "readout_bias": "head.bias",
}


@pytest.fixture(scope="module")
def digits() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits", FOLDER / "digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The exploding network is chaotic: PyTorch itself is 4e-9 from extended precision there.
@pytest.mark.parametrize(("name", "tolerance"), [("rnn-tanh", 1e-9), ("rnn-exploding", 1e-7), ("lstm", 1e-9)])
def test_gradients_at_every_lag_are_those_of_autograd(digits, live_url, name, tolerance):
    truth = json.loads((FOLDER / f"digits-{name}.truth.json").read_text())
    with Client(live_url) as gh:
        report = gh.diagnose(
            **digits.diagnosis(name), diagnostics=["gradient_norms", "parameter_gradient", "clipping"]
        )
    by_step = {part: np.array(norms)[:, 0] for part, norms in truth["hidden_gradient_norm"].items()}
    found = report.gradient_norms
    assert found.lag.tolist() == list(range(65))
    whole = np.log10(np.hypot(by_step["h"], by_step.get("c", 0.0)))
    assert np.abs(found.log10_batch_norm - whole[::-1]).max() < tolerance
    assert set(found.parts or ["h"]) == set(by_step)
    for name, part in (found.parts or {}).items():
        expected = by_step[name][::-1]
        assert 10.0**part.log10_batch_norm == pytest.approx(expected, rel=tolerance, abs=1e-300)
    norms = report.parameter_gradient.log10_norm
    assert set(norms) == set(PARAMETERS)
    for ours, theirs in PARAMETERS.items():
        assert norms[ours] == pytest.approx(np.log10(truth["parameter_gradient_norm"][theirs]), abs=tolerance)
    whole = np.sqrt(sum(truth["parameter_gradient_norm"][name] ** 2 for name in PARAMETERS.values()))
    assert report.clipping.log10_norm_before == pytest.approx(np.log10(whole), abs=tolerance)
