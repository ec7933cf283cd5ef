"""Reports as people open them: in a real browser, without a network."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pluto_viz.report.writing import write

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROBE = """
<script>
"use strict";
// Behind the page: what a reader would see and do, written down where the test finds it.
// `load` comes when all pictures are there; nothing may be waited for, the document is taken right after it.
window.addEventListener("load", () => {
  const pictures = [...document.images];
  const texts = (table, place) => [...table.tBodies[0].rows].map((row) => row.cells[place].textContent);
  const tables = [...document.querySelectorAll("table")].map((table) => {
    const heads = [...table.tHead.rows[0].cells];
    return heads.map((head, place) => {
      const numeric = head.classList.contains("number");
      head.querySelector("button").click();
      const up = texts(table, place);
      head.querySelector("button").click();
      const by = new Intl.Collator(undefined, { numeric: true }).compare;
      const sorted = up.join() === [...up].sort(by).join();
      return { numeric, sorted, up, down: texts(table, place), state: head.getAttribute("aria-sort") };
    });
  });
  const input = document.querySelector("#scenarios input[type=search]");
  const rows = [...input.parentElement.querySelectorAll("tbody tr")];
  const token = rows[3].cells[rows[3].cells.length - 1].textContent;
  input.value = rows[3].querySelector("td.code").textContent;
  input.dispatchEvent(new Event("input"));
  const left = rows.filter((row) => !row.hidden).length;
  input.value = "";
  input.dispatchEvent(new Event("input"));
  const told = {
    errors: window.errors,
    requests: performance.getEntriesByType("resource").map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
    pictures: pictures.map((picture) => [picture.naturalWidth, picture.clientWidth]),
    charts: document.querySelectorAll("main svg polyline").length,
    tables, left,
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    links: [...document.querySelectorAll("nav a")].every((link) => document.querySelector(link.getAttribute("href"))),
  };
  const place = document.createElement("pre");
  place.id = "told";
  place.textContent = JSON.stringify(told);
  document.body.append(place);
});
</script>
"""
FIRST = """<script>window.errors = []; window.addEventListener("error", (event) => window.errors.push(String(event.message)));
for (const kind of ["error", "warn"]) console[kind] = (...words) => window.errors.push(words.join(" "));</script>"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def browser() -> str:
    """Return the browser of this machine; skip where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed (Debian: apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def opened(browser: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Return a function that opens a page of a given width, and gives its document, or writes a picture of it."""

    def call(page: Path, *options: str, width: int = 1200, height: int = 900) -> str:
        home = tmp_path_factory.mktemp("browser")
        command = [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--no-first-run", f"--user-data-dir={home}", f"--window-size={width},{height}", "--virtual-time-budget=20000",
            "--host-resolver-rules=MAP * ~NOTFOUND", *options, page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return call


@pytest.fixture(scope="module")
def told(opened: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """Return a function that says what a reader of a page meets."""

    def call(page: Path, **size: int) -> dict:
        probed = tmp_path_factory.mktemp("probed") / "page.html"
        text = page.read_text(encoding="utf-8")
        assert text.count("<head>") == text.count("</body>") == 1
        text = re.sub(r"script-src '[^']+'", "script-src 'unsafe-inline'", text)  # the page lets no script run but its own
        text = text.replace("<head>", f"<head>{FIRST}").replace("</body>", f"{PROBE}</body>")
        probed.write_text(text, encoding="utf-8")
        dumps = (opened(probed, "--dump-dom", **size) for _ in range(3))  # a browser on a busy machine may give up once
        found = next((match for text in dumps if (match := re.search(r'<pre id="told">(.*?)</pre>', text, re.DOTALL))), None)
        assert found is not None, "the page did not load"
        unescaped = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return json.loads(unescaped)

    return call


@pytest.fixture(scope="module")
def pages(world, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages: a report, and a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    options = {"count": 1, "modules": (), "without": (), "note": lambda _text: None}
    return {
        "report": write(world.run, None, folder / "report.html", **options),
        "comparison": write(world.run, world.other, folder / "comparison.html", **options),
    }


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_page_opens_and_works(name: str, pages: dict[str, Path], told: Callable[..., dict]) -> None:
    """No error, no request, all pictures and charts are there, links lead somewhere, and every column sorts both ways."""
    found = told(pages[name])
    assert found["errors"] == []
    assert found["requests"] == []
    assert len(found["pictures"]) >= 2
    assert all(natural > 300 and shown > 100 for natural, shown in found["pictures"])
    assert found["charts"] >= 2
    assert found["links"]
    assert found["wide"] <= 0
    assert found["left"] == 1
    for column in (column for table in found["tables"] for column in table):
        assert column["state"] == "descending"
        assert sorted(column["up"]) == sorted(column["down"])
        if not column["numeric"]:
            assert column["sorted"]
            assert (column["up"][0], column["up"][-1]) == (column["down"][-1], column["down"][0])
            continue
        for turned, cells in ((False, column["up"]), (True, column["down"])):
            values = [float(cell.replace(",", "")) for cell in cells if cell != "-"]
            assert values == sorted(values, reverse=turned)
            assert all(cell == "-" for cell in cells[len(values) :])


@pytest.mark.parametrize("name", ["report", "comparison"])
def test_a_narrow_screen_is_wide_enough(name: str, pages: dict[str, Path], told: Callable[..., dict]) -> None:
    """On a telephone nothing makes the page wider than the screen, and pictures fit in."""
    found = told(pages[name], width=500)
    assert found["errors"] == []
    assert found["wide"] <= 0
    assert all(100 < shown <= 500 for _, shown in found["pictures"])


def test_dark_readers_get_a_dark_page(pages: dict[str, Path], opened: Callable[..., str], tmp_path: Path) -> None:
    """The page follows the reader's colours, pictures included."""
    brightness = {}
    for name, options in (("light", ()), ("dark", ("--force-dark-mode", "--blink-settings=preferredColorScheme=0"))):
        opened(pages["report"], f"--screenshot={tmp_path / name}.png", *options, width=1200, height=2400)
        with Image.open(tmp_path / f"{name}.png") as picture:
            brightness[name] = float(np.asarray(picture.convert("L"), np.float64).mean())
    assert brightness["light"] > 200
    assert brightness["dark"] < 80


def test_a_page_can_be_sent(pages: dict[str, Path], told: Callable[..., dict], tmp_path: Path) -> None:
    """The file alone, under another name in another folder, is the whole report."""
    (tmp_path / "sent").mkdir()
    copy = Path(shutil.copy(pages["report"], tmp_path / "sent" / "mail attachment.html"))
    assert told(copy)["errors"] == []
