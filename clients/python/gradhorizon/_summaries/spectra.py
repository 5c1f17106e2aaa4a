"""What a person wants to see of a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .text import Row, Section, Summary, complex_number, decades, number, origin, yes

if TYPE_CHECKING:
    from ..schemas import Spectrum
    from ..schemas.diagnostics import NonnormalityReport, SpectrumReport


def summarize_spectrum(report: Spectrum) -> Summary:
    """Return what a person wants to see of one matrix."""
    rows, columns = report.shape
    moduli = np.abs(report.spectrum.eigenvalues)
    head = tuple(
        (str(i + 1), complex_number(z), number(abs(z))) for i, z in enumerate(report.spectrum.eigenvalues[:8])
    )
    sections = [
        matrix_section(report.spectrum, report.nonnormality),
        Section("Largest eigenvalues", ("", "eigenvalue", "modulus"), head),
    ]
    return Summary(
        status=f"{rows} x {columns}",
        headline=f"{len(moduli)} eigenvalues, moduli {number(moduli.min())} to {number(moduli.max())}",
        sections=tuple(section for section in sections if section is not None),
        assumptions=tuple(report.assumptions),
        warnings=tuple(report.warnings),
        origin=origin(report.provenance),
    )


def matrix_section(
    spectrum: SpectrumReport | None, nonnormality: NonnormalityReport | None
) -> Section | None:
    rows: list[Row] = []
    notes: list[str] = []
    if spectrum is not None:
        rows += [
            ("spectral radius", number(spectrum.spectral_radius)),
            ("largest singular value", number(spectrum.spectral_norm)),
            ("smallest singular value", number(spectrum.smallest_singular_value)),
            ("numerical radius", number(spectrum.numerical_radius)),
        ]
        notes += [statement.proves for statement in spectrum.conditions.statements if statement.holds]
    if nonnormality is not None:
        letter = "J" if nonnormality.about == "step_jacobian" else "W"
        rows.append(
            (
                f"peak of log10 norm({letter}^k)",
                f"{decades(nonnormality.log10_peak)} at k = {nonnormality.peak_step}",
            )
        )
        rows.append(("eigenvalues mislead", yes(nonnormality.eigenvalues_mislead)))
        notes.append(nonnormality.says)
    return Section("The recurrent matrix", ("", ""), tuple(rows), tuple(notes)) if rows else None
