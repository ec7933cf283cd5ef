"""Write what of the documentation follows from the code: pages of kinds, reference pages, snippets of files.

Run it after a change of settings, arrays, commands, errors or of a file that pages quote: `python docs/generate.py`.
With `--check` it writes nothing, names the pages that are stale, and ends with 1 where there are any; a test does that.
"""  # noqa: INP001 -- a program

import sys
from pathlib import Path

from pages import classes, kinds, reference, snippets

HERE = Path(__file__).resolve().parent


def texts() -> dict[str, str]:
    """Return the text of every generated page, and of every page that quotes files, by path below `docs`."""
    catalogue = reference.bundled()
    found = {**kinds.pages(catalogue), **classes.pages(), **reference.pages(catalogue, HERE.parent)}
    for path in sorted(HERE.rglob("*.md")):
        name = path.relative_to(HERE).as_posix()
        if not name.startswith(("kinds/", "reference/", "_build/")):
            found[name] = snippets.filled(path.read_text("utf-8"), HERE.parent, name)
    return found


def stale(wanted: dict[str, str]) -> list[str]:
    """Return the paths of pages that are not what they would be, or should not be there."""
    there = {path.relative_to(HERE).as_posix(): path.read_text("utf-8") for path in HERE.rglob("*.md")}
    there = {name: text for name, text in there.items() if not name.startswith("_build/")}
    return sorted(name for name in wanted.keys() | there.keys() if wanted.get(name) != there.get(name))


def main() -> int:
    """Write every page that is stale, and remove those that nothing generates any more; or only name them."""
    wanted, check = texts(), "--check" in sys.argv[1:]
    found = stale(wanted)
    for name in found:
        path = HERE / name
        sys.stdout.write(f"{name}\n")
        if check:
            continue
        if name not in wanted:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[name], encoding="utf-8")
    return int(check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
