"""Every number a server can be told, with a sentence each. `docs/settings.md` lists them."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from .analysis.limits import Limits
from .artifacts.limits import ArtifactLimits

PREFIX = "GRADHORIZON_"

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _cores() -> int:
    """The cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseModel):
    """How a server runs and what it accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one and logs it.")
    access_log: bool = Field(False, description="Log every request (costs about a fifth of the throughput).")

    workers: Count = Field(
        default_factory=_cores,
        description="Worker processes that compute; by default the cores of this process.",
    )
    queue_length: int = Field(64, ge=0, description="Computations that may wait for a worker; over it, 503.")
    queue_seconds: Seconds = Field(
        30.0, description="How long a computation may wait for a worker; over it, 503."
    )
    computation_seconds: Seconds = Field(
        180.0, description="How long a computation may run before its process is killed; over it, 504."
    )
    inline_seconds: float = Field(
        0.001, ge=0, description="Computations estimated below this run at once, without a worker process."
    )

    max_body_bytes: Count = Field(
        256 * 2**20,
        description="Bytes of a request; arrays of an .npz count decompressed, those of artifacts too. Over it, 413.",
    )
    max_json_bytes: Count = Field(
        64 * 2**20,
        description="Bytes of a JSON body; larger arrays go in binary parts, in a third of the space.",
    )
    inline_json_bytes: Count = Field(
        64 * 2**10, description="JSON bodies and parts above this many bytes are read outside the event loop."
    )
    max_pending_bytes: Count = Field(
        512 * 2**20, description="Bytes of all requests being received or answered together; over it, 503."
    )
    max_parts: Count = Field(64, description="Binary parts of one request, and artifacts it refers to.")
    max_header_bytes: Count = Field(
        32 * 2**10, description="Bytes of a request line with its headers; over it, 431."
    )
    receive_seconds: Seconds = Field(
        30.0,
        description="How long a request may take to arrive, unless it brings 32 kB a second; over it, 408.",
    )
    keep_alive_seconds: Count = Field(
        5, description="How long an idle connection is kept for its next request."
    )
    grace_seconds: Count = Field(
        8, description="How long requests in flight may take to finish when the server is told to stop."
    )

    artifacts_folder: Path | None = Field(
        None,
        description="Where artifacts are kept; without one, in a temporary folder until the server stops.",
    )
    max_artifact_bytes: Count = Field(
        ArtifactLimits.max_artifact_bytes, description="Bytes of one artifact; over it, 413."
    )
    max_artifact_tensors: Count = Field(
        ArtifactLimits.max_artifact_tensors, description="Tensors in one artifact; over it, 422."
    )
    artifact_quota_bytes: Count = Field(
        ArtifactLimits.artifact_quota_bytes, description="Bytes of all artifacts together; over it, 507."
    )
    artifact_retention_seconds: int = Field(
        ArtifactLimits.artifact_retention_seconds,
        ge=0,
        description="How long an artifact is kept after its last use; 0 keeps it for ever.",
    )

    max_size: Count = Field(Limits.max_size, description="Rows or columns of a dense matrix.")
    max_modes: Count = Field(
        Limits.max_modes, description="Eigenvalues of a spectrum that is never formed into a matrix."
    )
    max_depth: Count = Field(Limits.max_depth, description="Steps of a recurrence, burn-in included.")
    max_layers: Count = Field(Limits.max_layers, description="Layers of a feed-forward network.")
    max_batch: Count = Field(Limits.max_batch, description="Sequences of a batch.")
    max_points: Count = Field(Limits.max_points, description="Points of a reported series.")
    max_lags: Count = Field(Limits.max_lags, description="Lags asked for by name.")
    max_tensors: Count = Field(Limits.max_tensors, description="Gradients to clip, by name.")
    max_norms: Count = Field(Limits.max_norms, description="Norms of a history.")
    max_values: Count = Field(Limits.max_values, description="Numbers of clipped gradients in one answer.")
    sync_seconds: Seconds = Field(
        Limits.sync_seconds,
        description="Estimated computing time of an answer; over it, 422 with the estimate.",
    )
    memory_bytes: Count = Field(
        Limits.memory_bytes, description="Estimated memory of a computation; over it, 422."
    )

    def limits(self) -> Limits:
        """Return what the analysis checks a request against."""
        return Limits(**self._fields_of(Limits))

    def artifact_limits(self) -> ArtifactLimits:
        """Return how much may be stored, and for how long."""
        return ArtifactLimits(**self._fields_of(ArtifactLimits))

    def _fields_of(self, limits: type[Limits | ArtifactLimits]) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(limits)}


class _Environment(Settings, BaseSettings):
    """The same fields, read from variables such as GRADHORIZON_MAX_SIZE."""

    model_config = SettingsConfigDict(title="the settings", frozen=True, extra="forbid", env_prefix=PREFIX)


def settings_from_environment(**overrides: object) -> Settings:
    """Read the environment; for `__main__` and the command line only: everything else is handed its settings.

    Keyword arguments win over it. Raises pydantic's ValidationError.
    """
    return Settings(**_Environment(**overrides).model_dump())  # type: ignore[arg-type]
