"""Record what optax and Keras make of gradients, eagerly and compiled, ordinary and extreme, in every format.

    python record_clipping.py            writes clipping.truth.json beside this file
    python record_clipping.py --check    changes nothing; exits 1 where the file and the frameworks no longer agree

Needs optax, JAX and Keras, in an environment of their own: `pip install optax jax keras`. The file holds the gradients
too, so that the tests that rest on it need none of them. Numbers that JSON has no name for are texts: "nan", "inf".

No case has a float32 below 1.2e-38 in it: XLA flushes those to zero on a CPU, which is no property of the frameworks.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import jax
import jax.numpy as jnp
import keras
import numpy as np
import optax

jax.config.update("jax_enable_x64", True)  # the only way JAX holds a float64

PATH = Path(__file__).with_name("clipping.truth.json")
Gradients = dict[str, Any]

DTYPES = {"float16": jnp.float16, "bfloat16": jnp.bfloat16, "float32": jnp.float32, "float64": jnp.float64}
THRESHOLDS = (0.0, 0.5, 10.0)


def normal(seed: int, size: int, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal(size)


CASES: Mapping[str, Mapping[str, np.ndarray]] = {
    "ordinary": {"a": normal(0, 6), "b": normal(1, 3)},
    "small": {"a": normal(2, 6, 1e-3), "b": normal(3, 3, 1e-4)},
    "large": {"a": normal(4, 6, 100.0), "b": normal(5, 3, 3.0)},
    "tensors of very different sizes": {"a": normal(6, 6, 50.0), "b": normal(7, 3, 1e-4)},
    "three tensors": {"a": normal(8, 4), "b": normal(9, 4, 4.0), "c": normal(10, 4, 0.1)},
    "on the threshold": {"a": np.array([0.3, 0.4])},
    "squares beyond float16": {"a": normal(11, 6, 400.0), "b": np.ones(2)},
    "sum of squares beyond float16": {"a": np.full(6, 150.0), "b": np.ones(2)},
    "squares below float16": {"a": normal(12, 6, 1e-4)},
    "squares subnormal in float16": {"a": normal(13, 6, 3e-3)},
    "beyond float16": {"a": np.array([1.0, 7e4, -2.0]), "b": np.ones(2)},
    "squares beyond float32": {"a": np.full(6, 1e20), "b": np.ones(3)},
    "sum of squares beyond float32": {"a": np.full(6, 1e19), "b": np.ones(3)},
    "squares below float32": {"a": np.full(6, 1e-30)},
    "squares beyond float64": {"a": np.array([1.0, 1e300, -1.0])},
    "squares below float64": {"a": np.array([1e-200, -2e-200])},
    "an infinity": {"a": np.array([1.0, np.inf, -1.0]), "b": np.ones(2)},
    "a negative infinity": {"a": np.array([1.0, -np.inf, -1.0]), "b": 3.0 * np.ones(2)},
    "a NaN": {"a": np.array([1.0, np.nan, -1.0]), "b": np.ones(2)},
    "zero": {"a": np.zeros(3)},
    "zero beside ordinary": {"a": np.zeros(3), "b": normal(16, 3)},
}


def optax_norm(gradients: Gradients, threshold: float) -> tuple[Any, Gradients]:
    clip = optax.clip_by_global_norm(threshold)
    return optax.tree.norm(gradients), clip.update(gradients, clip.init(gradients))[0]


def optax_value(gradients: Gradients, threshold: float) -> tuple[Any, Gradients]:
    clip = optax.clip(threshold)
    return None, clip.update(gradients, clip.init(gradients))[0]


def keras_clips(argument: str) -> Callable[[Gradients, float], tuple[Any, Gradients]]:
    def clip(gradients: Gradients, threshold: float) -> tuple[Any, Gradients]:
        optimizer = keras.optimizers.SGD(**{argument: threshold})
        after = optimizer._clip_gradients(list(gradients.values()))
        norm = None
        if argument == "global_clipnorm":
            norm = keras.src.optimizers.base_optimizer.global_norm(list(gradients.values()))
        return norm, dict(zip(gradients, after, strict=True))

    return clip


POLICIES: Mapping[str, Callable[[Gradients, float], tuple[Any, Gradients]]] = {
    "optax": optax_norm,
    "keras": keras_clips("clipnorm"),
    "keras_global": keras_clips("global_clipnorm"),
    "optax value": optax_value,
    "keras value": keras_clips("clipvalue"),
}


def record() -> dict[str, Any]:
    return {
        "source": f"optax {optax.__version__}, keras {keras.__version__}, jax {jax.__version__}, on a CPU",
        "gradients": {
            case: {name: texts(np.asarray(values)) for name, values in gradients.items()}
            for case, gradients in CASES.items()
        },
        "results": [
            recorded(case, dtype, policy, threshold)
            for case in CASES
            for dtype in DTYPES
            for policy in POLICIES
            for threshold in THRESHOLDS
        ],
    }


def recorded(case: str, dtype: str, policy: str, threshold: float) -> dict[str, Any]:
    gradients = {name: jnp.asarray(values).astype(DTYPES[dtype]) for name, values in CASES[case].items()}
    eager = POLICIES[policy](gradients, threshold)
    compiled = jax.jit(lambda g: POLICIES[policy](g, threshold))(gradients)
    result = {"case": case, "dtype": dtype, "policy": policy, "threshold": threshold, **outcome(*eager)}
    return result if outcome(*compiled) == outcome(*eager) else {**result, "compiled": outcome(*compiled)}


def outcome(norm: Any, after: Gradients) -> dict[str, Any]:
    said = {} if norm is None else {"norm": texts(np.atleast_1d(held(norm)))[0]}
    return {**said, "after": {name: texts(held(values)) for name, values in after.items()}}


def held(values: Any) -> np.ndarray:
    """The numbers in a type that NumPy has."""
    array = jnp.asarray(values)
    return np.asarray(array.astype(jnp.float32) if array.dtype == jnp.bfloat16 else array)


def texts(values: np.ndarray) -> list[float | str]:
    """Shortest decimals that read back as the same number of the format."""
    return [float(str(x)) if np.isfinite(x) else str(float(x)) for x in values]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    found = record()
    if not parser.parse_args().check:
        head = json.dumps({key: found[key] for key in ("source", "gradients")}, indent=1)
        lines = ",\n".join(map(json.dumps, found["results"]))
        PATH.write_text(f'{head[:-2]},\n "results": [\n{lines}\n]}}\n', encoding="utf-8")
        return 0
    agrees = json.loads(PATH.read_text(encoding="utf-8"))["results"] == found["results"]
    print("agrees" if agrees else "DIFFERS")
    return 0 if agrees else 1


if __name__ == "__main__":
    raise SystemExit(main())
