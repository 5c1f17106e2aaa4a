"""Clipping policies of the wire as the worker's."""

from __future__ import annotations

from gradhorizon.schemas import Clipping
from gradhorizon_service.worker.clipping import ClippingPolicy


def worker_policy(clipping: Clipping) -> ClippingPolicy:
    """The worker's policy of the same name and numbers."""
    if clipping.kind == "none":
        return ClippingPolicy("none")
    if clipping.kind == "norm":
        return ClippingPolicy("norm", clipping.threshold, float(clipping.norm_type), clipping.framework)
    return ClippingPolicy(clipping.kind, clipping.threshold)
