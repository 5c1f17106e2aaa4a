"""`.keras`: a zip of the configuration as JSON and the weights as HDF5."""

from __future__ import annotations

from typing import Any

from ..checkpoint import Read
from ..errors import Damaged
from ..session import Session
from ..wire.archive import Archive
from ..wire.content import FileRange, Held, read_all
from ._checks import parsed_json
from .hdf5 import read_datasets

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def is_keras(archive: Archive) -> bool:
    """Whether the archive holds a configuration, and weights or who wrote them."""
    return _CONFIG in archive.members and (_WEIGHTS in archive.members or _METADATA in archive.members)


def read_keras(archive: Archive, session: Session) -> Read:
    """Read the recurrent layers out of the configuration and every dataset out of the weights."""
    if _WEIGHTS not in archive.members:
        raise Damaged(f"is a Keras archive without {_WEIGHTS}, its weights")
    config = _json(archive, _CONFIG, session)
    metadata = _json(archive, _METADATA, session) if _METADATA in archive.members else {}
    weights = archive.members[_WEIGHTS]
    # HDF5 is read back and forth: compressed, it has to be in memory, within the limit the archive was held to.
    content = weights if isinstance(weights, FileRange) else Held(read_all(weights))
    read = read_datasets(content, session, config)
    version = {"keras_version": metadata["keras_version"]} if "keras_version" in metadata else {}
    return Read("keras", read.tensors, {**read.metadata, **version}, read.layers)


def _json(archive: Archive, name: str, session: Session) -> dict[str, Any]:
    tree = parsed_json(archive.read(name, session.limits.max_header_bytes), f"a {name}", session.limits)
    if not isinstance(tree, dict):
        raise Damaged(f"has a {name} that is no JSON object")
    return tree
