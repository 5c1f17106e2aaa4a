"""Several networks, or clipping policies, on the same inputs: one table, ranked by horizon."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from ._base import ReportModel
from .clipping import Clipping
from .diagnoses import Diagnosis, Provenance, RunRequest, Status
from .networks import Network
from .values import Log10Number, NullableNumber, UndefinedLog10Number, undefined_as_nan

MOST_ROWS = 64


def named(value: Any) -> Any:
    """A list stands for an object whose names are counted from 1."""
    if isinstance(value, (list, tuple)):
        return {str(place): item for place, item in enumerate(value, start=1)}
    return value


def named_policies(value: Any) -> Any:
    """A list of policies is named by what they do, counted where two do the same."""
    if not isinstance(value, (list, tuple)):
        return value
    found: dict[str, Any] = {}
    for place, policy in enumerate(value, start=1):
        name = _in_words(policy) or str(place)
        found[name if name not in found else f"{name} ({place})"] = policy
    return found


def _in_words(policy: Any) -> str | None:
    """A policy in a few words, None for what is none."""
    fields = policy if isinstance(policy, dict) else getattr(policy, "__dict__", {})
    kind, threshold = fields.get("kind"), fields.get("threshold")
    if not isinstance(kind, str):
        return None
    norm = "inf" if fields.get("norm_type") == "inf" else None
    words = [
        norm,
        kind.replace("_", " "),
        None if threshold is None else f"{threshold}",
        fields.get("framework"),
    ]
    return " ".join(str(word) for word in words if word is not None)[:64]


class ComparisonRequest(RunRequest):
    """The same task for every network with every clipping policy; at least two rows.

    `networks` and `policies` are objects, name to network or policy; networks in a list are named 1, 2, 3, policies by
    what they do. One `network` may stand for several. Unless `diagnostics` says more, a row reports gradient norms, and
    clipping where it has a policy.
    """

    network: Network | None = None
    networks: Annotated[dict[str, Network], BeforeValidator(named), Field(min_length=1)] | None = None
    policies: Annotated[dict[str, Clipping], BeforeValidator(named_policies), Field(min_length=1)] | None = (
        None
    )

    @model_validator(mode="after")
    def _something_to_compare(self) -> ComparisonRequest:
        if (self.network is None) == (self.networks is None):
            raise ValueError("give either networks, or one network with several policies")
        rows = len(self.networks or (1,)) * len(self.policies or (1,))
        if not 2 <= rows <= MOST_ROWS:
            raise ValueError(f"networks times policies must make 2 to {MOST_ROWS} rows; they make {rows}")
        return self


class ComparisonRow(ReportModel):
    """One network with one policy: `rank` 1 reaches farthest, and rows that do equally well share a rank.

    `log10_update_norm` is of all parameter gradients together, before and after clipping; undefined without a policy.
    """

    rank: int
    name: str
    network: str
    policy: str | None
    cell: str
    status: Status
    directions_vanish: bool
    horizon_steps: int | None
    horizon_direction: str | None
    censored: bool
    decades_per_step: NullableNumber
    decades_per_step_reason: str | None
    log10_largest_singular_value: Log10Number
    steps_completed: int
    clipped: bool | None
    log10_update_norm_before: UndefinedLog10Number
    log10_update_norm_before_reason: str | None
    log10_update_norm_after: UndefinedLog10Number
    log10_update_norm_after_reason: str | None
    horizon_after_clipping: int | None

    @model_validator(mode="before")
    @classmethod
    def _undefined_is_nan(cls, data: Any) -> Any:
        """On the wire null means zero or undefined; the reason tells them apart."""
        for name in ("log10_update_norm_before", "log10_update_norm_after"):
            data = undefined_as_nan(data, name)
        return data


class Comparison(ReportModel):
    """The answer: the table, and the diagnosis behind each row by its name, in the order of the request."""

    id: str
    says: str
    rows: list[ComparisonRow]
    diagnoses: dict[str, Diagnosis]
    assumptions: list[str]
    warnings: list[str]
    provenance: Provenance
