"""What Flax saves is recognised as what Flax runs, linen's cells and NNX's: states and gradients, from its own file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import linen, nnx, serialization, traverse_util

from roundtrips import BATCH, SIZE, STEPS, WIDTH, Array, Theirs, assert_same, entries, surveyed

INPUTS = entries(1, STEPS, BATCH, WIDTH)
Tree = Mapping[str, Any]
Step = Callable[[Tree, Any, Any], tuple[Any, Any]]
"""Parameters, carry and inputs -> the next carry, and h."""


@pytest.fixture(autouse=True)
def _double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def linen_cell(make: Callable[[], linen.RNNCellBase], name: str) -> tuple[Tree, Step]:
    """Parameters as linen nests them, inside of what holds the cell, and its step."""
    cell = make()
    shapes = jax.eval_shape(cell.init, jax.random.key(0), carry_of(parts_of(cell)), INPUTS[0])
    return {"params": {name: shapes["params"]}}, lambda tree, carry, x: cell.apply(
        {"params": tree["params"][name]}, carry, x
    )


def nnx_cell(make: Callable[[nnx.Rngs], nnx.Module], name: str) -> tuple[Tree, Step]:
    """Parameters as NNX nests them, and its step."""
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, parameters, rest = nnx.split(abstract, nnx.Param, ...)

    def step(tree: Tree, carry: Any, x: Any) -> tuple[Any, Any]:
        filled = nnx.State(parameters)
        nnx.replace_by_pure_dict(filled, tree[name])
        return nnx.merge(graph, filled, rest)(carry, x)

    return {name: nnx.to_pure_dict(parameters)}, step


def parts_of(cell: linen.RNNCellBase) -> int:
    """How many arrays it carries."""
    return 2 if "LSTM" in type(cell).__name__ else 1


def carry_of(count: int) -> Any:
    """(c, h) where there are two."""
    parts = [entries(10 + k, BATCH, SIZE) for k in range(count)]
    return tuple(parts) if count > 1 else parts[0]


CELLS: Mapping[str, tuple[Callable[[], tuple[Tree, Step]], int, dict[str, Any]]] = {
    "linen LSTMCell": (lambda: linen_cell(lambda: linen.LSTMCell(SIZE), "cell"), 2, {}),
    "linen OptimizedLSTMCell": (lambda: linen_cell(lambda: linen.OptimizedLSTMCell(SIZE), "cell"), 2, {}),
    "linen GRUCell": (lambda: linen_cell(lambda: linen.GRUCell(SIZE), "GRUCell_0"), 1, {}),
    "linen SimpleCell": (lambda: linen_cell(lambda: linen.SimpleCell(SIZE), "cell"), 1, {}),
    "linen SimpleCell relu": (
        lambda: linen_cell(lambda: linen.SimpleCell(SIZE, activation_fn=linen.relu), "cell"),
        1,
        {"activation": "relu"},
    ),
    "linen MGUCell": (lambda: linen_cell(lambda: linen.MGUCell(SIZE), "cell"), 1, {"tied": True}),
    "nnx LSTMCell": (lambda: nnx_cell(lambda rngs: nnx.LSTMCell(WIDTH, SIZE, rngs=rngs), "cell"), 2, {}),
    "nnx OptimizedLSTMCell": (
        lambda: nnx_cell(lambda rngs: nnx.OptimizedLSTMCell(WIDTH, SIZE, rngs=rngs), "cell"),
        2,
        {},
    ),
    "nnx GRUCell": (lambda: nnx_cell(lambda rngs: nnx.GRUCell(WIDTH, SIZE, rngs=rngs), "cell"), 1, {}),
    "nnx SimpleCell": (
        lambda: nnx_cell(lambda rngs: nnx.SimpleCell(WIDTH, SIZE, dtype=np.float64, rngs=rngs), "cell"),
        1,
        {},
    ),
}
"""Cell -> how Flax makes it and keeps its parameters, the parts of its carry, and what has to be said of it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """Parameters, their gradients, and the cell as Flax runs it."""

    parameters: Tree
    gradients: Tree
    theirs: Theirs


@cache
def trained(name: str) -> Trained:
    make, count, _ = CELLS[name]
    shapes, step = make()
    leaves, nested = jax.tree.flatten(shapes)
    parameters = nested.unflatten([entries(30 + k, *leaf.shape, scale=0.5) for k, leaf in enumerate(leaves)])
    start, cotangent = carry_of(count), entries(20, BATCH, SIZE)

    def loss(parameters: Tree, start: Any) -> tuple[Any, Any]:
        _, states = jax.lax.scan(lambda carry, x: step(parameters, carry, x), start, INPUTS)
        return (states[-1] * cotangent).sum(), states

    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    (of_parameters, of_start), states = gradient(parameters, start)
    theirs = Theirs(side_by_side(start), np.asarray(states), cotangent, side_by_side(of_start))
    return Trained(parameters, jax.tree.map(np.asarray, of_parameters), theirs)


def side_by_side(carry: Any) -> Array:
    """(h, c), where Flax carries (c, h)."""
    return np.concatenate(carry[::-1], axis=1) if isinstance(carry, tuple) else np.asarray(carry)


def msgpack(tree: Tree, path: Path) -> None:
    path.write_bytes(serialization.to_bytes(tree))


def npz(tree: Tree, path: Path) -> None:
    np.savez(path, **traverse_util.flatten_dict(tree, sep="/"))


SAVE: Mapping[str, Callable[[Tree, Path], None]] = {"msgpack": msgpack, "npz": npz}


def saved(tree: Tree, path: Path) -> Path:
    SAVE[path.suffix.removeprefix(".")](tree, path)
    return path


@pytest.mark.parametrize("suffix", SAVE)
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_has_the_states_and_gradients_that_flax_gives_it(
    name: str, suffix: str, tmp_path: Path
) -> None:
    one = trained(name)
    path = saved(one.parameters, tmp_path / f"model.{suffix}")
    gradients = saved(one.gradients, tmp_path / f"gradients.{suffix}")
    (found,) = surveyed(path)[1].layers
    assert_same(path, INPUTS, {found.name: one.theirs}, gradients, **CELLS[name][2])


def test_a_simple_cell_says_that_no_residual_is_assumed(tmp_path: Path) -> None:
    path = saved(trained("linen SimpleCell").parameters, tmp_path / "model.msgpack")
    (found,) = surveyed(path)[1].layers
    assert any("no residual" in says for says in found.assumptions)


def test_a_minimal_cell_without_reset_is_refused(tmp_path: Path) -> None:
    tree, _ = linen_cell(lambda: linen.MGUCell(SIZE, reset_gate=False), "cell")
    path = saved(jax.tree.map(lambda leaf: np.ones(leaf.shape), tree), tmp_path / "model.msgpack")
    found = surveyed(path)[1]
    assert not found.layers
    assert any("reset" in reason for reason in found.skipped.values())
