"""Trainers, each with one defect."""

import sys
from pathlib import Path

import attrs
import numpy as np
import torch
from broken_parts import caught_by, components

from pluto_core import hookimpl
from pluto_core.jobs import StepResult
from pluto_core.plan import Plan
from pluto_lightning.testing.fake_trainer import FakeTrainer


class _Trainer(FakeTrainer):
    def __init__(self, config, _context):
        super().__init__(config.epochs)


class _Judging(_Trainer):
    """Changes what evaluation gives."""

    def evaluate(self, job, part, checkpoint):
        """Yield changed results."""
        for one in super().evaluate(job, part, checkpoint):
            yield self.changed(one)


@caught_by("test_says_what_it_did", "test_without_validation", "test_with_variants")
class Silent(_Trainer):
    """Does not say where its checkpoint is."""

    def fit(self, job):
        """Return nothing."""
        super().fit(job)
        return StepResult()


@caught_by("test_says_what_it_did")
class Chatty(_Trainer):
    """Reports what no file can hold."""

    def fit(self, job):
        """Return a tensor among the numbers."""
        return attrs.evolve(super().fit(job), numbers={"loss": torch.ones(())})


@caught_by("test_writes_into_the_run_alone")
class Littering(_Trainer):
    """Writes into the working directory."""

    def fit(self, job):
        """Leave a file behind."""
        Path("curves.csv").touch()
        return super().fit(job)


@caught_by("test_trains_as_told")
class Eager(_Trainer):
    """Trains an epoch more."""

    def __init__(self, config, _context):
        FakeTrainer.__init__(self, config.epochs + 1)


@caught_by("test_learns", "test_untrained_is_where_training_begins")
class Idle(_Trainer):
    """Stores the weights with which it began."""

    def fit(self, job):
        """Train without moving."""

        class Still:
            def __call__(self, module, *, batch_size):
                return torch.optim.SGD(module.parameters(), lr=0.0)

        return super().fit(attrs.evolve(job, make_optimizer=Still))


@caught_by("test_without_validation")
class Demanding(_Trainer):
    """Needs something to validate on."""

    def fit(self, job):
        """Look at the validation part."""
        assert job.parts["val"].count()
        return super().fit(job)


@caught_by("test_with_variants")
class Simple(_Trainer):
    """Believes that a batch has a row a sample."""

    def fit(self, job):
        """Compare rows and samples."""
        for batch in job.parts["train"].batches(0):
            assert len(batch.arrays["speed"]) == batch.size
        return super().fit(job)


@caught_by("test_judges_every_sample_once")
class Forgetful(_Trainer):
    """Leaves out the last batch."""

    def evaluate(self, job, part, checkpoint):
        """Yield too little."""
        yield from list(super().evaluate(job, part, checkpoint))[:-1]


@caught_by("test_judges_every_sample_once")
class Unsorted(_Judging):
    """Gives modes in any order."""

    def changed(self, one):
        """Return the worst mode first."""
        worst_first = Plan(trajectories=one.plan.trajectories[:, ::-1], probabilities=one.plan.probabilities[:, ::-1])
        return attrs.evolve(one, plan=worst_first)


@caught_by("test_results_are_not_in_reused_memory")
class Borrowing(_Trainer):
    """Gives views of the loader's buffers."""

    def evaluate(self, job, part, checkpoint):
        """Yield speeds that change when the next batch comes."""
        shared = np.zeros(100)
        for one in super().evaluate(job, part, checkpoint):
            view = shared[: len(one.speed_mps)]
            view[:] = one.speed_mps
            yield attrs.evolve(one, speed_mps=view)


@caught_by("test_same_seed_same_result")
class Wild(_Trainer):
    """Takes its seed from nowhere."""

    def fit(self, job):
        """Train with another seed every time."""
        return super().fit(attrs.evolve(job, seed=int(np.random.default_rng().integers(2**31))))


@caught_by("test_same_seed_same_result")
class Stubborn(_Trainer):
    """Takes the same seed always."""

    def fit(self, job):
        """Train with one seed."""
        return super().fit(attrs.evolve(job, seed=7))


@caught_by("test_untrained_is_where_training_begins")
class Confused(_Trainer):
    """Judges the last weights where it is asked for none."""

    def evaluate(self, job, part, checkpoint):
        """Take the checkpoint of the run."""
        last = job.run_dir / "last.pt"
        return super().evaluate(job, part, checkpoint or (last if last.is_file() else None))


@caught_by("test_goes_on_after_an_interrupt")
class Restarting(_Trainer):
    """Begins anew where a run was interrupted."""

    def fit(self, job):
        """Throw the checkpoint away."""
        (job.run_dir / "last.pt").unlink(missing_ok=True)
        return super().fit(job)


@caught_by("test_goes_on_after_an_interrupt")
class Swallowing(_Trainer):
    """Takes an interrupt for the end."""

    def fit(self, job):
        """Return as if nothing had happened."""
        try:
            return super().fit(job)
        except KeyboardInterrupt:
            return StepResult()


@caught_by("test_goes_on_after_an_interrupt")
class Cold(_Trainer):
    """Forgets the optimizer's state."""

    def _restore(self, path, parts):
        return super()._restore(path, {name: part for name, part in parts.items() if name != "optimizer"})


@caught_by("test_loss_that_is_no_number")
class Blind(_Trainer):
    """Trains on with a loss that is NaN."""

    def fit(self, job):
        """Replace such losses by zero."""

        def make(model):
            objective = job.make_objective(model)

            def soothed(outputs, batch, *, training):
                return {name: torch.nan_to_num(value) for name, value in objective(outputs, batch, training=training).items()}

            return soothed

        return super().fit(attrs.evolve(job, make_objective=make))


@caught_by("test_foreign_checkpoints_are_refused")
class Trusting(_Trainer):
    """Lets errors of reading through."""

    def _restore(self, path, parts):
        states = torch.load(path, weights_only=True)
        return int(states["epochs"])


@hookimpl
def pluto_register_trainers():
    """Return all of them."""
    return components(sys.modules[__name__], config="pluto_lightning.testing.config:FakeTrainerConfig")
