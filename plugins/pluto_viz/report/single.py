"""The sections of a report about one run."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pluto_viz.report import charts, elements
from pluto_viz.report.drawing import shown
from pluto_viz.report.elements import Cell, anonymous, count, number, words
from pluto_viz.report.record import METRICS, PLANNERS, Note, Numbers, Record, duration, size
from pluto_viz.report.verdicts import FDE, OWN, Verdicts, mean

_MOST_ROWS = 500
"""Scenarios in the table: the worst ones."""
FIRST = ("loss", "ade_top1_m", "fde_top1_m", "miss_top1")
"""Curves that are shown first."""
_LONGEST = 160
_BESIDE = "Green where the FDE is below that of constant velocity."


def head(record: Record) -> str:
    """Return the title of the page, and the figures that are asked for first."""
    results = record.results
    told = [
        str(results.get("status", "")),
        record.started,
        duration(results["seconds"]) if "seconds" in results else "",
        f"seed {results['seed']}" if "seed" in results else "",
        f"pluto {results['versions']['pluto-framework']}" if "pluto-framework" in results.get("versions", {}) else "",
    ]
    lead = elements.escape(" · ".join(filter(None, told)))
    return f'<h1>{elements.escape(record.name)}</h1>\n<p class="lead">{lead}</p>\n{elements.tiles(list(_tiles(record)))}'


def _tiles(record: Record) -> Iterator[tuple[str, str, str]]:
    metrics = record.metrics
    own = metrics.get("planner", {})
    for key in ("fde_top1_m", "ade_top1_m", "miss_top1"):
        if own.get(key) is None:
            continue
        base = metrics.get("constant_velocity", {}).get(key)
        note = f"constant velocity: {base:.2f}" if base is not None else ""
        yield METRICS[key], f"{own[key]:.2f}", note
    if record.evaluation:
        step, numbers = record.evaluation
        yield "scenarios", f"{numbers['count']:,}", f"evaluated by {step}"
    train = record.steps.get("train", {})
    if "parameters" in train:
        yield "parameters", f"{train['parameters'] / 1e6:.2f} M", f"{train.get('epochs', 0)} epochs"
    if "samples_per_s" in train:
        yield "training", f"{train['samples_per_s']:,.0f}/s", "samples per second"


def results(record: Record) -> str:
    """Return how good the planner is, beside what needs no learning."""
    metrics = record.metrics
    if not metrics:
        return elements.section("result", "Result", elements.paragraph("Nothing was evaluated yet: no step validate or test."))
    best = {key: min((row[key] for row in metrics.values() if row.get(key) is not None), default=math.nan) for key in METRICS}
    rows = [
        [
            words(PLANNERS.get(planner, planner)),
            *(number(row.get(key), kind="strong" if row.get(key) == best[key] else "") for key in METRICS),
        ]
        for planner, row in metrics.items()
    ]
    step, numbers = record.evaluation or ("", {})
    caption = f"Means over {numbers['count']:,} scenarios of the part {numbers['part']!r}, step {step}; the best is bold."
    meaning = (
        "ADE is the mean distance to where the driver was, FDE the distance at the end of the horizon, a miss an FDE above "
        "2 m, of the most probable mode; best of 6 takes the best of the six most probable ones."
    )
    spread = _spread(record.verdicts) if record.verdicts else ""
    table = elements.table(["planner", *METRICS.values()], rows, caption=caption)
    return elements.section("result", "Result", table, elements.paragraph(meaning), _others(metrics), spread)


def _others(metrics: Mapping[str, Numbers]) -> str:
    """Return how well others were foreseen, where the model says so."""
    rows = [
        [words(PLANNERS.get(planner, planner)), number(row.get("prediction_ade_m")), number(row.get("prediction_fde_m"))]
        for planner, row in metrics.items()
        if row.get("prediction_ade_m") is not None
    ]
    return elements.table(["what it expects of others", "ADE, m", "FDE, m"], rows) if rows else ""


def _spread(verdicts: Verdicts) -> str:
    own, base = verdicts.of(OWN, FDE), verdicts.of("constant_velocity", FDE)
    chart = charts.histogram("Scenarios by FDE", own, base, names=("trained", "constant velocity"), unit="FDE, m")
    return charts.charts([chart])


def types(record: Record) -> str:
    """Return the errors by scenario type, with the baselines beside them."""
    if record.verdicts is None:
        return ""
    header = ["scenario type", "count", "ADE, m", "FDE, m", "miss", "const. velocity FDE, m", "const. acceleration FDE, m"]
    table = elements.table(header, _type_rows(record.verdicts), name="types", caption=_BESIDE)
    return elements.section("types", "By scenario type", table)


def _type_rows(verdicts: Verdicts) -> Iterator[list[Cell]]:
    names = np.asarray(verdicts.types)
    for name in np.unique(names).tolist():
        mine = names == name
        ade, fde, miss = (mean(verdicts.of(OWN, key)[mine]) for key in ("ade_top1_m", FDE, "miss_top1"))
        others = [mean(verdicts.of(planner, FDE)[mine]) for planner in ("constant_velocity", "constant_acceleration")]
        better = "good" if fde < others[0] else "bad" if fde > others[0] else ""
        yield [
            words(name),
            count(int(mine.sum())),
            number(ade),
            number(fde, kind=better),
            number(miss),
            *map(number, others),
        ]


def scenarios(record: Record, wanted: int, note: Note) -> str:
    """Return the worst and the best scenarios as pictures, and all of them as a table."""
    verdicts = record.verdicts
    if verdicts is None:
        return ""
    order = verdicts.ranked()
    worst, best = verdicts.apart(order[::-1])[:wanted], verdicts.apart(order)[:wanted]
    parts = []
    for title, rows in (("The worst plans", worst), ("The best plans", [row for row in best if row not in worst])):
        keys = [verdicts.ids[row].key for row in rows]
        drawn = shown(("", drawing) for drawing in record.drawings(keys, note))
        if drawn.figures:
            parts += [f"<h3>{title}</h3>", elements.gallery(drawn.figures), elements.key(drawn.entries)]
    if record.missing:
        parts.append(elements.paragraph(f"No scenario could be drawn: {anonymous(record.missing)}"))
    return elements.section("scenarios", "Scenarios", *parts, _scenario_table(verdicts, order))


def _scenario_table(verdicts: Verdicts, order: Sequence[int]) -> str:
    rows = order[::-1][:_MOST_ROWS]
    told = ((OWN, FDE), (OWN, "ade_top1_m"), (OWN, "fde_top6_m"), ("constant_velocity", FDE))
    columns = [verdicts.of(planner, name) for planner, name in told]
    header = ["FDE, m", "ADE, m", "best of 6: FDE, m", "const. velocity FDE, m", "type", "token", "log"]
    cells = [
        [
            *(number(float(values[row])) for values in columns),
            words(verdicts.types[row]),
            words(verdicts.ids[row].token, kind="code"),
            words(verdicts.ids[row].log, kind="code"),
        ]
        for row in rows
    ]
    which = f"The worst {len(rows):,} of {len(order):,}" if len(rows) < len(order) else f"All {len(order):,}"
    return elements.table(header, cells, caption=f"{which} scenarios.", name="scenarios")


def training(record: Record) -> str:
    """Return curves over epochs."""
    groups = curve_groups(record.curves)
    made = {name: charts.curves(curve_title(name), series_of(record.curves, keys)) for name, keys in groups.items()}
    first = [made.pop(name) for name in FIRST if name in made]
    rest = elements.folded(f"{len(made)} more curves", charts.charts(list(made.values()))) if made else ""
    return elements.section("curves", "Training", charts.charts(first), rest)


def curve_groups(rows: Sequence[Mapping[str, float]]) -> dict[str, list[str]]:
    """Return the keys of curves by the name that they share: `loss` has `train/loss` and `val/loss`."""
    groups: dict[str, list[str]] = {}
    for key in dict.fromkeys(key for row in rows for key in row if key != "epoch"):
        if not any(row.get(key) for row in rows):  # a term that the experiment does not use
            continue
        name = "learning rate" if key.startswith("lr") else key.partition("/")[2] or key
        groups.setdefault(name, []).append(key)
    return groups


def curve_title(name: str) -> str:
    """Return the name of a group of curves as words."""
    return METRICS.get(name, name.replace("_", " "))


def series_of(rows: Sequence[Mapping[str, float]], keys: Sequence[str], prefix: str = "") -> list[charts.Series]:
    """Return curves of some keys; epochs are counted from 1."""
    return [
        charts.Series(
            name=f"{prefix}{key.partition('/')[0] if '/' in key and not key.startswith('lr') else key}",
            points=tuple((row["epoch"] + 1, float(row[key])) for row in rows if key in row and math.isfinite(row[key])),
        )
        for key in keys
    ]


def data(record: Record, failures: Sequence[tuple[str, str, str]]) -> str:
    """Return what the scenarios went through: the filter, the builders, and where they failed."""
    cache = record.steps.get("cache", {})
    funnel = [(str(stage), float(left), f"{left:,}") for stage, left in cache.get("funnel", ())]
    listed = cache.get("listed")
    parts = ["<h3>What the filter left</h3>", elements.bars(funnel)] if funnel else []
    if listed is not None:
        failed = sum(cache.get("failed", {}).values())
        present, computed = cache.get("present", 0), cache.get("computed", 0)
        told = f"{listed:,} scenarios: {present:,} were cached, {computed:,} computed, {failed:,} failed."
        parts.append(elements.paragraph(told))
    if failures or cache.get("failed"):
        parts += ["<h3>Failures by reason</h3>", _failures(cache.get("failed", {}), failures)]
    return elements.section("data", "Data", *parts)


def _failures(counts: Mapping[str, int], examples: Sequence[tuple[str, str, str]]) -> str:
    """Return a table of reasons; each with one example, where the cache is there to tell."""
    known = {reason: (where, detail) for reason, where, detail in examples}
    rows = []
    for reason, failed in sorted(counts.items(), key=lambda one: -one[1]):
        where, detail = known.get(reason, ("", ""))
        rows.append([words(reason), count(failed), words(anonymous(detail)[:_LONGEST], kind="wide"), words(where, kind="code")])
    return elements.table(["reason", "count", "for example", "token"], rows)


def steps(record: Record) -> str:
    """Return how long every step took, and how fast it was."""
    rows = [[words(name), number(numbers.get("seconds"), 1), *_throughput(numbers)] for name, numbers in record.steps.items()]
    header = ["step", "seconds", "done", "per second", "more"]
    return elements.section("steps", "Time", elements.table(header, rows) if rows else "")


def _throughput(numbers: Numbers) -> list[Cell]:
    seconds = max(float(numbers.get("seconds", 0.0)), 1e-9)
    if "computed" in numbers:
        more = f"{size(numbers.get('bytes', 0))} written, {numbers.get('present', 0):,} were there"
        return [words(f"{numbers['computed']:,} samples"), number(numbers["computed"] / seconds, 1), words(more)]
    if "samples_per_s" in numbers:
        more = f"{numbers.get('share_waiting', 0.0):.1%} of the time waiting for data"
        return [words(f"{numbers.get('epochs', 0)} epochs"), number(numbers["samples_per_s"], 1), words(more)]
    if "count" in numbers:
        more = "planner, untrained planner, baselines, pictures"
        return [words(f"{numbers['count']:,} scenarios"), number(numbers["count"] / seconds, 1), words(more)]
    return [words(""), number(None), words("")]


def experiment(record: Record) -> str:
    """Return what ran: the resolved experiment, versions, machine."""
    results: Mapping[str, Any] = record.results
    machine = {str(name): value for name, value in results.get("machine", {}).items()}
    dataset = {str(name): value for name, value in results.get("data", {}).items()}
    if "bytes" in dataset:
        dataset["size"] = size(dataset.pop("bytes"))
    parts = [
        elements.folded("The resolved experiment, each line with its origin", elements.code(anonymous(record.resolved))),
        *(["<h3>Data</h3>", elements.facts(dataset)] if dataset else []),
        *(["<h3>Versions</h3>", elements.facts(results["versions"])] if "versions" in results else []),
        *(["<h3>Machine</h3>", elements.facts(machine)] if machine else []),
    ]
    return elements.section("experiment", "What ran", *parts)
