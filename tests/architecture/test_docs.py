"""The documentation cannot rot: generated pages follow the code, blocks of code work, the site has no broken link."""

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DOCS = REPOSITORY / "docs"
GENERATED = ("kinds/", "reference/", "_build/")
BY_ITS_OWN_TEST = ("hooks.md",)
"""Written from the code, and compared with it, elsewhere."""


if str(HERE) not in sys.path:
    sys.path.append(str(HERE))  # tests are no packages
doc_blocks = importlib.import_module("doc_blocks")
PAGES = {path.relative_to(REPOSITORY).as_posix(): path for path in sorted([*DOCS.rglob("*.md"), REPOSITORY / "README.md"])}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}
BY_HAND = [
    name
    for name in PAGES
    if not name.removeprefix("docs/").startswith(GENERATED) and name.removeprefix("docs/") not in BY_ITS_OWN_TEST
]
LONG = [pytest.mark.slow, pytest.mark.timeout(900)]
RUN = [pytest.param(name, marks=LONG if doc_blocks.takes_long(TEXTS[name]) else []) for name in BY_HAND]


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache_home")


def test_generated_pages_and_quotations_follow_the_code() -> None:
    """What `python docs/generate.py` would write is what is there."""
    pytest.importorskip("torch", reason="pages of kinds that need torch are written from their classes")
    command = [sys.executable, DOCS / "generate.py", "--check"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python docs/generate.py`, for these are stale: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", BY_HAND)
def test_command_lines_exist(name: str) -> None:
    """Every command line of pluto on a page names a command and options that exist."""
    for arguments in doc_blocks.command_lines(TEXTS[name]):
        try:
            doc_blocks.parse(arguments)
        except click.UsageError as error:
            pytest.fail(f"{name}: pluto {' '.join(arguments)}: {error.format_message()}", pytrace=False)


@pytest.mark.parametrize("name", RUN)
def test_blocks_of_code_work(name: str, repository: Path, tmp_path: Path, cache_home: Path) -> None:
    """A reader who follows a page from top to bottom sees what it says."""
    followed = [block for block in doc_blocks.blocks(TEXTS[name]) if not block.left_out]
    if not any(block.language in {"console", "toml", "python"} for block in followed):
        return
    reader = doc_blocks.Reader(tmp_path, repository, cache_home)
    for block in followed:
        reader.follow(block)


def test_blocks_are_found() -> None:
    """The reader of blocks sees languages, files and exceptions as they stand in a page."""
    text = "<!-- file: a.toml -->\n```toml\nname = 1\n```\n\n```console\n$ ls\na.toml\n$ cd x\n```\n\n<!-- not run: why -->\n"
    first, second = doc_blocks.blocks(text)
    assert (first.language, first.file, first.text) == ("toml", "a.toml", "name = 1\n")
    assert second.left_out
    assert list(second.commands) == [("ls", "a.toml\n"), ("cd x", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a ... c\n", "a b c\n", True),
        ("...\nz\n", "x\ny\nz\n", True),
        ("a\n...\n", "a\n", True),
        ("a\n...\nb\n", "a\nc\n", False),
    ],
)
def test_outputs_are_compared(shown: str, printed: str, *, same: bool) -> None:
    """Three dots stand for anything, and for nothing else."""
    assert bool(doc_blocks.pattern(shown).fullmatch(printed)) is same


def test_wrong_command_lines_are_found() -> None:
    """Commands and options that do not exist are noticed, however they are written."""
    text = "pluto is\n\n    A=b pluto run x.toml --only cache  # why\n\n```sh\npluto plugins | head\n```\n"
    assert sorted(doc_blocks.command_lines(text)) == [["plugins"], ["run", "x.toml", "--only", "cache"]]
    doc_blocks.parse(["cache", "info", "DIR", "--json"])
    for arguments in (["cash", "info"], ["run", "x", "--onli", "y"], ["cache", "inf"]):
        with pytest.raises(click.UsageError):
            doc_blocks.parse(arguments)


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path: Path) -> None:
    """The site is built, every link and every page has its place, and no page asks another server for anything."""
    if importlib.util.find_spec("furo") is None or importlib.util.find_spec("myst_parser") is None:
        pytest.skip("the extra `docs` is not installed")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-b", "html", "-d", tmp_path / "trees"]
    done = subprocess.run([*command, DOCS, tmp_path / "site"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fetched = re.compile(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(https?:)?//[^>]*>")
    for page in (tmp_path / "site").rglob("*.html"):
        assert not fetched.search(page.read_text(encoding="utf-8")), page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert "@import" not in sheet.read_text(encoding="utf-8"), sheet
