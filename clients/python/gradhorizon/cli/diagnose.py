"""`gradhorizon diagnose`: how far back a gradient reaches in the network of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ._answers import client_for, exit_codes, show
from ._arrays import ArrayFile, CannotRead, open_arrays, read_array
from ._checkpoints import existing, names_of, with_depth
from ._layers import find_network
from ._requests import fields_of, merge, read_request, sequences

_ARRAYS = "Which array is what (names in FILE)"
_DRIVE = "What the network sees and is asked for"
_REPORT = "What is reported"


def diagnose(
    file: Annotated[
        Path,
        typer.Argument(
            help="A checkpoint of any framework that is read, a matrix as .npy, or a whole request as .json.",
            show_default=False,
        ),
    ],
    depth: Annotated[
        int | None,
        typer.Option("--depth", "-d", help="Steps back in time; the length of --inputs unless given."),
    ] = None,
    cell: Annotated[
        str | None,
        typer.Option(
            help="rnn, lstm or gru (told by the shape), jacobians for a (T, N, N) array of them, or another by name."
        ),
    ] = None,
    activation: Annotated[str | None, typer.Option(help="tanh unless given; files do not say.")] = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", "--tensor", help="The recurrent matrix (N, N).", rich_help_panel=_ARRAYS),
    ] = None,
    input_weights: Annotated[str | None, typer.Option(help="(N, D).", rich_help_panel=_ARRAYS)] = None,
    bias: Annotated[str | None, typer.Option(help="(N,).", rich_help_panel=_ARRAYS)] = None,
    input_bias: Annotated[
        str | None,
        typer.Option(help="(N,), with --recurrent-bias instead of --bias.", rich_help_panel=_ARRAYS),
    ] = None,
    recurrent_bias: Annotated[str | None, typer.Option(help="(N,).", rich_help_panel=_ARRAYS)] = None,
    readout: Annotated[
        str | None,
        typer.Option(help="Prefix of the readout: PREFIX.weight, PREFIX.bias.", rich_help_panel=_ARRAYS),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(help="Sequences (B, T, D) or (T, D); Gaussian unless given.", rich_help_panel=_DRIVE),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Classes (B,): the loss is cross-entropy at the --readout.", rich_help_panel=_DRIVE
        ),
    ] = None,
    clip_norm: Annotated[
        float | None,
        typer.Option(help="Clip the gradient to this norm, as PyTorch does.", rich_help_panel=_DRIVE),
    ] = None,
    clip_value: Annotated[
        float | None, typer.Option(help="Clip every entry of the gradient to this.", rich_help_panel=_DRIVE)
    ] = None,
    dtype: Annotated[
        str | None, typer.Option(help="Precision you train in: float32 unless given.", rich_help_panel=_DRIVE)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="0 unless given.", rich_help_panel=_DRIVE)] = None,
    diagnostics: Annotated[
        str | None,
        typer.Option(help="Comma-separated; all that apply unless given.", rich_help_panel=_REPORT),
    ] = None,
    lags: Annotated[
        str | None, typer.Option(help="Comma-separated lags to report exactly.", rich_help_panel=_REPORT)
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(help="Change that ends the horizon: 0.001 unless given.", rich_help_panel=_REPORT),
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Layers to report, with commas.", rich_help_panel=_REPORT)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="Any other field of the request: network.leak_rate=0.3, initial_state.kind=gaussian, "
            "network.skip_weights=@V.npy; may be repeated.",
            rich_help_panel=_DRIVE,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Tell how far back a gradient reaches in every recurrent layer of a checkpoint, and why it stops there.

    Layers are recognised in files of PyTorch, Keras, Flax, ONNX and others. Naming arrays (--weights), the cell, a
    readout or a field of the network (--set) makes it one network instead; so does a matrix in an .npy, or an .npz
    whose arrays are named as a request names them. What was assumed is printed with the report.

    Exit codes: 0 done, 1 no service or it failed, 2 the input cannot be read or was refused.
    """
    named = _given(
        weights=weights,
        input_weights=input_weights,
        bias=bias,
        input_bias=input_bias,
        recurrent_bias=recurrent_bias,
    )
    fields = _given(
        depth=depth,
        dtype=dtype,
        seed=seed,
        diagnostics=diagnostics.split(",") if diagnostics else None,
        horizon_level=level,
    )
    with exit_codes():
        assumptions: list[str] = []
        fields |= _given(
            clipping=_clipping(clip_norm, clip_value), lags=_integers("--lags", lags) if lags else None
        )
        overrides = fields_of(settings or [])
        network = overrides.get("network", {})
        if not isinstance(network, dict):
            raise CannotRead("--set network: set its fields, such as network.leak_rate=0.3")
        one_network = named or cell or readout or labels or network
        if not one_network and _is_checkpoint(file):
            request = sequences(inputs, depth or overrides.get("depth"), assumptions) | fields
            request = merge(request | _given(activation=activation, only=names_of(only)), overrides)
            with client_for(url) as client:
                whole = client.diagnose_checkpoint(existing(file), with_depth(request, assumptions))
            update = {"assumptions": [*assumptions, *whole.assumptions]}
            show(whole.model_copy(update=update), as_json=as_json)
            return
        if only:
            raise CannotRead("--only belongs to checkpoints with several layers, not to one network")
        if file.suffix == ".json":
            _refuse_beside_request(named, cell=cell, activation=activation, readout=readout, labels=labels)
            request = read_request(file)
        else:
            arrays = open_arrays(file)
            cell, activation = cell or network.get("cell"), activation or network.get("activation")
            found = find_network(arrays, named=named, cell=cell, activation=activation)
            request = {"network": found.network, **_loss(arrays, labels, readout)}
            assumptions = found.assumptions
        depth = depth or overrides.get("depth") or request.get("depth")
        request = merge(request | sequences(inputs, depth, assumptions) | fields, overrides)
        with client_for(url) as client:
            report = client.diagnose(request)
        show(report.model_copy(update={"assumptions": [*assumptions, *report.assumptions]}), as_json=as_json)


