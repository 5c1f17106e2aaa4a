"""Stacks of linear layers: nn.Sequential (`net.0`, `net.2`), `fc1`, `fc2`, Flax's `Dense_0`, Keras's `dense_1`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ..layer import Layer, Misfit, Refusal
from ..modules import Modules, Path, dotted
from ..weight import Weight
from ._family import Found, check_shape, refusal

_ASSUMED = "activation relu after every layer, the last one included: the file does not say"


@dataclass(frozen=True)
class _Linear:
    name: str
    index: int
    weight: Weight
    bias: Weight | None

    @property
    def parts(self) -> list[Weight]:
        return [self.weight, *([self.bias] if self.bias is not None else [])]


def linear_stacks(found: Found) -> Iterator[Layer | Refusal]:
    """Recognise two or more numbered linear layers of one module, each as wide as the one before it."""
    stacks: dict[tuple[Path, str], list[_Linear]] = {}
    for path in found.modules:
        for key, linear in _linears(path, found.modules[path]):
            stacks.setdefault(key, []).append(linear)
    for (path, stem), linears in stacks.items():
        linears.sort(key=lambda linear: linear.index)
        parts = [part for linear in linears for part in linear.parts]
        try:
            yield _stack(path, stem, linears, found.modules)
        except Misfit as misfit:
            yield refusal(parts, misfit)


def _linears(path: Path, leaves: Mapping[str, Weight]) -> Iterator[tuple[tuple[Path, str], _Linear]]:
    """The linear map of a module, as (out, in), under the name that it shares with others."""
    forms = (
        (path, leaves.get("weight"), False, leaves.get("bias")),
        (path, leaves.get("kernel"), True, leaves.get("bias")),
        (path[:-1], leaves.get("0") if path[-1:] == ("vars",) else None, True, leaves.get("1")),
    )
    for place, weight, is_transposed, bias in forms:
        if weight is None or len(weight.shape) != 2 or not place:
            continue
        match = re.fullmatch(r"(.*?)_?(\d+)", place[-1]) or (
            place[-1] == "dense" and re.match("(dense)", "dense")
        )
        if not match:
            continue
        index = int(match[2]) if match.re.groups == 2 else 0
        matrix = weight.T if is_transposed else weight
        yield (place[:-1], match[1]), _Linear(dotted(place), index, matrix, bias)


def _stack(path: Path, stem: str, linears: list[_Linear], modules: Modules) -> Layer:
    name = dotted((*path, stem) if stem else path) or "stack"
    if len(linears) < 2:
        raise Misfit("is a linear map by itself: there is no depth to carry a gradient through")
    for before, after in pairwise(linears):
        if after.weight.shape[1] != before.weight.shape[0]:
            raise Misfit(
                f"{after.name} takes {after.weight.shape[1]} numbers and {before.name} gives {before.weight.shape[0]}: "
                "these linear maps do not follow one another"
            )
    between = _normalisation(path, stem, linears, modules)
    if between:
        raise Misfit(f"{between} normalises between the linear maps of {name}, which no cell here does")
    for linear in linears:
        if linear.bias is not None:
            check_shape(f"the bias of {linear.name}", linear.bias, linear.weight.shape[0])
    parameters = {"layers": [linear.weight for linear in linears], "activation": "relu"}
    if all(linear.bias is not None for linear in linears):
        parameters["biases"] = [linear.bias for linear in linears if linear.bias is not None]
    elif any(linear.bias is not None for linear in linears):
        raise Misfit(f"some linear maps of {name} have a bias and some have none")
    return Layer(name, "linear stack", "feedforward", parameters, assumptions={"activation": _ASSUMED})


def _normalisation(path: Path, stem: str, linears: list[_Linear], modules: Modules) -> str | None:
    """Return the module with one weight a unit that stands between two of the linear maps."""
    first, last = linears[0].index, linears[-1].index
    for other in modules:
        if len(other) != len(path) + 1 or other[:-1] != path or not other[-1].startswith(stem):
            continue
        number = other[-1][len(stem) :].lstrip("_")
        weight = modules[other].get("weight")
        if number.isdigit() and first < int(number) < last and weight is not None and len(weight.shape) == 1:
            return dotted(other)
    return None
