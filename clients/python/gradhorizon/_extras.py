"""What the base install does not hold, and what to say when it is needed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ._exceptions import ServiceMissing

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def service_extra() -> Iterator[None]:
    """Turn a package that the service needs and this environment lacks into ServiceMissing.

    The wheel always holds the service's own code: whether it can be used is a question of its dependencies.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "gradhorizon", "gradhorizon_service"):
            raise  # a defect of ours, not of the installation
        raise ServiceMissing(
            f"the service needs the package {missing}, which is not installed: pip install 'gradhorizon[service]'",
            missing=missing,
        ) from error
