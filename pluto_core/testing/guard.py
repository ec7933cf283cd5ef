"""What all suites share: their tests cannot be dropped in silence."""

from collections.abc import Iterator
from typing import Any, ClassVar

_GUARD = "test_no_test_of_the_suite_is_missing"


class Suite:
    """Tests that a subclass called `Test...` inherits, all of them.

    A test that a component cannot pass is overridden with `@pytest.mark.xfail(reason="...")`, so that the gap has a reason.
    """

    _published: ClassVar[bool] = True

    def __init_subclass__(cls, *, suite: bool = False, **options: Any) -> None:
        """Note whether the class is itself a suite (`class CacheSuite(Suite, suite=True)`) or uses one.

        Raises:
            TypeError: The class overrides the guard.
        """
        super().__init_subclass__(**options)
        cls._published = suite
        if _GUARD in vars(cls):
            message = f"{cls.__qualname__} must not override {_GUARD}"
            raise TypeError(message)

    def test_no_test_of_the_suite_is_missing(self) -> None:
        """No inherited test is deleted or overridden without `xfail` and its reason."""
        dropped = [name for name, test in inherited_tests(type(self)) if not _allowed(getattr(type(self), name, None), test)]
        advice = "mark it with @pytest.mark.xfail(reason=...) if the component cannot pass it"
        assert not dropped, f"{type(self).__qualname__} drops {', '.join(dropped)}; {advice}"


def inherited_tests(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield name and function of every test that suites give to a class; the suite nearest to the class wins."""
    seen: set[str] = set()
    for base in cls.__mro__:
        if vars(base).get("_published", False):
            own = [name for name in vars(base) if name.startswith("test") and name not in seen]
            seen.update(own)
            yield from ((name, vars(base)[name]) for name in own)


def _allowed(found: Any, test: Any) -> bool:
    if found is test:
        return True
    marks = getattr(found, "pytestmark", [])
    return any(mark.name == "xfail" and mark.kwargs.get("reason") for mark in marks)
