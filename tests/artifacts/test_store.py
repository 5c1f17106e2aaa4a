"""The folder of artifacts: whole or not there, within its bounds, and nothing left behind."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gradhorizon_service.artifacts.errors import ArtifactNotFound, ArtifactTooLarge, NoRoom
from gradhorizon_service.artifacts.incoming import Incoming
from gradhorizon_service.artifacts.limits import ArtifactLimits
from gradhorizon_service.artifacts.store import ArtifactStore

LIMITS = ArtifactLimits(max_artifact_bytes=100, artifact_quota_bytes=150, artifact_retention_seconds=60)


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "artifacts"


@pytest.fixture
def store(folder: Path, clock: Clock) -> ArtifactStore:
    opened = ArtifactStore(folder, LIMITS, clock)
    opened.open()
    return opened


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def send(incoming: Incoming, content: bytes) -> str:
    incoming.write(content[:7])
    incoming.write(content[7:])
    return incoming.finish()


def keep(store: ArtifactStore, content: bytes, description: bytes = b"{}") -> bool:
    incoming = store.receive(None)
    try:
        assert send(incoming, content) == sha256(content)
        return store.publish(incoming, description)
    finally:
        incoming.discard()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_lies_under_its_hash_with_its_description(store: ArtifactStore, folder: Path) -> None:
    assert keep(store, b"weights", b'{"a":1}')
    name = sha256(b"weights")
    assert files(folder) == {f"{name[:2]}/{name}/content", f"{name[:2]}/{name}/artifact.json"}
    assert store.content(name).read_bytes() == b"weights"
    assert store.describe(name) == b'{"a":1}'


def test_folders_are_for_this_user_alone(store: ArtifactStore, folder: Path) -> None:
    keep(store, b"weights")
    made = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    assert len(made) == 4
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    assert store.content(sha256(b"weights")).stat().st_mode & 0o777 == 0o600


def test_the_same_content_is_kept_once_as_it_was_described_first(store: ArtifactStore, folder: Path) -> None:
    assert keep(store, b"weights", b"first")
    before = files(folder)
    assert not keep(store, b"weights", b"second")
    assert files(folder) == before
    assert store.describe(sha256(b"weights")) == b"first"


def test_uploads_of_the_same_content_at_once_keep_one(store: ArtifactStore, folder: Path) -> None:
    together = threading.Barrier(4)

    def upload(number: int) -> bool:
        incoming = store.receive(None)
        incoming.write(b"w" * 30)
        incoming.finish()
        together.wait()
        kept = store.publish(incoming, str(number).encode())
        incoming.discard()
        return kept

    with ThreadPoolExecutor(4) as pool:
        kept = list(pool.map(upload, range(4)))
    assert sorted(kept) == [False, False, False, True]
    assert store.describe(sha256(b"w" * 30)) == str(kept.index(True)).encode()
    assert len(files(folder)) == 2
    assert keep(store, b"v" * 100), "what was sent four times counts once"


def test_a_discarded_upload_leaves_nothing(store: ArtifactStore, folder: Path) -> None:
    incoming = store.receive(None)
    incoming.write(b"half of it")
    assert len(files(folder)) == 1
    incoming.discard()
    incoming.discard()
    assert files(folder) == set()
    assert list((folder / "incoming").iterdir()) == []


def test_a_thread_that_writes_after_the_end_writes_nowhere(store: ArtifactStore, tmp_path: Path) -> None:
    """The descriptor of a closed file is given to the next one that is opened."""
    incoming = store.receive(None)
    incoming.discard()
    with (tmp_path / "innocent").open("wb"), pytest.raises(ValueError, match="discarded"):
        incoming.write(b"overwritten")
    assert (tmp_path / "innocent").read_bytes() == b""


def test_more_bytes_than_allowed_are_refused_as_they_come(store: ArtifactStore) -> None:
    incoming = store.receive(None)
    incoming.write(b"w" * 100)
    with pytest.raises(ArtifactTooLarge) as refused:
        incoming.write(b"w")
    incoming.discard()
    assert refused.value.limit == "max_artifact_bytes"
    assert "max_artifact_bytes = 100" in refused.value.message


def test_a_length_over_the_limit_is_refused_before_a_byte_comes(store: ArtifactStore, folder: Path) -> None:
    with pytest.raises(ArtifactTooLarge):
        store.receive(101)
    assert list((folder / "incoming").iterdir()) == []


def test_the_quota_is_filled_to_the_last_byte_and_no_further(store: ArtifactStore) -> None:
    assert keep(store, b"v" * 100)
    assert keep(store, b"w" * 50)
    with pytest.raises(NoRoom) as refused:
        keep(store, b"x")
    assert refused.value.limit == "artifact_quota_bytes"
    assert "hold 150 bytes" in refused.value.message


def test_a_length_over_the_quota_is_refused_before_a_byte_comes(store: ArtifactStore) -> None:
    keep(store, b"v" * 100)
    store.receive(50).discard()
    with pytest.raises(NoRoom):
        store.receive(51)


def test_uploads_in_flight_count_as_stored(store: ArtifactStore) -> None:
    first, second = store.receive(None), store.receive(None)
    first.write(b"v" * 80)
    with pytest.raises(NoRoom):
        second.write(b"w" * 71)
    first.discard()
    second.write(b"w" * 71)
    second.discard()


def test_what_is_removed_makes_room(store: ArtifactStore, folder: Path) -> None:
    keep(store, b"v" * 100)
    store.delete(sha256(b"v" * 100))
    assert files(folder) == set()
    assert keep(store, b"w" * 100)
    with pytest.raises(ArtifactNotFound):
        store.delete(sha256(b"v" * 100))


def test_what_is_stored_counts_after_a_restart(store: ArtifactStore, folder: Path, clock: Clock) -> None:
    keep(store, b"v" * 100)
    again = ArtifactStore(folder, LIMITS, clock)
    again.open()
    with pytest.raises(NoRoom):
        keep(again, b"w" * 51)


def test_an_open_file_stays_readable_after_its_removal(store: ArtifactStore) -> None:
    keep(store, b"weights")
    with store.content(sha256(b"weights")).open("rb") as stream:
        store.delete(sha256(b"weights"))
        assert stream.read() == b"weights"


def test_what_is_not_used_is_removed_when_its_time_is_over(
    store: ArtifactStore, folder: Path, clock: Clock
) -> None:
    keep(store, b"weights")
    clock.now += 60
    store.sweep()
    assert files(folder)
    clock.now += 1
    store.sweep()
    assert files(folder) == set()


USES: dict[str, Callable[[ArtifactStore], object]] = {
    "a look at it": lambda store: store.describe(sha256(b"weights")),
    "another upload": lambda store: keep(store, b"weights"),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_use_makes_it_last(
    use: Callable[[ArtifactStore], object], store: ArtifactStore, clock: Clock
) -> None:
    keep(store, b"weights")
    for _ in range(3):
        clock.now += 59
        use(store)
    clock.now += 59
    store.sweep()
    assert store.describe(sha256(b"weights"))


def test_what_is_over_its_time_is_not_found_before_it_is_removed(
    store: ArtifactStore, folder: Path, clock: Clock
) -> None:
    keep(store, b"weights")
    clock.now += 61
    for use in (store.describe, store.delete):
        with pytest.raises(ArtifactNotFound):
            use(sha256(b"weights"))
    assert files(folder)


def test_what_is_over_its_time_makes_room_for_its_own_content(store: ArtifactStore, clock: Clock) -> None:
    incoming = store.receive(None)
    incoming.write(b"weights")
    incoming.finish()
    keep(store, b"weights", b"old")
    clock.now += 61
    assert store.publish(incoming, b"new")
    incoming.discard()
    assert store.describe(sha256(b"weights")) == b"new"


def test_without_a_retention_everything_is_kept(folder: Path, clock: Clock) -> None:
    store = ArtifactStore(folder, ArtifactLimits(artifact_retention_seconds=0), clock)
    store.open()
    keep(store, b"weights")
    clock.now += 1e9
    store.sweep()
    assert store.describe(sha256(b"weights"))


def test_what_a_crash_left_is_cleared_at_the_next_start(
    store: ArtifactStore, folder: Path, clock: Clock
) -> None:
    """The lock of a process goes with it, as it does here with the descriptor."""
    incoming = store.receive(None)
    incoming.write(b"half")
    os.close(incoming._file)
    (folder / "incoming" / "empty").mkdir()
    ArtifactStore(folder, LIMITS, clock).open()
    assert list((folder / "incoming").iterdir()) == []


def test_a_start_leaves_what_another_server_is_receiving(
    store: ArtifactStore, folder: Path, clock: Clock
) -> None:
    incoming = store.receive(None)
    incoming.write(b"weights")
    ArtifactStore(folder, LIMITS, clock).open()
    incoming.finish()
    assert store.publish(incoming, b"{}")
    incoming.discard()


def test_an_artifact_that_somebody_damaged_can_be_sent_again(store: ArtifactStore) -> None:
    keep(store, b"weights")
    store.content(sha256(b"weights")).unlink()
    with pytest.raises(ArtifactNotFound):
        store.describe(sha256(b"weights"))
    assert keep(store, b"weights")


@pytest.mark.parametrize(
    "name", ["", "incoming", "../state", "/etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n"]
)
def test_a_name_that_is_no_hash_is_nowhere(name: str, store: ArtifactStore) -> None:
    for use in (store.describe, store.content, store.delete):
        with pytest.raises(ArtifactNotFound):
            use(name)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_disk_is_told_and_leaves_nothing(
    call: str, store: ArtifactStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    incoming = store.receive(None)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(NoRoom, match="full") as refused:
            send(incoming, b"weights")
    incoming.discard()
    assert refused.value.limit == "artifacts_folder"
    assert files(folder) == set()
    assert keep(store, b"w" * 100)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        ArtifactStore(tmp_path / "file" / "artifacts", LIMITS).open()
