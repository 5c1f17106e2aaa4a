"""Reports as headings and small tables of text: what a person reads first, whatever draws it."""

from .checkpoints import summarize_checkpoint_comparison, summarize_checkpoint_diagnosis
from .claims import summarize_claim, summarize_claims
from .clippings import summarize_clippings
from .comparisons import summarize_comparison
from .descents import summarize_descent
from .diagnoses import summarize_diagnosis
from .mean_fields import summarize_mean_field
from .spectra import summarize_spectrum
from .text import Section, Summary

__all__ = [
    "Section",
    "Summary",
    "summarize_checkpoint_comparison",
    "summarize_checkpoint_diagnosis",
    "summarize_claim",
    "summarize_claims",
    "summarize_clippings",
    "summarize_comparison",
    "summarize_descent",
    "summarize_diagnosis",
    "summarize_mean_field",
    "summarize_spectrum",
]
