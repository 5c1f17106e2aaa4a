"""Findings in the weights of a checkpoint: one function a rule, each looking at one layer."""

from collections.abc import Callable, Iterable, Mapping

from .finding import GATE_NAMES, Finding, Subject
from .gates import forget_bias, row_findings, saturated_gates
from .initialisation import default_initialisation

RULES: Mapping[str, Callable[[Subject], Iterable[Finding]]] = {
    "forget_bias": forget_bias,
    "saturated_gates": saturated_gates,
    "default_initialisation": default_initialisation,
    "rows": row_findings,
}
"""What is looked at in every recurrent layer. `non_finite` and `all_zero` are about tensors: see `surveying`."""

__all__ = ["GATE_NAMES", "RULES", "Finding", "Subject"]
