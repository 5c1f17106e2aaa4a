"""`gradhorizon descend`: gradient descent on a small task, with and without clipping."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import CannotRead
from ._requests import read_request


def descend(
    task: Annotated[
        str,
        typer.Argument(
            help="cliff, latch, delayed_recall or adding; or one whole request as .json.", show_default=False
        ),
    ],
    length: Annotated[int | None, typer.Option("--length", "-l", help="Steps of a sequence.")] = None,
    cell: Annotated[
        str | None, typer.Option(help="rnn (the default), residual, echo_state, lstm or gru.")
    ] = None,
    hidden_size: Annotated[int | None, typer.Option(help="8 unless given.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd (the default) or adam.")] = None,
    learning_rate: Annotated[float | None, typer.Option("--learning-rate", "-r")] = None,
    momentum: Annotated[float | None, typer.Option(help="Of sgd.")] = None,
    clip: Annotated[
        list[float] | None,
        typer.Option(help="Threshold of PyTorch's norm clipping, beside no clipping; may be repeated."),
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", "-n", help="Updates; 100 unless given.")] = None,
    seeds: Annotated[int | None, typer.Option(help="How many; 20 where anything is random.")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32 (the default) or float64.")] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Descend on a small task and tell where an update undid the progress made.

    Exit codes: 0 done, 1 no service or it failed, 2 the request cannot be read or was refused.
    """
    with exit_codes():
        parts = {
            "task": _given(kind=task, length=length),
            "cell": _given(kind=cell, hidden_size=hidden_size),
            "optimizer": _given(kind=optimizer, learning_rate=learning_rate, momentum=momentum),
        }
        if task.endswith(".json"):
            request = read_request(Path(task))
            if set(parts["task"]) | set(parts["cell"]) | set(parts["optimizer"]) != {"kind"}:
                raise CannotRead(
                    "a .json file says itself which task, cell and optimizer; leave those options out"
                )
        else:
            request = {name: part for name, part in _with_kinds(parts).items() if part}
        if clip:
            request["policies"] = {"none": {"kind": "none"}} | {
                f"norm at {threshold:g}": {"kind": "norm", "threshold": threshold} for threshold in clip
            }
        request |= _given(steps=steps, seeds=seeds, dtype=dtype, seed=seed)
        with client_for(url) as client:
            show(client.descend(request), as_json=as_json)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _with_kinds(parts: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """An option of a cell or an optimizer is one of the default where no other is named."""
    defaults = {"cell": "rnn", "optimizer": "sgd"}
    return {
        name: {"kind": defaults[name], **part} if part and name in defaults else part
        for name, part in parts.items()
    }
