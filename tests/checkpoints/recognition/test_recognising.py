"""What is told from names and shapes beside the gates: wrappers, stacks, refusals, settings of the request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradhorizon_service.checkpoints import DeclaredLayer
from gradhorizon_service.checkpoints.recognition import Override, RecognitionFault
from gradhorizon_service.worker.cells import CELLS
from recognised import layer, recognised, states, written

Array = np.ndarray[Any, np.dtype[np.float64]]
RANDOM = np.random.default_rng(3)


def torch_layer(
    prefix: str = "", suffix: str = "_l0", gates: int = 1, size: int = 4, inputs: int = 3
) -> dict[str, Array]:
    rows = gates * size
    return {
        f"{prefix}weight_ih{suffix}": RANDOM.standard_normal((rows, inputs)),
        f"{prefix}weight_hh{suffix}": RANDOM.standard_normal((rows, size)),
        f"{prefix}bias_ih{suffix}": RANDOM.standard_normal(rows),
        f"{prefix}bias_hh{suffix}": RANDOM.standard_normal(rows),
    }


def eigenvalues(network: dict[str, Any]) -> Array:
    """All eigenvalues of a diagonal network, sorted; both of a conjugate pair."""
    fields = dict(network)
    fields.pop("cell")
    if "s4d" in fields:
        fields["s4d"] = {"discretization": "zoh", **fields["s4d"]}
    return np.sort_complex(CELLS["diagonal"].build(**fields).matrix.eigenvalues)


def pairs(values: Array) -> Array:
    return np.sort_complex(np.concatenate([values, values.conj()]))


# -- names


def test_layers_of_a_stack_are_fed_by_both_directions_below(tmp_path: Path) -> None:
    tensors = {
        **torch_layer("e.", "_l1", inputs=8),
        **torch_layer("e.", "_l1_reverse", inputs=8),
        **torch_layer("e.", "_l0"),
        **torch_layer("e.", "_l0_reverse"),
    }
    found, _ = recognised(written(tmp_path, tensors))
    assert [one.name for one in found.layers] == ["e.l0", "e.l0_reverse", "e.l1", "e.l1_reverse"]
    assert layer(found, "e.l1_reverse").below == ("e.l0", "e.l0_reverse")
    assert layer(found, "e.l1_reverse").direction == "backward"
    assert layer(found, "e.l0").below == ()


def test_a_wrapper_that_two_models_share_a_name_under_is_kept(tmp_path: Path) -> None:
    tensors = torch_layer("state_dict.") | torch_layer("module.")
    found, _ = recognised(written(tmp_path, tensors))
    assert [one.name for one in found.layers] == ["state_dict.l0", "module.l0"]
    assert found.assumptions == []


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "state_dict.", "module._orig_mod.", "params/"])
def test_a_wrapper_is_left_out_of_the_name_and_said(prefix: str, tmp_path: Path) -> None:
    found, _ = recognised(written(tmp_path, torch_layer(prefix + "rnn.")))
    assert [one.name for one in found.layers] == ["rnn.l0"]
    assert "left out of the names" in found.assumptions[0]
    assert found.layers[0].weights["weights"] == (f"{prefix}rnn.weight_hh_l0",)


def test_what_makes_no_layer_has_a_reason(tmp_path: Path) -> None:
    tensors = {
        **torch_layer(),
        "head.weight": np.ones((2, 4)),
        "norm.weight": np.ones(4),
        "conv.weight": np.ones((2, 2, 3)),
        "steps": np.array(7),
        "empty": np.ones((0, 3)),
    }
    found, _ = recognised(written(tmp_path, tensors))
    assert set(found.skipped) == {"head.weight", "norm.weight", "conv.weight", "steps", "empty"}
    assert "read-out" in found.skipped["head.weight"]
    assert "convolution" in found.skipped["conv.weight"]
    assert "int64" in found.skipped["steps"]
    assert found.skipped["empty"] == "is empty"


MISFITS = {
    "weight_ih of other rows": ({"weight_ih_l0": (5, 3)}, "weight_ih_l0 is [5, 3]"),
    "a bias of another length": ({"bias_hh_l0": (3,)}, "bias_hh_l0 is [3]"),
    "two gates": ({"weight_hh_l0": (8, 4)}, "8 rows of gates for a state of 4"),
    "a projection of another size": (
        {"weight_hh_l0": (16, 2), "weight_hr_l0": (2, 3)},
        "weight_hr_l0 is [2, 3]",
    ),
}


@pytest.mark.parametrize(("shapes", "says"), MISFITS.values(), ids=MISFITS)
def test_tensors_that_do_not_fit_are_refused_by_name(
    shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path
) -> None:
    tensors = torch_layer() | {name: np.ones(shape) for name, shape in shapes.items()}
    found, _ = recognised(written(tmp_path, tensors))
    assert found.layers == []
    assert says in found.skipped["weight_hh_l0"]
    assert set(found.skipped) == set(tensors)


# -- weights that are kept in pieces


def test_a_pruned_weight_is_its_original_under_its_mask(tmp_path: Path) -> None:
    tensors = torch_layer()
    original = tensors.pop("weight_hh_l0")
    mask = (RANDOM.random((4, 4)) > 0.5).astype(float)
    tensors |= {"weight_hh_l0_orig": original, "weight_hh_l0_mask": mask}
    found, networks = recognised(written(tmp_path, tensors))
    assert np.array_equal(networks["l0"]["weights"], original * mask)
    assert found.skipped == {}


def test_an_unknown_parametrization_is_refused_with_what_to_do(tmp_path: Path) -> None:
    tensors = torch_layer()
    tensors["parametrizations.weight_hh_l0.original"] = tensors.pop("weight_hh_l0")
    tensors["parametrizations.weight_hh_l0.0.secret"] = np.ones(3)
    found, _ = recognised(written(tmp_path, tensors))
    assert found.layers == []
    assert "remove_parametrizations" in found.skipped["parametrizations.weight_hh_l0.0.secret"]


# -- linear stacks


@pytest.mark.parametrize(
    ("names", "name"),
    [
        (("net.0.weight", "net.2.weight", "net.4.weight"), "net"),
        (("fc1.weight", "fc2.weight", "fc10.weight"), "fc"),
        (("params/Dense_0/kernel", "params/Dense_1/kernel", "params/Dense_2/kernel"), "Dense"),
        (("layers/dense/vars/0", "layers/dense_1/vars/0", "layers/dense_2/vars/0"), "layers.dense"),
    ],
)
def test_numbered_linear_layers_are_a_feedforward_network(
    names: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    shapes = [(5, 3), (6, 5), (2, 6)]
    matrices = [RANDOM.standard_normal(shape) for shape in shapes]
    turned = "kernel" in names[0] or "vars" in names[0]
    tensors = {label: W.T if turned else W for label, W in zip(names, matrices, strict=True)}
    tensors |= {
        label.replace("weight", "bias")
        .replace("kernel", "bias")
        .replace("vars/0", "vars/1"): RANDOM.standard_normal(len(W))
        for label, W in zip(names, matrices, strict=True)
    }
    found, networks = recognised(written(tmp_path, tensors))
    assert found.skipped == {}
    assert "last one included" in layer(found, name).assumptions["activation"]
    h = x = RANDOM.standard_normal((2, 3))
    for W, b in zip(matrices, networks[name]["biases"], strict=True):
        h = np.maximum(h @ W.T + b, 0.0)
    fields = {key: value for key, value in networks[name].items() if key != "cell"}
    cell = CELLS["feedforward"].build(**fields)
    state = x
    for step in range(3):
        state, _ = cell.advance(step, state, None)
    assert np.abs(state - h).max() < 1e-12


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ({"net.0.weight": (5, 3), "net.2.weight": (2, 4)}, "do not follow one another"),
        ({"net.0.weight": (5, 3), "net.1.weight": (5,), "net.2.weight": (2, 5)}, "normalises between"),
        ({"net.0.weight": (5, 3), "net.0.bias": (5,), "net.2.weight": (2, 5)}, "some linear maps"),
        ({"net.0.weight": (5, 3)}, "by itself"),
    ],
)
def test_linear_layers_that_make_no_stack_say_why(
    tensors: dict[str, tuple[int, ...]], says: str, tmp_path: Path
) -> None:
    found, _ = recognised(written(tmp_path, {name: np.ones(shape) for name, shape in tensors.items()}))
    assert found.layers == []
    assert says in found.skipped["net.0.weight"]


# -- state-space layers


def test_lru_parameters_are_its_eigenvalues(tmp_path: Path) -> None:
    nu, theta = RANDOM.standard_normal(5), RANDOM.standard_normal(5)
    _, networks = recognised(written(tmp_path, {"seq/lru/nu_log": nu, "seq/lru/theta_log": theta}))
    expected = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    assert np.abs(eigenvalues(networks["seq.lru"]) - pairs(expected)).max() < 1e-14


@pytest.mark.parametrize("real", ["log_A_real", "A_real_log"])
def test_s4d_parameters_are_discretised_channel_by_channel(real: str, tmp_path: Path) -> None:
    log_real, imag, log_dt = (
        RANDOM.standard_normal((2, 3)),
        RANDOM.random((2, 3)) + 0.1,
        RANDOM.standard_normal(2),
    )
    tensors = {f"k.{real}": log_real, "k.A_imag": imag, "k.log_dt": log_dt}
    found, networks = recognised(written(tmp_path, tensors))
    expected = np.exp((-np.exp(log_real) + 1j * imag) * np.exp(log_dt)[:, None]).ravel()
    assert np.abs(eigenvalues(networks["k"]) - pairs(expected)).max() < 1e-14
    assert set(layer(found, "k").assumptions) == {"drive", "discretization"}


def test_s5_parameters_have_a_step_a_mode(tmp_path: Path) -> None:
    real, imag, step = -RANDOM.random(4), RANDOM.random(4) + 0.1, RANDOM.standard_normal((4, 1))
    tensors = {"ssm/Lambda_re": real, "ssm/Lambda_im": imag, "ssm/log_step": step}
    _, networks = recognised(written(tmp_path, tensors))
    expected = np.exp((real + 1j * imag) * np.exp(step[:, 0]))
    assert np.abs(eigenvalues(networks["ssm"]) - pairs(expected)).max() < 1e-14


def test_mamba_has_decays_only_at_a_given_step(tmp_path: Path) -> None:
    A_log = RANDOM.standard_normal((2, 3))
    path = written(tmp_path, {"mixer.A_log": A_log, "mixer.D": np.ones(2)})
    found, _ = recognised(path)
    assert found.layers == []
    assert "give the layer a `step`" in found.skipped["mixer.A_log"]
    _, networks = recognised(path, overrides={"mixer": Override(step=0.1)})
    expected = np.sort(np.exp(-np.exp(A_log) * 0.1).ravel())
    assert np.abs(eigenvalues(networks["mixer"]).real - expected).max() < 1e-14


# -- what the file itself declares


def keras_stack(**first: Any) -> tuple[dict[str, Array], tuple[DeclaredLayer, ...]]:
    """A Bidirectional LSTM below an LSTM, both of 4 units."""
    tensors = {}
    layers = []
    for name, inputs, options in (
        (
            "b/forward_l",
            3,
            {"direction": "forward", "merge_mode": "concat", "return_sequences": True, **first},
        ),
        (
            "b/backward_l",
            3,
            {"direction": "backward", "merge_mode": "concat", "return_sequences": True, **first},
        ),
        ("top", 8, {}),
    ):
        roles = {role: f"{name}/{role}" for role in ("kernel", "recurrent_kernel", "bias")}
        shapes = {"kernel": (inputs, 16), "recurrent_kernel": (4, 16), "bias": (16,)}
        tensors |= {roles[role]: RANDOM.standard_normal(shape) for role, shape in shapes.items()}
        layers.append(DeclaredLayer(name, "LSTM", options, roles))
    return tensors, tuple(layers)


def test_a_keras_layer_is_fed_by_both_directions_before_it(tmp_path: Path) -> None:
    tensors, declared = keras_stack()
    found, _ = recognised(written(tmp_path, tensors), declared=declared)
    assert layer(found, "top").below == ("b.forward_l", "b.backward_l")
    assert layer(found, "b.backward_l").direction == "backward"
    assert layer(found, "b.backward_l").below == ()


@pytest.mark.parametrize("options", [{"return_sequences": False}, {"merge_mode": "sum"}])
def test_a_keras_layer_that_gives_no_joined_sequence_feeds_nothing(
    options: dict[str, Any], tmp_path: Path
) -> None:
    tensors, declared = keras_stack(**options)
    found, _ = recognised(written(tmp_path, tensors), declared=declared)
    assert layer(found, "top").below == ()


def test_a_keras_layer_that_goes_backwards_hands_on_its_states_in_another_order(tmp_path: Path) -> None:
    """Bidirectional turns them round again, the layer alone does not."""
    tensors, declared = keras_stack()
    alone = replace(declared[0], options={"go_backwards": True, "return_sequences": True})
    top = replace(declared[2], kind="SimpleRNN")
    tensors["top/kernel"], tensors["top/recurrent_kernel"] = np.ones((4, 2)), np.eye(2)
    tensors["top/bias"] = np.ones(2)
    found, _ = recognised(written(tmp_path, tensors), declared=(alone, top))
    assert layer(found, "b.forward_l").direction == "backward"
    assert layer(found, "top").below == ()


def test_stacked_keras_cells_feed_each_other_whatever_their_layer_returns(tmp_path: Path) -> None:
    tensors: dict[str, Array] = {}
    declared = []
    for way in ("forward", "backward"):
        for cell, inputs in (("one", 3), ("two", 4)):
            name = f"b/{way}/{cell}"
            roles = {role: f"{name}/{role}" for role in ("kernel", "recurrent_kernel")}
            tensors |= {roles["kernel"]: np.ones((inputs, 4)), roles["recurrent_kernel"]: np.eye(4)}
            options = {"direction": way, "return_sequences": False, "merge_mode": "concat"}
            declared.append(DeclaredLayer(name, "SimpleRNNCell", options, roles))
    found, _ = recognised(written(tmp_path, tensors), declared=tuple(declared))
    assert {one.name: one.below for one in found.layers} == {
        "b.forward.one": (),
        "b.forward.two": ("b.forward.one",),
        "b.backward.one": (),
        "b.backward.two": ("b.backward.one",),
    }


def test_keras_has_a_slope_of_its_own_for_leaky_relu(tmp_path: Path) -> None:
    tensors, declared = keras_stack()
    top = replace(declared[2], options={"activation": "leaky_relu"})
    _, networks = recognised(written(tmp_path, tensors), declared=(top,))
    assert networks["top"]["negative_slope"] == 0.2


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("LSTM", {"recurrent_activation": "hard_sigmoid"}, "hard_sigmoid"),
        ("LSTM", {"recurrent_activation": "leaky_relu"}, "leaky_relu"),
        ("ConvLSTM2D", {}, "no cell here"),
        ("GRU", {}, "makes no gru"),
    ],
)
def test_a_keras_layer_that_no_cell_computes_is_refused(
    kind: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    tensors, declared = keras_stack()
    roles = declared[2].tensors
    found, _ = recognised(
        written(tmp_path, {name: tensors[name] for name in roles.values()}),
        declared=(DeclaredLayer("top", kind, options, roles),),
    )
    assert found.layers == []
    assert says in found.skipped["top/kernel"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"clip": 3.0}, "clips its gates at 3"),
        ({"input_forget": 1}, "couples"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "hardsigmoid"),
        ({"activations": ["Sigmoid", "Tanh", "Relu"]}, "different activations"),
        ({"activations": ["Sigmoid", "Elu", "Elu"], "activation_alpha": [0.5, 0.9]}, "different activations"),
        ({"activations": ["Elu", "Tanh", "Tanh"], "activation_alpha": [0.5]}, "gates with a parameter"),
        ({"activations": ["Sigmoid"]}, "3 are needed"),
        ({"direction": "bidirectional"}, "1 direction"),
    ],
)
def test_an_onnx_node_that_no_cell_computes_is_refused(
    options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    tensors = {"W": np.ones((1, 16, 3)), "R": np.ones((1, 16, 4))}
    declared = (DeclaredLayer("node", "LSTM", options, {"W": "W", "R": "R"}),)
    found, _ = recognised(written(tmp_path, tensors), declared=declared)
    assert found.layers == []
    assert says in found.skipped["R"]


def test_alphas_of_an_onnx_node_go_to_the_activations_that_have_one(tmp_path: Path) -> None:
    tensors = {"W": np.ones((2, 16, 3)), "R": np.ones((2, 16, 4))}
    options = {
        "direction": "bidirectional",
        "activations": ["Sigmoid", "Elu", "Elu", "Sigmoid", "LeakyRelu", "LeakyRelu"],
        "activation_alpha": [0.5, 0.5, 0.25],
    }
    declared = (DeclaredLayer("node", "LSTM", options, {"W": "W", "R": "R"}),)
    found, _ = recognised(written(tmp_path, tensors), declared=declared)
    assert not found.layers  # the last alpha is missing: 0.25 and 0.01 differ
    options["activation_alpha"] = [0.5, 0.5, 0.25, 0.25]
    _, networks = recognised(written(tmp_path, tensors), declared=declared)
    assert networks["node"]["alpha"] == 0.5
    assert networks["node_reverse"]["negative_slope"] == 0.25


def test_a_minimal_gated_unit_without_a_reset_is_refused(tmp_path: Path) -> None:
    """Flax leaves out the bias of hn then: it would not stand inside a product."""
    tensors = {f"params/{name}/kernel": np.ones((4, 4)) for name in ("if", "in", "hf", "hn")}
    tensors |= {f"params/{name}/bias": np.ones(4) for name in ("if", "in")}
    found, _ = recognised(written(tmp_path, tensors))
    assert found.layers == []
    assert "without reset" in found.skipped["params/hn/kernel"]


def test_an_onnx_node_whose_weights_are_computed_is_refused(tmp_path: Path) -> None:
    declared = (DeclaredLayer("node", "LSTM", {}, {"R": "R"}, {"W": "'w' is computed by the graph"}),)
    found, _ = recognised(written(tmp_path, {"R": np.ones((1, 16, 4))}), declared=declared)
    assert "computed by the graph" in found.skipped["R"]


RECORDED = {
    "model.keras": ["both.forward_inner gru", "both.backward_inner gru", "last lstm"],
    "model.h5": ["both.forward_inner gru", "both.backward_inner gru", "last lstm"],
    "exported.onnx": ["lstm.LSTM lstm", "lstm.LSTM_reverse lstm", "gru.GRU gru", "rnn.RNN rnn"],
    "state.msgpack": ["cell lstm"],
    "training.pt": ["l0 lstm", "l0_reverse lstm"],
}


@pytest.mark.parametrize(("name", "layers"), RECORDED.items())
def test_files_that_the_libraries_wrote_are_recognised(name: str, layers: list[str]) -> None:
    """The Keras model has hard_sigmoid gates, which no cell here has, until the request says otherwise."""
    path = Path(__file__).parents[1] / "data" / name
    overrides = {"last": Override(gate_activation="sigmoid")} if "model" in name else {}
    found, networks = recognised(path, overrides=overrides)
    assert [f"{one.name} {one.cell}" for one in found.layers] == layers
    if "model" in name:
        plain, _ = recognised(path)
        assert [one.name for one in plain.layers] == ["both.forward_inner", "both.backward_inner"]
        assert any("say another gate_activation" in reason for reason in plain.skipped.values())
    if name == "exported.onnx":
        assert networks["rnn.RNN"]["activation"] == "relu"
        assert networks["gru.GRU"]["reset"] == "after"
        assert layer(found, "gru.GRU").below == ("lstm.LSTM", "lstm.LSTM_reverse")


# -- settings of the request


def test_a_setting_takes_the_assumption_away(tmp_path: Path) -> None:
    found, networks = recognised(
        written(tmp_path, torch_layer()), overrides={"l0": Override(activation="relu")}
    )
    assert networks["l0"]["activation"] == "relu"
    assert found.layers[0].assumptions == {}


def test_a_gate_order_rearranges_the_blocks(tmp_path: Path) -> None:
    tensors = torch_layer(gates=4)
    swapped = {
        name: np.concatenate([np.split(array, 4)[k] for k in (0, 2, 1, 3)]) for name, array in tensors.items()
    }
    x = RANDOM.standard_normal((5, 2, 3))
    _, plain = recognised(written(tmp_path, tensors))
    _, told = recognised(written(tmp_path, swapped), overrides={"l0": Override(gate_order="igfo")})
    assert np.array_equal(states(plain["l0"], x), states(told["l0"], x))


def test_a_forget_bias_is_added_to_the_forget_gate_alone(tmp_path: Path) -> None:
    path = written(tmp_path, torch_layer(gates=4))
    _, plain = recognised(path)
    _, told = recognised(path, overrides={"l0": Override(forget_bias=1.5)})
    added = told["l0"]["input_bias"] - plain["l0"]["input_bias"]
    assert np.allclose(added, np.repeat([0.0, 1.5, 0.0, 0.0], 4), atol=1e-15)


def test_a_layer_is_put_together_by_the_names_of_tensors(tmp_path: Path) -> None:
    tensors = torch_layer(gates=3)
    named = {"a": tensors["weight_hh_l0"].T, "b": tensors["weight_ih_l0"].T, "c": tensors["bias_ih_l0"]}
    override = Override(weights="a", input_weights="b", bias="c", transpose=True, reset="before")
    found, networks = recognised(written(tmp_path, named), overrides={"mine": override})
    assert networks["mine"]["reset"] == "before"
    assert np.array_equal(networks["mine"]["weights"], tensors["weight_hh_l0"])
    assert set(found.layers[0].assumptions) == {"gate_order"}


FAULTS = {
    "no such layer": (
        {"l9": Override(activation="relu")},
        ("layers", "l9"),
        "none of the layers of this file: l0",
    ),
    "no such tensor": ({"m": Override(weights="nothing")}, ("layers", "m", "weights"), "names no tensor"),
    "no recurrent matrix": ({"m": Override(bias="bias_ih_l0")}, ("layers", "m", "bias"), "needs weights"),
    "another cell": ({"l0": Override(cell="lstm")}, ("layers", "l0", "cell"), "make the cell rnn"),
    "not of this cell": ({"l0": Override(reset="before")}, ("layers", "l0", "reset"), "belongs to gru"),
    "a shape": ({"m": Override(weights="bias_ih_l0")}, ("layers", "m"), "weights is [4]"),
}


@pytest.mark.parametrize(("overrides", "steps", "says"), FAULTS.values(), ids=FAULTS)
def test_a_setting_that_cannot_be_names_its_place(
    overrides: dict[str, Override], steps: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(RecognitionFault) as caught:
        recognised(written(tmp_path, torch_layer()), overrides=overrides)
    assert caught.value.steps == steps
    assert says in caught.value.message


def test_a_gate_order_names_each_gate_once(tmp_path: Path) -> None:
    with pytest.raises(RecognitionFault, match="each of the gates i, f, g, o once"):
        recognised(written(tmp_path, torch_layer(gates=4)), overrides={"l0": Override(gate_order="iffo")})
