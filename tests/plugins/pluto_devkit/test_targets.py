import pytest

from pluto_core.errors import PlutoError
from pluto_devkit.targets import call, made


def test_tables_become_objects():
    """A table with `_target_` becomes what that returns, in Hydra's and in our way of writing, innermost first."""
    table = {"_target_": "fractions.Fraction", "numerator": {"_target_": "builtins:int"}, "denominator": 3}
    assert made(table) == 0
    assert made({**table, "_convert_": "all"}) == 0
    assert call("builtins:dict", {"_convert_": "all", "a": 1}) == {"a": 1}
    assert made([{"a": table}, 1]) == [{"a": 0}, 1]
    assert call("fractions:Fraction", {"numerator": 2, "denominator": 3}) * 3 == 2


@pytest.mark.parametrize(
    ("target", "arguments", "said"),
    [
        ("fractions.Fractoin", {}, "no 'Fractoin'"),
        ("no_such_module.Builder", {}, "cannot be imported"),
        ("fractions.Fraction", {"top": 1}, "refuses its arguments top"),
        ("nuplan_is_not_here", {}, "import string"),
    ],
)
def test_mistakes_are_told(target, arguments, said):
    """What is not there or does not fit is a mistake that names it."""
    with pytest.raises(PlutoError, match=said):
        call(target, arguments)
