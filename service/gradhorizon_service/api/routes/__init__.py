"""The addresses of the service, one noun a file."""

from fastapi import APIRouter

from . import catalog, clippings, comparisons, diagnoses, health, spectra

ROUTERS: tuple[APIRouter, ...] = (
    diagnoses.router,
    comparisons.router,
    spectra.router,
    clippings.router,
    catalog.router,
    health.router,
)

__all__ = ["ROUTERS"]
