"""Settings: read from the environment by those who may, documented, and checked."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.artifacts.limits import ArtifactLimits
from gradhorizon_service.settings import PREFIX, Settings, settings_from_environment

PAGE = Path(__file__).parent.parent / "docs" / "settings.md"


def _shown(name: str) -> str:
    field = Settings.model_fields[name]
    if field.default_factory is not None:
        return "cores"
    if field.default is None:
        return "temporary"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def test_every_setting_is_documented_with_its_default_and_its_sentence() -> None:
    documented = re.findall(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    expected = [
        (f"{PREFIX}{name.upper()}", _shown(name), field.description)
        for name, field in Settings.model_fields.items()
    ]
    assert documented == expected


def test_the_environment_is_read_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADHORIZON_MAX_SIZE", "77")
    monkeypatch.setenv("GRADHORIZON_PORT", "9000")
    assert Settings().max_size == Limits.max_size
    assert settings_from_environment().max_size == 77
    assert settings_from_environment().port == 9000
    assert settings_from_environment(port=1234).port == 1234


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"),
        ("WORKERS", "0"),
        ("RECEIVE_SECONDS", "inf"),
        ("MAX_SIZE", "many"),
        ("COMPUTATION_SECONDS", "-1"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"GRADHORIZON_{name}", value)
    with pytest.raises(ValidationError, match=name.lower()):
        settings_from_environment()


def test_every_limit_of_the_analysis_is_a_setting() -> None:
    names = {field.name for field in dataclasses.fields(Limits)}
    assert names <= set(Settings.model_fields)
    assert Settings().limits() == Limits()
    assert Settings(max_depth=5).limits() == Limits(max_depth=5)


def test_every_limit_on_artifacts_is_a_setting() -> None:
    assert Settings().artifact_limits() == ArtifactLimits()
    assert Settings(max_artifact_bytes=5).artifact_limits() == ArtifactLimits(max_artifact_bytes=5)
