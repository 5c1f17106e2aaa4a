"""What is refused about artifacts, as refusals of a request: the web layer gives each a status, the client a class."""

from __future__ import annotations

from ..analysis.errors import RequestRefused


class ArtifactNotFound(RequestRefused):
    """Nothing with this hash is stored: never uploaded, removed, or not used for longer than it is kept."""

    code = "artifact_not_found"

    def __init__(self, sha256: str) -> None:
        super().__init__(f"there is no artifact {sha256} here; upload the file with POST /v1/artifacts")
        self.sha256 = sha256


class InvalidArtifact(RequestRefused):
    """The bytes are no checkpoint that is read here; `reason` continues a sentence about the file."""

    code = "invalid_artifact"

    def __init__(self, reason: str, limit: str | None = None) -> None:
        super().__init__(f"the file {reason}", limit=limit)


class ArtifactTooLarge(RequestRefused):
    """One artifact has more bytes than are taken."""

    code = "body_too_large"

    def __init__(self, allowed: int) -> None:
        super().__init__(
            f"the file is larger than this server's limit max_artifact_bytes = {allowed} bytes; "
            "upload fewer tensors, or ask for a larger limit",
            limit="max_artifact_bytes",
        )


class NoRoom(RequestRefused):
    """The artifact cannot be kept, whatever is in it; `limit` names the setting that would help."""

    code = "insufficient_storage"

    def __init__(self, reason: str, limit: str) -> None:
        super().__init__(reason, limit=limit)
