"""What a file that was uploaded once holds."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from ._base import ReportModel


class ArtifactTensor(ReportModel):
    """One tensor of an artifact."""

    name: str
    shape: list[int]
    dtype: str
    elements: int
    role: Literal["parameter", "optimizer"] = Field(
        description="Whether a network computes with it, or only its optimizer does."
    )
    sha256: str | None = Field(
        description="Of the numbers, row-major and little-endian; null where the number format is not read."
    )
    finite: bool | None = Field(
        description="Whether no number is a NaN or an infinity; null where they are not read."
    )
    unread_reason: str | None = Field(description="Why the numbers are not read, and what to do instead.")


class Artifact(ReportModel):
    """The answer of POST /v1/artifacts and of GET /v1/artifacts/{sha256}."""

    sha256: str = Field(description="Of the whole file; requests refer to it by this.")
    name: str | None = Field(description="What the client that sent it first called it; a label only.")
    format: str
    size: int = Field(description="Bytes.")
    created: datetime
    tensors: list[ArtifactTensor]
    metadata: dict[str, str] = Field(description="What the file says of itself, as short texts.")
    warnings: list[str]

    def reference(self, name: str | None = None) -> dict[str, str]:
        """Return what stands for one of its tensors in a request; without a name, for the only one.

        Raises KeyError where there is no such tensor.
        """
        names = [tensor.name for tensor in self.tensors]
        if name not in names and (name is not None or len(names) != 1):
            raise KeyError(f"{name!r} is none of the tensors {', '.join(names)}")
        return {"artifact": self.sha256, "name": names[0] if name is None else name}
