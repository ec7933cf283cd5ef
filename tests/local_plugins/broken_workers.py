"""Workers, each with one defect."""

import sys

from broken_parts import caught_by, components

from pluto_basics.config import ProcessesConfig
from pluto_basics.workers.processes import make
from pluto_core import hookimpl
from pluto_core.testing.fakes import InlineWorker
from pluto_core.testing.labour import UnitError


class _Worker(InlineWorker):
    def __init__(self, *_):
        super().__init__()


@caught_by("test_keeps_the_protocol")
class Nobody:
    """Does not say how many it is."""

    def __init__(self, *_):
        pass


@caught_by("test_every_unit_is_done_once", "test_runs_again")
class Lazy(_Worker):
    """Leaves out the last unit of every batch."""

    def run(self, job, batches):
        """Yield too little."""
        for number, unit, result in super().run(job, batches):
            if unit < len(batches[number].units) - 1:
                yield number, unit, result


@caught_by("test_sessions_are_few_and_closed")
class Crowded(_Worker):
    """Opens a session for every batch."""

    def run(self, job, batches):
        """Yield results of many sessions."""
        for number, batch in enumerate(batches):
            with job.open(number) as session:
                for unit, result in enumerate(session.run(batch)):
                    yield number, unit, result


@caught_by("test_sessions_are_few_and_closed", "test_nothing_to_do")
class Untidy(_Worker):
    """Never closes its session."""

    def run(self, job, batches):
        """Yield results of a session that stays open."""
        session = job.open(0)
        for number, batch in enumerate(batches):
            for unit, result in enumerate(session.run(batch)):
                yield number, unit, result


@caught_by("test_an_error_carries_its_unit")
class Vague(_Worker):
    """Hides what went wrong."""

    def run(self, job, batches):
        """Raise another error."""
        try:
            yield from super().run(job, batches)
        except UnitError:
            message = "something went wrong"
            raise RuntimeError(message) from None


@caught_by("test_stopped_midway")
class Deaf(_Worker):
    """Cannot be stopped."""

    def run(self, job, batches):
        """Return an iterator that cannot be closed."""
        return map(tuple, super().run(job, batches))


@caught_by("test_runs_again")
class Tired(_Worker):
    """Works once."""

    runs = 0

    def run(self, job, batches):
        """Yield nothing the second time."""
        type(self).runs += 1
        return super().run(job, batches if type(self).runs < 2 else [])


@caught_by("test_a_session_may_give_up_a_unit")
class Forgiving(_Worker):
    """Says nothing about what is lost."""

    def run(self, job, batches):
        """Yield what is done."""
        return (one for one in super().run(job, batches) if type(one[2]).__name__ != "Lost")


@caught_by("test_a_dead_process_costs_one_unit")
class Mourning:
    """Ends the run when a process dies."""

    def __init__(self, _config, context):
        self._worker = make(ProcessesConfig(count=1), context)
        self.count, self.processes = 1, True

    def run(self, job, batches):
        """Yield results until one is lost."""
        for number, unit, result in self._worker.run(job, batches):
            if type(result).__name__ == "Lost":
                return
            yield number, unit, result


@caught_by("test_facts_are_true")
class Boasting(_Worker):
    """Says that it has processes."""

    more = {"facts": {"processes": True}}  # noqa: RUF012


@caught_by("test_sessions_are_few_and_closed")
class Pretending(_Worker):
    """Says that its sessions have processes of their own."""

    processes = True

    def __init__(self, *_):
        pass

    count = 1


@hookimpl
def pluto_register_workers():
    """Return all of them."""
    return components(sys.modules[__name__])
