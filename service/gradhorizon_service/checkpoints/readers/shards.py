"""`*.safetensors.index.json`: one model in several safetensors files that lie beside the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checkpoint import Read
from ..errors import Damaged, TooLarge, Unsafe, Unsupported, shown
from ..session import Session
from ..wire.content import File
from ._checks import by_name, parsed_json
from .safetensors import read_safetensors

MAX_SHARDS = 1000
SUFFIX = ".safetensors.index.json"


def read_shards(file: File, session: Session) -> Read:
    """Read the index, then the header of every file it names, all part of one session."""
    limits = session.limits
    if file.size > limits.max_header_bytes:
        raise TooLarge(f"is an index of {file.size} bytes; at most {limits.max_header_bytes} are read")
    index = parsed_json(file.read(0, file.size), "an index", limits)
    places = _places(index)
    names = sorted(set(places.values()))
    if len(names) > MAX_SHARDS:
        raise TooLarge(f"names {len(names)} files; at most {MAX_SHARDS} are read")
    shards = {name: _shard(file.path.parent / name, session) for name in names}
    tensors = by_name((tensor for shard in shards.values() for tensor in shard.tensors.values()), limits)
    for name, place in places.items():
        if name not in shards[place].tensors:
            raise Damaged(f"says that {shown(name)} is in {shown(place)}, which does not hold it")
    if len(tensors) != len(places):
        extra = next(name for name in tensors if name not in places)
        raise Damaged(f"does not name {shown(extra)}, which one of its files holds")
    metadata = index.get("metadata")
    return Read(
        "safetensors", tensors, {"metadata": metadata if isinstance(metadata, dict) else {}, "shards": names}
    )


def _places(index: Any) -> dict[str, str]:
    """Return tensor name -> file name; a file name has no folder in it."""
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places:
        raise Unsupported("is JSON, but no index of safetensors files: it has no weight_map")
    for place in set(map(repr, places.values())):
        if any(sign in place for sign in "/\\\0:") or ".." in place:
            raise Unsafe(f"names a file outside its own folder, {place[:80]}")
    if not all(isinstance(place, str) and place.endswith(".safetensors") for place in places.values()):
        raise Unsupported("names shards other than .safetensors files")
    return places


def _shard(path: Path, session: Session) -> Read:
    try:
        return read_safetensors(session.open(path), session)
    except OSError:
        raise Damaged(f"names {shown(path.name)}, which is not beside it") from None
    except Damaged as fault:
        raise Damaged(f"names {shown(path.name)}, which {fault.message}") from None
