"""Files drawn by several processes: each paints what was chosen and loaded here."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import attrs

from pluto_core.api import Drawing
from pluto_core.component import Context
from pluto_core.errors import PlutoError
from pluto_core.jobs import Batch, Lost
from pluto_core.plugins import Catalogue

Paint = Callable[[Drawing, Path], None]


@attrs.frozen
class Painting:
    """A job, and its sessions: each unit is a drawing and the file to be made of it."""

    paint: Paint
    """Picklable."""

    def open(self, slot: int) -> "Painting":
        """Return a session, which has nothing to open."""
        del slot
        return self

    def run(self, batch: Batch) -> Iterator[str]:
        """Yield the path of each file when it is written."""
        for drawing, path in batch.units:
            self.paint(drawing, path)
            yield str(path)

    def __enter__(self) -> "Painting":
        """Return self."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing was opened."""


def paint_all(catalogue: Catalogue, count: int, paint: Paint, wanted: Sequence[tuple[Drawing, Path]]) -> None:
    """Paint files with `count` processes.

    Raises:
        PlutoError: A process was lost over a file twice, or cannot paint it.
    """
    config: Any = catalogue.config_class("workers", "processes")
    worker: Any = catalogue.make("workers", "processes", config(count=count), Context())
    batches = [Batch(group=drawing.id.key, units=((drawing, path),)) for drawing, path in wanted]
    for number, _, said in worker.run(Painting(paint), batches):
        if isinstance(said, Lost):
            raise PlutoError(f"{wanted[number][1]} could not be drawn: {said.detail}")
