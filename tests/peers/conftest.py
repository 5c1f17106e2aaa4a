"""What has to be said before a framework is imported: Keras runs on JAX, and JAX on the processor.

Optimised, the recurrences of the tests would take longer to compile than they run.
"""

from __future__ import annotations

import os

os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
