"""`pluto report`: from runs to a file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pluto_core.errors import PlutoError
from pluto_core.pipeline.durable import write_file
from pluto_viz.report import comparison, elements, single
from pluto_viz.report.record import Record, read

Note = Callable[[str], None]

_LARGEST_MB = 10.0


def write(
    run: Path, other: Path | None, out: Path | None, *, count: int, modules: Sequence[str], without: Sequence[str], note: Note
) -> Path:
    """Write the report of a run, or the comparison of two, and return its path.

    Args:
        run: Folder of the run.
        other: Folder of the run to compare it with.
        out: The file; None: `report.html` in the run, or beside both `compare-A-B.html`.
        count: Best and worst scenarios to draw, each.
        modules: Modules to load as plugins.
        without: Plugins to leave out.
        note: Takes lines for the user.

    Raises:
        PlutoError: There is no run, or the file cannot be written.
    """
    records = [read(path, modules=modules, without=without, note=note) for path in (run, other) if path is not None]
    text = one(records[0], count, note) if len(records) == 1 else two(records[0], records[1], count, note)
    path, page = out or _beside(records), text.encode(errors="backslashreplace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if out:
            out.write_bytes(page)  # where the user says: through links, into pipes, to /dev/stdout
        else:
            write_file(path, page)  # a link in a run of somebody else may lead anywhere: it is replaced
    except OSError as error:
        raise PlutoError(f"the report cannot be written to {path}: {error.strerror}; choose another with --out") from None
    if path.stat().st_size > _LARGEST_MB * 1e6:
        note(f"the report is larger than {_LARGEST_MB:.0f} MB; ask for fewer --pictures")
    return path


def _beside(records: Sequence[Record]) -> Path:
    first = records[0].path
    if len(records) == 1:
        return first / "report.html"
    names = "-".join(record.path.absolute().name for record in records)
    return first.parent / f"compare-{names}.html"


def one(record: Record, count: int, note: Note) -> str:
    """Return the page about a run."""
    return elements.page(
        f"pluto: {record.name}",
        single.head(record),
        [
            single.results(record),
            single.types(record),
            single.scenarios(record, count, note),
            single.training(record),
            single.data(record, _examples(record)),
            single.steps(record),
            single.experiment(record),
        ],
    )


def two(a: Record, b: Record, count: int, note: Note) -> str:
    """Return the page that compares two runs."""
    both = comparison.paired(a, b)
    return elements.page(
        f"pluto: {a.name} and {b.name}",
        comparison.head(a, b, both),
        [
            comparison.results(a, b, both),
            comparison.settings(a, b),
            comparison.types(a, b),
            comparison.scenarios(a, b, both, count, note),
            comparison.training(a, b),
            comparison.steps(a, b),
        ],
    )


def _examples(record: Record) -> list[tuple[str, str, str]]:
    """Return (reason, token, detail) of one failure of each reason, where the cache is there to tell."""
    return list(record.scenarios.failures()) if record.scenarios is not None else []
