"""Make an installed nuplan-devkit run on numpy 2.4: `numpy.in1d`, which it calls in one file, is called `numpy.isin` now."""

import importlib.util
from pathlib import Path

spec = importlib.util.find_spec("nuplan")
for root in spec.submodule_search_locations if spec else ():
    for path in Path(root).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "np.in1d(" in text:
            path.write_text(text.replace("np.in1d(", "np.isin("), encoding="utf-8")
            print(f"mended {path}")  # noqa: T201
