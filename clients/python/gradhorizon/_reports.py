"""Reports as the clients return them: the wire types, with a face for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from . import schemas

if TYPE_CHECKING:
    from ._charts import Chart


class _Displayed:
    """Tables for `print`, for rich and for notebooks; drawing is loaded when something is drawn."""

    def __str__(self) -> str:
        from ._rendering import to_text

        return to_text(self)

    def __rich__(self) -> object:
        from ._rendering import to_rich

        return to_rich(self)

    def _repr_html_(self) -> str:
        from ._rendering import to_html

        return to_html(self)


class _Plotted(_Displayed):
    """Charts, drawn here: the code for them is in every installation, pictures need the extra `service`."""

    def plot(self, kind: str | None = None) -> Chart:
        """Return a chart of this report: notebooks show it, `save` writes it as SVG, PNG or JSON.

        `kind` is one of the charts that the catalog lists; the main one of the report unless given. Raises ValueError
        where the report does not hold what it shows.
        """
        from ._charts import plot

        return plot(self, kind)


class Diagnosis(_Plotted, schemas.Diagnosis):
    """The answer to a diagnosis; its fields hold NumPy arrays, -inf where a log10 means exactly zero."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON, without the diagnostics that were not asked for."""
        absent = {name for name in get_args(schemas.DiagnosticName) if getattr(self, name) is None}
        return self.model_dump_json(indent=2, exclude=absent)

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        return f"<Diagnosis: {self.verdict.status}, horizon {self.horizon.steps}>"


class Comparison(_Plotted, schemas.Comparison):
    """The answer to a comparison: its rows, ranked, and the diagnosis behind each."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON, without the diagnostics that were not asked for."""
        absent = {
            name: {field for field in get_args(schemas.DiagnosticName) if getattr(found, field) is None}
            for name, found in self.diagnoses.items()
        }
        return self.model_dump_json(indent=2, exclude={"diagnoses": absent})

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        return f"<Comparison: {len(self.rows)} rows, {self.says}>"


class CheckpointDiagnosis(_Plotted, schemas.CheckpointDiagnosis):
    """The answer about a checkpoint: its layers in order, findings, and why every other tensor was left out."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON, without the diagnostics that were not asked for."""
        absent = {
            place: {"diagnosis": _unset(layer.diagnosis)}
            for place, layer in enumerate(self.layers)
            if layer.diagnosis is not None
        }
        return self.model_dump_json(indent=2, exclude={"layers": absent})

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        return f"<CheckpointDiagnosis: {self.says}>"


class CheckpointComparison(_Displayed, schemas.CheckpointComparison):
    """The answer about two checkpoints: every layer that both have, and which moved most."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON, without the diagnostics that were not asked for."""
        absent = {
            place: {
                side: _unset(found)
                for side in ("before", "after")
                if (found := getattr(layer, side)) is not None
            }
            for place, layer in enumerate(self.layers)
        }
        return self.model_dump_json(indent=2, exclude={"layers": absent})

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        return f"<CheckpointComparison: {self.says}>"


def _unset(diagnosis: schemas.Diagnosis) -> set[str]:
    """The diagnostics that were not asked for."""
    return {name for name in get_args(schemas.DiagnosticName) if getattr(diagnosis, name) is None}


class Clippings(_Plotted, schemas.Clippings):
    """The answer about clipping; -inf where a log10 means exactly zero, NaN where one is undefined."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line: a report may hold many tensors."""
        given = "gradients" if self.history is None else f"{self.history.count} norms"
        advised = "none" if self.advice.threshold is None else f"{self.advice.threshold:.4g}"
        return f"<Clippings: {given}, {len(self.policies)} policies, threshold advised {advised}>"


class Descent(_Plotted, schemas.Descent):
    """The answer about a descent; its fields hold NumPy arrays, -inf where a log10 means exactly zero."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        solved = ", ".join(f"{policy.name} {policy.solved} of {policy.runs}" for policy in self.policies)
        return f"<Descent: {self.task}, {self.cell}, solved {solved}>"


class MeanField(_Plotted, schemas.MeanField):
    """The answer about wide random networks."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line."""
        return f"<MeanField: {self.activation}, {self.phase}, chi_1 {self.chi_1:.4g}>"


class Spectrum(_Plotted, schemas.Spectrum):
    """The answer about one matrix; its fields hold NumPy arrays."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line: a report holds thousands of numbers."""
        return f"<Spectrum: {self.shape[0]} x {self.shape[1]}, radius {self.spectrum.spectral_radius:.4g}>"


class Claim(_Plotted, schemas.Claim):
    """A claim, run again and judged."""

    def to_json(self) -> str:
        """Return the report as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line: a claim holds every request behind it."""
        return f"<Claim: {self.name} {self.verdict}>"


class Claims(_Displayed, schemas.Claims):
    """The claims that a service judges."""

    def to_json(self) -> str:
        """Return the list as the service wrote it: strict JSON."""
        return self.model_dump_json(indent=2)

    def __repr__(self) -> str:
        """Return one line."""
        return f"<Claims: {', '.join(claim.name for claim in self.claims)}>"
