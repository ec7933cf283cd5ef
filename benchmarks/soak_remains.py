"""What a run of `soak.py` leaves: its cache, its weights, its files; and how far it is."""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import torch

from pluto_core.plugins import Catalogue
from pluto_core.run.caches import cache_at

PHASES = ("start", "cache", "training begins", "training", "end")


@attrs.frozen
class Left:
    """What a finished run left."""

    values: Mapping[bytes, bytes]
    """Hash of each value in the cache."""
    failures: frozenset[str]
    weights: Mapping[str, torch.Tensor]
    curves: list[dict[str, float]]
    files: frozenset[str]
    """Kinds of files: their paths without hashes and numbers."""

    @classmethod
    def of(cls, folder: Path) -> "Left":
        """Read a round's folder."""
        cache = cache_at(folder / "runs" / "cache", Catalogue.load())
        values = {}
        for stamp in cache.shards.sealed():
            reader = cache.shards.open(stamp.name)
            values |= {key: hashlib.blake2b(reader.get(key)).digest() for key in list(reader.keys())}
            reader.close()
        run = max(folder.glob("runs/[0-9]*/results.json"))
        stored = torch.load(run.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        results = json.loads(run.read_text("utf-8"))
        failures = frozenset(f"{one.scenario.token}: {one.reason.value}" for one in cache.failures().values())
        files = frozenset(_kind(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "said.log")
        return cls(values, failures, stored, results["steps"]["train"]["curves"], files)

    def differences(self, calm: "Left") -> Iterator[str]:
        """Say what is not as after an undisturbed run."""
        if self.values.keys() != calm.values.keys():
            yield f"{len(self.values)} of {len(calm.values)} values in the cache"
        wrong = sum(calm.values.get(key, value) != value for key, value in self.values.items())
        if wrong:
            yield f"{wrong} values in the cache have other bytes"
        if self.failures != calm.failures:
            yield f"other failures: {sorted(self.failures ^ calm.failures)}"
        if not all(torch.equal(tensor, self.weights[name]) for name, tensor in calm.weights.items()):
            yield "other weights"
        if self.curves != calm.curves:
            yield "other curves"
        if self.files - calm.files:
            yield f"files that nobody needs: {sorted(self.files - calm.files)}"


def _kind(path: Path) -> str:
    name = re.sub(r"[0-9a-f]{8,}|\d+(\.\d+)*|(?<=events\.out\.tfevents\.).*", "#", str(path))
    return re.sub(r"=-?#", "=#", name)


def phase_of(folder: Path, began: float) -> str:
    """Return how far a run is, as its files tell."""
    states = sorted(folder.glob("runs/[0-9]*/state.json"))
    steps = json.loads(states[-1].read_text("utf-8"))["steps"] if states else {}
    if "train" in steps:
        return "end"
    if "cache" not in steps:
        return "cache" if (folder / "runs" / "cache" / "manifest.json").exists() else "start"
    last = states[-1].parent / "checkpoints" / "last.ckpt"
    with contextlib.suppress(FileNotFoundError):
        if last.stat().st_mtime > began:
            return "training"
    return "training begins"
