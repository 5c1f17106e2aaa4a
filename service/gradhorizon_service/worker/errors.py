"""What the worker raises on purpose.

WorkerError
└── CannotRun       the request is well-formed, but what it asks for does not exist
"""

from __future__ import annotations

from typing import Self


class WorkerError(Exception):
    """Base of every exception this package raises on purpose."""


class CannotRun(WorkerError):
    """A request that only its numbers show to be impossible, such as rescaling a matrix of radius zero.

    `field` is the dotted path of the offending field, relative to the part that raised; whoever owns that
    part puts its own path in front with `under`. `message` is a sentence that says what to change, `code` a
    stable identifier.
    """

    def __init__(self, field: str, message: str, code: str = "cannot_run") -> None:
        super().__init__(field, message, code)  # args are what pickle hands to __init__ in another process
        self.field = field
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"

    def under(self, prefix: str) -> Self:
        """The same refusal with `prefix` in front of its field, for instance "network.weights"."""
        field = f"{prefix}.{self.field}" if self.field else prefix
        return type(self)(field, self.message, self.code)
