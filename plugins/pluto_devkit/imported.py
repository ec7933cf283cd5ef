"""The features `devkit_imported`: what `pluto cache import` took from a gzip cache of nuplan-devkit."""

from typing import NoReturn

from pluto_core.arrays import SampleSpec
from pluto_core.component import Context
from pluto_core.errors import Reason, SampleError
from pluto_core.scene import Scene, Window
from pluto_devkit import schema
from pluto_devkit.config import ImportedConfig


class Imported:
    """Says what imported samples hold. It cannot compute one, as the devkit's own `CachedScenario` cannot."""

    version = "1"

    def __init__(self, config: ImportedConfig) -> None:
        """Take the names of the arrays."""
        self.window = Window(interval_s=config.truth_interval_s)
        self.spec: SampleSpec = schema.imported(config)

    def build(self, scene: Scene) -> NoReturn:
        """Refuse.

        Raises:
            SampleError: Always.
        """
        detail = f"{scene.id.key} was not imported, and imported features cannot be computed; import its cache, or leave it out"
        raise SampleError(Reason.EXCEPTION, detail)


def make(config: ImportedConfig, _context: Context) -> Imported:
    """Return the builder that stands for what was imported."""
    return Imported(config)
