"""Policies of `gradhorizon check`: what a checkpoint has to keep to, from a TOML file and from options."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from ._arrays import CannotRead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ..schemas import CheckpointDiagnosis
    from ..schemas.checkpoints import LayerReport

DEFAULT_FAIL_ON = ("diverged", "exploding", "dead")
_SEVERITIES = ("error", "warning", "info")
_TOLD = {"error": "warning", "warning": "warning", "info": "info"}
"""Severity of a finding that does not fail -> how it is told."""
_RUN = {
    "depth": int, "burn_in": int, "seed": int, "dtype": str, "activation": str, "orthogonal_map": str,
    "horizon_level": float, "tolerance_decades": float, "only": list,
}  # fmt: skip
"""Keys that say what is run, and go into the request as they are."""
_KEYS = {"fail_on": list, "min_horizon": int, "hygiene": str, "ignore": list, "layers": dict, **_RUN}
_OF_LAYER = {"fail_on": list, "min_horizon": int}


@dataclass(frozen=True)
class Rules:
    """What one layer has to keep to."""

    fail_on: tuple[str, ...] = DEFAULT_FAIL_ON
    min_horizon: int | None = None


@dataclass(frozen=True)
class Policy:
    """Rules for all layers and for single ones, the gravest finding that passes, and the fields of the request."""

    rules: Rules = field(default_factory=Rules)
    layers: Mapping[str, Rules] = field(default_factory=dict)
    hygiene: str = "error"
    ignore: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)

    def of(self, layer: str) -> Rules:
        return self.layers.get(layer, self.rules)


@dataclass(frozen=True)
class Violation:
    """One thing that breaks a policy, or that is worth a warning."""

    severity: str
    where: str
    says: str


def read_policy(path: Path | None) -> Policy:
    """Read a policy; raises CannotRead for a key or a value that is not known."""
    if path is None:
        return Policy()
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CannotRead(f"{path}: {error}") from error
    _check(given, _KEYS, f"{path}: ")
    rules = _rules(given, Rules(), f"{path}: ")
    layers = {}
    for name, own in given.get("layers", {}).items():
        where = f"{path}: layers.{name}: "
        if not isinstance(own, dict):
            raise CannotRead(f"{where}a table of rules is needed")
        _check(own, _OF_LAYER, where)
        layers[name] = _rules(own, rules, where)
    hygiene = given.get("hygiene", "error")
    if hygiene not in (*_SEVERITIES, "off"):
        raise CannotRead(f"{path}: hygiene is {hygiene!r}; it is one of {', '.join(_SEVERITIES)}, off")
    request = {name: value for name, value in given.items() if name in _RUN}
    return Policy(rules, layers, hygiene, tuple(given.get("ignore", ())), request)


def with_options(policy: Policy, fail_on: list[str] | None, min_horizon: int | None) -> Policy:
    """Return a policy whose rules for all layers are those of the options, where they were used."""
    given = {"fail_on": fail_on, "min_horizon": min_horizon}
    used = {name: value for name, value in given.items() if value is not None}
    return replace(policy, rules=_rules(used, policy.rules, ""))


def _rules(given: Mapping[str, Any], usual: Rules, where: str) -> Rules:
    from ..schemas.diagnoses import Status

    fail_on = tuple(given.get("fail_on", usual.fail_on))
    unknown = [name for name in fail_on if name not in get_args(Status)]
    if unknown:
        raise CannotRead(f"{where}fail_on has {unknown[0]!r}; verdicts are {', '.join(get_args(Status))}")
    least = given.get("min_horizon", usual.min_horizon)
    if least is not None and least < 1:
        raise CannotRead(f"{where}min_horizon is {least}; it is a number of steps, 1 or more")
    return Rules(fail_on, least)


def _check(given: Mapping[str, Any], known: Mapping[str, type], where: str) -> None:
    for name, value in given.items():
        if name not in known:
            raise CannotRead(f"{where}{name!r} is no key of a policy; keys are {', '.join(known)}")
        kind = known[name]
        fits = isinstance(value, (int, float) if kind is float else kind) and not (
            isinstance(value, bool) and kind in (int, float)
        )
        if not fits:
            raise CannotRead(f"{where}{name} is {value!r}; {_CALLED[kind]} is needed")
        if kind is list and not all(isinstance(item, str) for item in value):
            raise CannotRead(f"{where}{name} is {value!r}; a list of names is needed")


_CALLED: dict[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list of names",
    dict: "a table",
}


def check_depth(policy: Policy, depth: int) -> None:
    """Raise CannotRead where a horizon is asked for that the depth cannot show."""
    for rules in (policy.rules, *policy.layers.values()):
        if rules.min_horizon is not None and rules.min_horizon > depth:
            raise CannotRead(
                f"min_horizon is {rules.min_horizon}, and only {depth} steps are run: raise the depth"
            )


def violations(policy: Policy, report: CheckpointDiagnosis) -> list[Violation]:
    """What breaks the policy (severity error), and what else is worth knowing; raises CannotRead for unknown layers."""
    names = [layer.name for layer in report.layers]
    for name in policy.layers:
        if name not in names:
            raise CannotRead(f"the policy names the layer {name!r}; layers are {', '.join(names)}")
    found = [one for layer in report.layers for one in _of_layer(policy.of(layer.name), layer)]
    return [*found, *_of_hygiene(policy, report)]


def _of_layer(rules: Rules, layer: LayerReport) -> Iterator[Violation]:
    if layer.diagnosis is None:
        yield Violation("error", layer.name, f"could not be diagnosed: {layer.diagnosis_reason}")
        return
    verdict, horizon = layer.diagnosis.verdict, layer.diagnosis.horizon
    if verdict.status in rules.fail_on:
        yield Violation("error", layer.name, f"is {verdict.status}: {verdict.summary}")
    least = rules.min_horizon
    if least is None or layer.cell == "feedforward":
        return
    if horizon.steps is None and not horizon.censored:
        yield Violation("error", layer.name, f"has no horizon, and {least} steps are asked for")
    elif horizon.steps is not None and horizon.steps < least:
        yield Violation(
            "error",
            layer.name,
            f"has a horizon of {horizon.steps} steps ({horizon.direction}), and {least} are asked for",
        )


def _of_hygiene(policy: Policy, report: CheckpointDiagnosis) -> Iterator[Violation]:
    failing: Sequence[str] = (
        () if policy.hygiene == "off" else _SEVERITIES[: _SEVERITIES.index(policy.hygiene) + 1]
    )
    for finding in report.hygiene:
        if finding.rule in policy.ignore:
            continue
        severity = "error" if finding.severity in failing else _TOLD[finding.severity]
        if severity != "info":
            where = finding.tensor or finding.layer or "the file"
            yield Violation(severity, where, f"{finding.rule}: {finding.says}")
