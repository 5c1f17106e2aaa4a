"""What the page asks, the thirteen claims by default and the counter-examples, and what it reads in the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradhorizon_service.claims import CLAIMS

Numbers = Mapping[str, Any]
"""Name -> number or word, as the template refers to it."""

CLAIM_PATH = "/v1/claims/"


@dataclass(frozen=True)
class Question:
    """One public request, and which numbers of its answer the page needs; `chart` is the one that it shows."""

    path: str
    body: Mapping[str, Any] = field(default_factory=dict)
    read: Callable[[Any], Numbers] = lambda _: {}
    chart: str | None = None

    @property
    def claim(self) -> str | None:
        """The claim that is asked about, if one is."""
        return self.path.removeprefix(CLAIM_PATH) if self.path.startswith(CLAIM_PATH) else None


# Bodies


SIZE = 64


def _ensemble(family: str, **more: Any) -> dict[str, Any]:
    return {"source": "ensemble", "family": family, "size": SIZE, **more}


def _matrix(rows: np.ndarray | list[list[float]]) -> dict[str, Any]:
    return {"source": "matrix", "values": np.asarray(rows, dtype=float).tolist()}


CHAIN = _matrix(0.9 * np.eye(10) + 1.5 * np.eye(10, k=1))
"""Ten units: 0.9 on the diagonal, 1.5 beside it."""

ONE_STEP = _matrix([[0.5, 100.0], [0.0, 0.4]])
THREE_ENDS = _matrix([[2.0, -0.5], [3.25, -0.5]])
"""A reservoir of spectral radius below one that does not forget (after Yildiz, Jaeger and Kiebel 2012)."""

FROM_PYTORCH = {"source": "ensemble", "family": "torch_default", "shape": [SIZE, 1], "hidden_size": SIZE}
NETWORKS = {
    label: {
        "cell": "rnn",
        "activation": activation,
        "weights": _ensemble(family),
        "input_weights": FROM_PYTORCH,
    }
    for label, activation, family in (
        ("PyTorch's default, tanh", "tanh", "torch_default"),
        ("orthogonal, tanh", "tanh", "orthogonal"),
        ("identity, relu", "relu", "identity"),
        ("orthogonal, linear", "identity", "orthogonal"),
    )
}
BY_DEFAULT, ORTHOGONAL, IDENTITY, LINEAR = NETWORKS


def _chain_at(depth: int) -> dict[str, Any]:
    network = {"cell": "linear", "weights": CHAIN}
    return {"network": network, "depth": depth, "diagnostics": ["singular_values"]}


def _layers(family: str) -> dict[str, Any]:
    network = {"cell": "feedforward", "layers": _ensemble(family)}
    return {"network": network, "depth": 100, "diagnostics": ["singular_values"]}


def _latch(length: int, optimizer: dict[str, Any], family: str = "torch_default") -> dict[str, Any]:
    """The training of the claim depth-ten, but for the optimizer or the initial recurrent weights."""
    return {
        "task": {"kind": "latch", "length": length},
        "cell": {"kind": "rnn", "hidden_size": 8, "initialisation": {"family": family}},
        "optimizer": optimizer,
        "steps": 200,
        "batch_size": 16,
        "seeds": list(range(20)),
        "curvature_points": 0,
        "max_points": 2,
    }


SGD = {"kind": "sgd", "learning_rate": 0.1}
ADAM = {"kind": "adam", "learning_rate": 0.01}


def _clipped(policy: dict[str, Any]) -> dict[str, Any]:
    inputs = {"source": "ensemble", "family": "gaussian", "shape": [SIZE, 1]}
    network = {"cell": "rnn", "weights": _ensemble("gaussian", gain=0.9), "input_weights": inputs}
    return {"network": network, "depth": 100, "clipping": policy, "diagnostics": ["clipping"]}


# Readings


def _judged(report: Any) -> Numbers:
    return {number.quantity: number.value for number in report.numbers}


def _depth_ten(report: Any) -> Numbers:
    rates = {
        f"{'lstm' if point['cell'] == 'LSTM' else 'vanilla'}_{point['length']}": point["success_rate"]
        for point in report.points
    }
    runs = report.parameters["runs"]
    solved = {f"solved_{name}": round(rate * runs) for name, rate in rates.items()}
    return {**_judged(report), **rates, **solved}


def _clipping_symptom(report: Any) -> Numbers:
    last = max(point["lag"] for point in report.points)
    kept = [point["policy"] for point in report.points if point["lag"] == last and point["change"] > -3.0]
    return {
        **_judged(report),
        "last_lag": last,
        "kept_free": kept.count("without clipping"),
        "kept_clipped": kept.count("with clipping"),
    }


def _not_the_sigmoid(report: Any) -> Numbers:
    rates = {
        f"{point['activation']}_at_{point['gain']:g}".replace(".", "_"): point["decades_per_step"]
        for point in report.points
    }
    return {**_judged(report), **rates}


def _transient(report: Any) -> Numbers:
    found = report.nonnormality
    return {
        "status": report.verdict.status,
        "radius": report.spectrum.spectral_radius,
        "norm": report.spectrum.spectral_norm,
        "peak": 10.0**found.log10_peak,
        "peak_step": found.peak_step,
        "henrici": found.henrici_departure,
    }


def _largest(report: Any) -> Numbers:
    return {"log10_largest": report.singular_values.log10[0]}


def _one_step(report: Any) -> Numbers:
    return {
        "radius": report.spectrum.spectral_radius,
        "norm": report.spectrum.spectral_norm,
        "growth": 10.0 ** report.singular_values.log10[0],
    }


def _three_ends(report: Any) -> Numbers:
    first, second = report.state_norms.final_state[0]
    spectrum = report.spectrum
    return {
        "radius": spectrum.spectral_radius,
        "norm": spectrum.spectral_norm,
        "first": first,
        "second": second,
    }


def _directions(report: Any) -> Numbers:
    log10 = report.singular_values.log10
    return {"largest": log10[0], "median": float(np.median(log10)), "smallest": log10[-1]}


def _horizons(report: Any) -> Numbers:
    keys = {BY_DEFAULT: "default", ORTHOGONAL: "orthogonal", IDENTITY: "identity", LINEAR: "linear"}
    found: dict[str, Any] = {}
    for row in report.rows:
        norms = report.diagnoses[row.name].gradient_norms.log10_norm
        found[f"{keys[row.name]}_status"] = row.status
        found[f"{keys[row.name]}_horizon"] = row.horizon_steps
        found[f"{keys[row.name]}_change"] = norms[-1] - norms[0]
    return found


def _solved(report: Any) -> Numbers:
    return {"solved": report.policies[0].solved, "runs": report.policies[0].runs}


def _clipping(report: Any) -> Numbers:
    names = ("factor", "cosine", "horizon_before", "horizon_after")
    return {name: getattr(report.clipping, name) for name in names}


def _critical(report: Any) -> Numbers:
    return {"critical_weight_variance": report.critical_weight_variance, "chi_1": report.chi_1}


READINGS: Mapping[str, Callable[[Any], Numbers]] = {
    "clipping-symptom": _clipping_symptom,
    "depth-ten": _depth_ten,
    "not-the-sigmoid": _not_the_sigmoid,
}
"""Claims of which the page shows points of the chart too."""

QUESTIONS: Mapping[str, Question] = {
    **{name: Question(CLAIM_PATH + name, {}, READINGS.get(name, _judged), chart=name) for name in CLAIMS},
    "transient": Question(
        "/v1/diagnoses",
        {
            "network": {"cell": "linear", "weights": CHAIN},
            "depth": 1000,
            "diagnostics": ["spectrum", "nonnormality", "gradient_norms"],
        },
        _transient,
        chart="gradient_norms",
    ),
    "transient-before": Question("/v1/diagnoses", _chain_at(441), _largest),
    "transient-after": Question("/v1/diagnoses", _chain_at(442), _largest),
    "one-step": Question(
        "/v1/diagnoses",
        {
            "network": {"cell": "rnn", "activation": "tanh", "weights": ONE_STEP},
            "depth": 1,
            "initial_state": {"kind": "zeros"},
            "diagnostics": ["spectrum", "singular_values"],
        },
        _one_step,
    ),
    "three-ends": Question(
        "/v1/diagnoses",
        {
            "network": {"cell": "rnn", "activation": "tanh", "weights": THREE_ENDS},
            "depth": 1000,
            "initial_state": {"kind": "values", "values": [1.0, 1.0]},
            "diagnostics": ["spectrum", "state_norms"],
        },
        _three_ends,
    ),
    "sigmoid-critical": Question(
        "/v1/mean-fields", {"activation": "sigmoid", "weight_variance": 16.0}, _critical
    ),
    "gaussian-layers": Question("/v1/diagnoses", _layers("gaussian"), _directions),
    "orthogonal-layers": Question("/v1/diagnoses", _layers("orthogonal"), _directions),
    "latch-adam": Question("/v1/descents", _latch(10, ADAM), _solved),
    "latch-orthogonal": Question("/v1/descents", _latch(10, SGD, "orthogonal"), _solved),
    "latch-identity": Question("/v1/descents", _latch(10, SGD, "identity"), _solved),
    "latch-adam-20": Question("/v1/descents", _latch(20, ADAM), _solved),
    "latch-orthogonal-20": Question("/v1/descents", _latch(20, SGD, "orthogonal"), _solved),
    "latch-identity-20": Question("/v1/descents", _latch(20, SGD, "identity"), _solved),
    "orthogonal": Question(
        "/v1/diagnoses",
        {
            "network": {"cell": "linear", "weights": _ensemble("orthogonal")},
            "depth": 1_000_000,
            "diagnostics": ["singular_values"],
        },
        _directions,
    ),
    "initialisations": Question(
        "/v1/comparisons",
        {
            "networks": NETWORKS,
            "depth": 1000,
            "inputs": {"kind": "gaussian", "std": 1.0, "batch": 4},
            "diagnostics": ["gradient_norms"],
        },
        _horizons,
        chart="comparison",
    ),
    "clipped-by-norm": Question("/v1/diagnoses", _clipped({"kind": "norm", "threshold": 1.0}), _clipping),
    "clipped-by-value": Question("/v1/diagnoses", _clipped({"kind": "value", "threshold": 0.01}), _clipping),
    "overshoot-threshold": Question(CLAIM_PATH + "overshoot", {"cliff_threshold": 0.1}, _judged),
    "lstm-as-pytorch": Question(CLAIM_PATH + "lstm", {"forget_bias": 0.0}, _judged),
    "lstm-chrono": Question(CLAIM_PATH + "lstm", {"forget_bias": 5.7}, _judged),
}
"""Name on the page -> question, in the order of the page."""
