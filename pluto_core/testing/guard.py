"""What all suites share: their tests cannot be dropped in silence."""

import types
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pluto_core.component import load, suggestion

_GUARD = "test_no_test_of_the_suite_is_missing"


class Suite:
    """Tests that a subclass called `Test...` inherits, all of them.

    A test that a component cannot pass is named in `gaps`, with the reason:

        class TestTape(CacheSuite):
            hooks, use = "pluto_tape.hooks", "tape"
            gaps = {"test_two_readers": "a tape has one head"}

    It is then expected to fail; when it passes one day, it says so by failing. Fixtures may be overridden, tests may not.
    """

    gaps: ClassVar[Mapping[str, str]] = {}
    """Inherited tests that must fail, each with the reason."""
    _own_tests: ClassVar[Mapping[str, Any]] = {}
    """Tests that this class adds as a suite, as they were when it was made."""

    def __init_subclass__(cls, *, suite: bool = False, **options: Any) -> None:
        """Note whether the class is itself a suite (`class CacheSuite(Suite, suite=True)`) or uses one, and mark its gaps.

        Raises:
            TypeError: The class overrides the guard or switches itself off, or a gap has no reason or no test.
        """
        super().__init_subclass__(**options)
        cls._own_tests = {name: test for name, test in vars(cls).items() if suite and name.startswith("test")}
        if _GUARD in vars(cls):
            message = f"{cls.__qualname__} must not override {_GUARD}"
            raise TypeError(message)
        if vars(cls).get("__test__", True) is not True:
            message = f"{cls.__qualname__} switches its suite off with __test__; name the tests that it cannot pass in `gaps`"
            raise TypeError(message)
        for name, reason in vars(cls).get("gaps", {}).items():
            _mark(cls, name, reason)

    def test_no_test_of_the_suite_is_missing(self) -> None:
        """No inherited test is deleted or overridden."""
        cls = type(self)
        changed = [name for name, test in inherited_tests(cls) if name not in cls.gaps and getattr(cls, name, None) is not test]
        advice = "tests of a suite are all inherited; name in `gaps`, with the reason, those that the component cannot pass"
        assert not changed, f"{cls.__qualname__} drops or overrides {', '.join(changed)}: {advice}"


def inherited_tests(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield name and function of every test that suites give to a class; the suite nearest to the class wins."""
    seen: set[str] = set()
    for base in cls.__mro__:
        own = {name: test for name, test in vars(base).get("_own_tests", {}).items() if name not in seen}
        seen.update(own)
        yield from own.items()


def _mark(cls: type, name: str, reason: str) -> None:
    """Give a class its own copy of an inherited test, expected to fail.

    Raises:
        TypeError: There is no such test, it cannot be a gap, or there is no reason.
    """
    tests = dict(inherited_tests(cls))
    if name == _GUARD or name not in tests:
        message = f"{cls.__qualname__}.gaps: no suite has a test {name!r} that may fail{suggestion(name, tests)}"
        raise TypeError(message)
    if name in vars(cls):
        message = f"{cls.__qualname__} overrides {name}, which it names in `gaps`; remove its own version"
        raise TypeError(message)
    if not str(reason).strip():
        message = f"{cls.__qualname__}.gaps: say why {name} must fail"
        raise TypeError(message)
    test = tests[name]
    copy = types.FunctionType(test.__code__, test.__globals__, test.__name__, test.__defaults__, test.__closure__)
    copy.__dict__.update(test.__dict__)
    copy.__doc__, copy.__annotations__, copy.__kwdefaults__ = test.__doc__, test.__annotations__, test.__kwdefaults__
    copy.__qualname__ = f"{cls.__qualname__}.{name}"
    setattr(cls, name, load("pytest:mark").xfail(reason=reason, strict=True)(copy))
