"""Record what PyTorch's autograd says about the checkpoints beside this file, in float64.

    python record_truth.py            writes NAME.truth.json for every checkpoint
    python record_truth.py --check    changes nothing; exits 1 where a file and PyTorch no longer agree

Needs PyTorch and safetensors (`scripts/test --peers` installs both). What no gradient tells, how a network was made
and how well it classified, is taken over from the file that is there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

FOLDER = Path(__file__).parent
NAMES = ("digits-rnn-tanh", "digits-rnn-exploding", "digits-lstm")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    agree = [check_truth(name) if check else write_truth(name) for name in NAMES]
    return 0 if all(agree) else 1


def write_truth(name: str) -> bool:
    path = truth_path(name)
    path.write_text(json.dumps(read_truth(name) | record(name), indent=1))
    print(f"{path.name}: written")
    return True


def check_truth(name: str) -> bool:
    difference = largest_difference(read_truth(name), record(name))
    # The exploding network is chaotic: its gradient at step 0 moves by 4e-9 with the order in which PyTorch sums.
    agrees = difference < 1e-7
    print(f"{name}: relative difference {difference:.1e}, {'agrees' if agrees else 'DIFFERS'}")
    return agrees


def record(name: str) -> dict[str, Any]:
    """Gradient norms of the mean cross-entropy of `head(h_T)`, one per state h_0..h_T and one per parameter.

    The network is unrolled by hand, since `nn.RNN` and `nn.LSTM` show the states but not their gradients. An LSTM's
    state is (h, c) side by side in one tensor, so that the gradient of c counts no path through h of the same step. A
    norm is the Frobenius norm over (batch, hidden), as `.grad.norm()` gives it.
    """
    weights = {
        key: value.double().requires_grad_()
        for key, value in load_file(FOLDER / f"{name}.safetensors").items()
    }
    inputs = torch.from_numpy(np.load(FOLDER / "digits-inputs.npy")).double()
    labels = torch.from_numpy(np.load(FOLDER / "digits-labels.npy"))
    parts = state_parts(weights)
    states = unroll(weights, inputs)
    logits = torch.nn.functional.linear(
        states[-1][:, parts["h"]], weights["head.weight"], weights["head.bias"]
    )
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    return {
        "loss_value": loss.item(),
        "hidden_gradient_norm": {
            name: [[gradient_norm(state, part)] for state in states] for name, part in parts.items()
        },
        "parameter_gradient_norm": {key: gradient_norm(value) for key, value in weights.items()},
        "source": f"torch {torch.__version__} autograd, float64",
    }


def unroll(weights: dict[str, torch.Tensor], inputs: torch.Tensor) -> list[torch.Tensor]:
    """States s_0..s_T of a batch (B, T, D) from a zero s_0, each keeping its gradient."""
    size = max(part.stop for part in state_parts(weights).values())
    step = rnn_step if size == len(weights["rnn.weight_hh_l0"]) else lstm_step
    state = torch.zeros(len(inputs), size, dtype=torch.float64, requires_grad=True)
    states = [state]
    for x in inputs.unbind(dim=1):
        driven = torch.nn.functional.linear(x, weights["rnn.weight_ih_l0"], weights["rnn.bias_ih_l0"])
        state = step(weights, state, driven)
        state.retain_grad()
        states.append(state)
    return states


def rnn_step(weights: dict[str, torch.Tensor], h: torch.Tensor, driven: torch.Tensor) -> torch.Tensor:
    return torch.tanh(driven + carried(weights, h))


def lstm_step(weights: dict[str, torch.Tensor], state: torch.Tensor, driven: torch.Tensor) -> torch.Tensor:
    h, c = state.chunk(2, dim=1)
    i, f, g, o = (driven + carried(weights, h)).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.cat([torch.sigmoid(o) * torch.tanh(c), c], dim=1)


def carried(weights: dict[str, torch.Tensor], h: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(h, weights["rnn.weight_hh_l0"], weights["rnn.bias_hh_l0"])


def state_parts(weights: dict[str, torch.Tensor]) -> dict[str, slice]:
    """h, and c behind it where the recurrent weights are the four gates of an LSTM."""
    rows, hidden = weights["rnn.weight_hh_l0"].shape
    h = {"h": slice(0, hidden)}
    return h if rows == hidden else {**h, "c": slice(hidden, 2 * hidden)}


def gradient_norm(tensor: torch.Tensor, part: slice = slice(None)) -> float:
    assert tensor.grad is not None
    return float(tensor.grad[..., part].norm())


def truth_path(name: str) -> Path:
    return FOLDER / f"{name}.truth.json"


def read_truth(name: str) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads(truth_path(name).read_text())
    return truth


def largest_difference(truth: dict[str, Any], recorded: dict[str, Any]) -> float:
    """The largest relative difference between two records, over the loss, every step and every parameter."""
    old, new = np.array(numbers(truth)), np.array(numbers(recorded))
    return float(np.max(np.abs(new - old) / np.where(old == 0.0, 1.0, np.abs(old))))


def numbers(record: dict[str, Any]) -> list[float]:
    by_parameter = record["parameter_gradient_norm"]
    by_step = [norm for part in record["hidden_gradient_norm"].values() for (norm,) in part]
    return [record["loss_value"], *by_step, *(by_parameter[key] for key in sorted(by_parameter))]


if __name__ == "__main__":
    raise SystemExit(main())
