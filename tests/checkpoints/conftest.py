"""A file of given bytes, opened and taken apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradhorizon_service.checkpoints import Checkpoint, CheckpointFault, ReadLimits, open_checkpoint


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Checkpoint]:
    """Write bytes to a file whose name says nothing, and open it."""

    def open_bytes(data: bytes, limits: ReadLimits | None = None) -> Checkpoint:
        path = tmp_path / "upload"
        path.write_bytes(data)
        return open_checkpoint(path, limits)

    return open_bytes


def load_all(checkpoint: Checkpoint) -> None:
    with checkpoint:
        for tensor in checkpoint.tensors.values():
            tensor.load()


@pytest.fixture
def fault(opened: Callable[..., Checkpoint]) -> Callable[..., CheckpointFault]:
    """Open bytes and load everything in them; return why that is refused."""

    def refused(data: bytes, limits: ReadLimits | None = None) -> CheckpointFault:
        with pytest.raises(CheckpointFault) as caught:
            load_all(opened(data, limits))
        return caught.value

    return refused


@pytest.fixture
def data_folder() -> Path:
    return Path(__file__).parent / "data"
