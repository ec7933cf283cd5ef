"""`pluto doctor`: is everything there, and what to do next?"""

import json
from typing import TYPE_CHECKING, Any

import click

from pluto_core.cli.layout import hanging
from pluto_core.cli.options import load_catalogue, plugin_options
from pluto_core.errors import ExitCode

if TYPE_CHECKING:
    from pluto_core.cli.doctor_checks import Section

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}
_WIDEST = 28


@click.command()
@click.option("as_json", "--json", is_flag=True, help="Print one JSON object.")
@plugin_options
def doctor(as_json: bool, modules: tuple[str, ...], without: tuple[str, ...]) -> int:
    """Look at versions, extras, disk, memory, plugins and data, and say what to do next.

    Data is looked for where environment variables say: NUPLAN_DATA_ROOT, NUPLAN_MAPS_ROOT, PLUTO_AV2_ROOT, and what other
    plugins name. Every log and map that is found is opened. Ends with 1 where something is broken; what is merely absent
    is a note.

    \b
    pluto doctor
    pluto doctor --json
    """  # noqa: D301 -- click's own mark for text that is not to be wrapped
    import os

    from pluto_core.cli.bars import bar
    from pluto_core.cli.doctor_checks import examine
    from pluto_core.moments import Surroundings
    from pluto_core.places import cache_home

    catalogue = load_catalogue(modules, without)
    with bar("looking") as show:
        surroundings = Surroundings(environment=dict(os.environ), cache_home=cache_home(), progress=show)
        sections = list(examine(catalogue, surroundings))
    click.echo(json.dumps(_as_plain(sections), indent=2) if as_json else report(sections))
    return int(ExitCode.FAILED if _broken(sections) else ExitCode.OK)


def report(sections: "list[Section]") -> str:
    """Return all findings as text: section by section, then what is broken, then what to try next."""
    lines: list[str] = []
    for section in sections:
        lines += ["", section.title]
        width = min(max((len(one.subject) for one in section.findings), default=0), _WIDEST)
        for one in section.findings:
            lines += hanging(f"  {_MARKS[one.state]:<7} {one.subject:<{width}}  ", one.text)
            if one.advice:
                lines += hanging(f"          {'':<{width}}  -> ", one.advice)
        if not section.findings:
            lines.append("  nothing to say")
    lines += ["", "try next", *(f"  {command}" for command in _commands(sections))]
    broken = _broken(sections)
    lines += ["", f"{len(broken)} broken: {', '.join(broken)}" if broken else "nothing is broken"]
    return "\n".join(lines[1:])


def _broken(sections: "list[Section]") -> list[str]:
    return [one.subject for section in sections for one in section.findings if one.state == "broken"]


def _commands(sections: "list[Section]") -> list[str]:
    named = [one.command for section in sections for one in section.findings if one.command]
    return list(dict.fromkeys([*named, "pluto plugins"]))


def _as_plain(sections: "list[Section]") -> dict[str, Any]:
    import attrs

    return {
        "ok": not _broken(sections),
        "broken": _broken(sections),
        "sections": {section.title: [attrs.asdict(one) for one in section.findings] for section in sections},
        "try_next": _commands(sections),
    }
