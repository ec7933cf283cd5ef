"""Blocks of code in Markdown pages, and a place where they can be run as a reader would.

- `console`: lines that begin with `$ ` are commands, run in order in one folder. The lines below a command are what it prints;
  `...` stands for anything, alone on a line for any number of lines. A command may fail only where its message is shown.
- `toml`: an experiment, which must pass `pluto check`. A fragment is laid over experiments/sanity.toml.
- `python`: runs without an error.
- A comment above a block changes that: `<!-- file: NAME -->` saves the block as a file, `<!-- not run: WHY -->` leaves it out,
  `<!-- from: PATH -->` says that it is a quotation, which has tests of its own. The comment may also stand below the block.
- `sh` and everything else is not run; command lines of pluto in it must name commands and options that exist.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from pluto_core.cli.main import pluto

_FENCE = re.compile(
    r"(?:<!-- (?P<above>file|from|not run): ?(?P<value>[^\n]*?) -->\n)?^```(?P<language>[\w{}]*)\n(?P<text>.*?)^```$"
    r"(?:\n+<!-- (?P<below>not run): (?P<why>[^\n]*) -->)?",
    re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^\s*(?:\$ )?((?:[A-Z_]+=\S+ )*pluto .+)$", re.MULTILINE)
_INDENTED = re.compile(r"^ {4}.*$", re.MULTILINE)
_BREAKS = {"&&", "||", "|", ";", ">", "2>", "#"}
_NOT_OURS = ("PLUTO_", "PIP_", "PYTHON", "CI")
"""Beginnings of variables that a reader of the page does not have; where CI is set, progress is printed as lines."""


@attrs.frozen
class Block:
    """One fenced block."""

    language: str
    text: str
    file: str = ""
    left_out: bool = False

    @property
    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield the commands of a console block, each with what it prints."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def blocks(text: str) -> list[Block]:
    """Return the blocks of a page."""
    return [
        Block(
            match["language"],
            match["text"],
            file=match["value"] if match["above"] == "file" else "",
            left_out=match["above"] in {"from", "not run"} or match["below"] is not None,
        )
        for match in _FENCE.finditer(text)
    ]


def takes_long(text: str) -> bool:
    """Return whether blocks of a page train or run tests."""
    followed = [block for block in blocks(text) if not block.left_out]
    commands = [command for block in followed if block.language == "console" for command, _ in block.commands]
    programs = [block.text for block in followed if block.language == "python"]
    return any(re.search(r"pluto run|pytest", command) for command in commands) or any("api.run(" in text for text in programs)


def command_lines(text: str) -> list[list[str]]:
    """Return the arguments of every command line of pluto in a page's code."""
    found = []
    code = [*(block.text for block in blocks(text)), *_INDENTED.findall(_FENCE.sub("", text))]
    for line in _COMMAND.findall("\n".join(code)):
        words = shlex.split(line, comments=True)
        while "=" in words[0]:
            words.pop(0)
        end = next((number for number, word in enumerate(words) if word in _BREAKS), len(words))
        found.append([word for word in words[1:end] if word not in {"...", "…"}])
    return found


def parse(arguments: list[str]) -> None:
    """Find the command that the arguments name, and its options.

    Raises:
        click.UsageError: There is no such command or option.
    """
    command: click.Command = pluto
    context = click.Context(pluto, info_name="pluto")
    rest = arguments
    while True:
        _, rest, _ = command.make_parser(context).parse_args(args=list(rest))
        if not isinstance(command, click.Group) or not rest:
            return
        inner = command.get_command(context, rest[0])
        if inner is None:
            message = f"there is no command {rest[0]!r} in {arguments}"
            raise click.UsageError(message)
        context = click.Context(inner, info_name=rest[0], parent=context)
        command, rest = inner, rest[1:]


def pattern(output: str) -> re.Pattern[str]:
    """Return what matches an output as it is shown."""
    lines = []
    for line in output.rstrip("\n").splitlines():
        if line.strip() == "...":
            lines.append(r"(?:[^\n]*\n)*?")
        else:
            lines.append(".*".join(map(re.escape, line.rstrip().split("..."))) + r"[ \t]*\n")
    return re.compile("".join(lines))


class Reader:
    """Somebody who follows a page: a folder with a copy of the experiments, and an environment of one's own."""

    def __init__(self, folder: Path, repository: Path, cache_home: Path) -> None:
        """Make the folder, and an environment that sees what is installed here."""
        self.here = folder / "checkout"
        self._where = folder / "where"
        shutil.copytree(repository / "experiments", self.here / "experiments")
        environment = folder / "environment"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        (site,) = (environment / "lib").glob("python*/site-packages")
        everything = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
        (site / "here.pth").write_text(everything, encoding="utf-8")
        command = environment / "bin" / "pluto"
        command.write_text(f'#!/bin/sh\nexec "{environment}/bin/python" -m pluto_core.cli.main "$@"\n', encoding="utf-8")
        command.chmod(0o755)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_NOT_OURS)},
            "PATH": f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PLUTO_CACHE_HOME": str(cache_home),
            "PYTHONUTF8": "1",
            "COLUMNS": "120",
            "OMP_NUM_THREADS": "1",
            # What pip would fetch is installed here already.
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }

    def follow(self, block: Block) -> None:
        """Do what a block says.

        Raises:
            AssertionError: It does not work, or prints something else.
        """
        if block.file:
            path = self.here / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        if block.language == "console":
            for command, output in block.commands:
                self._command(command, output)
        elif block.language == "toml":
            self._check(block)
        elif block.language == "python" and not block.file:
            code, printed = self._run(["python", "-c", block.text])
            assert code == 0, f"{block.text}\n{printed}"

    def _check(self, block: Block) -> None:
        if block.file and Path(block.file).name == "pyproject.toml":
            return
        path = self.here / (block.file or "block.toml")
        if not block.file:
            whole = re.search(r"^(name|extends|steps) = ", block.text, flags=re.MULTILINE)
            path.write_text(block.text if whole else f'extends = "experiments/sanity.toml"\n{block.text}', encoding="utf-8")
        code, printed = self._run(["pluto", "check", str(path)])
        assert code == 0, f"{block.text}\n{printed}"

    def _command(self, command: str, output: str) -> None:
        code, printed = self._run(["bash", "-c", f'{command}\ncode=$?; pwd > "{self._where}"; exit $code'])
        self.here = Path(self._where.read_text(encoding="utf-8").strip())
        assert code == 0 or output, f"$ {command}\n{printed}"
        shown = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n" if printed else ""
        assert not output or pattern(output).fullmatch(shown), f"$ {command}\n--- shown\n{output}\n--- printed\n{shown}"

    def _run(self, command: list[str]) -> tuple[int, str]:
        done = subprocess.run(
            command,
            cwd=self.here,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            check=False,
        )
        return done.returncode, done.stdout
