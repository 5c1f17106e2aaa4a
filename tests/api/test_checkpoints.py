"""Checkpoints over HTTP: every layer of one, and two side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_safetensors

from gradhorizon.schemas import CheckpointComparison, CheckpointDiagnosis, Problem
from gradhorizon_service.analysis.tasks import CHECKPOINT_OPERATIONS
from gradhorizon_service.api import examples
from gradhorizon_service.api.errors import TABLE
from gradhorizon_service.api.openapi import COMPUTING

RNG = np.random.default_rng(1)
Check = Callable[..., Problem]
Tensors = dict[str, np.ndarray[Any, Any]]


def stack(scale: float = 0.3, cell: int = 1) -> Tensors:
    """Two layers of 4 units, both directions, behind wrappers; and a head."""
    tensors: Tensors = {"module.head.weight": RNG.standard_normal((2, 8))}
    for index, inputs in ((0, 3), (1, 8)):
        for suffix in ("", "_reverse"):
            end = f"_l{index}{suffix}"
            rows = 4 * cell
            tensors[f"module.rnn.weight_hh{end}"] = scale * RNG.standard_normal((rows, 4))
            tensors[f"module.rnn.weight_ih{end}"] = RNG.standard_normal((rows, inputs))
            tensors[f"module.rnn.bias_ih{end}"] = RNG.standard_normal(rows)
            tensors[f"module.rnn.bias_hh{end}"] = RNG.standard_normal(rows)
    return tensors


@pytest.fixture(scope="module")
def upload(client: Any) -> Callable[[Tensors], str]:
    def send(tensors: Tensors) -> str:
        response = client.post("/v1/artifacts", content=save_safetensors(tensors))
        assert response.status_code in (200, 201), response.text
        sha256: str = response.json()["sha256"]
        return sha256

    return send


def diagnosed(post: Any, sha256: str, **fields: Any) -> dict[str, Any]:
    response = post({"depth": 12, **fields}, f"/v1/checkpoints/{sha256}/diagnoses")
    assert response.status_code == 200, response.text
    CheckpointDiagnosis.model_validate_json(response.content)
    report: dict[str, Any] = response.json()
    return report


NAMES = ["rnn.l0", "rnn.l0_reverse", "rnn.l1", "rnn.l1_reverse"]


def test_every_layer_has_a_report_in_order(post: Any, upload: Any) -> None:
    report = diagnosed(post, upload(stack()))
    assert [layer["name"] for layer in report["layers"]] == NAMES
    assert [layer["fed_by"] for layer in report["layers"]] == [[]] * 4
    assert all(layer["diagnosis"]["horizon"] for layer in report["layers"])
    assert report["skipped"] == [
        {
            "tensor": "module.head.weight",
            "reason": "a matrix that belongs to no layer that is recognised, such as a read-out or an embedding",
        }
    ]
    assert "module left out" in report["assumptions"][0]
    assert "activation tanh" in report["layers"][0]["assumptions"][0]


def test_a_layer_alone_is_the_same_diagnosis(post: Any, upload: Any) -> None:
    tensors = stack()
    report = diagnosed(post, upload(tensors), only=["rnn.l0"], diagnostics=["gradient_norms"])
    (layer,) = report["layers"]
    fields = {
        "weights": "weight_hh",
        "input_weights": "weight_ih",
        "input_bias": "bias_ih",
        "recurrent_bias": "bias_hh",
    }
    network = {ours: tensors[f"module.rnn.{theirs}_l0"].tolist() for ours, theirs in fields.items()}
    request = {"network": {"cell": "rnn", **network}, "depth": 12, "diagnostics": ["gradient_norms"]}
    alone = post(request, "/v1/diagnoses").json()
    assert layer["diagnosis"]["id"] == alone["id"]
    assert layer["diagnosis"]["gradient_norms"] == alone["gradient_norms"]


def test_a_given_batch_runs_through_the_layers(post: Any, upload: Any) -> None:
    """The top layer's gradient is that of a network on the states below, run here step by step."""
    tensors = stack()
    batch = RNG.standard_normal((2, 12, 3))
    inputs = {"kind": "values", "values": batch.tolist()}
    report = diagnosed(post, upload(tensors), inputs=inputs, diagnostics=["gradient_norms"])
    assert [layer["fed_by"] for layer in report["layers"]] == [[], [], NAMES[:2], NAMES[:2]]

    def parameter(name: str, end: str) -> np.ndarray[Any, Any]:
        return tensors[f"module.rnn.{name}{end}"]

    def hidden(end: str, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        h, states = np.zeros((2, 4)), []
        b = parameter("bias_ih", end) + parameter("bias_hh", end)
        for step in range(12):
            h = np.tanh(x[:, step] @ parameter("weight_ih", end).T + h @ parameter("weight_hh", end).T + b)
            states.append(h)
        return np.stack(states, axis=1)

    below = np.concatenate([hidden("_l0", batch), hidden("_l0_reverse", batch[:, ::-1])[:, ::-1]], axis=-1)
    request = {
        "network": {
            "cell": "rnn",
            "weights": parameter("weight_hh", "_l1_reverse").tolist(),
            "input_weights": parameter("weight_ih", "_l1_reverse").tolist(),
            "input_bias": parameter("bias_ih", "_l1_reverse").tolist(),
            "recurrent_bias": parameter("bias_hh", "_l1_reverse").tolist(),
        },
        "depth": 12,
        "inputs": {"kind": "values", "values": below[:, ::-1].tolist()},
        "diagnostics": ["gradient_norms"],
    }
    alone = post(request, "/v1/diagnoses").json()
    got = report["layers"][3]["diagnosis"]["gradient_norms"]["log10_norm"]
    assert np.abs(np.array(got) - np.array(alone["gradient_norms"]["log10_norm"])).max() < 1e-12


def test_only_reports_what_it_names_and_still_feeds_it(post: Any, upload: Any) -> None:
    sha256 = upload(stack())
    inputs = {"kind": "gaussian", "batch": 2}
    every = diagnosed(post, sha256, inputs=inputs, diagnostics=["gradient_norms"])
    (layer,) = diagnosed(post, sha256, inputs=inputs, only=["rnn.l1"], diagnostics=["gradient_norms"])[
        "layers"
    ]
    assert layer["diagnosis"]["gradient_norms"] == every["layers"][2]["diagnosis"]["gradient_norms"]


def test_a_broken_tensor_is_named_and_the_other_layers_are_diagnosed(post: Any, upload: Any) -> None:
    tensors = stack()
    tensors["module.rnn.weight_hh_l0"][1, 2] = np.nan
    report = diagnosed(post, upload(tensors))
    errors = [finding for finding in report["hygiene"] if finding["severity"] == "error"]
    assert [(one["rule"], one["tensor"], one["value"]) for one in errors] == [
        ("non_finite", "module.rnn.weight_hh_l0", 1.0)
    ]
    assert report["layers"][0]["diagnosis"] is None
    assert "module.rnn.weight_hh_l0" in report["layers"][0]["diagnosis_reason"]
    assert report["layers"][1]["diagnosis"] is not None
    fired = {rule["rule"] for rule in report["rules"] if rule["fired"]}
    assert "ExplodingTensor" in fired


def test_rules_have_their_published_defaults_beside_our_word(post: Any, upload: Any) -> None:
    report = diagnosed(post, upload(stack()), only=["rnn.l0"])
    rules = {rule["rule"]: rule for rule in report["rules"]}
    assert rules["VanishingGradient"]["threshold"] == 1e-7
    assert rules["SaturatedActivation"]["threshold"] == 50.0
    assert rules["PoorWeightInitialization"]["threshold"] == 10.0
    assert rules["AllZero"]["threshold"] == 100.0
    assert rules["VanishingGradient"]["ours"].startswith(
        report["layers"][0]["diagnosis"]["verdict"]["status"]
    )
    assert "two checkpoints" in rules["WeightUpdateRatio"]["fired_reason"]
    assert rules["DeadRelu"]["fired"] is None


def test_vanishing_gradient_depends_on_the_loss_and_the_verdict_does_not(post: Any, upload: Any) -> None:
    """The weakness of an absolute threshold: the same network, its loss divided by 10^9."""
    sha256 = upload(stack())
    rules, statuses = [], []
    for size in (1.0, 1e-9):
        loss = {"kind": "cotangent", "values": [size, 0.0, 0.0, 0.0]}
        report = diagnosed(post, sha256, only=["rnn.l0"], loss=loss)
        rules.append(next(rule["fired"] for rule in report["rules"] if rule["rule"] == "VanishingGradient"))
        statuses.append(report["layers"][0]["diagnosis"]["verdict"]["status"])
    assert rules == [False, True]
    assert statuses[0] == statuses[1]


def test_a_diagnostic_that_means_nothing_for_a_layer_is_left_out_there(post: Any, upload: Any) -> None:
    tensors = stack() | {f"gru.weight_hh{end}": RNG.standard_normal((12, 4)) for end in ("_l0",)}
    report = diagnosed(post, upload(tensors), diagnostics=["spectrum", "gradient_norms"])
    gru = next(layer for layer in report["layers"] if layer["cell"] == "gru")
    assert "spectrum" not in gru["diagnosis"]
    assert any("left out: spectrum" in line for line in gru["diagnosis"]["assumptions"])


def test_a_linear_stack_and_a_state_space_layer_are_diagnosed_beside_a_recurrent_one(
    post: Any, upload: Any
) -> None:
    tensors = stack() | {
        "mlp.0.weight": RNG.standard_normal((5, 3)),
        "mlp.2.weight": RNG.standard_normal((2, 5)),
        "lru.nu_log": RNG.standard_normal(4),
        "lru.theta_log": RNG.standard_normal(4),
    }
    report = diagnosed(post, upload(tensors), inputs={"kind": "gaussian", "batch": 2})
    cells = {layer["name"]: layer["cell"] for layer in report["layers"]}
    assert (cells["mlp"], cells["lru"]) == ("feedforward", "diagonal")
    assert all(layer["diagnosis"] is not None for layer in report["layers"])
    mlp = next(layer for layer in report["layers"] if layer["name"] == "mlp")
    assert mlp["sizes"] == {"inputs": 3, "units": 2, "outputs": 2, "layers": 2}


def test_a_file_without_layers_says_what_it_holds_and_what_would_be_recognised(
    post: Any, upload: Any, check_problem: Check
) -> None:
    sha256 = upload({"embedding.weight": np.ones((5, 2)), "conv.weight": np.ones((2, 2, 3))})
    response = post({"depth": 5}, f"/v1/checkpoints/{sha256}/diagnoses")
    problem = check_problem(response, 422, "nothing_recognised")
    assert "embedding.weight [5, 2]" in problem.detail
    assert "weight_hh_l0" in problem.detail


REFUSALS = {
    "unknown layer": ({"layers": {"rnn.l7": {"activation": "relu"}}}, '$.layers["rnn.l7"]'),
    "unknown only": ({"only": ["rnn.l7"]}, "$.only"),
    "unknown field": ({"layers": {"rnn.l0": {"activaton": "relu"}}}, '$.layers["rnn.l0"].activaton'),
    "a setting of another cell": ({"layers": {"rnn.l0": {"reset": "before"}}}, '$.layers["rnn.l0"].reset'),
    "no such tensor": ({"layers": {"x": {"weights": "none"}}}, "$.layers.x.weights"),
    "a batch that fits no layer": (
        {"inputs": {"kind": "values", "values": [[1.0] * 5] * 12}},
        "$.inputs.values",
    ),
    "no depth": ({"depth": None}, "$.depth"),
    "too deep": ({"depth": 10**9}, "$.depth"),
}


@pytest.mark.parametrize(("fields", "path"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_names_the_field(fields: dict[str, Any], path: str, post: Any, upload: Any) -> None:
    response = post({"depth": 12, **fields}, f"/v1/checkpoints/{upload(stack())}/diagnoses")
    assert response.status_code == 422, response.text
    assert path in [error["path"] for error in response.json()["errors"]], response.text


def test_a_file_that_is_not_here_is_not_found(post: Any, check_problem: Check) -> None:
    response = post({"depth": 5}, f"/v1/checkpoints/{'0' * 64}/diagnoses")
    check_problem(response, 404, "artifact_not_found")
    response = post({"depth": 5, "a": "0" * 64, "b": "1" * 64}, "/v1/checkpoint-comparisons")
    check_problem(response, 404, "artifact_not_found")


def test_inputs_may_come_as_a_part(post_parts: Any, upload: Any) -> None:
    import io

    stream = io.BytesIO()
    np.save(stream, RNG.standard_normal((2, 28, 3)))
    path = f"/v1/checkpoints/{upload(stack())}/diagnoses"
    response = post_parts(
        examples.TENSOR_CHECKPOINT_DIAGNOSIS, {"batch": ("batch.npy", stream.getvalue())}, path
    )
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("sizes", [(1e140, 1e-200), (1e-300, 1.0), (0.0, 0.0), (1e200, 1.0)])
def test_numbers_at_the_ends_of_float64_are_reported_or_refused_and_stay_finite(
    sizes: tuple[float, float], upload: Any, post: Any
) -> None:
    recurrent, driven = sizes
    tensors = {"l.weight_hh_l0": np.full((16, 4), recurrent), "l.weight_ih_l0": np.full((16, 2), driven)}
    usual = {"l.weight_hh_l0": np.ones((16, 4)), "l.weight_ih_l0": np.full((16, 2), 1e-300)}
    report = diagnosed(post, upload(tensors))
    assert report["layers"][0]["diagnosis"] is not None or report["layers"][0]["diagnosis_reason"]
    response = post({"a": upload(usual), "b": upload(tensors), "depth": 5}, "/v1/checkpoint-comparisons")
    assert response.status_code == (422 if recurrent > 1e150 else 200), response.text


# -- two checkpoints


def compared(post: Any, a: str, b: str, **fields: Any) -> dict[str, Any]:
    response = post({"a": a, "b": b, "depth": 12, **fields}, "/v1/checkpoint-comparisons")
    assert response.status_code == 200, response.text
    CheckpointComparison.model_validate_json(response.content)
    report: dict[str, Any] = response.json()
    return report


def test_the_layer_whose_weights_changed_most_is_named(post: Any, upload: Any) -> None:
    before = stack()
    after = {name: array.copy() for name, array in before.items()}
    after["module.rnn.weight_hh_l1"] *= 3.0
    after["module.rnn.weight_hh_l0"] *= 1.01
    report = compared(post, upload(before), upload(after))
    assert report["moved_most"] == "rnn.l1"
    rows = {row["name"]: row for row in report["layers"]}
    assert [rows[name]["rank"] for name in NAMES] == [2, 3, 1, 4]
    size = np.sqrt(sum(np.sum(array**2) for name, array in before.items() if name.endswith("_l1")))
    moved = 2.0 * np.linalg.norm(before["module.rnn.weight_hh_l1"])
    assert rows["rnn.l1"]["relative_change"] == pytest.approx(moved / size)
    (recurrent,) = [one for one in rows["rnn.l1"]["matrices"] if one["name"] == "weights"]
    assert recurrent["relative_change"] == pytest.approx(2.0)
    assert recurrent["spectral_norm_after"] == pytest.approx(3.0 * recurrent["spectral_norm_before"])
    assert np.abs(recurrent["left_angles"]).max() < 1e-7
    assert rows["rnn.l1"]["largest_exponent_after"] > rows["rnn.l1"]["largest_exponent_before"]
    assert rows["rnn.l0_reverse"]["relative_change"] == 0.0
    unchanged = {
        rule["layer"]: rule["fired"] for rule in report["rules"] if rule["rule"] == "UnchangedTensor"
    }
    assert unchanged["rnn.l0_reverse"] is True


def test_gates_are_compared_one_by_one(post: Any, upload: Any) -> None:
    before = stack(cell=4)
    after = {name: array.copy() for name, array in before.items()}
    after["module.rnn.weight_hh_l0"][4:8] *= 2.0  # the forget gate
    report = compared(post, upload(before), upload(after), only=["rnn.l0"])
    changes = {one["name"]: one["relative_change"] for one in report["layers"][0]["matrices"]}
    assert changes["weights.forget"] == pytest.approx(1.0)
    assert changes["weights.input"] == 0.0


def test_matrices_are_compared_where_a_diagnostic_means_nothing(post: Any, upload: Any) -> None:
    tensors = stack(cell=4) | {"plain.weight_hh_l0": np.eye(3)}
    report = compared(post, upload(tensors), upload(tensors), diagnostics=["spectrum"])
    rows = {row["name"]: row for row in report["layers"]}
    assert rows["rnn.l0"]["before"] is None
    assert rows["rnn.l0"]["before_reason"].startswith("spectrum")
    assert len(rows["rnn.l0"]["matrices"]) == 8
    assert rows["plain.l0"]["before"]["spectrum"]["spectral_radius"] == 1.0


def test_layers_that_only_one_file_has_are_listed(post: Any, upload: Any) -> None:
    before = stack()
    after = {name: array for name, array in before.items() if "_l1_reverse" not in name}
    after["module.rnn.weight_ih_l0"] = RNG.standard_normal((4, 7))
    report = compared(post, upload(before), upload(after))
    unmatched = {row["name"]: row for row in report["unmatched"]}
    assert unmatched["rnn.l1_reverse"]["side"] == "a"
    assert "input_weights is [4, 3] in a and [4, 7] in b" in unmatched["rnn.l0"]["reason"]
    assert [row["name"] for row in report["layers"]] == ["rnn.l0_reverse", "rnn.l1"]


def test_files_without_a_layer_in_common_are_refused(post: Any, upload: Any) -> None:
    a, b = upload(stack()), upload({"w.weight_hh_l0": np.eye(3)})
    response = post({"a": a, "b": b, "depth": 5}, "/v1/checkpoint-comparisons")
    assert response.status_code == 422
    assert "no layer in common" in response.text


def test_the_same_file_twice_has_not_moved(post: Any, upload: Any) -> None:
    sha256 = upload(stack())
    report = compared(post, sha256, sha256)
    assert report["moved_most"] is None
    assert report["says"] == "no weight differs"


# -- the description


@pytest.mark.parametrize("path", CHECKPOINT_OPERATIONS)
def test_the_failures_are_described(path: str, client: Any) -> None:
    operation = client.get("/openapi.json").json()["paths"][path]["post"]
    statuses = {str(TABLE[code][0]) for code in (*COMPUTING, "artifact_not_found")}
    assert statuses | {"200"} == set(operation["responses"])
    assert "application/json" in operation["requestBody"]["content"]


@pytest.mark.parametrize("example", examples.CHECKPOINT_DIAGNOSES.values())
def test_an_example_of_the_reference_runs(example: dict[str, Any], post: Any, upload: Any) -> None:
    diagnosed(post, upload(stack()), **example["value"])


@pytest.mark.parametrize("example", examples.CHECKPOINT_COMPARISONS.values())
def test_an_example_of_a_comparison_runs(example: dict[str, Any], post: Any, upload: Any) -> None:
    compared(post, **{**example["value"], "a": upload(stack()), "b": upload(stack())})
