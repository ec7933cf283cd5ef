"""What can go wrong through no fault of the program, and how the process ends then."""

import enum

import attrs


class ExitCode(enum.IntEnum):
    """How a command ends."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TOO_MANY_FAILURES = 3
    INTERRUPTED = 130


class PlutoError(Exception):
    """A mistake of the user's or of the data's: one message, no traceback.

    Anything else that escapes is a bug of ours and keeps its traceback.
    """

    exit_code = ExitCode.FAILED


class TooManyFailuresError(PlutoError):
    """More scenarios failed than the experiment allows."""

    exit_code = ExitCode.TOO_MANY_FAILURES


@attrs.frozen
class Mistake:
    """One thing that is wrong in an experiment file: where, and what to do."""

    where: str
    """`file:line`, or what stands in for it (`--set`, `preset:NAME`)."""
    key: str
    """Dotted key, or an empty string where no key is at fault."""
    problem: str

    def __str__(self) -> str:
        """Return `where: key: problem`, leaving out what is empty; what a terminal would obey is written as an escape."""
        parts = (printable(self.where), printable(self.key), printable(self.problem, kept="\n"))
        return ": ".join(part for part in parts if part)


def printable(text: str, kept: str = "") -> str:
    """Return a text in which what a terminal would obey (colours, a moved cursor) is written as an escape.

    Args:
        text: What may come from data.
        kept: Signs that stay although they cannot be seen.
    """
    return "".join(sign if sign.isprintable() or sign in kept else ascii(sign)[1:-1] for sign in text)


class ExperimentError(PlutoError):
    """Every mistake of one experiment file, reported at once."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        """Keep the mistakes in the order in which they stand in the file."""
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class Reason(str, enum.Enum):
    """Why a scenario gave no sample: the closed list behind `failures.jsonl`."""

    UNREADABLE_LOG = "unreadable_log"
    """The log file is cut off, is no database, or lacks a table or column."""
    BROKEN_ROWS = "broken_rows"
    """Rows of the scenario contradict each other or hold no usable number."""
    PRESENT_MISSING = "present_missing"
    """The frame at time zero does not exist."""
    MISSING_MAP = "missing_map"
    """The scenario's map was not found."""
    BROKEN_MAP = "broken_map"
    """The scenario's map lacks what a builder needs."""
    NO_ROUTE = "no_route"
    """No route, or none that the map knows."""
    NO_REFERENCE_LINE = "no_reference_line"
    """No reference line starts at the ego vehicle."""
    NOT_FINITE = "not_finite"
    """An array holds NaN or infinity."""
    OUT_OF_RANGE = "out_of_range"
    """A value lies outside what is physically possible."""
    SPEC_MISMATCH = "spec_mismatch"
    """An array is missing, or its shape or dtype is not what its spec says."""
    DAMAGED_VALUE = "damaged_value"
    """A stored value fails its checksum or cannot be decoded."""
    WORKER_LOST = "worker_lost"
    """The worker died twice while it was at this scenario."""
    TIMEOUT = "timeout"
    """The scenario took longer than the worker allows."""
    EXCEPTION = "exception"
    """Any other exception; the traceback is stored with it."""


class SampleError(Exception):
    """One scenario cannot become a sample; the run goes on without it."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Say why (`reason`) and what exactly was found (`detail`)."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.value}: {detail}")

    def __reduce__(self) -> tuple[type["SampleError"], tuple[Reason, str]]:
        """Let the error cross a process boundary with both of its parts."""
        return type(self), (self.reason, self.detail)
