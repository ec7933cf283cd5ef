"""What `pluto cache` tells people, in 80 columns."""

from collections.abc import Iterator, Mapping
from typing import Any

from pluto_core.run.display import size_of

Told = Mapping[str, Any]

_SHOWN = 10


def head(told: Told) -> str:
    """Return the first lines about a cache: what it is and how much."""
    source = f", of {told['source']}" if told["source"] else ""
    logs = f"{told['logs']:,} log{'' if told['logs'] == 1 else 's'}"
    return (
        f"{told['path']} ({told['store']}{source})\n"
        f"  {told['samples']:,} samples of {logs}; {size_of(told['bytes'])} in {shards(told['shards'])}"
    )


def shards(count: int) -> str:
    """Return a number of shards."""
    return f"{count:,} shard{'' if count == 1 else 's'}"


def info(told: Told) -> str:
    """Return what a cache holds."""
    return "\n".join([head(told), *_builders(told), *_counted("types", told), *_counted("maps", told), *_state(told)])


def verified(told: Told) -> str:
    """Return what `verify` found, and what to do."""
    lines = [f"{told['values']:,} values read"]
    if told["recomputed"]:
        lines.append(f"{told['recomputed']:,} samples computed again, {len(told['different']):,} differences")
    lines += [f"  {count:,} damaged in {shard}" for shard, count in told["damaged"].items()]
    lines += [f"  {count:,} {reason}" for reason, count in told["reasons"].items()]
    lines += [f"  {shard} cannot be read: {why}" for shard, why in told["unreadable"].items()]
    if told["lost"]:
        lines.append(f"  {told['lost']:,} values that the index listed are gone")
    lines += _first(f"  differs: {line}" for line in told["different"])
    if told["damaged"] or told["unreadable"] or told["lost"]:
        repaired = "the index is repaired; the next cache step computes again what is missing"
        lines.append(repaired if told["repaired"] else "the cache cannot be written here: verify it where it can, to repair it")
    if told["different"]:
        lines.append("the cache does not hold what would be computed now: compute it anew with --fresh, or undo the change")
    return "\n".join([*lines, *(["nothing is wrong"] if told["ok"] else [])])


def retried(told: Told) -> str:
    """Return what became of scenarios that had failed."""
    if not told["failed_before"]:
        return f"no scenario of the filter failed in {told['path']}"
    lines = [f"{told['done']:,} of {told['failed_before']:,} scenarios that had failed are there now"]
    again = sum(told["failed"].values())
    if again:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in told["failed"].items())
        lines.append(f"{again:,} failed again: {reasons}; {told['path']}/failures.jsonl says why")
    return "\n".join(lines)


def exported(told: Told) -> str:
    """Return how many samples were written."""
    return f"{told['samples']:,} samples written to {told['to']}"


def imported(told: Told) -> str:
    """Return how many values were copied."""
    return f"{told['values']:,} values copied to {told['to']} ({told['store']})"


def compacted(told: Told) -> str:
    """Return what `compact` gained."""
    if not told["rewritten"]:
        return f"nothing to compact: {shards(told['shards'])}, {size_of(told['bytes_after'])}"
    sizes = f"{size_of(told['bytes_before'])} before, {size_of(told['bytes_after'])} now"
    return f"{shards(told['rewritten'])} rewritten; {shards(told['shards'])} now; {sizes}"


def removed(told: Told) -> str:
    """Return what was removed and what is left."""
    left = f"; kept what is no part of it: {', '.join(told['left'])}" if told["left"] else ""
    return f"removed {told['path']}{left}"


def _builders(told: Told) -> Iterator[str]:
    rows = told["builders"]
    width = max([len("builder"), *map(len, rows)])
    yield f"\n  {'builder':<{width}}  {'samples':>9}  {'failed':>7}  {'arrays':>6}  version"
    for tag, row in rows.items():
        yield f"  {tag:<{width}}  {row['samples']:>9,}  {row['failed']:>7,}  {row['arrays']:>6,}  {row['version']}"


def _counted(name: str, told: Told) -> Iterator[str]:
    counts: Mapping[str, int] = told[name]
    if counts:
        yield f"\n  {name}"
        for value, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            yield f"  {count:>9,}  {value}"


def _state(told: Told) -> Iterator[str]:
    notes = []
    if told["failures"]:
        notes.append("failures, by reason (failures.jsonl says why)")
        notes += [f"{count:>9,}  {reason}" for reason, count in sorted(told["failures"].items(), key=lambda item: -item[1])]
    notes += [f"in use by {owner}" for owner in told["runs"]]
    if told["unsealed_shards"] and not told["runs"]:
        notes.append(f"{shards(told['unsealed_shards'])} of a run that was killed; the next cache step adopts what is whole")
    notes += [f"the shard {name} cannot be read: {why}" for name, why in told["unreadable"].items()]
    if told["set_aside"]:
        notes.append(f"{shards(len(told['set_aside']))} that cannot be read: in damaged/; the samples are computed again")
    for number, note in enumerate(notes):
        yield f"{'' if number else chr(10)}  {note}"


def _first(lines: Iterator[str]) -> Iterator[str]:
    more = 0
    for number, line in enumerate(lines):
        more += number >= _SHOWN
        if number < _SHOWN:
            yield line
    if more:
        yield f"  and {more:,} more (--json lists them)"
