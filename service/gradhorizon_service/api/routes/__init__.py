"""The addresses of the service, one noun a file."""

from fastapi import APIRouter

from . import catalog, comparisons, diagnoses, health, spectra

ROUTERS: tuple[APIRouter, ...] = (
    diagnoses.router,
    comparisons.router,
    spectra.router,
    catalog.router,
    health.router,
)

__all__ = ["ROUTERS"]
