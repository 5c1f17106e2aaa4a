"""Functions that the tested pools run in their processes. Not a test module: the processes import it by name."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, NoReturn

import numpy as np
import threadpoolctl


class Stubborn(Exception):
    """An exception that a pickle cannot bring back."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def _echo(value: Any) -> Any:
    return value


def _sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def _crash() -> NoReturn:
    os._exit(9)


def _fail() -> NoReturn:
    raise ValueError("no such number")


def _fail_stubbornly() -> NoReturn:
    raise Stubborn("one", "two")


def _shout(value: int) -> int:
    print("a stray print")  # noqa: T201 - that is what is tested
    return value


def _matrix(size: int) -> Any:
    return np.arange(float(size * size)).reshape(size, size)


def _modules() -> list[str]:
    return sorted({name.partition(".")[0] for name in sys.modules})


def _threads() -> list[int]:
    return [library["num_threads"] for library in threadpoolctl.threadpool_info()]


FUNCTIONS = {
    "echo": _echo,
    "sleep": _sleep,
    "crash": _crash,
    "fail": _fail,
    "fail_stubbornly": _fail_stubbornly,
    "shout": _shout,
    "matrix": _matrix,
    "modules": _modules,
    "threads": _threads,
    "pid": os.getpid,
}
