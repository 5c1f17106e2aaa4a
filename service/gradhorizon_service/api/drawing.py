"""From a report to its chart: a specification at once, a picture from a worker process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from gradhorizon_service.analysis.errors import Fault, InvalidRequest
from gradhorizon_service.analysis.reading import read_request
from gradhorizon_service.charts import Chart

from .answering import read_elsewhere, read_text, tensors_of
from .bodies import Body, receive_body
from .disconnects import unless_disconnected
from .refusals import NotAcceptable
from .service import Service

VEGA_LITE = "application/vnd.vegalite.v5+json"
JSON = "application/json"
PICTURES: Mapping[str, str] = {"image/svg+xml": "svg", "image/png": "png"}
"""Media type -> the function of a worker process that renders it."""
OFFERED = (VEGA_LITE, JSON, *PICTURES)
"""What a chart comes as; the first is for those who take anything."""


async def draw_chart(request: Request, service: Service, chart: Chart) -> Response:
    """Read the part of a report that a chart shows, and draw it as the client accepts it."""
    media_type = preferred(request.headers.get("accept", "*/*"))
    with service.pending.hold() as hold:
        body = await receive_body(request, service.settings, hold)
        try:
            large = hold.bytes > service.settings.inline_json_bytes
            spec = await (_drawn_elsewhere if large else _drawn)(service, body, chart)
            content = spec
            if media_type in PICTURES:
                content = await unless_disconnected(request, _rendered(service, PICTURES[media_type], spec))
        finally:
            await body.close()
    return Response(content, media_type=media_type)


def preferred(accept: str) -> str:
    """Return the offered type that an Accept header likes best; the earlier offer where it likes two alike.

    Raises NotAcceptable where it likes none of them.
    """
    ranges = [_media_range(choice) for choice in accept.lower().replace(" ", "").split(",")]
    liked = {offer: _quality(offer, ranges) for offer in OFFERED}
    best = max(OFFERED, key=lambda offer: liked[offer])
    if liked[best] <= 0.0:
        raise NotAcceptable(f"a chart comes as {', '.join(OFFERED)}; let Accept include one of them")
    return best


def _media_range(choice: str) -> tuple[str, float]:
    name, *parameters = choice.split(";")
    quality = next((parameter[2:] for parameter in parameters if parameter.startswith("q=")), "1")
    try:
        return name, float(quality)
    except ValueError:
        return name, 0.0


def _quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    """The quality of the most specific range that covers an offer, as RFC 9110 has it."""
    family = offer.partition("/")[0] + "/*"
    for name in (offer, family, "*/*"):
        found = [quality for covered, quality in ranges if covered == name]
        if found:
            return max(found)
    return 0.0


async def _drawn(service: Service, body: Body, chart: Chart) -> bytes:
    return _specification(service, read_text(body.text), body, chart)


async def _drawn_elsewhere(service: Service, body: Body, chart: Chart) -> bytes:
    tree = await read_elsewhere(service, body.text)
    return await asyncio.to_thread(_specification, service, tree, body, chart)


def _specification(service: Service, tree: Any, body: Body, chart: Chart) -> bytes:
    tensors = tensors_of(body, service.settings.max_body_bytes)
    try:
        spec = chart.draw(read_request(chart.reads, tree, tensors))
    except (TypeError, OverflowError) as error:  # series are read by NumPy, which says no in ways of its own
        fault = Fault(
            "$", "is not a report with the numbers of this chart in it; send one as the service answered it"
        )
        raise InvalidRequest((fault,)) from error
    return orjson.dumps(spec)


async def _rendered(service: Service, function: str, spec: bytes) -> bytes:
    picture: bytes = await service.pool.run(
        function, spec.decode(), timeout=service.settings.computation_seconds
    )
    return picture