def _is_checkpoint(file: Path) -> bool:
    """Whether a file is looked through for layers: not a request, a bare matrix, or arrays named as fields."""
    if file.suffix in (".json", ".npy") and not file.name.endswith(".index.json"):
        return False
    if file.suffix != ".npz":
        return True
    shapes = open_arrays(file).shapes
    return "weights" not in shapes and len(shapes) > 1


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse_beside_request(named: dict[str, str], **others: Any) -> None:
    misplaced = sorted({*named, *_given(**others)})
    if misplaced:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in misplaced)
        raise CannotRead(f"a .json file is a whole request: {options} belongs inside it")


def _loss(arrays: ArrayFile, labels: Path | None, readout: str | None) -> dict[str, Any]:
    """Return the cross-entropy at a readout of the file; without labels the loss is left to the service."""
    if (labels is None) != (readout is None):
        raise CannotRead(
            "--labels and --readout belong together: the loss is the cross-entropy of the readout"
        )
    if labels is None:
        return {}
    bias = f"{readout}.bias"
    loss = {
        "kind": "cross_entropy",
        "readout_weight": arrays[f"{readout}.weight"],
        "targets": read_array(labels),
    }
    return {"loss": {**loss, "readout_bias": arrays[bias]} if bias in arrays else loss}


def _clipping(norm: float | None, value: float | None) -> dict[str, Any] | None:
    if norm is not None and value is not None:
        raise CannotRead("--clip-norm and --clip-value are two policies; give one")
    if norm is not None:
        return {"kind": "norm", "threshold": norm}
    return None if value is None else {"kind": "value", "threshold": value}


def _integers(option: str, text: str) -> list[int]:
    try:
        return [int(item) for item in text.split(",")]
    except ValueError:
        raise CannotRead(f"{option} {text}: whole numbers with commas between them are needed") from None
