"""Diagonal state-space layers: LRU, S4D, S5, and Mamba where the request gives a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..layer import Layer, Misfit, Refusal
from ..modules import Path
from ..weight import Array, Weight, combined
from ._family import Found, check_shape, layer_name, refusal

_Build = Callable[[Path, Mapping[str, Weight], float | None], Layer]

_UNDRIVEN = "only the recurrence is looked at: what drives it does not change how far a gradient reaches"


def state_space(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise diagonal recurrences by the names of their parameters."""
    for path in found.modules:
        leaves = found.modules[path]
        for names, build in _FORMS:
            if not names <= set(leaves):
                continue
            parts = {name: leaves[name] for name in names}
            override = found.overrides.get(layer_name(path))
            try:
                yield build(path, parts, None if override is None else override.step)
            except Misfit as misfit:
                yield refusal(parts, misfit)
            break


def _layer(path: Path, framework: str, parameters: Mapping[str, object], **more: str) -> Layer:
    return Layer(
        layer_name(path), framework, "diagonal", parameters, assumptions={"drive": _UNDRIVEN, **more}
    )


def _flat(weight: Weight) -> Weight:
    count = int(np.prod(weight.shape))
    return weight.made((count,), np.ravel)


def _lru(path: Path, parts: Mapping[str, Weight], step: float | None) -> Layer:
    check_shape("theta_log", parts["theta_log"], *parts["nu_log"].shape)
    modes = {name: _flat(parts[name]) for name in ("nu_log", "theta_log")}
    return _layer(path, "lru", {"lru": modes})


def _s4d(real: str) -> _Build:
    def build(path: Path, parts: Mapping[str, Weight], step: float | None) -> Layer:
        """A = -exp(log real) + i imaginary, (H, N); one step a channel, (H,)."""
        rates, angles, steps = parts[real], parts["A_imag"], parts["log_dt"]
        check_shape("A_imag", angles, *rates.shape)
        if len(rates.shape) != 2 or steps.shape not in ((rates.shape[0],), (rates.shape[0], 1)):
            raise Misfit(f"log_dt is {list(steps.shape)}, which does not fit {real} {list(rates.shape)}")
        count = int(np.prod(rates.shape))
        A = combined([rates, angles], (count,), lambda a, b: np.ravel(-np.exp(a) + 1j * b))
        if step is None:
            times = steps.made((count,), lambda dt: np.repeat(np.exp(np.ravel(dt)), rates.shape[1]))
        else:
            times = Weight((count,), (), lambda: np.full(count, step))
        says = "zero-order hold for the discretization, S4D's default"
        return _layer(path, "s4d", {"s4d": {"A": A, "step": times}}, discretization=says)

    return build


def _s5(path: Path, parts: Mapping[str, Weight], step: float | None) -> Layer:
    """Lambda = re + i im, (P,), and one step a mode."""
    real, imaginary, steps = parts["Lambda_re"], parts["Lambda_im"], parts["log_step"]
    check_shape("Lambda_re", real, None)
    check_shape("Lambda_im", imaginary, *real.shape)
    (count,) = real.shape
    if steps.shape not in ((count,), (count, 1)):
        raise Misfit(f"log_step is {list(steps.shape)}, which does not fit Lambda_re [{count}]")
    A = combined([real, imaginary], (count,), lambda a, b: a + 1j * b)
    times = (
        steps.made((count,), lambda dt: np.exp(np.ravel(dt)))
        if step is None
        else Weight((count,), (), lambda: np.full(count, step))
    )
    says = "zero-order hold for the discretization, S5's default"
    return _layer(path, "s5", {"s4d": {"A": A, "step": times}}, discretization=says)


def _mamba(path: Path, parts: Mapping[str, Weight], step: float | None) -> Layer:
    """A = -exp(A_log); the step follows from the input, so that one has to be given."""
    if step is None:
        raise Misfit(
            f"A_log of {layer_name(path)} makes decays exp(-exp(A_log) dt) with a dt that follows from every input "
            "(Mamba): no decay is in the file; give the layer a `step`, or send decays as a network of cell diagonal"
        )
    rates = _flat(parts["A_log"])
    count = rates.shape[0]

    def continuous(a: Array) -> Array:
        return np.asarray(-np.exp(a) + 0j)

    modes = {
        "A": rates.made((count,), continuous),
        "step": Weight((count,), (), lambda: np.full(count, step)),
    }
    return _layer(
        path, "mamba", {"s4d": modes}, step=f"a step of {step:g} for every input, as the request says"
    )


def _griffin(path: Path, parts: Mapping[str, Weight], step: float | None) -> Layer:
    raise Misfit(
        f"a_param of {layer_name(path)} makes decays that follow from every input (RG-LRU): none is in the file; send "
        "decays as a network of cell diagonal"
    )


_FORMS: tuple[tuple[frozenset[str], _Build], ...] = (
    (frozenset({"nu_log", "theta_log"}), _lru),
    (frozenset({"log_A_real", "A_imag", "log_dt"}), _s4d("log_A_real")),
    (frozenset({"A_real_log", "A_imag", "log_dt"}), _s4d("A_real_log")),
    (frozenset({"Lambda_re", "Lambda_im", "log_step"}), _s5),
    (frozenset({"A_log"}), _mamba),
    (frozenset({"a_param"}), _griffin),
)
"""Names of parameters -> how they make eigenvalues; the first that are all there."""
