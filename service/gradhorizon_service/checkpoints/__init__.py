"""Checkpoint files into named tensors, without the frameworks that wrote them and without running what they hold."""

from .checkpoint import Checkpoint, DeclaredLayer, Format
from .errors import CheckpointFault, Damaged, NotRecognised, TooLarge, Unsafe, Unsupported
from .limits import ReadLimits
from .opening import open_checkpoint
from .tensor import Tensor

__all__ = [
    "Checkpoint",
    "CheckpointFault",
    "Damaged",
    "DeclaredLayer",
    "Format",
    "NotRecognised",
    "ReadLimits",
    "Tensor",
    "TooLarge",
    "Unsafe",
    "Unsupported",
    "open_checkpoint",
]
