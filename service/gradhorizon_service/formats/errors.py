"""What is wrong with bytes that came from outside. The classes carry facts; the web layer gives them a status."""

from __future__ import annotations


class JsonFault(ValueError):
    """A text is not strict JSON: the JSON path of the offender and what to change."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(path, message)  # both, so that the fault survives the way back from a worker process
        self.path = path
        self.message = message


class TooManyValues(JsonFault):
    """A document is valid JSON, but holds more values outside rectangular lists of numbers than we look at."""


class TensorFault(ValueError):
    """A binary part is not what its name says, or holds something we do not read."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
