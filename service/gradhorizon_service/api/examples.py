"""Requests that the API reference shows. They run: a test posts each of them."""

from __future__ import annotations

from typing import Any

DIAGNOSIS: dict[str, Any] = {
    "network": {
        "cell": "rnn",
        "activation": "tanh",
        "weights": {"source": "matrix", "values": [[0.9, 0.2], [0.0, 1.1]]},
        "input_weights": {
            "source": "ensemble",
            "family": "gaussian",
            "shape": [2, 1],
            "gain": 1.0,
            "seed": 1,
        },
        "bias": [0.0, 0.0],
    },
    "depth": 100,
    "inputs": {"kind": "gaussian", "std": 1.0, "batch": 16, "seed": 0},
    "initial_state": {"kind": "zeros"},
    "loss": {"kind": "cotangent", "values": [1.0, 0.0]},
    "clipping": {"kind": "norm", "threshold": 1.0},
    "dtype": "float32",
    "diagnostics": ["gradient_norms", "singular_values", "spectrum"],
    "horizon_level": 0.001,
    "tolerance_decades": 3,
    "max_points": 256,
    "lags": [0, 1, 10, 100],
    "seed": 0,
}
SMALL_DIAGNOSIS: dict[str, Any] = {
    "network": {
        "cell": "linear",
        "weights": {"source": "ensemble", "family": "gaussian", "size": 16, "gain": 0.9},
    },
    "depth": 100,
}
TENSOR_DIAGNOSIS: dict[str, Any] = {
    "network": {"cell": "rnn", "weights": {"tensor": "checkpoint", "name": "weight_hh_l0"}},
    "depth": 100,
}
SPECTRUM: dict[str, Any] = {
    "source": {
        "source": "spectrum",
        "distribution": {"kind": "circle", "size": 8, "radius": 0.9},
        "basis": "nonnormal",
        "condition": 1000,
        "seed": 0,
    },
    "depth": 1000,
    "include_matrix": True,
}

Named = dict[str, dict[str, Any]]

DIAGNOSES: Named = {
    "everything": {"summary": "A driven tanh network, everything said", "value": DIAGNOSIS},
    "only what is required": {"summary": "A linear recurrence drawn at random", "value": SMALL_DIAGNOSIS},
}
SPECTRA: Named = {"nonnormal": {"summary": "Eigenvalues on a circle, far from normal", "value": SPECTRUM}}
