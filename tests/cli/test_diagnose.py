"""`gradhorizon diagnose`: what is asked of the service for a file, what is printed, and how it ends."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import Result

from gradhorizon import CheckpointDiagnosis, Client, Diagnosis

Run = Callable[..., Result]


def report_of(result: Result) -> dict[str, Any]:
    """The JSON on standard output: strict, and nothing else."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert result.exit_code == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout, parse_constant=refuse)
    return report


def test_a_named_matrix_is_diagnosed_as_the_layer_it_belongs_to(
    run: Run, checkpoint: Path, layer: dict[str, np.ndarray]
) -> None:
    report = report_of(
        run("diagnose", checkpoint, "--depth", 20, "--weights", "model.rnn.weight_hh_l0", "--json")
    )
    with Client.in_process() as client:
        asked = client.diagnose(
            network={
                "cell": "rnn",
                "activation": "tanh",
                "weights": layer["model.rnn.weight_hh_l0"],
                "input_weights": layer["model.rnn.weight_ih_l0"],
                "input_bias": layer["model.rnn.bias_ih_l0"],
                "recurrent_bias": layer["model.rnn.bias_hh_l0"],
            },
            depth=20,
        )
    assert report["id"] == asked.id
    assert report["gradient_norms"] == json.loads(asked.to_json())["gradient_norms"]
    assert any("weights = model.rnn.weight_hh_l0" in line for line in report["assumptions"])


def test_every_layer_of_a_checkpoint_is_reported(run: Run, tmp_path: Path) -> None:
    tensors = {}
    for layer, width in ((0, 3), (1, 2)):
        tensors |= {
            f"rnn.weight_hh_l{layer}": 0.5 * np.eye(2),
            f"rnn.weight_ih_l{layer}": np.ones((2, width)),
        }
    np.savez(tmp_path / "model.npz", **tensors)
    result = run("diagnose", tmp_path / "model.npz", "--depth", 30, "--json")
    report = report_of(result)
    assert [layer["name"] for layer in report["layers"]] == ["rnn.l0", "rnn.l1"]
    assert [layer["assumptions"] for layer in report["layers"]] == [
        ["activation tanh: the file does not say"]
    ] * 2
    assert CheckpointDiagnosis.model_validate_json(result.stdout).layers[1].diagnosis is not None
    (layer,) = report_of(run("diagnose", tmp_path / "model.npz", "-d", 30, "--only", "rnn.l1", "--json"))[
        "layers"
    ]
    assert layer["name"] == "rnn.l1"


def test_the_table_of_a_checkpoint_says_verdicts_assumptions_and_what_was_left_out(
    run: Run, checkpoint: Path
) -> None:
    result = run("diagnose", checkpoint)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("vanishing")
    for words in (
        "model.rnn.l0",
        "activation tanh",
        "model.head.weight",
        "depth 100: --depth says another one",
    ):
        assert words in result.stdout


def test_only_belongs_to_a_checkpoint(run: Run, matrix: Path) -> None:
    result = run("diagnose", matrix, "--depth", 5, "--only", "l0")
    assert result.exit_code == 2
    assert "--only belongs to checkpoints" in result.stderr


