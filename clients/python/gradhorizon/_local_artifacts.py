"""Artifacts of an in-process client: the service's own store in a temporary folder that goes with the client."""

from __future__ import annotations

import contextlib
import hashlib
import json
import weakref
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gradhorizon_service.artifacts.limits import ArtifactLimits
    from gradhorizon_service.artifacts.references import Loaded
    from gradhorizon_service.artifacts.store import ArtifactStore
    from gradhorizon_service.checkpoints.surveying import Survey

    from ._base import Call

PREFIX = "/v1/artifacts"


class LocalArtifacts:
    """Answers calls to `/v1/artifacts`, and loads what requests refer to. Files are read in this process."""

    def __init__(self, limits: ArtifactLimits) -> None:
        self._limits = limits
        self._stack = contextlib.ExitStack()
        self._store: ArtifactStore | None = None
        self._opening = Lock()
        self._mentioned: dict[str, Path] = {}
        weakref.finalize(self, self._stack.close)  # for a client that nobody closes

    def close(self) -> None:
        """Remove the folder; a later upload makes another."""
        self._store = None
        self._stack.close()

    def answer(self, call: Call[Any]) -> Mapping[str, Any] | None:
        """Answer one call, or raise what the service would refuse it with."""
        described = self._received(call) if call.upload is not None else self._asked(call)
        answered: Mapping[str, Any] | None = None if described is None else json.loads(described)
        return answered

    def load(self, tree: Any) -> Loaded:
        """Load the tensors that a parsed request refers to."""
        from gradhorizon_service.artifacts import inspection
        from gradhorizon_service.artifacts.references import plan, references_of
        from gradhorizon_service.checkpoints import CheckpointFault

        references = references_of(tree)
        if not references:
            return {}
        store = self._opened()
        planned = plan(store, references)
        arrays: dict[str, Any] = {}
        for sha256, names in planned.names().items():
            try:
                arrays[sha256] = inspection.load(str(store.content(sha256)), names, *self._bounds())
            except CheckpointFault as fault:
                arrays[sha256] = f"refers to an artifact that {fault.message}"
        return planned.loaded(arrays)

    def mention(self, path: Path) -> str:
        """Return what stands for the hash of a file that stays where it is; a folder or an index of shards will do."""
        name = hashlib.sha256(b"mentioned:" + str(path.absolute()).encode()).hexdigest()
        self._mentioned[name] = path
        return name

    def survey(self, sha256: str, request: Any) -> Survey:
        """Survey a stored or mentioned file, or raise what the service would refuse the request with."""
        from gradhorizon_service.analysis.tasks.layered import refused_recognition, survey_request
        from gradhorizon_service.artifacts.describing import refused
        from gradhorizon_service.checkpoints import CheckpointFault
        from gradhorizon_service.checkpoints.recognition import RecognitionFault
        from gradhorizon_service.checkpoints.surveying import survey

        try:
            return survey(str(self._file(sha256)), survey_request(request), *self._bounds())
        except RecognitionFault as fault:
            raise refused_recognition(fault) from None
        except CheckpointFault as fault:
            raise refused(fault) from None

    def _file(self, sha256: str) -> Path:
        if sha256 in self._mentioned:
            return self._mentioned[sha256]
        store = self._opened()
        store.describe(sha256)  # it is there, and used
        return store.content(sha256)

    def _received(self, call: Call[Any]) -> bytes:
        from gradhorizon_service.artifacts import inspection
        from gradhorizon_service.artifacts.describing import description, refused
        from gradhorizon_service.artifacts.errors import ArtifactNotFound
        from gradhorizon_service.artifacts.labels import label
        from gradhorizon_service.checkpoints import CheckpointFault

        assert call.upload is not None
        store = self._opened()
        (name,) = parse_qs(urlsplit(call.path).query).get("name", [""])
        incoming = store.receive(call.upload.size)
        try:
            for piece in call.upload.pieces():
                incoming.write(piece)
            with contextlib.suppress(ArtifactNotFound):
                return store.describe(incoming.finish())
            try:
                found = inspection.inspect(str(incoming.content), *self._bounds())
            except CheckpointFault as fault:
                raise refused(fault) from None
            described = description(incoming, label(name), store.now(), found)
            store.publish(incoming, described)
            return described
        finally:
            incoming.discard()

    def _asked(self, call: Call[Any]) -> bytes | None:
        store, sha256 = self._opened(), call.path.removeprefix(PREFIX + "/")
        if call.method == "DELETE":
            store.delete(sha256)
            return None
        return store.describe(sha256)

    def _opened(self) -> ArtifactStore:
        from gradhorizon_service.artifacts.store import ArtifactStore
        from gradhorizon_service.artifacts.temporary import temporary_folder

        with self._opening:
            if self._store is None:
                self._store = ArtifactStore(self._stack.enter_context(temporary_folder()), self._limits)
                self._store.open()
            return self._store

    def _bounds(self) -> tuple[int, int, int]:
        return (
            self._limits.max_artifact_bytes,
            self._limits.max_artifact_tensors,
            self._limits.max_artifact_bytes,
        )
