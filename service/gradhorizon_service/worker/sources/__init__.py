"""Sources of matrices, one file each: a new one is a new file and a row in `SOURCES`."""

from collections.abc import Callable, Mapping

from ._source import Source
from .distributions import DISTRIBUTIONS, Distribution
from .ensemble import EnsembleSource
from .families import FAMILIES
from .matrix import MatrixSource
from .rescale import Rescale
from .singular_values import SingularValuesSource
from .spectrum import SpectrumSource

SOURCES: Mapping[str, Callable[..., Source]] = {
    "matrix": MatrixSource,
    "spectrum": SpectrumSource,
    "singular_values": SingularValuesSource,
    "ensemble": EnsembleSource,
}

__all__ = [
    "DISTRIBUTIONS",
    "FAMILIES",
    "SOURCES",
    "Distribution",
    "EnsembleSource",
    "MatrixSource",
    "Rescale",
    "SingularValuesSource",
    "Source",
    "SpectrumSource",
]
