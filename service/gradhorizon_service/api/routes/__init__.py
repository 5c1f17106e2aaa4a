"""The addresses of the service, one noun a file."""

from fastapi import APIRouter

from . import (
    artifacts,
    catalog,
    charts,
    checkpoints,
    claims,
    clippings,
    comparisons,
    descents,
    diagnoses,
    health,
    mean_fields,
    spectra,
)

ROUTERS: tuple[APIRouter, ...] = (
    diagnoses.router,
    comparisons.router,
    spectra.router,
    clippings.router,
    descents.router,
    mean_fields.router,
    artifacts.router,
    checkpoints.router,
    claims.router,
    charts.router,
    catalog.router,
    health.router,
)

__all__ = ["ROUTERS"]
