"""Charts as pictures, in a worker process: V8 runs inside vl-convert and holds Python's lock for as long as it draws.

The first picture of a process takes two to three seconds on a slow core, later ones a quarter of one; V8 then keeps
about 100 MB, which a process that never draws does not pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VEGA_LITE = "5.21"
"""The version whose rules the specifications follow."""
_PIXELS_PER_POINT = 2.0


def svg(spec: str) -> bytes:
    """Render a specification of our own as SVG; nothing is fetched for it."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])).encode()


def png(spec: str) -> bytes:
    """Render a specification of our own as PNG, at twice the size for sharp screens."""
    import vl_convert

    options: Mapping[str, Any] = {"scale": _PIXELS_PER_POINT, "allowed_base_urls": []}
    return bytes(vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, **options))
