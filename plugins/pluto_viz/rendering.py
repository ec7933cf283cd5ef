"""What `pluto render` does: choose scenarios, draw them, write files."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import attrs
import numpy as np

from pluto_core import api
from pluto_core.api import Drawing, Scenarios
from pluto_core.errors import PlutoError, SampleError
from pluto_core.places.names import file_name
from pluto_core.plugins import Catalogue
from pluto_core.sketch import Sketch
from pluto_viz import moving, scenario
from pluto_viz.captions import short, title
from pluto_viz.choosing import apart
from pluto_viz.painting import paint_all
from pluto_viz.palette import DARK, LIGHT, Theme
from pluto_viz.scenario import Picture
from pluto_viz.scenes import sketch_of
from pluto_viz.sheet import Cell, sheet

Note = Callable[[str], None]

_ON_A_SHEET = 12
_LARGE_IN = 4.6
"""Side of the drawings that stand side by side for `--augment`."""
_SPARE = 4
"""For each scenario that is asked for, so many more may be tried where some give no sample."""
_TOLD = 3
"""So many of them are named."""
_FOLDER = Path("pictures")


@attrs.frozen(kw_only=True)
class Wanted:
    """What to draw, as the command line says it."""

    what: Path
    settings: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    part: str | None = None
    tokens: tuple[str, ...] = ()
    count: int | None = None
    pick: str | None = None
    """`spread`, `first`, `best` or `worst`."""
    types: tuple[str, ...] = ()
    sheet: bool = False
    gif: bool = False
    augment: bool = False
    epoch: int = 0
    scene: bool = False
    cost_map: bool = True
    dark: bool = False
    radius: float | None = None
    workers: int = 1

    @property
    def theme(self) -> Theme:
        """Return the colours."""
        return DARK if self.dark else LIGHT

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            PlutoError: Two wishes exclude each other.
        """
        for one, other in (("sheet", "gif"), ("sheet", "augment"), ("gif", "augment"), ("scene", "augment")):
            if getattr(self, one) and getattr(self, other):
                raise PlutoError(f"--{one} and --{other} do not go together; call pluto render twice")
        if self.tokens and (self.count or self.pick or self.types):
            message = "--token names the scenarios; --count, --pick and --type choose them: use one or the other"
            raise PlutoError(message)


@attrs.frozen(kw_only=True)
class Made:
    """One file."""

    path: Path
    tokens: tuple[str, ...]
    """What it shows."""
    types: tuple[str, ...]


def render(wanted: Wanted, out: Path | None, note: Note) -> Iterator[Made]:
    """Draw and write what is wanted, and yield each file as soon as it is there.

    Raises:
        PlutoError: There is nothing to draw, or it cannot be drawn.
    """
    wanted.check()
    found = api.scenarios(
        wanted.what, wanted.settings, part=wanted.part, modules=wanted.modules, without=wanted.without, note=note
    )
    drawings = _drawings(found, wanted, note)
    first = next(drawings, None)
    if first is None:
        message = f"{wanted.what}: none of the chosen scenarios gives a sample that can be drawn"
        raise PlutoError(message)
    every = chain([first], drawings)
    if wanted.sheet:
        yield _sheet(list(every), wanted, out)
    elif wanted.workers > 1 and not wanted.augment:
        placed = [(drawing, _placed(drawing, wanted, out)) for drawing in every]
        catalogue = Catalogue.load(modules=wanted.modules, without=wanted.without)
        paint_all(catalogue, wanted.workers, partial(_save, None, wanted=wanted), placed)
        yield from (_made(*one) for one in placed)
    else:
        for drawing in every:
            path = _placed(drawing, wanted, out)
            _save(_augmented(found, drawing, wanted) if wanted.augment else None, drawing, path, wanted=wanted)
            yield _made(drawing, path)


def tell(pictures: Iterable[Made], *, as_json: bool, say: Callable[[str], None]) -> None:
    """Say what was written: each file at once, or all of them as one JSON object."""
    if as_json:
        rows = [{"path": str(made.path), "tokens": made.tokens, "types": made.types} for made in pictures]
        say(json.dumps({"pictures": rows}, indent=2))
        return
    for made in pictures:
        told = f"{len(made.tokens)} scenarios" if len(made.tokens) > 1 else f"{made.types[0]} {made.tokens[0]}"
        say(f"{made.path}  {told}")


def _drawings(found: Scenarios, wanted: Wanted, note: Note) -> Iterator[Drawing]:
    """Yield as many drawings as are wanted; where a scenario gives no sample, the next one is tried."""
    if wanted.tokens:
        yield from (_shaped(_drawn(found, found.row(token), wanted), wanted) for token in wanted.tokens)
        return
    count = wanted.count or (_ON_A_SHEET if wanted.sheet else 1)
    left, lost = count, 0
    for row in _rows(found, wanted, count):
        if not left or lost > _SPARE * count + _ON_A_SHEET:
            break
        try:
            drawing = _drawn(found, row, wanted)
        except SampleError as error:
            lost += 1
            if lost <= _TOLD:
                note(f"{found.listing.id(row).token} gives no sample: {error}; another one is drawn")
            continue
        left -= 1
        yield _shaped(drawing, wanted)


