"""The id of a report is that of the question, however it was spelled."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.schemas import DiagnosisRequest, SpectrumRequest
from gradhorizon_service.analysis.cost import Costs
from gradhorizon_service.analysis.limits import Limits
from gradhorizon_service.analysis.tasks import prepare_diagnosis, prepare_spectrum, run_inline

REQUEST = {"network": {"cell": "rnn", "weights": [[0.5, 0.1], [0.0, 0.4]]}, "depth": 20}


def task(**changes):
    return prepare_diagnosis(DiagnosisRequest.model_validate({**REQUEST, **changes}), Limits(), Costs())


def test_a_list_an_array_and_a_source_of_the_same_numbers_are_the_same_question():
    values = np.array(REQUEST["network"]["weights"])
    source = {"source": "matrix", "values": values.astype(np.float64)}
    ids = {task(network={"cell": "rnn", "weights": w}).id for w in (values.tolist(), values, source)}
    assert len(ids) == 1


def test_defaults_spelled_out_are_the_same_question():
    names = list(task().problem.diagnostics)
    assert task(dtype="float32", seed=0, max_points=256, diagnostics=names).id == task().id


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 21},
        {"seed": 1},
        {"dtype": "float16"},
        {"horizon_level": 0.01},
        {"lags": [0, 1]},
        {"diagnostics": ["gradient_norms"]},
        {"network": {"cell": "rnn", "weights": [[0.5, 0.1], [0.0, 0.4000001]]}},
        {"network": {"cell": "linear", "weights": [[0.5, 0.1], [0.0, 0.4]]}},
    ],
)
def test_another_question_has_another_id(change):
    assert task(**change).id != task().id


def test_ids_are_sha256_in_hex():
    prefix, digest = task().id.split(":")
    assert (prefix, len(digest)) == ("sha256", 64)
    assert int(digest, 16)


def test_the_same_request_gives_the_same_report():
    one, other = (run_inline(task()).model_dump(exclude={"provenance"}) for _ in range(2))
    assert one == other


def test_a_spectrum_may_be_asked_for_with_a_bare_source():
    nested = SpectrumRequest.model_validate({"source": {"source": "matrix", "values": [[1.0]]}})
    bare = SpectrumRequest.model_validate({"source": "matrix", "values": [[1.0]]})
    assert prepare_spectrum(nested, Limits(), Costs()).id == prepare_spectrum(bare, Limits(), Costs()).id
