"""Weights that a framework keeps as something else: normalised, bounded, orthogonal or pruned ones, put together again.

Everything is what PyTorch computes in evaluation mode (`torch.nn.utils.parametrizations`, and the older functions of
`torch.nn.utils`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from scipy import linalg

from .layer import Misfit, Refusal
from .modules import Modules, Path, dotted
from .weight import Array, Weight, combined

ORTHOGONAL_MAPS = ("matrix_exp", "cayley", "householder")
_AGREE = 1e-9


def reassembled(
    modules: Modules, orthogonal_map: str | None
) -> tuple[Modules, list[Refusal], dict[str, str]]:
    """Return the modules with each re-parametrised weight in its place, refusals, and what was done by weight."""
    refusals: list[Refusal] = []
    done: dict[str, str] = {}
    for path, name, parts in [*_parametrizations(modules), *_older(modules)]:
        whole = dotted((*path, name))
        try:
            form = _form(parts)
            weight = _FORMS[form](parts, whole, orthogonal_map)
        except Misfit as misfit:
            refusals.append(Refusal(_names(parts), str(misfit)))
            continue
        modules.put(path, name, weight)
        done[whole] = f"{whole}: put together from its {_CALLED[form]}"
    taken = {name for refusal in refusals for name in refusal.names}
    return _without_parts(modules).without(taken), refusals, done


def _parametrizations(modules: Modules) -> list[tuple[Path, str, dict[str, Weight]]]:
    """The newer form: `parametrizations.NAME.original...` below the module, and buffers of each step in `.0`, `.1`."""
    found: dict[tuple[Path, str], dict[str, Weight]] = {}
    for path in modules:
        if "parametrizations" not in path[:-1]:
            continue
        at = path.index("parametrizations")
        inner = path[at + 2 :]
        for leaf, weight in modules[path].items():
            key = (path[:at], path[at + 1])
            found.setdefault(key, {})[".".join((*inner, leaf))] = weight
    return [(path, name, parts) for (path, name), parts in found.items()]


_OLDER = {"_g": "original0", "_v": "original1", "_orig": "original", "_u": "0._u", "_mask": "mask"}


def _older(modules: Modules) -> list[tuple[Path, str, dict[str, Weight]]]:
    """The older form: `NAME_g` and `NAME_v`, or `NAME_orig` with `NAME_u` and `NAME_v`, or with `NAME_mask`."""
    found = []
    for path in modules:
        if "parametrizations" in path:
            continue
        leaves = modules[path]
        for leaf in leaves:
            match = re.fullmatch(r"(.+)_(g|orig)", leaf)
            if match is None or (match[2] == "g" and f"{match[1]}_v" not in leaves):
                continue
            name = match[1]
            parts = {part: leaves[name + end] for end, part in _OLDER.items() if name + end in leaves}
            if match[2] == "orig" and "original1" in parts:
                parts["0._v"] = parts.pop("original1")
            found.append((path, name, parts))
    return found


def _without_parts(modules: Modules) -> Modules:
    """Leave out the pieces whose whole has been put together: they have found their place."""
    kept: dict[Path, dict[str, Weight]] = {}
    for path, inside in modules.weights.items():
        if "parametrizations" in path[:-1]:
            continue
        kept[path] = {leaf: weight for leaf, weight in inside.items() if not _is_part(leaf, inside)}
    return Modules(kept, modules.skipped, modules.stripped)


def _is_part(leaf: str, inside: Mapping[str, Weight]) -> bool:
    match = re.fullmatch(r"(.+)(_g|_v|_u|_orig|_mask)", leaf)
    if match is None or match[1] not in inside:
        return False
    return len(inside[match[1]].names) > 1 and set(inside[leaf].names) <= set(inside[match[1]].names)


def _names(parts: Mapping[str, Weight]) -> tuple[str, ...]:
    return tuple(name for weight in parts.values() for name in weight.names)


_CALLED = {
    "weight_norm": "magnitude and direction (weight_norm)",
    "spectral_norm": "original and singular vectors (spectral_norm)",
    "orthogonal": "original and base (orthogonal)",
    "pruned": "original and mask (pruning)",
}


def _form(parts: Mapping[str, Weight]) -> str:
    found = frozenset(parts)
    if found in _BY_PARTS:
        return _BY_PARTS[found]
    raise Misfit(
        f"is a re-parametrised weight kept as {', '.join(sorted(parts))}, which is none of {', '.join(_FORMS)}; "
        "remove the parametrization before saving (torch.nn.utils.parametrize.remove_parametrizations)"
    )


_BY_PARTS = {
    frozenset({"original0", "original1"}): "weight_norm",
    frozenset({"original", "0._u", "0._v"}): "spectral_norm",
    frozenset({"original", "0.base"}): "orthogonal",
    frozenset({"original", "mask"}): "pruned",
}


def _weight_norm(parts: Mapping[str, Weight], whole: str, _: str | None) -> Weight:
    """g v / ||v||, the norm over every axis along which g has one entry."""
    magnitude, direction = parts["original0"], parts["original1"]
    shape = direction.shape
    if magnitude.shape not in ((), *_kept_shapes(shape)):
        raise Misfit(f"{whole}: a magnitude {list(magnitude.shape)} does not fit a direction {list(shape)}")

    def put(g: Array, v: Array) -> Array:
        axes = tuple(axis for axis in range(v.ndim) if g.ndim == 0 or g.shape[axis] == 1)
        norm = np.sqrt(np.sum(v * v, axis=axes, keepdims=True))
        return np.asarray(g * (v / norm))

    return combined([magnitude, direction], shape, put)


def _kept_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    ones = (1,) * len(shape)
    return [ones, *((*ones[:axis], length, *ones[axis + 1 :]) for axis, length in enumerate(shape))]


def _spectral_norm(parts: Mapping[str, Weight], whole: str, _: str | None) -> Weight:
    """W / sigma with sigma = u^T W v, the vectors as they were last iterated."""
    original, u, v = parts["original"], parts["0._u"], parts["0._v"]
    if len(original.shape) != 2 or (*u.shape, *v.shape) != original.shape:
        raise Misfit(
            f"{whole}: singular vectors {list(u.shape)} and {list(v.shape)} do not fit {list(original.shape)}"
        )
    return combined([original, u, v], original.shape, lambda W, left, right: W / (left @ W @ right))


def _pruned(parts: Mapping[str, Weight], whole: str, _: str | None) -> Weight:
    original, mask = parts["original"], parts["mask"]
    if mask.shape != original.shape:
        raise Misfit(f"{whole}: a mask {list(mask.shape)} does not fit {list(original.shape)}")
    return combined([original, mask], original.shape, np.multiply)


def _orthogonal(parts: Mapping[str, Weight], whole: str, chosen: str | None) -> Weight:
    """base Q(X), or its transpose for a wide matrix: Q is one of three maps, and the file does not say which.

    As long as nothing was trained they agree. Afterwards the request has to say it.
    """
    original, base = parts["original"], parts["0.base"]
    rows, columns = original.shape if len(original.shape) == 2 else (0, 0)
    if base.shape != (max(rows, columns),) * 2:
        raise Misfit(f"{whole}: a base {list(base.shape)} does not fit {list(original.shape)}")
    if chosen is None:
        X = original.read()
        tall = X if rows >= columns else X.T
        found = [_MAPS[name](tall) for name in ORTHOGONAL_MAPS]
        if max(float(np.abs(Q - found[0]).max()) for Q in found) > _AGREE:
            raise Misfit(
                f"{whole} is an orthogonal parametrization whose map (matrix_exp, cayley or householder) is not in the "
                "file, and they differ here; say it with `orthogonal_map`, or remove the parametrization before saving"
            )
        chosen = ORTHOGONAL_MAPS[0]
    map_ = _MAPS[chosen]

    def put(X: Array, start: Array) -> Array:
        return start @ map_(X) if rows >= columns else (start @ map_(X.T)).T

    return combined([original, base], original.shape, put)


def _skew(X: Array) -> Array:
    """The skew-symmetric matrix of the lower triangle of a tall X."""
    n, k = X.shape
    lower = np.tril(X) if n == k else np.hstack([np.tril(X), np.zeros((n, n - k))])
    return lower - lower.T


def _matrix_exp(X: Array) -> Array:
    return np.asarray(linalg.expm(_skew(X)))[:, : X.shape[1]]


def _cayley(X: Array) -> Array:
    half, unit = _skew(X) / 2.0, np.eye(len(X))
    return np.asarray(np.linalg.solve(unit - half, unit + half))[:, : X.shape[1]]


def _householder(X: Array) -> Array:
    """Columns of the product of the reflections that the lower triangle holds, times the signs on the diagonal."""
    n, k = X.shape
    Q = np.eye(n, k)
    vectors = np.tril(X, -1)
    scales = 2.0 / (1.0 + np.sum(vectors * vectors, axis=0))
    for i in reversed(range(k)):
        v = vectors[:, i].copy()
        v[i] = 1.0
        Q -= scales[i] * np.outer(v, v @ Q)
    return np.asarray(Q * np.trunc(np.diagonal(X)))


_MAPS: Mapping[str, Callable[[Array], Array]] = {
    "matrix_exp": _matrix_exp,
    "cayley": _cayley,
    "householder": _householder,
}

_FORMS: Mapping[str, Callable[[Mapping[str, Weight], str, str | None], Weight]] = {
    "weight_norm": _weight_norm,
    "spectral_norm": _spectral_norm,
    "orthogonal": _orthogonal,
    "pruned": _pruned,
}
