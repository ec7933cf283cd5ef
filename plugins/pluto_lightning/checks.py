"""What cannot work in an experiment, seen before it runs; imports nothing heavy."""

from collections.abc import Iterator

from pluto_core.errors import Mistake, PlutoError
from pluto_core.moments import ExperimentView
from pluto_core.settings import device_share
from pluto_lightning.config import LightningConfig


def mistakes(experiment: ExperimentView) -> Iterator[Mistake]:
    """Yield what is wrong: a batch of all devices that these cannot share. How many `auto` are, training finds out."""
    loader = experiment.loader
    for trainer in experiment.selected("trainer"):
        config = trainer.config
        if loader.batch_size_of == "all" and isinstance(config, LightningConfig) and isinstance(config.devices, int):
            try:
                device_share(loader.batch_size, config.devices)
            except PlutoError as error:
                yield Mistake(trainer.where, "trainer.devices", str(error))
