"""What can be asked for is what the schema says can be asked for, and importing stays light."""

from __future__ import annotations

import inspect

import pytest

import gradhorizon
from gradhorizon import AsyncClient, Client
from gradhorizon.schemas import (
    CheckpointComparisonRequest,
    CheckpointDiagnosisRequest,
    ClippingsRequest,
    ComparisonRequest,
    DescentRequest,
    DiagnosisRequest,
    MeanFieldRequest,
    SpectrumRequest,
)


def keywords(method: object) -> set[str]:
    signature = inspect.signature(method)  # type: ignore[arg-type]
    return {p.name for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY}


REQUESTS = {
    "diagnose": DiagnosisRequest,
    "compare": ComparisonRequest,
    "clippings": ClippingsRequest,
    "descend": DescentRequest,
    "mean_field": MeanFieldRequest,
    "diagnose_checkpoint": CheckpointDiagnosisRequest,
    "compare_checkpoints": CheckpointComparisonRequest,
}


@pytest.mark.parametrize("method", REQUESTS)
def test_a_method_takes_every_field_of_its_request_and_no_other(method: str) -> None:
    for client in (Client, AsyncClient):
        assert keywords(getattr(client, method)) == set(REQUESTS[method].model_fields)


def test_spectrum_takes_every_field_of_the_request_and_no_other() -> None:
    assert keywords(Client.spectrum) | {"source"} == set(SpectrumRequest.model_fields)
    assert keywords(AsyncClient.spectrum) == keywords(Client.spectrum)


@pytest.mark.parametrize("name", gradhorizon.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(gradhorizon, name)
    assert name in dir(gradhorizon)
    assert name == "__version__" or value.__doc__


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Clint'"):
        gradhorizon.Clint  # noqa: B018


def test_version_is_the_one_of_the_distribution() -> None:
    assert gradhorizon.__version__[0].isdigit()
