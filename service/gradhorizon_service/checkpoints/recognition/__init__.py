"""Which layers the tensors of a checkpoint make, whichever framework named and stacked them."""

from .families import FAMILIES, KNOWN
from .layer import Layer, Misfit
from .override import Override, RecognitionFault
from .recognising import Recognition, listed, recognise
from .standard import network_of
from .weight import Budget

__all__ = [
    "FAMILIES",
    "KNOWN",
    "Budget",
    "Layer",
    "Misfit",
    "Override",
    "Recognition",
    "RecognitionFault",
    "listed",
    "network_of",
    "recognise",
]
