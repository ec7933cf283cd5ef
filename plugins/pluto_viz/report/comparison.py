"""The sections of a report that compares two runs, A and B."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from pluto_core.api import Drawing
from pluto_core.scene import ScenarioId
from pluto_viz.choosing import apart
from pluto_viz.report import charts, elements, single
from pluto_viz.report.drawing import shown
from pluto_viz.report.elements import UNKNOWN, Cell, anonymous, number, words
from pluto_viz.report.record import METRICS, PLANNERS, Note, Record, duration
from pluto_viz.report.verdicts import FDE, OWN, mean

Floats = npt.NDArray[np.float64]

_MOST_ROWS = 500
_LARGE = 0.005
"""Differences below this are nothing."""


@attrs.frozen(kw_only=True, eq=False)
class Paired:
    """The scenarios that both runs judged, a row each."""

    ids: Sequence[ScenarioId]
    types: Sequence[str]
    fde_a: Floats
    fde_b: Floats

    @property
    def change(self) -> Floats:
        """Return B less A, m; below 0 where B is better."""
        return self.fde_b - self.fde_a


def paired(a: Record, b: Record) -> Paired | None:
    """Return the scenarios that both runs judged; None where there is none."""
    if a.verdicts is None or b.verdicts is None:
        return None
    of_a, of_b = a.verdicts.of(OWN, FDE), b.verdicts.of(OWN, FDE)
    place = {one.key: row for row, one in enumerate(a.verdicts.ids)}
    both = [(place[one.key], row) for row, one in enumerate(b.verdicts.ids) if one.key in place]
    known = [(left, right) for left, right in both if math.isfinite(of_a[left]) and math.isfinite(of_b[right])]
    if not known:
        return None
    return Paired(
        ids=[a.verdicts.ids[row] for row, _ in known],
        types=[a.verdicts.types[row] for row, _ in known],
        fde_a=np.asarray([of_a[row] for row, _ in known]),
        fde_b=np.asarray([of_b[row] for _, row in known]),
    )


def head(a: Record, b: Record, both: Paired | None) -> str:
    """Return the title of the page, and the figures that are asked for first."""
    tiles = []
    for key in (FDE, "ade_top1_m", "miss_top1"):
        left, right = (record.metrics.get("planner", {}).get(key) for record in (a, b))
        if left is not None and right is not None:
            tiles.append((METRICS[key], f"{right - left:+.2f}", f"A {left:.2f}, B {right:.2f}"))
    if both is not None:
        share = float((both.change < -_LARGE).mean())
        tiles.append(("B better in", f"{share:.0%}", f"of {len(both.change):,} scenarios of both"))
    named = " &nbsp; ".join(
        f"<strong>{letter}</strong> {elements.escape(', '.join(filter(None, [record.name, record.started])))}"
        for letter, record in (("A", a), ("B", b))
    )
    title = f"{elements.escape(a.name)} and {elements.escape(b.name)}"
    lead = f'<p class="lead">{named}. Differences are B less A; less is better.</p>'
    return f"<h1>{title}</h1>\n{lead}\n{elements.tiles(tiles)}"


def results(a: Record, b: Record, both: Paired | None) -> str:
    """Return the metrics of both with their differences."""
    planners = [name for name in PLANNERS if name in a.metrics and name in b.metrics]
    own = _metrics(a, b, [name for name in planners if name == "planner"])
    rest = _metrics(a, b, [name for name in planners if name != "planner"])
    baselines = elements.folded("Baselines, and the untrained planners", rest) if rest else ""
    return elements.section("result", "Result", own, baselines, _paired_words(both), _paired_chart(both))


def _metrics(a: Record, b: Record, planners: Sequence[str]) -> str:
    rows = []
    for planner in planners:
        for key, title in METRICS.items():
            left, right = a.metrics[planner].get(key), b.metrics[planner].get(key)
            if left is not None or right is not None:
                rows.append([words(PLANNERS[planner]), words(title), number(left), number(right), *_difference(left, right)])
    return elements.table(["planner", "metric", "A", "B", "B - A", "%"], rows) if rows else ""


def _paired_words(both: Paired | None) -> str:
    if both is None:
        return elements.paragraph("The runs have no judged scenario in common, so their means are of different scenarios.")
    change, count = both.change, len(both.change)
    error = float(change.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    better, worse = int((change < -_LARGE).sum()), int((change > _LARGE).sum())
    spread = f" ± {error:.2f}" if math.isfinite(error) else ""
    return elements.paragraph(
        f"On the {count:,} scenarios of both, the FDE of B is {change.mean():+.2f}{spread} m (mean and its standard error; "
        f"scenarios of one log are alike, so the true error is larger): {better:,} are better, {worse:,} worse."
    )


def _paired_chart(both: Paired | None) -> str:
    if both is None:
        return ""
    return charts.charts([charts.histogram("Scenarios by FDE", both.fde_a, both.fde_b, names=("A", "B"), unit="FDE, m")])


def _difference(left: float | None, right: float | None, digits: int = 2) -> list[Cell]:
    """Return cells of the difference and of its share, coloured by which is better."""
    if left is None or right is None or not (math.isfinite(left) and math.isfinite(right)):
        return [number(None), number(None)]
    change = right - left
    kind = "good" if change < -_LARGE else "bad" if change > _LARGE else ""
    shown_change = attrs.evolve(number(change, digits, kind=kind), shown=f"{change:+,.{digits}f}")
    if not left:
        return [shown_change, number(None)]
    share = 100 * change / left
    return [shown_change, attrs.evolve(number(share, 1, kind=kind), shown=f"{share:+,.1f}")]


def settings(a: Record, b: Record) -> str:
    """Return what was set, installed and owned differently."""
    keys = [key for key in {**a.settings, **b.settings} if _text(a.settings.get(key)) != _text(b.settings.get(key))]
    rows = [
        [words(key, kind="code"), *(words(anonymous(_text(one.settings.get(key))), kind="wide code") for one in (a, b))]
        for key in keys
    ]
    table = elements.table(["setting", "A", "B"], rows, name="settings") if rows else ""
    same = "" if rows else elements.paragraph("Both runs have the same settings.")
    return elements.section("settings", "What differs", table, same, _surroundings(a, b))


def _surroundings(a: Record, b: Record) -> str:
    rows = []
    for group in ("versions", "machine", "data"):
        left, right = (record.results.get(group, {}) for record in (a, b))
        for name in {**left, **right}:
            if left.get(name) != right.get(name):
                told = (anonymous(side.get(name, UNKNOWN)) for side in (left, right))
                rows.append([words(f"{group}: {name}"), *(words(text, kind="wide") for text in told)])
    return elements.table(["surroundings", "A", "B"], rows) if rows else ""


def _text(value: Any) -> str:
    return UNKNOWN if value is None else json.dumps(value, default=str)


def types(a: Record, b: Record) -> str:
    """Return the errors by scenario type."""
    left, right = (_by_type(record) for record in (a, b))
    rows = [
        [
            words(name),
            *(number(side.get(name, (None, None))[0], 0) for side in (left, right)),
            *(number(side.get(name, (None, None))[1]) for side in (left, right)),
            *_difference(left.get(name, (None, None))[1], right.get(name, (None, None))[1]),
        ]
        for name in sorted({**left, **right})
    ]
    header = ["scenario type", "count A", "count B", "FDE A, m", "FDE B, m", "B - A", "%"]
    return elements.section("types", "By scenario type", elements.table(header, rows, name="types") if rows else "")


def _by_type(record: Record) -> Mapping[str, tuple[float | None, float | None]]:
    if record.verdicts is None:
        return {}
    names, fde = np.asarray(record.verdicts.types), record.verdicts.of(OWN, FDE)
    return {name: (float((names == name).sum()), mean(fde[names == name])) for name in np.unique(names).tolist()}


def scenarios(a: Record, b: Record, both: Paired | None, wanted: int, note: Note) -> str:
    """Return the scenarios that changed most, drawn with both plans, and all of them as a table."""
    if both is None:
        return ""
    order = [int(row) for row in np.argsort(both.change, kind="stable")]
    parts = []
    for title, rows in (
        ("Where B is worse", [row for row in order[::-1] if both.change[row] > _LARGE]),
        ("Where B is better", [row for row in order if both.change[row] < -_LARGE]),
    ):
        chosen = [both.ids[row].key for row in apart((row, both.ids[row]) for row in rows)[:wanted]]
        drawn = [one for one in (shown(_pair(a, b, key, note)) for key in chosen) if one.figures]
        if drawn:
            entries = {entry[0]: entry for one in drawn for entry in one.entries}
            figures = elements.pairs([one.figures for one in drawn])
            parts += [f"<h3>{title}</h3>", figures, elements.key(list(entries.values()))]
    return elements.section("scenarios", "Scenarios that changed", *parts, _table(both, order[::-1]))


def _pair(a: Record, b: Record, key: str, note: Note) -> Iterator[tuple[str, Drawing]]:
    for letter, record in (("A", a), ("B", b)):
        yield from ((letter, drawing) for drawing in record.drawings([key], note))


def _table(both: Paired, order: Sequence[int]) -> str:
    half = _MOST_ROWS // 2
    rows = [
        [
            number(float(both.fde_a[row])),
            number(float(both.fde_b[row])),
            _difference(float(both.fde_a[row]), float(both.fde_b[row]))[0],
            words(both.types[row]),
            words(both.ids[row].token, kind="code"),
        ]
        for row in (order if len(order) <= _MOST_ROWS else [*order[:half], *order[-half:]])
    ]
    return elements.table(["FDE A, m", "FDE B, m", "B - A", "type", "token"], rows, name="scenarios")


def training(a: Record, b: Record) -> str:
    """Return the curves of both."""
    left, right = single.curve_groups(a.curves), single.curve_groups(b.curves)
    first: list[str] = []
    rest: list[str] = []
    for name in (name for name in left if name in right):
        for key in (key for key in left[name] if key in right[name]):
            part = f", {key.partition('/')[0]}" if name != "learning rate" else f", {key}"
            pair = [
                attrs.evolve(single.series_of(record.curves, [key])[0], name=letter) for letter, record in (("A", a), ("B", b))
            ]
            chart = charts.curves(f"{single.curve_title(name)}{part}", pair)
            (first if name in single.FIRST else rest).append(chart)
    folded = elements.folded(f"{len(rest)} more curves", charts.charts(rest)) if rest else ""
    return elements.section("curves", "Training", charts.charts(first), folded)


def steps(a: Record, b: Record) -> str:
    """Return how long the steps of both took."""
    rows = []
    for name in {**a.steps, **b.steps}:
        left, right = (record.steps.get(name, {}).get("seconds") for record in (a, b))
        told = [duration(value) if value is not None else UNKNOWN for value in (left, right)]
        rows.append([words(name), number(left, 1), number(right, 1), *_difference(left, right, 1)[:1], words(" / ".join(told))])
    speeds = [record.steps.get("train", {}).get("samples_per_s") for record in (a, b)]
    table = elements.table(["step", "A, s", "B, s", "B - A", ""], rows) if rows else ""
    fast = ", ".join(f"{letter} {speed:,.1f}" for letter, speed in zip("AB", speeds, strict=True) if speed is not None)
    return elements.section(
        "steps", "Time", table, elements.paragraph(f"Training, samples per second: {fast}.") if fast else ""
    )
