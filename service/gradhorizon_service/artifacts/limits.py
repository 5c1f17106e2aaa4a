"""How much may be stored, and for how long. Every number is a setting; a refusal names the one it comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArtifactLimits:
    """Defaults suit a machine with some gigabytes of disk to spare."""

    max_artifact_bytes: int = 2 << 30
    """Of one artifact."""
    max_artifact_tensors: int = 10_000
    """In one artifact."""
    artifact_quota_bytes: int = 8 << 30
    """Of all artifacts together."""
    artifact_retention_seconds: int = 30 * 86_400
    """Since the last use of an artifact; 0 keeps it for ever."""
