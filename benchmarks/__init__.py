"""Gradhorizon beside the scripts it replaces: `python -m benchmarks`."""
