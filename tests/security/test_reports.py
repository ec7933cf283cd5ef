"""Reports and pictures of runs with hostile names: on a page they are text, and a page runs no script but its own."""

import base64
import hashlib
import html.parser
import os
import re
from pathlib import Path

import attrs
import numpy as np
import pytest

from pluto_core.cli import main
from pluto_core.errors import PlutoError
from pluto_core.run.display import Display
from pluto_core.run.folders import existing
from pluto_core.run.opening import results_of
from pluto_core.scene import ScenarioId
from pluto_viz.palette import LIGHT
from pluto_viz.report import writing
from pluto_viz.report.record import Record
from pluto_viz.report.verdicts import Verdicts
from pluto_viz.scenario import Picture, write_title

BAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)></pre></title></style>&lt;$\\frac{$"
NUMBERS = {"ade_top1_m": 1.0, "fde_top1_m": 2.0, "miss_top1": 0.5}
TAGS = frozenset(
    re.findall(
        r"\w+",
        "html head meta link title style script body header main nav section h1 h2 h3 p a strong div span table thead tbody tr "
        "th td button input dl dt dd pre details summary figure figcaption picture source img svg path polyline circle rect "
        "line text i",
    )
)


def record(path):
    """A run in which whatever comes from outside is markup."""
    ids = [ScenarioId(BAD, f"{BAD}{number}", number * 10**8) for number in range(6)]
    errors = {"planner": {name: np.arange(6.0) for name in NUMBERS}, BAD: {BAD: np.arange(6.0)}}
    curves = [{"epoch": epoch, f"train/{BAD}": 1.0 + epoch, "train/loss": 2.0, f"lr-{BAD}": 1e-3} for epoch in range(3)]
    test = {"count": 6, "part": BAD, "metrics": {"planner": NUMBERS, BAD: NUMBERS}, "seconds": 1.0, "files": {BAD: BAD}}
    steps = {
        "cache": {"funnel": [[BAD, 6]], "listed": 6, "failed": {BAD: 2}, "seconds": 1.0},
        "train": {"curves": curves, "epochs": BAD, "parameters": 10**6, "samples_per_s": 1.0, "seconds": 1.0},
        "test": test,
        BAD: {"seconds": 1.0},
    }
    return Record(
        path=path,
        results={
            "name": BAD,
            "status": BAD,
            "seed": BAD,
            "steps": steps,
            "versions": {BAD: BAD, "pluto-framework": BAD},
            "machine": {BAD: BAD},
            "data": {BAD: BAD},
        },
        resolved=BAD,
        settings={BAD: BAD},
        verdicts=Verdicts(ids=ids, types=[BAD] * 6, errors=errors),
        scenarios=None,
        missing=BAD,
    )


class Page(html.parser.HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.policy, self._in_script = set(), set(), [], "", False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        """Note it."""
        found = dict(attrs)
        self.tags.add(tag)
        self.attributes |= {name for name in found if name.startswith("on") or name in {"src", "href", "srcset", "action"}}
        self._in_script = tag == "script"
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        for name in ("src", "href", "srcset"):
            assert not found.get(name) or found[name].startswith(("data:", "#")), found

    def handle_data(self, data):
        """Keep scripts."""
        if self._in_script:
            self.scripts.append(data)

    def handle_endtag(self, tag):
        """Note it."""
        self._in_script = False


def checked(text):
    page = Page(text)
    assert page.tags <= TAGS
    assert page.attributes <= {"src", "href", "srcset"}
    (script,) = page.scripts
    assert "alert" not in script
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy
    return page


def test_a_report_of_a_hostile_run(tmp_path):
    """Names of runs, types, tokens, logs, planners, steps, settings and versions become text, wherever they stand."""
    text = writing.one(record(tmp_path / "1"), 2, lambda _text: None)
    checked(text)
    assert text.count("&lt;script&gt;alert(1)") > 20


def test_a_comparison_of_hostile_runs(tmp_path):
    """The same of a page about two."""
    worse = attrs.evolve(record(tmp_path / "2"), settings={BAD: BAD + "x"})
    checked(writing.two(record(tmp_path / "1"), worse, 2, lambda _text: None))


def test_a_report_replaces_a_link(tmp_path, monkeypatch):
    """A link in the place of `report.html` in a run of somebody else is replaced; what it leads to stays."""
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "report.html").symlink_to(tmp_path / "mine")
    monkeypatch.setattr(writing, "read", lambda path, **_options: record(path))
    path = writing.write(tmp_path / "run", None, None, count=1, modules=(), without=(), note=print)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not path.is_symlink()
    checked(path.read_text())


def test_a_link_that_the_user_names_is_followed(tmp_path, monkeypatch):
    """What `--out` names stays what it is, a link here, a device elsewhere, and takes the page."""
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "page.html")
    monkeypatch.setattr(writing, "read", lambda path, **_options: record(path))
    writing.write(tmp_path / "run", None, link, count=1, modules=(), without=(), note=print)
    assert link.is_symlink()
    checked((tmp_path / "page.html").read_text())


def test_formulas_in_titles_are_text():
    """A token with dollar signs is drawn as it stands, not as a formula, which would fail."""
    picture = Picture(figsize=(2, 2))
    write_title(picture, f"{BAD}\n$x$ {BAD}", LIGHT)
    assert picture.png(dpi=20).startswith(b"\x89PNG")


STATES = [
    "[" * 100_000,
    "5",
    "[]",
    "{}",
    '{"digest": 1, "status": [], "started": "x", "steps": []}',
    '{"digest": "a", "status": "b", "started": 1}',
]


@pytest.mark.parametrize("text", STATES)
def test_states_of_runs(tmp_path, text):
    """A run folder whose files are nonsense is no run; other folders with odd names are passed over."""
    for name in ("001", "1²", "٣", "9" * 200):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.json").write_text(text)
        (tmp_path / name / "results.json").write_text("[1]")
    assert existing(tmp_path) == []
    with pytest.raises(PlutoError, match="is no run"):
        results_of(tmp_path / "001")


def test_pipes_in_run_folders(tmp_path):
    """A pipe in the place of a state is no state, and nobody waits for it."""
    (tmp_path / "001").mkdir()
    for name in ("state.json", "results.json"):
        os.mkfifo(tmp_path / "001" / name)
    assert existing(tmp_path) == []
    with pytest.raises(PlutoError, match="is no run"):
        results_of(Path(tmp_path / "001"))


@pytest.mark.parametrize(
    "text", ["\x1b[31mred\x1b[0m", "\x07\x08\r", "\x9b2J", "[/red] [link=file:///etc]x[/link]", "a\nb\tc", "plain ü"]
)
def test_names_on_a_terminal(text, capsys):
    """What a terminal would obey is written out, brackets are no markup; text of people stays."""
    display = Display(progress=False)
    display.say(text)
    display.note(text)
    display.types({"planner": {text: {"count": 1, "fde_top1_m": 1.0}}})
    display.table("title", {"metrics": {text: {}}})
    told = "".join(capsys.readouterr())
    assert not {"\x1b", "\x07", "\x08", "\r", "\x9b"} & set(told)
    if "[" in text and "\x1b" not in text:
        assert "[/red] [link=file:///etc]x" in told


def test_messages_on_a_terminal(monkeypatch, capsys):
    """A message with a hostile name in it is one line of text."""

    def fail(**_options):
        message = "the log \x1b]0;owned\x07 cannot be read"
        raise PlutoError(message)

    monkeypatch.setattr(main.pluto, "main", fail)
    assert main.outcome([]) == 1
    assert "\\x1b]0;owned\\x07" in capsys.readouterr().err
