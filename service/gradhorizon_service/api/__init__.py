"""The web layer: HTTP in, one call to the analysis, HTTP out."""

from .app import create_app

__all__ = ["create_app"]
