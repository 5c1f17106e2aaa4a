"""Why a checkpoint is not read. A message continues a sentence that starts with the file's name.

CheckpointFault
+-- NotRecognised       no format that is read here
+-- Unsupported         a known format, in a form that is not read, with what to do instead
|   +-- MissingExtra    it would be, were the extra of this package installed
+-- Damaged             cut off, or its headers contradict its bytes
+-- Unsafe              reading it would run code or leave the file
+-- TooLarge            beyond a limit, which is named
"""

from __future__ import annotations


class CheckpointFault(ValueError):
    """A checkpoint cannot be read; `message` says why and, where there is one, the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotRecognised(CheckpointFault):
    """The bytes start like no format that is read here."""


class Unsupported(CheckpointFault):
    """The format is known and this form of it is not read."""


class Damaged(CheckpointFault):
    """The file is cut off or contradicts itself."""


class Unsafe(CheckpointFault):
    """The file asks for code to be run or for another file to be opened."""


class TooLarge(CheckpointFault):
    """The file holds more than the limits allow."""


def shown(name: object) -> str:
    """Quote a name that came out of a file, cut to what fits a sentence."""
    text = name if isinstance(name, str) else repr(name)
    return repr(text if len(text) <= 80 else text[:80] + "...")
