"""The commands `pluto render` and `pluto report`."""

from pathlib import Path

import click

_PLUGIN = click.option("modules", "-p", "--plugin", multiple=True, metavar="MODULE", help="Load a module as a plugin.")
_WITHOUT = click.option("--without", multiple=True, metavar="NAME", help="Leave a plugin out (also: PLUTO_WITHOUT=a,b).")


@click.command()
@click.argument("what", type=click.Path(path_type=Path))
@click.option("settings", "--set", multiple=True, metavar="KEY=VALUE", help="Override a setting of an experiment.")
@click.option("out", "--out", type=click.Path(path_type=Path), metavar="PATH", help="File or folder.  [default: pictures/]")
@click.option("tokens", "--token", multiple=True, metavar="TOKEN", help="These scenarios; the beginning of a token is enough.")
@click.option("--count", type=click.IntRange(min=1), help="How many scenarios.  [default: 1; on a sheet 12]")
@click.option(
    "--pick", type=click.Choice(["spread", "first", "best", "worst"]), help="Which ones.  [default: spread]"
)  # fmt: skip
@click.option("types", "--type", multiple=True, metavar="TYPE", help="Only scenarios of this type.")
@click.option("--part", type=click.Choice(["val", "test"]), help="Which predictions of a run.  [default: the last]")
@click.option("--sheet", is_flag=True, help="One picture of all: a contact sheet.")
@click.option("--gif", is_flag=True, help="Moving pictures.")
@click.option("--augment", is_flag=True, help="What the augmentations make of them, side by side.")
@click.option("--epoch", type=click.IntRange(min=0), default=0, show_default=True, help="Of the augmentations.")
@click.option("--scene", is_flag=True, help="Draw what the dataset says, not what the builders took from it.")
@click.option("--cost-map/--no-cost-map", default=True, show_default=True, help="Lay the cost map under the drawing.")
@click.option("--dark", is_flag=True, help="Dark paper.")
@click.option("--radius", type=click.FloatRange(min=1), metavar="M", help="Half the side of the square to show, m.")
@click.option("--workers", type=click.IntRange(min=1), default=1, metavar="N", help="Paint N files at a time.")
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object: files and what they show.")
@_PLUGIN
@_WITHOUT
def render(as_json: bool, out: Path | None, **options: object) -> int:
    """Draw scenarios of WHAT: the file of an experiment, the folder of a cache, or the folder of a run.

    An experiment is drawn from its dataset, a cache from its samples; a run also shows what was planned.

    \b
    pluto render experiments/sanity.toml                  one scenario as PNG
    pluto render mine.toml --gif --token 3f2a             one that moves
    pluto render runs/cache --sheet --count 20            a contact sheet
    pluto render runs/001 --pick worst --count 5 --dark   the worst plans
    pluto render mine.toml --augment                      what training sees
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    from pluto_viz.rendering import Wanted, tell
    from pluto_viz.rendering import render as draw

    pictures = draw(Wanted(**options), out, note=lambda text: click.echo(text, err=True))  # type: ignore[arg-type]
    tell(pictures, as_json=as_json, say=click.echo)
    return 0


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The file.  [default: in RUN]")
@click.option("--pictures", type=click.IntRange(min=0, max=12), default=3, show_default=True, help="Best and worst to draw.")
@click.option("--open", "show", is_flag=True, help="Open it in a browser.")
@_PLUGIN
@_WITHOUT
def report(
    run: Path,
    other: Path | None,
    out: Path | None,
    pictures: int,
    show: bool,
    modules: tuple[str, ...],
    without: tuple[str, ...],
) -> int:
    """Write one HTML file about RUN, or a comparison of RUN with a run OTHER.

    The file needs nothing else: no network, no dataset, no other file. Send it to whom you like.

    \b
    pluto report runs/001                     writes runs/001/report.html
    pluto report runs/001 runs/002            what differs, and what came of it
    pluto report runs/001 --out first.html --open
    """  # noqa: D301 -- as above
    from pluto_viz.report.record import size
    from pluto_viz.report.writing import write

    path = write(
        run, other, out, count=pictures, modules=modules, without=without, note=lambda text: click.echo(text, err=True)
    )
    click.echo(f"report: {path} ({size(path.stat().st_size)})")
    if show:
        click.launch(str(path))
    return 0
