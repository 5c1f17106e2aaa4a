"""Wire types: what a request may say and what a report holds. One noun a file."""

from .artifacts import Artifact, ArtifactTensor
from .catalog import Catalog, Limit, Offer
from .checkpoints import (
    CheckpointComparison,
    CheckpointComparisonRequest,
    CheckpointDiagnosis,
    CheckpointDiagnosisRequest,
    LayerOverride,
)
from .claims import Claim, ClaimParameters, Claims
from .clipping import Clipping
from .clippings import Clippings, ClippingsRequest
from .comparisons import Comparison, ComparisonRequest
from .descents import Descent, DescentRequest
from .diagnoses import Diagnosis, DiagnosisRequest, DiagnosticName, Horizon, Outcome, Verdict
from .errors import ErrorCode, FieldError, Problem
from .inputs import InitialState, Inputs
from .losses import Loss
from .mean_fields import MeanField, MeanFieldRequest
from .networks import Network
from .sources import Source
from .spectra import Spectrum, SpectrumRequest

__all__ = [
    "Artifact",
    "ArtifactTensor",
    "Catalog",
    "CheckpointComparison",
    "CheckpointComparisonRequest",
    "CheckpointDiagnosis",
    "CheckpointDiagnosisRequest",
    "Claim",
    "ClaimParameters",
    "Claims",
    "Clipping",
    "Clippings",
    "ClippingsRequest",
    "Comparison",
    "ComparisonRequest",
    "Descent",
    "DescentRequest",
    "Diagnosis",
    "DiagnosisRequest",
    "DiagnosticName",
    "ErrorCode",
    "FieldError",
    "Horizon",
    "InitialState",
    "Inputs",
    "LayerOverride",
    "Limit",
    "Loss",
    "MeanField",
    "MeanFieldRequest",
    "Network",
    "Offer",
    "Outcome",
    "Problem",
    "Source",
    "Spectrum",
    "SpectrumRequest",
    "Verdict",
]