def test_table_says_verdict_horizon_and_assumptions(run: Run, checkpoint: Path) -> None:
    result = run(
        "diagnose", checkpoint, "-d", 50, "--activation", "tanh", "--weights", "model.rnn.weight_hh_l0"
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("vanishing")
    assert "steps, then the gradient has decayed by a factor 1000" in result.stdout
    assert "assumed: read from model.safetensors as one rnn cell" in result.stdout


def test_digits_agree_with_pytorch(run: Run, digits: Path) -> None:
    """The recorded norm of dL/dh_t at every step, for the batch, the labels and the readout it was trained with."""
    result = run(
        "diagnose",
        digits / "digits-rnn-tanh.safetensors",
        "--inputs",
        digits / "digits-inputs.npy",
        "--labels",
        digits / "digits-labels.npy",
        "--readout",
        "head",
        "--diagnostics",
        "gradient_norms",
        "--json",
    )
    report = report_of(result)
    truth = json.loads((digits / "digits-rnn-tanh.truth.json").read_text(encoding="utf-8"))
    by_lag = np.log10(np.ravel(truth["hidden_gradient_norm"]["h"]))[::-1]
    assert np.allclose(report["gradient_norms"]["log10_batch_norm"], by_lag, atol=1e-9, rtol=0)


def test_options_are_fields_of_the_request(run: Run, matrix: Path, tmp_path: Path) -> None:
    """The same question as a whole request has the same id."""
    request = {
        "network": {"cell": "linear", "weights": [[0.5, 1.0], [0.0, 0.5]]},
        "depth": 30,
        "clipping": {"kind": "norm", "threshold": 0.5},
        "dtype": "float16",
        "seed": 7,
        "diagnostics": ["spectrum", "gradient_norms", "clipping"],
        "lags": [0, 1, 30],
        "horizon_level": 0.01,
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    by_options = report_of(
        run(
            *(
                "diagnose",
                matrix,
                "--depth",
                30,
                "--cell",
                "linear",
                "--clip-norm",
                0.5,
                "--dtype",
                "float16",
            ),
            *(
                "--seed",
                7,
                "--diagnostics",
                "spectrum,gradient_norms,clipping",
                "--lags",
                "0,1,30",
                "--level",
                0.01,
            ),
            "--json",
        )
    )
    by_file = report_of(run("diagnose", tmp_path / "request.json", "--json"))
    assert by_options["id"] == by_file["id"]
    assert by_options["gradient_norms"]["lag"] == [0, 1, 30]
    assert set(by_options) & {"lyapunov", "modes"} == set()


def test_options_replace_fields_of_a_whole_request(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"network": {"cell": "linear", "weights": [[0.5]]}, "depth": 30}))
    assert report_of(run("diagnose", path, "--depth", 3, "--json"))["outcome"]["steps_completed"] == 3


def test_depth_is_the_length_of_the_inputs(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "inputs.npy", np.ones((4, 9, 3)))
    report = report_of(run("diagnose", checkpoint, "--inputs", tmp_path / "inputs.npy", "--json"))
    assert report["layers"][0]["diagnosis"]["outcome"]["steps_completed"] == 9
    assert "depth 9: the length of the sequences in inputs.npy" in report["assumptions"]


def test_json_reads_back_as_a_report(run: Run, matrix: Path) -> None:
    result = run("diagnose", matrix, "--cell", "linear", "--depth", 5, "--json")
    assert Diagnosis.model_validate_json(result.stdout).outcome.steps_completed == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--depth", 0], "$.depth"),
        (["--depth", 5, "--activation", "tahn"], "$.network.activation"),
        (["--depth", 5, "--diagnostics", "modes"], "modes"),
        (["--depth", 5, "--diagnostics", "nodes"], "$.diagnostics"),
        (["--depth", 5, "--cell", "mamba"], "$.network.cell"),
        (["--depth", 5, "--weights", "W"], "holds no array 'W'"),
        (["--depth", 5, "--lags", "1;2"], "--lags 1;2: whole numbers"),
        (["--depth", 5, "--clip-norm", 1, "--clip-value", 1], "give one"),
        (["--depth", 5, "--readout", "head"], "--labels and --readout belong together"),
        (["--depth", 5, "--inputs", "none.npy"], "none.npy"),
        (["--depth", 5, "--url", "localhost:8000"], "must begin with http"),
        ([], "$.depth"),
    ],
)
def test_refusal_names_what_to_change(run: Run, matrix: Path, arguments: list[Any], says: str) -> None:
    result = run("diagnose", matrix, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "request.json"),
        ('{"depth": NaN}', "NaN is not JSON"),
        ("[]", "a request is a JSON object"),
        ('{"depth": 5}', "$.network"),
        ('{"network": {"cell": "linear", "weights": [[0.5, 0.1]]}, "depth": 5}', "$.network.weights"),
    ],
)
def test_request_file_that_does_not_fit_is_refused(run: Run, tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "request.json").write_text(text)
    result = run("diagnose", tmp_path / "request.json")
    assert result.exit_code == 2
    assert says in result.stderr


