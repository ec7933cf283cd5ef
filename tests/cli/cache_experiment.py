"""A small experiment for tests of commands: one Argoverse recording, two targets, one of which fails for some scenarios."""

import importlib.util
from pathlib import Path

MOODY = '''
"""A target that fails for one scenario in five, until a file says that it is cured."""

import os
from pathlib import Path

import attrs
import numpy as np

from pluto_core import Component, hookimpl
from pluto_core.arrays import ArraySpec
from pluto_core.errors import PlutoError, Reason, SampleError
from pluto_core.scene import Window


@hookimpl
def pluto_register_targets():
    return [Component("moody", factory="moody:Moody", config="moody:MoodyConfig", summary="Fails at times.")]


@attrs.frozen(kw_only=True)
class MoodyConfig:
    """Nothing but a number."""

    number: int = 1


class Moody:
    version = "1"
    window = Window()
    spec = {"mood": ArraySpec(dims=(), dtype="float32")}

    def __init__(self, config, context):
        self.number = config.number
        if config.number == 13:
            raise PlutoError("thirteen is refused")

    def build(self, scene):
        if os.environ.get("MOODY_KILLS"):
            os.kill(os.getpid(), 9)
        if scene.id.start_us // 100_000 % 5 == 0 and not Path("cured").exists():
            raise SampleError(Reason.NO_ROUTE, "not in the mood")
        return {"mood": np.float32(self.number).reshape(())}
'''

EXPERIMENT = """
name = "small"
steps = ["cache"]
plugins = ["moody"]
output_dir = "runs"

[source]
use = "av2"
data_root = "recordings"

[cache]
use = "lmdb"
path = "cache"

[[targets]]
use = "ego_trajectory"
horizon_s = 2.0

[[targets]]
use = "moody"
"""


def write(folder: Path) -> Path:
    """Write recording, plugin and experiment into a folder, and return the experiment's file."""
    place = Path(__file__).parent.parent / "plugins" / "pluto_av2" / "conftest.py"
    spec = importlib.util.spec_from_file_location("pluto_av2_writers", place)
    writers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writers)
    writers.write_sensor_log(folder / "recordings")
    (folder / "moody.py").write_text(MOODY, encoding="utf-8")
    (folder / "small.toml").write_text(EXPERIMENT, encoding="utf-8")
    return folder / "small.toml"
