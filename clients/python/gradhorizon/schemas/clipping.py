"""Clipping policies, named as the frameworks name them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ._base import RequestModel

Threshold = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class NoClipping(RequestModel):
    """Gradients are used as they are."""

    kind: Literal["none"]


class NormClipping(RequestModel):
    """Scale the parameter gradients so that their norm is at most the threshold, exactly as the framework does."""

    kind: Literal["norm"]
    threshold: Threshold
    norm_type: Literal[2, "inf"] = 2
    framework: Literal["torch", "optax", "keras", "keras_global"] = "torch"

    @model_validator(mode="after")
    def _norm_exists(self) -> NormClipping:
        if self.norm_type == "inf" and self.framework != "torch":
            raise ValueError(f"norm_type inf exists in torch only; {self.framework} clips by the 2-norm")
        return self


class ValueClipping(RequestModel):
    """Cut every entry of the parameter gradients to [-threshold, threshold]."""

    kind: Literal["value"]
    threshold: Threshold


class PerStepClipping(RequestModel):
    """Cut every entry of the back-propagated state gradient to [-threshold, threshold] at every step (Graves 2013)."""

    kind: Literal["per_step"]
    threshold: Threshold


Clipping = Annotated[NoClipping | NormClipping | ValueClipping | PerStepClipping, Field(discriminator="kind")]
