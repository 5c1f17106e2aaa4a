"""Diagnostics, one file each: a function of a run."""

from __future__ import annotations

from collections.abc import Mapping

from ._diagnostic import Diagnostic, without_gradients, without_matrix, without_shared_steps, without_states
from .clipping import clipping, without_policy
from .echo_state import echo_state, not_a_reservoir
from .gradient_norms import gradient_norms
from .lyapunov import lyapunov
from .mean_field import mean_field_of_run, without_ensemble
from .modes import modes, not_linear
from .nonnormality import nonnormality
from .parameter_gradient import parameter_gradient
from .precision import precision
from .remedies import remedies, without_network
from .saturation import saturation, without_activation
from .singular_values import singular_values
from .spectrum import spectrum
from .state_norms import state_norms

DIAGNOSTICS: Mapping[str, Diagnostic] = {
    "spectrum": Diagnostic(spectrum, without_matrix),
    "modes": Diagnostic(modes, not_linear),
    "nonnormality": Diagnostic(nonnormality, without_matrix),
    "state_norms": Diagnostic(state_norms, without_states),
    "gradient_norms": Diagnostic(gradient_norms),
    "parameter_gradient": Diagnostic(parameter_gradient, without_gradients),
    "singular_values": Diagnostic(singular_values),
    "lyapunov": Diagnostic(lyapunov, without_shared_steps),
    "mean_field": Diagnostic(mean_field_of_run, without_ensemble),
    "saturation": Diagnostic(saturation, without_activation),
    "precision": Diagnostic(precision),
    "clipping": Diagnostic(clipping, without_policy),
    "echo_state": Diagnostic(echo_state, not_a_reservoir),
    "remedies": Diagnostic(remedies, without_network),
}
"""Name in a request -> its row."""

__all__ = ["DIAGNOSTICS", "Diagnostic"]
