"""`gradhorizon clippings`: what clipping makes of gradients or of a history of norms, and which threshold to use."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import CannotRead, open_arrays
from ._requests import read_request


def clippings(
    file: Annotated[
        Path,
        typer.Argument(
            help="Gradients by name as .npz or .safetensors, a history of norms as .npy, or a whole request as .json.",
            show_default=False,
        ),
    ],
    clip_norm: Annotated[
        list[float] | None, typer.Option(help="Clip the norm to this; may be given several times.")
    ] = None,
    clip_value: Annotated[
        list[float] | None, typer.Option(help="Clip every entry to this; may be given several times.")
    ] = None,
    framework: Annotated[
        str | None,
        typer.Option(help="Whose clipping of norms: torch (the default), optax, keras, keras_global."),
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="Precision you train in: float32 unless given.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Tell what clipping policies make of gradients or of a history of their norms, and advise a threshold.

    Exit codes: 0 done, 1 no service or it failed, 2 the input cannot be read or was refused.
    """
    with exit_codes():
        policies = _policies(clip_norm or [], clip_value or [], framework)
        request = read_request(file) if file.suffix == ".json" else _given(file)
        given = {"policies": policies or None, "dtype": dtype}
        request |= {name: value for name, value in given.items() if value is not None}
        with client_for(url) as client:
            show(client.clippings(request), as_json=as_json)


def _given(path: Path) -> dict[str, Any]:
    """The arrays of a file as what they are: one row of norms, or gradients by name."""
    arrays = open_arrays(path)
    if path.suffix == ".npy":
        return {"norms": arrays[path.stem]}
    return {"gradients": {name: arrays[name] for name in arrays.shapes}}


def _policies(norms: list[float], values: list[float], framework: str | None) -> list[dict[str, Any]]:
    if framework is not None and not norms:
        raise CannotRead("--framework says whose clipping of norms: give --clip-norm with it")
    named = {} if framework is None else {"framework": framework}
    return [
        *({"kind": "norm", "threshold": threshold, **named} for threshold in norms),
        *({"kind": "value", "threshold": threshold} for threshold in values),
    ]
