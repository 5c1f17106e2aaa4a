"""Measure the table: ordinary requests through the public client."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from functools import partial

import numpy as np

import gradhorizon
from gradhorizon import Client, Diagnosis

from .networks import FIRST_SEED, INPUTS, LAYERS, SWEEP_FIRST_SEED, Json, Layer, with_forget_bias
from .record import Record, Row, Settings, Swept, Theory, rounded

FURTHER_SEEDS = 25
SWEEP_SIZE = 64
Say = Callable[[str], None]


def request(network: Json, seed: int, settings: Settings, **more: object) -> Json:
    """The request of a table's row: one sequence of unit-normal inputs, the leading exponent, the gradient by lag."""
    return {
        "network": network,
        "depth": settings.depth,
        "burn_in": settings.burn_in,
        "inputs": {"kind": "gaussian", "batch": 1},
        "diagnostics": ["lyapunov", "gradient_norms", *(["spectrum"] if network["cell"] == "rnn" else [])],
        "leading": 1,
        "lags": list(range(settings.curve_lags + 1)),
        "seed": seed,
        **more,
    }


def measured(
    client: Client, sizes: Collection[int], biases: Iterable[float], settings: Settings, say: Say
) -> Record:
    """Every row at the sizes asked for, a sweep over forget biases, and the theory."""
    wall, cpu = time.perf_counter(), time.process_time()
    cells = [(layer, size) for size in sizes for layer in LAYERS if size in layer.sizes]
    rows = []
    for layer, size in cells:
        rows.append(measured_row(client, layer, size, settings))
        say(f"{layer.name}, H = {size}: {rows[-1].mean:+.3f} +- {rows[-1].spread:.3f}")
    sweep = []
    for bias in biases:
        sweep.append(swept(client, bias, settings))
        say(f"forget bias {bias:g}, H = {SWEEP_SIZE}: horizons {sweep[-1].horizons}")
    return Record(
        settings=settings,
        rows=rows,
        sweep=sweep,
        theory=[theory(client, name, size) for size in sizes for name in _VARIANCES],
        engine_version=gradhorizon.__version__,
        seconds=round(time.perf_counter() - wall),
        cpu_seconds=round(time.process_time() - cpu),
    )


def measured_row(client: Client, layer: Layer, size: int, settings: Settings) -> Row:
    """One network at one size, on every seed."""
    first = FIRST_SEED[layer.name]
    seeds = range(first, first + settings.seeds)
    reports = [client.diagnose(request(layer.network(size, seed), seed, settings)) for seed in seeds]
    norms = np.array([found.log10_norm for report in reports if (found := report.gradient_norms) is not None])
    spectra = [report.spectrum for report in reports if report.spectrum is not None]
    return Row(
        network=layer.name,
        hidden_size=size,
        first_seed=first,
        exponents=[_exponent(report) for report in reports],
        horizons=[report.horizon.steps for report in reports],
        directions=[report.horizon.direction for report in reports],
        spectral_radii=[rounded(found.spectral_radius) for found in spectra] or None,
        spectral_norms=[rounded(found.spectral_norm) for found in spectra] or None,
        curve=[rounded(value, 3) for value in np.median(norms - norms[:, :1], axis=0)],
    )


def with_further_seeds(client: Client, row: Row, settings: Settings) -> Row:
    """The same row with the exponents of seeds that it did not have."""
    layer = next(layer for layer in LAYERS if layer.name == row.network)
    first = row.first_seed + settings.seeds
    seeds = range(first, first + FURTHER_SEEDS)
    asked = partial(request, settings=settings, diagnostics=["lyapunov"], lags=None)
    reports = [client.diagnose(asked(layer.network(row.hidden_size, seed), seed)) for seed in seeds]
    return row.model_copy(update={"further_exponents": [_exponent(report) for report in reports]})


def swept(client: Client, bias: float, settings: Settings) -> Swept:
    """Horizons of PyTorch's LSTM at one forget bias."""
    asked = partial(request, settings=settings, diagnostics=["gradient_norms"])
    seeds = range(SWEEP_FIRST_SEED, SWEEP_FIRST_SEED + settings.seeds)
    found = [client.diagnose(asked(with_forget_bias(bias, SWEEP_SIZE, seed), seed)).horizon for seed in seeds]
    return Swept(
        forget_bias=bias,
        horizons=[horizon.steps for horizon in found],
        directions=[horizon.direction for horizon in found],
    )


_VARIANCES: dict[str, Callable[[int], tuple[float, float]]] = {
    # Uniform up to 1/sqrt(H): 1/(3H) an entry, for the weights, every unit-normal input and both biases.
    "PyTorch RNN, tanh": lambda H: (1.0 / 3.0, (INPUTS + 2) / (3.0 * H)),
    # Orthogonal: 1/H an entry. Glorot: 2/(H + 8) an entry.
    "Keras SimpleRNN": lambda H: (1.0, 2.0 * INPUTS / (H + INPUTS)),
}


def theory(client: Client, name: str, size: int) -> Theory:
    """What POST /v1/mean-fields says about a plain recurrent layer, inputs counting as a bias."""
    weights, biases = _VARIANCES[name](size)
    found = client.mean_field(activation="tanh", weight_variance=weights, bias_variance=biases)
    return Theory(
        network=name,
        hidden_size=size,
        weight_variance=rounded(weights),
        bias_variance=rounded(biases),
        chi_1=rounded(found.chi_1),
        growth_rate=rounded(found.growth_rate),
    )


def _exponent(report: Diagnosis) -> float:
    assert report.lyapunov is not None
    return rounded(report.lyapunov.exponents[0])