def _rows(found: Scenarios, wanted: Wanted, count: int) -> list[int]:
    """Return rows in the order in which they are to be tried."""
    pick = wanted.pick or "spread"
    rows = found.ranked() if pick in {"best", "worst"} else np.arange(len(found))
    if wanted.types:
        known = set(found.listing.types.values)
        for name in wanted.types:
            if name not in known:
                raise PlutoError(f"--type {name}: there are scenarios of {', '.join(sorted(known))}")
        rows = np.asarray([row for row in rows if found.listing.types.text(int(row)) in wanted.types], np.int64)
    if pick == "worst":
        rows = rows[::-1]
    if pick in {"best", "worst"}:
        return apart((int(row), found.listing.id(int(row))) for row in rows)
    if pick == "spread" and len(rows):  # evenly, and then what lies between
        first = np.unique(np.linspace(0, len(rows) - 1, count + 2)[1:-1].round().astype(np.int64))
        rows = np.concatenate([rows[first], np.delete(rows, first)])
    return [int(row) for row in rows]


def _drawn(found: Scenarios, row: int, wanted: Wanted) -> Drawing:
    if not wanted.scene:
        try:
            return found.drawing(row)
        except PlutoError as error:
            if found.workspace is None or found.workspace.source is None:
                raise
            raise PlutoError(f"{error}; --scene draws what the dataset says") from None
    scene = found.scene(row)
    return Drawing(
        id=scene.id,
        scenario_type=found.listing.types.text(row),
        map_name=found.listing.maps.text(row),
        sketch=sketch_of(scene, radius_m=wanted.radius or Sketch().radius_m),
    )


def _shaped(drawing: Drawing, wanted: Wanted) -> Drawing:
    """Return a drawing with the reach and without the raster, as wanted."""
    sketch = drawing.sketch
    return attrs.evolve(
        drawing,
        sketch=attrs.evolve(
            sketch, raster=sketch.raster if wanted.cost_map else None, radius_m=wanted.radius or sketch.radius_m
        ),
    )


def _made(drawing: Drawing, path: Path) -> Made:
    return Made(path=path, tokens=(drawing.id.token,), types=(drawing.scenario_type,))


def _placed(drawing: Drawing, wanted: Wanted, out: Path | None) -> Path:
    return _place(wanted, out, file_name(f"{drawing.scenario_type}-{drawing.id.token}"))


def _place(wanted: Wanted, out: Path | None, name: str) -> Path:
    """Return the path of a picture: `out` where it names a file, else a file in it."""
    suffix = ".gif" if wanted.gif else ".png"
    if out is None or out.suffix.lower() not in {".png", ".gif"}:
        return (out or _FOLDER) / f"{name}{suffix}"
    if out.suffix.lower() != suffix:
        hint = "give it the ending .gif" if wanted.gif else "moving pictures need --gif"
        raise PlutoError(f"--out {out}: the picture is a {suffix[1:].upper()}; {hint}")
    if not wanted.sheet and max(wanted.count or 1, len(wanted.tokens)) > 1:
        raise PlutoError(f"--out {out}: there are several pictures; name a folder, or ask for one with --sheet")
    return out


def _save(picture: Picture | None, drawing: Drawing, path: Path, *, wanted: Wanted) -> None:
    text = title(drawing, more=f"map {drawing.map_name}")
    if picture is not None:
        scenario.save(picture, path)
    elif not wanted.gif:
        scenario.save(scenario.figure(drawing.sketch, drawing.plan, title=text, theme=wanted.theme), path)
    elif drawing.sketch.tracks:
        moving.save(moving.movie(drawing.sketch, drawing.plan, title=text, theme=wanted.theme), path, wanted.theme)
    else:
        message = "--gif: the builders' sketches have no tracks, so nothing would move; try --scene"
        raise PlutoError(message)


def _augmented(found: Scenarios, drawing: Drawing, wanted: Wanted) -> Picture:
    variants = [_shaped(one, wanted) for one in found.variants(drawing.id.token, wanted.epoch)]
    cells = [Cell(sketch=one.sketch, caption=f"{one.role}\nepoch {wanted.epoch}") for one in variants]
    if len(cells) == 1:
        cells.insert(0, Cell(sketch=drawing.sketch, caption="as it is\nbefore the augmentation"))
    return sheet(cells, title=title(drawing), columns=len(cells), size_in=_LARGE_IN, theme=wanted.theme)


def _sheet(drawings: Sequence[Drawing], wanted: Wanted, out: Path | None) -> Made:
    cells = [Cell(sketch=one.sketch, plan=one.plan, caption=short(one)) for one in drawings]
    path = _place(wanted, out, "sheet")
    which = f" {wanted.pick}" if wanted.pick in {"best", "worst"} else ""
    head = f"{len(cells)}{which} scenarios\n{'/'.join(wanted.what.absolute().parts[-2:])}"
    scenario.save(sheet(cells, title=head, theme=wanted.theme), path)
    types = tuple(one.scenario_type for one in drawings)
    return Made(path=path, tokens=tuple(one.id.token for one in drawings), types=types)
