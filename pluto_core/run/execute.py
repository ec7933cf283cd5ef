"""One experiment from its plan to its results."""

import contextlib
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core.errors import ExitCode, PlutoError
from pluto_core.experiment import Experiment
from pluto_core.jobs import StepResult, TrainingJob
from pluto_core.moments import StepReport
from pluto_core.pipeline.parts import Part
from pluto_core.pipeline.replacements import Replacement
from pluto_core.protocols import Trainer
from pluto_core.run import checkpoints, evaluation, folders
from pluto_core.run.assembly import training_job
from pluto_core.run.display import Display, size_of
from pluto_core.run.drawing import Step
from pluto_core.run.evaluation import Judged
from pluto_core.run.foresight import counted
from pluto_core.run.provenance import made_with
from pluto_core.run.workspace import Workspace

_PART_OF = {"train": "train", "validate": "val", "test": "test"}


def execute(
    experiment: Experiment,
    *,
    only: Collection[str] = (),
    fresh: bool = False,
    yes: bool = False,
    progress: bool = True,
    part: Part | None = None,
    checkpoint: str | None = None,
) -> int:
    """Run the steps of an experiment and return the exit code.

    Args:
        experiment: A resolved and checked experiment.
        only: Steps to do; none: all that are not done.
        fresh: Start a new run whatever there is; with the step `cache`, wipe the cache first, after asking.
        yes: Do not ask.
        progress: Whether to show progress bars.
        part: Of an array job, which computes this part of the cache and nothing else.
        checkpoint: What `validate` and `test` judge, in place of what the experiment says.

    Raises:
        PlutoError: A step cannot be done.
        KeyboardInterrupt: The user stopped it; what is done is kept.
    """
    done = perform(experiment, only=only, fresh=fresh, yes=yes, progress=progress, part=part, checkpoint=checkpoint)
    return ExitCode.FAILED if done is None else ExitCode.OK


def perform(
    experiment: Experiment,
    *,
    only: Collection[str] = (),
    fresh: bool = False,
    yes: bool = False,
    progress: bool = True,
    part: Part | None = None,
    checkpoint: str | None = None,
) -> folders.Run | None:
    """Run the steps of an experiment and return the run; None where the user was asked and said no. As `execute` otherwise."""
    execution = _Execution(experiment, Display(progress=progress), checkpoint or experiment.checkpoint, part)
    return execution.run(only, fresh=fresh, yes=yes)


