"""Requests that cannot be answered. Each class carries facts; the web layer gives it a status, the client a class."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One fault of a request: its JSON path (`$.network.weights.values`) and what to change."""

    path: str
    message: str


class RequestRefused(Exception):
    """Base of everything that is wrong with a request rather than with the service."""

    code = "invalid_request"

    def __init__(self, message: str, faults: tuple[Fault, ...] = (), limit: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.faults = faults
        self.limit = limit

    def relocate(self, path: str, place: str) -> None:
        """Say `place` where a JSON path begins with `path`: the refused part stands there in a larger request."""
        self.faults = tuple(Fault(fault.path.replace(path, place, 1), fault.message) for fault in self.faults)
        self.message = self.message.replace(path, place, 1)
        self.args = (self.message,)

    def append(self, words: str) -> None:
        """Say more of where the fault lies, for one whose path alone does not tell."""
        self.faults = tuple(Fault(fault.path, f"{fault.message} ({words})") for fault in self.faults)
        self.message = f"{self.message} ({words})"
        self.args = (self.message,)


class InvalidRequest(RequestRefused):
    """A field is missing, unknown, or of the wrong type or value."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{faults[0].path}: {faults[0].message}{more}", faults)


class InvalidShape(InvalidRequest):
    """The shapes of two fields do not fit each other."""

    code = "invalid_shape"

    def __init__(self, path: str, message: str) -> None:
        super().__init__((Fault(path, message),))


class CannotCompute(InvalidRequest):
    """The request is well-formed, but what it asks for does not exist (no radius to rescale, no such eigenvector)."""

    code = "cannot_run"

    def __init__(self, path: str, message: str) -> None:
        super().__init__((Fault(path, message),))


class DiagnosticNotApplicable(RequestRefused):
    """A diagnostic was asked for by name that means nothing for this network."""

    code = "diagnostic_not_applicable"

    def __init__(self, diagnostic: str, reason: str) -> None:
        super().__init__(f"{diagnostic}: {reason}", (Fault("$.diagnostics", f"{diagnostic}: {reason}"),))


class LimitExceeded(RequestRefused):
    """A size is over a limit of this server; the limit is named."""

    code = "limit_exceeded"

    def __init__(self, path: str, limit: str, allowed: float, found: float) -> None:
        message = f"{found:g} is over this server's limit {limit} = {allowed:g}"
        super().__init__(f"{path}: {message}", (Fault(path, message),), limit)


class CostOverLimit(RequestRefused):
    """The estimated time or memory of the computation is over what a synchronous answer may take."""

    code = "cost_over_limit"

    def __init__(self, estimate: float, allowed: float, unit: str, limit: str, advice: str) -> None:
        super().__init__(
            f"estimated {estimate:.3g} {unit}, over this server's limit {limit} = {allowed:g} {unit}; {advice}",
            (Fault("$", advice),),
            limit,
        )
        self.estimate = estimate
