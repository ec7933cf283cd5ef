"""How the documentation becomes a site: `sphinx-build -W -b html docs docs/_build/html`. Nothing comes from the network."""  # noqa: INP001 -- Sphinx's own

import re
from pathlib import Path

project = "pluto"
author = "the authors of pluto"
_version = re.search(r'__version__ = "(.+)"', (Path(__file__).parent.parent / "pluto_core" / "__init__.py").read_text("utf-8"))
release = _version[1] if _version else ""

extensions = ["myst_parser"]
exclude_patterns = ["_build", "pages"]
myst_heading_anchors = 4
html_theme = "furo"
html_title = "pluto"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
