"""Progress bars of commands that read or write much; silent where nobody looks, plain lines in CI."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import click

Show = Callable[[int, int], None]


@contextlib.contextmanager
def bar(label: str, *, wanted: bool = True) -> Iterator[Show]:
    """Give a function that takes how many of how many are done and shows them with rate and time left, on stderr."""
    from rich.console import Console

    console = Console(stderr=True)
    if not (wanted and console.is_terminal):
        yield _tenths(label) if wanted and os.environ.get("CI") else lambda _done, _total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(label, total=None, rate="")

        def show(done: int, total: int) -> None:
            speed = bars.tasks[0].speed
            bars.update(task, completed=done, total=total, rate=f"{speed:.0f}/s" if speed else "")

        yield show


def _tenths(label: str) -> Show:
    """Return a function that writes a plain line each tenth of the way, with rate and time left."""
    began, told = time.monotonic(), 0

    def show(done: int, total: int) -> None:
        nonlocal told
        tenth = 10 * done // max(total, 1)
        if tenth > told:
            told = tenth
            rate = done / max(time.monotonic() - began, 1e-9)
            click.echo(f"{label}: {done} of {total}, {rate:.0f}/s, {(total - done) / rate:.0f} s left", err=True)

    return show