def test_array_options_belong_inside_a_request_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}")
    result = run("diagnose", tmp_path / "request.json", "--weights", "W", "--cell", "rnn")
    assert result.exit_code == 2
    assert "--cell, --weights belongs inside it" in result.stderr


def test_no_service_at_the_url_is_a_failure_and_not_a_refusal(run: Run, matrix: Path) -> None:
    result = run("diagnose", matrix, "--depth", 5, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "cannot connect to http://127.0.0.1:1" in result.stderr


def test_missing_extra_names_both_ways_out(run: Run, matrix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    result = run("diagnose", matrix, "--depth", 5)
    assert result.exit_code == 1
    assert "pip install 'gradhorizon[service]'; or ask a running service with --url" in result.stderr


def test_any_field_of_a_request_can_be_set(run: Run, tmp_path: Path) -> None:
    weights, delayed = np.array([[0.5, 0.2], [0.0, 0.4]]), 0.3 * np.eye(2)
    np.save(tmp_path / "W.npy", weights)
    np.save(tmp_path / "V.npy", delayed)
    report = report_of(
        run(
            "diagnose", tmp_path / "W.npy", "-d", 20, "--set", "network.cell=skip", "--set", "network.delay=3",
            "--set", f"network.skip_weights=@{tmp_path / 'V.npy'}", "--set", 'initial_state={"kind": "gaussian"}',
            "--set", "initial_state.batch=5", "--set", "network.activation=relu", "--json",
        )
    )  # fmt: skip
    with Client.in_process() as client:
        asked = client.diagnose(
            network={
                "cell": "skip", "activation": "relu", "weights": weights, "skip_weights": delayed, "delay": 3,
            },
            depth=20,
            initial_state={"kind": "gaussian", "batch": 5},
        )  # fmt: skip
    assert report["id"] == asked.id
    assert not any("activation" in line for line in report["assumptions"])


def test_a_field_that_is_set_replaces_that_of_a_request_in_a_file_and_keeps_its_neighbours(
    run: Run, tmp_path: Path
) -> None:
    network = {"cell": "leaky", "leak_rate": 0.5, "weights": {"source": "matrix", "values": [[0.5]]}}
    (tmp_path / "request.json").write_text(json.dumps({"network": network, "depth": 9}))
    report = report_of(
        run(
            "diagnose",
            tmp_path / "request.json",
            "--set",
            "network.leak_rate=0.25",
            "--set",
            "depth=7",
            "--json",
        )
    )
    with Client.in_process() as client:
        asked = client.diagnose(network={**network, "leak_rate": 0.25}, depth=7)
    assert report["id"] == asked.id


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("network", "FIELD=VALUE is needed"),
        ("network.=1", "FIELD=VALUE is needed"),
        ("network=5", "set its fields"),
        ("network.leak_rate=0", "$.network.leak_rate"),
        ("network.leak=0.5", "$.network.leak"),
        ("network.skip_weights=@nowhere.npy", "nowhere.npy"),
        ("initial_state=zeros", "$.initial_state"),
        ("depth=NaN", "$.depth"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_by_name(
    run: Run, tmp_path: Path, setting: str, says: str
) -> None:
    np.save(tmp_path / "W.npy", np.eye(2))
    result = run("diagnose", tmp_path / "W.npy", "-d", 5, "--cell", "leaky", "--set", setting)
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_setting_cannot_go_through_a_number(run: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "W.npy", np.eye(2))
    result = run("diagnose", tmp_path / "W.npy", "--set", "loss=1", "--set", "loss.kind=final_state")
    assert result.exit_code == 2
    assert "loss has a value already" in result.stderr
