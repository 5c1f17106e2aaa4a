"""The temporary folder: gone at the end, and after a crash at the next start."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from gradhorizon_service.artifacts.temporary import temporary_folder


@pytest.fixture(autouse=True)
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_for_this_user_alone_and_goes_with_what_is_in_it(system_folder: Path) -> None:
    with temporary_folder() as folder:
        assert folder.parent == system_folder
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "ab").mkdir()
        (folder / "ab" / "content").write_bytes(b"weights")
    assert list(system_folder.iterdir()) == []


def test_one_that_a_killed_process_left_is_cleared_away(system_folder: Path) -> None:
    left = system_folder / "gradhorizon-artifacts-left"
    left.mkdir()
    (left / "lock").touch()
    with temporary_folder():
        assert not left.exists()


def test_one_that_is_in_use_stays() -> None:
    with temporary_folder() as mine, temporary_folder():
        assert (mine / "lock").exists()


def test_what_others_put_under_such_a_name_stays(system_folder: Path) -> None:
    """A link to somewhere else must not make us clear that."""
    elsewhere = system_folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (system_folder / "gradhorizon-artifacts-link").symlink_to(elsewhere)
    (system_folder / "gradhorizon-artifacts-new").mkdir()  # one whose process has not locked it yet
    with temporary_folder():
        assert (elsewhere / "lock").exists()
        assert (system_folder / "gradhorizon-artifacts-new").exists()
