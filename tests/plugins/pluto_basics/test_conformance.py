"""What the basic plugin offers keeps the contracts of its kinds."""

from typing import ClassVar

import pytest

from pluto_core.testing import BuilderSuite, CacheSuite, HooksSuite, SplitterSuite, WorkerSuite

BASICS = "pluto_basics.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = BASICS


class TestFiles(CacheSuite):
    """`files`."""

    hooks, use = BASICS, "files"


class TestMemory(CacheSuite):
    """`memory`."""

    hooks, use = BASICS, "memory"


class TestEgoTrajectory(BuilderSuite):
    """`ego_trajectory`."""

    hooks, use = BASICS, "ego_trajectory"


class TestEgoHistory(BuilderSuite):
    """`ego_history`."""

    hooks, use = BASICS, "ego_history"


class TestByLog(SplitterSuite):
    """`by_log`."""

    hooks, use = BASICS, "by_log"


class TestByTokenList(SplitterSuite):
    """`by_token_list`: tokens of one log may be in different files, and those in none belong to no part."""

    hooks, use = BASICS, "by_token_list"
    covers_all: ClassVar = False
    keeps_logs_together: ClassVar = False

    @pytest.fixture
    def settings(self, listing, tmp_path):
        """Return three files of tokens."""
        tokens = [token.decode() for token in listing.tokens.tolist()]
        files = {"train": tokens[:90], "val": tokens[90:120], "test": tokens[130:]}
        for part, chosen in files.items():
            (tmp_path / f"{part}.txt").write_text("\n".join(chosen))
        return {part: str(tmp_path / f"{part}.txt") for part in files}


class TestOnePart(SplitterSuite):
    """`one_part`."""

    hooks, use = BASICS, "one_part"


class TestSequential(WorkerSuite):
    """`sequential`."""

    hooks, use = BASICS, "sequential"


class TestThreads(WorkerSuite):
    """`threads`."""

    hooks, use = BASICS, "threads"

    @pytest.fixture
    def settings(self):
        """Return two threads."""
        return {"count": 2}


class TestProcesses(WorkerSuite):
    """`processes`."""

    hooks, use = BASICS, "processes"

    @pytest.fixture
    def settings(self):
        """Return two processes."""
        return {"count": 2}
