"""Files uploaded once and referred to by their hash: a folder of them, and what is in each.

Nothing is imported here: a worker process imports `artifacts.inspection` and must not pay for the rest.
"""
