"""Mean-field theory of wide random networks: what an activation and two variances decide without any matrix."""

from .critical import CriticalVariance, critical_bias_variances, critical_weight_variances
from .gaussian_products import gaussian_product_exponents
from .theory import LARGEST_PARAMETER, LARGEST_VARIANCE, MeanField, Phase, mean_field

__all__ = [
    "LARGEST_PARAMETER",
    "LARGEST_VARIANCE",
    "CriticalVariance",
    "MeanField",
    "Phase",
    "critical_bias_variances",
    "critical_weight_variances",
    "gaussian_product_exponents",
    "mean_field",
]
