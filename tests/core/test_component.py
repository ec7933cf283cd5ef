import pickle

import pytest

from pluto_core.component import Context, load, suggestion
from pluto_core.errors import ExperimentError, Mistake, PlutoError, Reason, SampleError


def test_import_strings_name_objects() -> None:
    """A string gives the object, nested names included."""
    assert load("pluto_core.errors:Reason.NO_ROUTE") is Reason.NO_ROUTE


@pytest.mark.parametrize("text", ["pluto_core.errors", "pluto_core.errors:", "pluto_core.errors:Nothing"])
def test_bad_import_strings_are_named(text: str) -> None:
    """A string without a name, or with an unknown one, is a mistake that says which."""
    with pytest.raises(PlutoError):
        load(text)


def test_suggestions_are_close_or_absent() -> None:
    """A typo gets a hint, nonsense does not."""
    assert suggestion("feeatures", ["features", "targets"]) == "; did you mean 'features'?"
    assert suggestion("xyz", ["features", "targets"]) == ""


def test_contexts_and_sample_errors_cross_processes() -> None:
    """What workers receive and send back can be pickled and keeps its parts."""
    assert pickle.loads(pickle.dumps(Context(seed=3))).seed == 3  # noqa: S301 -- our own bytes
    error = pickle.loads(pickle.dumps(SampleError(Reason.NO_ROUTE, "none known")))  # noqa: S301
    assert (error.reason, error.detail) == (Reason.NO_ROUTE, "none known")


def test_mistakes_read_as_lines() -> None:
    """Each mistake is one line: where, which key, what is wrong."""
    mistakes = [Mistake("a.toml:3", "seed", "must be an integer"), Mistake("a.toml", "", "is empty")]
    assert str(ExperimentError(mistakes)) == "a.toml:3: seed: must be an integer\na.toml: is empty"
