"""The golden table: what default initialisations do to gradients. `python -m benchmarks.golden`."""
