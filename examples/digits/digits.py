"""The checkpoints and the batch beside this file, as the arguments of `Client.diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

FOLDER = Path(__file__).parent
DEPTH = 64
"""Pixels of an 8x8 digit, read one a step."""


def diagnosis(name: str) -> dict[str, Any]:
    """What to diagnose for `digits-NAME.safetensors`: its network, its batch, the loss it was trained with."""
    weights = load_file(FOLDER / f"digits-{name}.safetensors")
    cell = "lstm" if name == "lstm" else "rnn"
    return {
        "network": {
            "cell": cell,
            "activation": "tanh",
            "weights": {"source": "matrix", "values": weights["rnn.weight_hh_l0"]},
            "input_weights": {"source": "matrix", "values": weights["rnn.weight_ih_l0"]},
            "input_bias": weights["rnn.bias_ih_l0"],
            "recurrent_bias": weights["rnn.bias_hh_l0"],
        },
        "depth": DEPTH,
        "inputs": {"kind": "values", "values": np.load(FOLDER / "digits-inputs.npy")},
        "initial_state": {"kind": "zeros"},
        "loss": {
            "kind": "cross_entropy",
            "readout_weight": weights["head.weight"],
            "readout_bias": weights["head.bias"],
            "targets": np.load(FOLDER / "digits-labels.npy"),
        },
        "clipping": {"kind": "norm", "threshold": 1.0},
    }
