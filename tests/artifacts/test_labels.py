"""Labels: what people see of a file name that anybody may have chosen."""

from __future__ import annotations

import pytest

from gradhorizon_service.artifacts.labels import MAX_LENGTH, label

LABELS = {
    "model.safetensors": "model.safetensors",
    "../../etc/passwd": "passwd",
    "C:\\weights\\gru.npz": "gru.npz",
    " a\x00b\u202ec\n.npz ": "abc.npz",
    "réseau.npz": "réseau.npz",
    "x" * 300: "x" * MAX_LENGTH,
    "folder/": None,
    "\n\t": None,
    "": None,
}


@pytest.mark.parametrize(("name", "shown"), LABELS.items())
def test_a_label_is_the_printable_end_of_a_path(name: str, shown: str | None) -> None:
    assert label(name) == shown


def test_no_name_is_no_label() -> None:
    assert label(None) is None
