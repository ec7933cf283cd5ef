"""Other interpreters: what a function returns there, and what a text prints there."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")


def elsewhere(function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what a function returns in a process started anew; all that goes there and back is pickled."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def python(code: str, *arguments: str) -> str:
    """Return what a Python text prints in a fresh interpreter that finds what this one finds.

    Raises:
        AssertionError: It ends with an error.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(  # noqa: S603 -- this interpreter
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
