"""Sources: every way to describe one matrix."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from ._base import RequestModel
from .arrays import REFERENCES, ComplexValues, ListValues, MatrixValues, is_reference

Size = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class Rescale(RequestModel):
    """Multiply the matrix so that its spectral radius or its spectral norm has a given value."""

    to: Literal["spectral_radius", "spectral_norm"]
    value: float = Field(gt=0, allow_inf_nan=False)


class MatrixSource(RequestModel):
    """The matrix itself; `transpose` hands over its transpose (the article's W^T)."""

    source: Literal["matrix"] = "matrix"
    values: MatrixValues
    transpose: bool = False
    rescale: Rescale | None = None

    @model_validator(mode="before")
    @classmethod
    def _tensor_is_values(cls, data: Any) -> Any:
        return tensor_as_values(data)


class ConstantDistribution(RequestModel):
    """Every eigenvalue has the same value."""

    kind: Literal["constant"]
    size: Size
    value: float = Field(allow_inf_nan=False)


class UniformDistribution(RequestModel):
    """Real eigenvalues, uniform between low and high."""

    kind: Literal["uniform"]
    size: Size
    low: float = Field(allow_inf_nan=False)
    high: float = Field(allow_inf_nan=False)


class LogUniformDistribution(RequestModel):
    """Positive real eigenvalues whose logarithm is uniform between ln(low) and ln(high)."""

    kind: Literal["log_uniform"]
    size: Size
    low: float = Field(gt=0, allow_inf_nan=False)
    high: float = Field(gt=0, allow_inf_nan=False)


class CircleDistribution(RequestModel):
    """Conjugate pairs uniform on the circle of the given radius."""

    kind: Literal["circle"]
    size: Size
    radius: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class DiskDistribution(RequestModel):
    """Conjugate pairs uniform in the disk of the given radius (Ginibre's circular law)."""

    kind: Literal["disk"]
    size: Size
    radius: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class RingDistribution(RequestModel):
    """Conjugate pairs uniform in area between two radii (the initialisation of LRU)."""

    kind: Literal["ring"]
    size: Size
    inner: float = Field(ge=0, allow_inf_nan=False)
    outer: float = Field(gt=0, allow_inf_nan=False)


class SemicircleDistribution(RequestModel):
    """Real eigenvalues with Wigner's semicircle density on [-radius, radius]."""

    kind: Literal["semicircle"]
    size: Size
    radius: float = Field(default=1.0, gt=0, allow_inf_nan=False)


Distribution = Annotated[
    ConstantDistribution
    | UniformDistribution
    | LogUniformDistribution
    | CircleDistribution
    | DiskDistribution
    | RingDistribution
    | SemicircleDistribution,
    Field(discriminator="kind"),
]


class SpectrumSource(RequestModel):
    """A matrix with given eigenvalues; basis `identity` never forms a matrix in a linear recurrence."""

    source: Literal["spectrum"] = "spectrum"
    eigenvalues: ComplexValues | None = None
    distribution: Distribution | None = None
    basis: Literal["identity", "orthogonal", "nonnormal"] = "orthogonal"
    condition: float | None = Field(default=None, ge=1, allow_inf_nan=False)
    coupling: float | None = Field(default=None, allow_inf_nan=False)
    seed: Seed | None = None
    rescale: Rescale | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_distribution(cls, data: Any) -> Any:
        """Accept the flat form too: {"distribution": "circle", "radius": 0.9, "size": 64}."""
        if not isinstance(data, dict) or not isinstance(data.get("distribution"), str):
            return data
        own = set(cls.model_fields)
        parameters = {key: value for key, value in data.items() if key not in own}
        rest = {key: value for key, value in data.items() if key in own and key != "distribution"}
        return {**rest, "distribution": {"kind": data["distribution"], **parameters}}

    @model_validator(mode="after")
    def _one_origin(self) -> SpectrumSource:
        if (self.eigenvalues is None) == (self.distribution is None):
            raise ValueError("give either eigenvalues or a distribution")
        if self.basis == "nonnormal" and (self.condition is None) == (self.coupling is None):
            raise ValueError("basis nonnormal needs either condition or coupling")
        if self.basis != "nonnormal" and (self.condition is not None or self.coupling is not None):
            raise ValueError("condition and coupling belong to basis nonnormal")
        return self


Factor = Literal["random", "identity"] | MatrixValues


class SingularValuesSource(RequestModel):
    """A matrix with given singular values and orthogonal factors (random Haar, identity, or explicit)."""

    source: Literal["singular_values"] = "singular_values"
    values: ListValues
    left: Factor = "random"
    right: Factor = "random"
    seed: Seed | None = None
    rescale: Rescale | None = None


Family = Literal[
    "gaussian",
    "uniform",
    "orthogonal",
    "symmetric",
    "antisymmetric_exponential",
    "sparse",
    "identity",
    "glorot",
    "he",
    "lecun",
    "torch_default",
    "keras_default",
]


class EnsembleSource(RequestModel):
    """A random matrix of a named family, scaled by `gain`."""

    source: Literal["ensemble"] = "ensemble"
    family: Family
    size: Size | None = None
    shape: Annotated[list[Size], Field(min_length=2, max_length=2)] | None = None
    gain: float = Field(default=1.0, allow_inf_nan=False)
    density: float | None = Field(
        default=None, gt=0, le=1, description="sparse only: share of nonzero entries"
    )
    hidden_size: int | None = Field(
        default=None,
        ge=1,
        description="torch_default and keras_default only: H where it is not the number of rows",
    )
    seed: Seed | None = None
    rescale: Rescale | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> EnsembleSource:
        if (self.size is None) == (self.shape is None):
            raise ValueError("give either size (square) or shape [rows, columns]")
        if self.density is not None and self.family != "sparse":
            raise ValueError("density belongs to the family sparse")
        if self.hidden_size is not None and self.family not in ("torch_default", "keras_default"):
            raise ValueError("hidden_size belongs to the families torch_default and keras_default")
        return self


def tensor_as_values(data: Any) -> Any:
    """Read a reference beside the other fields, {"tensor": part, "name": ...}, as {"values": {"tensor": part, ...}}."""
    if not isinstance(data, dict) or not is_reference(data) or "values" in data:
        return data
    keys = {*REFERENCES, "name"}
    rest = {key: value for key, value in data.items() if key not in keys}
    reference = {key: value for key, value in data.items() if key in keys}
    if reference.keys() == {"tensor"} and isinstance(reference["tensor"], dict):
        return {**rest, "values": reference["tensor"]}
    return {**rest, "values": reference}


def _bare_matrix(value: Any) -> Any:
    """A nested list, an array or a reference stands for a matrix source."""
    if isinstance(value, (list, np.ndarray)) or (
        isinstance(value, dict) and "source" not in value and is_reference(value)
    ):
        return {"source": "matrix", "values": value}
    return value


def _tag(value: Any) -> str | None:
    tag = value.get("source") if isinstance(value, dict) else getattr(value, "source", None)
    return tag if isinstance(tag, str) else None


Source = Annotated[
    Annotated[MatrixSource, Tag("matrix")]
    | Annotated[SpectrumSource, Tag("spectrum")]
    | Annotated[SingularValuesSource, Tag("singular_values")]
    | Annotated[EnsembleSource, Tag("ensemble")],
    Discriminator(
        _tag,
        custom_error_type="unknown_source",
        custom_error_message="needs 'source': one of matrix, spectrum, singular_values, ensemble",
    ),
    BeforeValidator(_bare_matrix),
]
"""One matrix; a nested list or a reference stands for a `matrix` source."""
