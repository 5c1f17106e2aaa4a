"""Untrusted bytes into trees and arrays, one file a format.

NumPy and orjson only, so that a worker process can do it too.
"""
