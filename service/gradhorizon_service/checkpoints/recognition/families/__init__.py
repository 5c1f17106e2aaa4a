"""Conventions, one file a framework: each takes the tensors that earlier ones left, and says which layers they make."""

from collections.abc import Mapping

from ._family import Family, Found
from .equinox import equinox
from .flax import flax
from .haiku import haiku
from .keras import keras
from .linear_stacks import linear_stacks
from .named import named
from .onnx import onnx
from .state_space import state_space
from .tensorflow1 import tensorflow1
from .torch import torch

FAMILIES: Mapping[str, Family] = {
    "named": named,
    "onnx": onnx,
    "torch": torch,
    "equinox": equinox,
    "flax": flax,
    "haiku": haiku,
    "keras": keras,
    "tensorflow1": tensorflow1,
    "state_space": state_space,
    "linear_stacks": linear_stacks,
}
"""In the order in which they are asked."""

KNOWN = (
    "recurrent layers as PyTorch (weight_hh_l0), Equinox (weight_hh with one bias), Keras (recurrent_kernel), Flax "
    "(hi/kernel, dense_h/kernel), Haiku (w_h, lstm/linear), TensorFlow 1 (lstm_cell/kernel) and ONNX (RNN, LSTM, GRU) "
    "keep them, diagonal state-space parameters (nu_log and theta_log, log_A_real, Lambda_re), and two or more "
    "numbered linear layers"
)
"""What would be recognised, for a file in which nothing is."""

__all__ = ["FAMILIES", "KNOWN", "Family", "Found"]
