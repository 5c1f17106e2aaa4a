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
_DRIVE: dict[str, Any] = {"source": "ensemble", "family": "gaussian", "shape": [16, 2], "seed": 2}
COMPARISON: dict[str, Any] = {
    "networks": {
        "gaussian": {
            "cell": "rnn",
            "weights": {"source": "ensemble", "family": "gaussian", "size": 16, "seed": 1},
            "input_weights": _DRIVE,
        },
        "orthogonal": {
            "cell": "rnn",
            "weights": {"source": "ensemble", "family": "orthogonal", "size": 16, "seed": 1},
            "input_weights": _DRIVE,
        },
    },
    "depth": 100,
}
POLICIES: dict[str, Any] = {
    "network": COMPARISON["networks"]["gaussian"],
    "depth": 50,
    "policies": {
        "norm": {"kind": "norm", "threshold": 0.01},
        "value": {"kind": "value", "threshold": 0.001},
        "per step": {"kind": "per_step", "threshold": 0.1},
    },
}
TENSOR_COMPARISON: dict[str, Any] = {
    "networks": [
        {"cell": "rnn", "weights": {"tensor": "before"}},
        {"cell": "rnn", "weights": {"tensor": "after"}},
    ],
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
CLIPPING_POLICIES: list[dict[str, Any]] = [
    {"kind": "norm", "threshold": 1.0},
    {"kind": "norm", "threshold": 1.0, "framework": "keras_global"},
    {"kind": "value", "threshold": 0.5},
]
GRADIENT_CLIPPINGS: dict[str, Any] = {
    "gradients": {"weight_hh_l0": [[3.0, -4.0], [0.5, 0.1]], "bias_hh_l0": [0.2, -0.1]},
    "policies": CLIPPING_POLICIES,
}
NORM_CLIPPINGS: dict[str, Any] = {
    "norms": [0.9, 1.1, 1.0, 1.3, 0.8, 45.0, 1.2, 0.0, 1.0, 0.7],
    "policies": CLIPPING_POLICIES[:2],
}
TENSOR_CLIPPINGS: dict[str, Any] = {
    "gradients": {"weight_hh_l0": {"tensor": "gradients", "name": "weight_hh_l0"}},
    "policies": CLIPPING_POLICIES,
    "dtype": "float16",
}

MEAN_FIELD: dict[str, Any] = {
    "activation": "tanh",
    "weight_variance": 1.5,
    "bias_variance": 0.05,
    "critical_line": {"over": "bias_variance", "start": 0.0, "stop": 0.2, "points": 21},
    "size": 64,
    "leading": 4,
}

CHECKPOINT_DIAGNOSIS: dict[str, Any] = {
    "depth": 100,
    "inputs": {"kind": "gaussian", "std": 1.0, "batch": 4},
    "layers": {"rnn.l0": {"activation": "relu"}},
    "diagnostics": ["gradient_norms", "saturation"],
}
TENSOR_CHECKPOINT_DIAGNOSIS: dict[str, Any] = {
    "depth": 28,
    "inputs": {"kind": "values", "values": {"tensor": "batch"}},
}
CHECKPOINT_COMPARISON: dict[str, Any] = {"a": "0" * 64, "b": "f" * 64, "depth": 100}

CLIFF: dict[str, Any] = {
    "task": {"kind": "cliff"},
    "optimizer": {"kind": "sgd", "learning_rate": 0.2},
    "policies": {"none": {"kind": "none"}, "norm": {"kind": "norm", "threshold": 0.01}},
}
RECURRENCE: dict[str, Any] = {
    "task": {
        "kind": "recurrence",
        "weights": {"source": "ensemble", "family": "symmetric", "size": 4, "gain": 1.2},
        "length": 10,
        "initial_state": {"kind": "eigenvector", "index": 0},
    },
    "optimizer": {"kind": "sgd", "learning_rate": 0.01},
    "policies": [
        {"kind": "none"},
        {"kind": "norm", "threshold": 1.0},
        {"kind": "per_step", "threshold": 0.1},
    ],
    "seeds": 5,
    "steps": 50,
}
LATCH: dict[str, Any] = {
    "task": {"kind": "latch", "length": 10},
    "cell": {"kind": "lstm", "hidden_size": 8, "forget_bias": 1.0},
    "optimizer": {"kind": "adam", "learning_rate": 0.01},
    "seeds": 5,
    "steps": 20,
}
TENSOR_DESCENT: dict[str, Any] = {
    "task": {"kind": "recurrence", "weights": {"tensor": "checkpoint", "name": "weight_hh_l0"}},
    "seeds": 3,
    "steps": 20,
}

Named = dict[str, dict[str, Any]]

DIAGNOSES: Named = {
    "everything": {"summary": "A driven tanh network, everything said", "value": DIAGNOSIS},
    "only what is required": {"summary": "A linear recurrence drawn at random", "value": SMALL_DIAGNOSIS},
}
COMPARISONS: Named = {
    "networks": {"summary": "Two initialisations on the same inputs", "value": COMPARISON},
    "policies": {"summary": "Three ways of clipping one gradient", "value": POLICIES},
}
SPECTRA: Named = {"nonnormal": {"summary": "Eigenvalues on a circle, far from normal", "value": SPECTRUM}}
CLIPPINGS: Named = {
    "gradients": {"summary": "Two tensors under three policies", "value": GRADIENT_CLIPPINGS},
    "norms": {"summary": "A history with one explosion: which threshold?", "value": NORM_CLIPPINGS},
}
MEAN_FIELDS: Named = {
    "everything": {"summary": "A tanh network, with its critical line and exponents", "value": MEAN_FIELD},
    "only what is required": {
        "summary": "The critical ReLU",
        "value": {"activation": "relu", "weight_variance": 2},
    },
}

CHECKPOINT_DIAGNOSES: Named = {
    "everything": {"summary": "One layer is not what the file seems to say", "value": CHECKPOINT_DIAGNOSIS},
    "only what is required": {"summary": "Every layer as it is recognised", "value": {"depth": 100}},
}
CHECKPOINT_COMPARISONS: Named = {
    "two epochs": {"summary": "The hashes of two uploaded files", "value": CHECKPOINT_COMPARISON}
}
DESCENTS: Named = {
    "cliff": {"summary": "One unit before a wall, with and without clipping", "value": CLIFF},
    "recurrence": {"summary": "Along the dominant eigenvector, under three policies", "value": RECURRENCE},
    "latch": {"summary": "An LSTM keeps one bit", "value": LATCH},
}

BY_PATH: dict[str, Named] = {
    "/v1/diagnoses": DIAGNOSES,
    "/v1/comparisons": COMPARISONS,
    "/v1/spectra": SPECTRA,
    "/v1/clippings": CLIPPINGS,
    "/v1/descents": DESCENTS,
    "/v1/mean-fields": MEAN_FIELDS,
}
"""Address -> its examples."""
