"""`gradhorizon mean-field`: theory of wide random networks, without any weights."""

from __future__ import annotations

from typing import Annotated

import typer

from ._answers import client_for, exit_codes, show


def mean_field(
    weight_variance: Annotated[
        float,
        typer.Option(
            "--weight-variance",
            "-w",
            help="N times the variance of a weight, N the fan-in.",
            show_default=False,
        ),
    ],
    bias_variance: Annotated[
        float | None, typer.Option("--bias-variance", "-b", help="0 unless given.")
    ] = None,
    activation: Annotated[str | None, typer.Option(help="tanh unless given.")] = None,
    negative_slope: Annotated[float | None, typer.Option(help="Of leaky_relu.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Of elu.")] = None,
    beta: Annotated[float | None, typer.Option(help="Of softplus.")] = None,
    size: Annotated[
        int | None, typer.Option(help="Also the exponents of products of Gaussian matrices of this size.")
    ] = None,
    leading: Annotated[int | None, typer.Option(help="How many of them.")] = None,
    url: Annotated[
        str | None,
        typer.Option(envvar="GRADHORIZON_URL", help="Ask the service there instead of computing here."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole report as JSON.")] = False,
) -> None:
    """Tell whether wide random networks of an activation and two variances are ordered, critical or chaotic.

    Exit codes: 0 done, 1 no service or it failed, 2 the request was refused.
    """
    fields = {
        "weight_variance": weight_variance,
        "bias_variance": bias_variance,
        "activation": activation,
        "negative_slope": negative_slope,
        "alpha": alpha,
        "beta": beta,
        "size": size,
        "leading": leading,
    }
    with exit_codes(), client_for(url) as client:
        show(
            client.mean_field({name: value for name, value in fields.items() if value is not None}),
            as_json=as_json,
        )
