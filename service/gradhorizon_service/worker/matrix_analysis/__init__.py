"""Numbers that one matrix has by itself: eigenvalues, norms and measures of non-normality.

Kernels take a real float64 matrix that is finite and square, and where they say so its `SchurForm` instead,
which several kernels can then share.
"""

from .components import strong_components
from .eigen import by_modulus, eigenvalues_sorted, spectral_radius
from .eigenvectors import EigenvectorCondition, log_eigenvector_condition
from .henrici import henrici_departure
from .kreiss import KreissConstant, kreiss_constant
from .modes import ModeTimes, mode_times
from .numerical_radius import numerical_radius
from .pascanu import (
    PascanuConditions,
    Statement,
    delayed_conditions,
    kept_state_conditions,
    pascanu_conditions,
)
from .schur import SchurForm, schur_form
from .singular import smallest_singular_value, spectral_norm

__all__ = [
    "EigenvectorCondition",
    "KreissConstant",
    "ModeTimes",
    "PascanuConditions",
    "SchurForm",
    "Statement",
    "by_modulus",
    "delayed_conditions",
    "eigenvalues_sorted",
    "henrici_departure",
    "kept_state_conditions",
    "kreiss_constant",
    "log_eigenvector_condition",
    "mode_times",
    "numerical_radius",
    "pascanu_conditions",
    "schur_form",
    "smallest_singular_value",
    "spectral_norm",
    "spectral_radius",
    "strong_components",
]
