"""`gradhorizon spectrum`: eigenvalues, norms and non-normality of one matrix in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import ArrayFile, CannotRead, open_arrays


def spectrum(
    file: Annotated[Path, typer.Argument(help="A matrix: .npy, .npz or .safetensors.", show_default=False)],
    tensor: Annotated[
        str | None,
        typer.Option("--tensor", "--weights", help="Name of the matrix, where the file holds several."),
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Largest power of the matrix to consider.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Show the eigenvalues, the norms and the non-normality of a matrix.

    Exit codes: 0 done, 1 no service or it failed, 2 the input cannot be read or was refused.
    """
    with exit_codes():
        arrays = open_arrays(file)
        matrix = arrays[tensor or _only_matrix(arrays)]
        with client_for(url) as client:
            show(client.spectrum(matrix, depth=depth), as_json=as_json)


def _only_matrix(arrays: ArrayFile) -> str:
    square = [name for name, shape in arrays.shapes.items() if len(shape) == 2 and shape[0] == shape[1]]
    if len(square) == 1:
        return square[0]
    count = "no square matrix" if not square else f"{len(square)} square matrices"
    raise CannotRead(f"{arrays.path} holds {count}; name one with --tensor:\n{arrays.listing()}")
