"""What this server offers, read from the schemas and the worker's tables: nothing is listed twice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, ClassVar, Protocol, get_args

from pydantic import BaseModel

from gradhorizon.schemas import Catalog, Limit, Offer
from gradhorizon.schemas import clipping as clipping_models
from gradhorizon.schemas import descents as descent_models
from gradhorizon.schemas import losses as loss_models
from gradhorizon.schemas import networks as network_models
from gradhorizon.schemas import sources as source_models
from gradhorizon_service.worker.activations import ACTIVATIONS
from gradhorizon_service.worker.diagnostics import DIAGNOSTICS

from ..checkpoints.recognition import FAMILIES
from .tasks import ENGINE_VERSION


class _Dataclass(Protocol):
    """Any dataclass, as type checkers know it."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def build_catalog(*limits: _Dataclass, claims: Sequence[Offer], charts: Sequence[Offer]) -> Catalog:
    """Collect every table with a sentence for each entry; every field of `limits` is a limit of this server.

    What stands on the analysis is handed over.
    """
    return Catalog(
        engine_version=ENGINE_VERSION,
        cells=_offers(network_models.Network, "cell"),
        activations=[
            Offer(
                name=name,
                says=_first_sentence(factory.__doc__),
                parameters=[p for p in (network_models.ACTIVATION_PARAMETERS.get(name),) if p is not None],
            )
            for name, factory in ACTIVATIONS.items()
        ],
        sources=_offers(source_models.Source, "source"),
        ensembles=[Offer(name=name, says=says, parameters=[]) for name, says in _families()],
        distributions=_offers(source_models.Distribution, "kind"),
        losses=_offers(loss_models.Loss, "kind"),
        clipping=_offers(clipping_models.Clipping, "kind"),
        diagnostics=[
            Offer(name=name, says=_first_sentence(row.compute.__doc__), parameters=[])
            for name, row in DIAGNOSTICS.items()
        ],
        descent_tasks=_offers(descent_models.DescentTask, "kind"),
        descent_cells=_offers(descent_models.TrainedCell, "kind"),
        optimizers=_offers(descent_models.DescentOptimizer, "kind"),
        checkpoints=[
            Offer(name=name, says=_first_sentence(family.__doc__), parameters=[])
            for name, family in FAMILIES.items()
        ],
        claims=list(claims),
        charts=list(charts),
        limits=[limit for group in limits for limit in _limits(group)],
    )


def _offers(union: Any, tag: str) -> list[Offer]:
    return [_offer(model, tag) for model in _members(union)]


def _members(annotation: Any) -> Iterable[type[BaseModel]]:
    """The models of a (nested, annotated) union, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        yield from _members(argument)


def _offer(model: type[BaseModel], tag: str) -> Offer:
    name = get_args(model.model_fields[tag].annotation)[0]
    parameters = [field for field in model.model_fields if field != tag]
    return Offer(name=name, says=_first_sentence(model.__doc__), parameters=parameters)


def _first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _families() -> list[tuple[str, str]]:
    from gradhorizon_service.worker.sources import FAMILIES

    return [(name, _first_sentence(family.__doc__)) for name, family in FAMILIES.items()]


def _limits(limits: _Dataclass) -> list[Limit]:
    return [
        Limit(name=f.name, value=float(getattr(limits, f.name)), says=_LIMITS[f.name]) for f in fields(limits)
    ]


_LIMITS = {
    "max_size": "rows or columns of a dense matrix",
    "max_modes": "eigenvalues of a spectrum that is never formed into a matrix",
    "max_depth": "steps of a recurrence, burn-in included",
    "max_layers": "layers of a feed-forward network, or step Jacobians",
    "max_batch": "sequences",
    "max_points": "points of a reported series",
    "max_lags": "lags asked for by name",
    "max_tensors": "gradients to clip, by name",
    "max_norms": "norms of a history",
    "max_values": "numbers of clipped gradients in one answer",
    "sync_seconds": "estimated computing time of an answer, in seconds",
    "memory_bytes": "estimated memory of a computation, in bytes",
    "max_artifact_bytes": "bytes of one artifact",
    "max_artifact_tensors": "tensors in one artifact",
    "artifact_quota_bytes": "bytes of all artifacts together",
    "artifact_retention_seconds": "how long an artifact is kept after its last use, in seconds; 0 is for ever",
}
