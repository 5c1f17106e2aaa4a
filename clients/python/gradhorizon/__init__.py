"""How far back a gradient reaches in a network, why it stops there, and what would move that horizon.

    from gradhorizon import Client

    with Client("http://localhost:8000") as gh:
        report = gh.diagnose(network={"cell": "rnn", "activation": "tanh", "weights": W}, depth=200)
        print(report)

The names below are the public ones. They are loaded when first used, so that `import gradhorizon`, and with
it the command line's `--help`, costs a millisecond.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._async_client import AsyncClient
    from ._charts import Chart
    from ._client import Client
    from ._exceptions import (
        CannotRun,
        ComputationTimedOut,
        ConnectionFailed,
        CostOverLimit,
        GatewayFailed,
        GradhorizonError,
        InvalidRequest,
        LimitExceeded,
        NotApplicable,
        NotFound,
        NotReady,
        NotUnderstood,
        Overloaded,
        RequestRefused,
        ServerFailed,
        ServiceMissing,
        TimedOut,
    )
    from ._reports import (
        CheckpointComparison,
        CheckpointDiagnosis,
        Claim,
        Claims,
        Clippings,
        Comparison,
        Descent,
        Diagnosis,
        MeanField,
        Spectrum,
    )
    from ._version import __version__
    from .schemas import (
        Artifact,
        Catalog,
        CheckpointComparisonRequest,
        CheckpointDiagnosisRequest,
        ClippingsRequest,
        ComparisonRequest,
        DescentRequest,
        DiagnosisRequest,
        MeanFieldRequest,
        SpectrumRequest,
    )

__all__ = [
    "Artifact",
    "AsyncClient",
    "CannotRun",
    "Catalog",
    "Chart",
    "CheckpointComparison",
    "CheckpointComparisonRequest",
    "CheckpointDiagnosis",
    "CheckpointDiagnosisRequest",
    "Claim",
    "Claims",
    "Client",
    "Clippings",
    "ClippingsRequest",
    "Comparison",
    "ComparisonRequest",
    "ComputationTimedOut",
    "ConnectionFailed",
    "CostOverLimit",
    "Descent",
    "DescentRequest",
    "Diagnosis",
    "DiagnosisRequest",
    "GatewayFailed",
    "GradhorizonError",
    "InvalidRequest",
    "LimitExceeded",
    "MeanField",
    "MeanFieldRequest",
    "NotApplicable",
    "NotFound",
    "NotReady",
    "NotUnderstood",
    "Overloaded",
    "RequestRefused",
    "ServerFailed",
    "ServiceMissing",
    "Spectrum",
    "SpectrumRequest",
    "TimedOut",
    "__version__",
]

_HOMES = {
    "Artifact": ".schemas",
    "AsyncClient": "._async_client",
    "Catalog": ".schemas",
    "Chart": "._charts",
    "CheckpointComparison": "._reports",
    "CheckpointComparisonRequest": ".schemas",
    "CheckpointDiagnosis": "._reports",
    "CheckpointDiagnosisRequest": ".schemas",
    "Claim": "._reports",
    "Claims": "._reports",
    "Client": "._client",
    "Clippings": "._reports",
    "ClippingsRequest": ".schemas",
    "Comparison": "._reports",
    "ComparisonRequest": ".schemas",
    "Descent": "._reports",
    "DescentRequest": ".schemas",
    "Diagnosis": "._reports",
    "DiagnosisRequest": ".schemas",
    "MeanField": "._reports",
    "MeanFieldRequest": ".schemas",
    "Spectrum": "._reports",
    "SpectrumRequest": ".schemas",
    "__version__": "._version",
}
"""Where a public name lives; every other one is an exception."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "._exceptions"), __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
