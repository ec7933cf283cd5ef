"""What the tests of several plugins use."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pluto_core.errors import ExperimentError
from pluto_core.experiment import read


@pytest.fixture
def problems(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., str]:
    """Return a function that gives what is wrong with the module's `EXPERIMENT`, as `a.toml`, after some settings."""

    def find(*settings: str) -> str:
        path = tmp_path / "a.toml"
        path.write_text(request.module.EXPERIMENT, encoding="utf-8")
        try:
            read(path, settings=list(settings), environment={})
        except ExperimentError as error:
            return str(error).removeprefix(f"{tmp_path}/")
        return ""

    return find
