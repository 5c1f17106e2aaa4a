"""What a stored file answers when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gradhorizon.schemas import Artifact

from ..analysis.encoding import encode
from ..checkpoints import CheckpointFault, TooLarge
from .errors import InvalidArtifact
from .incoming import Incoming


def description(incoming: Incoming, name: str | None, now: float, found: Mapping[str, Any]) -> bytes:
    """Return the `Artifact` of a finished upload as JSON; `found` is what inspecting it gave."""
    described = {
        "sha256": incoming.sha256,
        "name": name,
        "size": incoming.size,
        "created": datetime.fromtimestamp(now, UTC),
        **found,
    }
    return encode(Artifact.model_validate(described))


def refused(fault: CheckpointFault) -> InvalidArtifact:
    """Return the refusal of a file that cannot be read; what the reader calls too large is so by these settings."""
    limits = (
        " (limits max_artifact_bytes, max_artifact_tensors, memory_bytes)"
        if isinstance(fault, TooLarge)
        else ""
    )
    return InvalidArtifact(fault.message + limits)
