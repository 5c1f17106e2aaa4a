"""What a server offers, with a sentence each."""

from __future__ import annotations

from ._base import ReportModel


class Offer(ReportModel):
    """One thing the server can do; `parameters` are the request fields that belong to it."""

    name: str
    says: str
    parameters: list[str]


class Limit(ReportModel):
    """One limit of this server; a refusal names it."""

    name: str
    value: float
    says: str


class Catalog(ReportModel):
    """The answer of GET /v1/catalog."""

    engine_version: str
    cells: list[Offer]
    activations: list[Offer]
    sources: list[Offer]
    ensembles: list[Offer]
    distributions: list[Offer]
    losses: list[Offer]
    clipping: list[Offer]
    diagnostics: list[Offer]
    checkpoints: list[Offer]
    descent_tasks: list[Offer]
    descent_cells: list[Offer]
    optimizers: list[Offer]
    claims: list[Offer]
    charts: list[Offer]
    limits: list[Limit]
