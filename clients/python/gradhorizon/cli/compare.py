"""`gradhorizon compare`: which of several networks carries a gradient farthest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import CannotRead, open_arrays
from ._layers import find_network
from ._requests import read_request, sequences


def compare(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Weights, one network a file, as .safetensors, .npz or .npy; or one whole request as .json.",
            show_default=False,
        ),
    ],
    depth: Annotated[
        int | None,
        typer.Option("--depth", "-d", help="Steps back in time; the length of --inputs unless given."),
    ] = None,
    cell: Annotated[
        str | None, typer.Option(help="linear, for matrices without activation; LSTM and GRU are recognised.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="tanh unless given; files do not say.")] = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Sequences (B, T, D) or (T, D) for all; Gaussian unless given.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.")] = None,
    level: Annotated[
        float | None, typer.Option(help="Change that ends the horizon: 0.001 unless given.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Rank several networks, or clipping policies, by how far back a gradient reaches on the same inputs.

    Exit codes: 0 done, 1 no service or it failed, 2 the input cannot be read or was refused.
    """
    with exit_codes():
        assumptions: list[str] = []
        if len(files) == 1 and files[0].suffix == ".json":
            request = read_request(files[0])
        else:
            request = {"networks": _networks(files, cell, activation, assumptions)}
        request |= sequences(inputs, depth or request.get("depth"), assumptions)
        given = {"depth": depth, "seed": seed, "horizon_level": level}
        request |= {name: value for name, value in given.items() if value is not None}
        with client_for(url) as client:
            report = client.compare(request)
        show(report.model_copy(update={"assumptions": [*assumptions, *report.assumptions]}), as_json=as_json)


def _networks(
    files: list[Path], cell: str | None, activation: str | None, assumptions: list[str]
) -> dict[str, Any]:
    """One network a file, by the name of the file, or by its path where two have one name."""
    stems = [path.stem for path in files]
    names = stems if len(set(stems)) == len(stems) else [str(path) for path in files]
    if len(set(names)) < len(files):
        raise CannotRead("the same file is named twice")
    networks = {}
    for name, path in zip(names, files, strict=True):
        if path.suffix == ".json":
            raise CannotRead("a .json file is a whole comparison: give it alone")
        found = find_network(open_arrays(path), named={}, cell=cell, activation=activation)
        networks[name] = found.network
        assumptions += [f"{name}: {line}" for line in found.assumptions]
    return networks