@attrs.define
class _Execution:
    experiment: Experiment
    display: Display
    checkpoint: str
    """What is judged: `best`, `last`, or a path."""
    part: Part | None = None
    files: dict[str, Path] = attrs.field(factory=dict[str, Path])
    parts: list[str] = attrs.field(factory=list[str])
    """What the steps to do read: an empty one is told before hours are spent."""

    def run(self, only: Collection[str], *, fresh: bool, yes: bool) -> folders.Run | None:
        steps = [step for step in self.experiment.steps if not only or step in only]
        if fresh and "cache" in steps and not self._wipe_allowed(yes=yes):
            return None
        workspace = Workspace(self.experiment, self.display.note)
        workspace.part = self.part
        output_dir = self.experiment.output_dir
        run = folders.claim(  # parts of an array job run at the same time: each has runs of its own
            output_dir / f"shard-{self.part.name}" if self.part else output_dir,
            self.experiment.resolved,
            self.experiment.settings,
            fresh=fresh,
            again=bool(only),
        )
        self.files["run"] = run.path / folders.RESOLVED
        if run.continued:
            done = ", ".join(step for step in steps if step in run.steps) or "no step"
            self.display.note(f"run {run.path.name} goes on ({done} done before)")
        self.parts = [_PART_OF[step] for step in steps if step in _PART_OF and (only or step not in run.steps)]
        began = time.monotonic()
        try:
            if self.parts and "train" not in self.parts:  # what is to be judged is there, before anything is computed for it
                checkpoints.judged(run, self.checkpoint)
            for line in counted(workspace, run, [step for step in steps if only or step not in run.steps]):
                self.display.say(line)
            for step in steps:
                if step in run.steps and not only:
                    self._adopt(run.steps[step])
                    continue
                self._step(step, run, workspace)
        except BaseException as error:
            with contextlib.suppress(PlutoError):  # a full disk is what is reported, not that it is still full
                run.close("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        run.close("finished" if all(step in run.steps for step in self.experiment.steps) else "interrupted")
        self._results(run, workspace, time.monotonic() - began)
        return run

    def _wipe_allowed(self, *, yes: bool) -> bool:
        workspace = Workspace(self.experiment, self.display.note)
        path = workspace.cache_path
        if not path.exists():
            return True
        if not yes:
            self.display.err.print(f"--fresh will delete the cache {path}", markup=False)
            if not sys.stdin.isatty():
                message = f"--fresh deletes the cache {path}; say --yes to allow it"
                raise PlutoError(message)
            if input("delete it? [y/N] ").strip().lower() not in {"y", "yes"}:
                self.display.note("nothing was deleted, nothing was run")
                return False
        workspace.wipe_cache()
        return True

    def _adopt(self, numbers: Mapping[str, Any]) -> None:
        self.files |= {name: Path(path) for name, path in numbers.get("files", {}).items()}

    def _step(self, name: str, run: folders.Run, workspace: Workspace) -> None:
        hooks = self.experiment.catalogue.hooks
        view = Step(name=name, experiment=self.experiment, run_dir=run.path, workspace=workspace, say=self.display.note)
        hooks.pluto_before_step(step=view)
        began = time.monotonic()
        try:
            result, judged = self._do(name, run, workspace)
        except BaseException as error:
            hooks.pluto_step_failed(step=view, error=error)
            raise
        finally:
            replaced = workspace.release()
        seconds = time.monotonic() - began
        numbers = {**result.numbers, **self._told(replaced)}
        report = StepReport(numbers=numbers, files=result.files, seconds=seconds)
        files = dict(result.files)
        for drawn in hooks.pluto_after_step(step=attrs.evolve(view, judged=judged), report=report):
            files |= drawn or {}
        self.files |= files
        stored = {"seconds": round(seconds, 3), **numbers, "files": {key: str(path) for key, path in files.items()}}
        run.done(name, stored)

    def _told(self, replaced: Sequence[Replacement]) -> dict[str, Any]:
        """Say which samples were damaged, and return it for `results.json`."""
        for one in replaced:
            self.display.note(f"sample {one.damaged} is damaged ({one.detail}); {one.taken} stood in for it")
        rows = [{"sample": one.damaged, "reason": one.reason.value, "detail": one.detail} for one in replaced]
        return {"replaced": rows} if rows else {}

    def _do(self, name: str, run: folders.Run, workspace: Workspace) -> tuple[StepResult, Judged | None]:
        if name == "cache":
            return self._cache(workspace), None
        if name == "train":
            return self._train(run, workspace), None
        return self._evaluate(name, run, workspace)

    def _cache(self, workspace: Workspace) -> StepResult:
        listing = workspace.listing
        workspace.require(self.parts, listing)
        with self.display.caching() as show:
            report = workspace.cache(show)
        parts = [f"{report.present} of {report.asked} scenarios were there"] if report.present else []
        if report.done:
            rate = report.done / max(report.seconds, 1e-9)
            parts.append(f"{report.done} computed ({rate:.1f}/s, {size_of(report.bytes)})")
        if report.present and not report.done:
            parts.append("nothing recomputed")
        failed = sum(report.failed.values())
        if failed:
            reasons = ", ".join(f"{count} {reason}" for reason, count in report.failed.items())
            parts.append(f"{failed} failed ({reasons}); see {workspace.cache_path / 'failures.jsonl'}")
        self.display.say(f"cache: {'; '.join(parts) or 'nothing to do'}")
        if self.part is not None:
            self.display.say(f"shard {self.part}: {workspace.coverage()}")
        numbers = {
            "listed": len(listing),
            "shard": str(self.part) if self.part else None,
            "present": report.present,
            "computed": report.done,
            "failed": dict(report.failed),
            "bytes": report.bytes,
            "funnel": [list(stage) for stage in workspace.funnel],
        }
        return StepResult(numbers=numbers, files={"cache": workspace.cache_path})

    def _train(self, run: folders.Run, workspace: Workspace) -> StepResult:
        if workspace.source_recipe is not None and workspace.incomplete():
            self._cache(workspace)
        workspace.require(self.parts, workspace.stored)
        parts = {"train": workspace.batches("train")}
        if len(workspace.split.get("val", ())):
            parts["val"] = workspace.batches("val")
        sizes = {part: len(rows) for part, rows in workspace.split.items()}
        self.display.note(f"scenarios by part: {', '.join(f'{part} {size}' for part, size in sizes.items())}")
        trainer: Trainer = self.experiment.make("trainer", workspace.context(run_dir=run.path))
        result = trainer.fit(self._job(run, workspace, parts))
        self.display.say(f"train: {result.numbers.get('summary', 'done')}")
        return attrs.evolve(result, numbers={**result.numbers, "scenarios": sizes})

    def _evaluate(self, name: str, run: folders.Run, workspace: Workspace) -> tuple[StepResult, Judged]:
        part = _PART_OF[name]
        job = self._job(run, workspace, {part: workspace.batches(part)})
        trainer: Trainer = self.experiment.make("trainer", workspace.context(run_dir=run.path))
        checkpoint = checkpoints.judged(run, self.checkpoint)
        interval_s = workspace.truth_interval_s
        judged = evaluation.judge(trainer.evaluate(job, part, checkpoint), interval_s)
        untrained = evaluation.judge(trainer.evaluate(job, part, None), interval_s, baselines=False)
        types = workspace.types_of(judged.ids)
        numbers = evaluation.summary(judged, untrained, types)
        numbers |= {"part": part, "checkpoint": str(checkpoint)}
        path = evaluation.write_predictions(judged, workspace.store, run.path / "predictions", part)
        table = evaluation.write_scenarios(judged, untrained, types, run.path / f"scenarios_{part}.csv")
        self.display.table(f"{name}: {numbers['count']} scenarios of {part!r}, {checkpoint.name}", numbers)
        self.display.types(numbers["by_type_of"])
        files = {f"scenarios ({part})": table, **({f"predictions ({part})": path} if path else {})}
        return StepResult(numbers=numbers, files=files), judged

    def _job(self, run: folders.Run, workspace: Workspace, parts: Mapping[str, Any]) -> TrainingJob:
        return training_job(workspace, run.path, parts, interactive=self.display.interactive)

    def _results(self, run: folders.Run, workspace: Workspace, seconds: float) -> None:
        path = run.path / "results.json"
        results = {
            "name": self.experiment.name,
            "seed": self.experiment.seed,
            "run": str(run.path),
            "status": run.status,
            "seconds": round(seconds, 3),
            **made_with(workspace),
            "steps": run.steps,
        }
        folders.write_json(path, results)
        self.files["results"] = path
        self.display.summary(run, seconds, self.files)
