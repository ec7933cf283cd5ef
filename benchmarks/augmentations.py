"""How often contrastive scenarios can be made, what they cost, and how they look.

The table counts, for samples spread evenly over the scenarios of a data set, how many each generator could vary, and gives
the processor time of a sample's augmentation (all roles, best of three rounds; reading and collation are not in it). With
`--pictures` anchor, positive and negative are drawn side by side, some samples for each generator.

    python benchmarks/augmentations.py --data ../shared/data/golden/town --av2 ../shared/data/av2 --pictures augmented
    python benchmarks/augmentations.py

The first reads folders that hold nuPlan's folders `nuplan-v1.1` and `maps`, and Argoverse 2 logs; the second writes a
synthetic town.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import numpy as np

from pluto_augment import negatives
from pluto_augment.config import GENERATORS, ContrastiveConfig
from pluto_augment.contrastive import Contrastive
from pluto_av2.config import Av2Config
from pluto_av2.source import Av2Source
from pluto_core.errors import SampleError
from pluto_core.filters import ScenarioFilter
from pluto_core.pipeline.randomness import generator
from pluto_core.protocols import ScenarioSource
from pluto_core.samples import Array, Sample
from pluto_core.sketch import Role, Sketch
from pluto_nuplan.config import NuPlanConfig
from pluto_nuplan.source import NuPlanSource
from pluto_nuplan.synth.dataset import write_dataset
from pluto_planner.config import PlutoFeaturesConfig
from pluto_planner.features import PlutoFeatures
from pluto_viz.scenario import Picture, save
from pluto_viz.sheet import Cell, sheet

BUILDER = PlutoFeatures(PlutoFeaturesConfig())
CROPPED = PlutoFeatures(PlutoFeaturesConfig(cost_map_size_px=500))
"""Draws samples whose cost maps were cropped."""
SHOWN_M = 32.0
AUGMENTATION = Contrastive(ContrastiveConfig())


def main() -> None:
    """Print a row for each data set, and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with nuPlan's folders; a synthetic town where absent")
    parser.add_argument("--av2", type=Path, help="folder with Argoverse 2 logs")
    parser.add_argument("--samples", type=int, default=100, help="how many scenarios of each data set")
    parser.add_argument("--pictures", type=Path, help="folder to draw into")
    parser.add_argument("--rows", type=int, default=10, help="pictures of each generator")
    options = parser.parse_args()
    print("| data | samples | positive | lights inverted | interacting left out | leader inserted | negative | ms a sample |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, source in _sources(options, Path(folder)).items():
            samples = list(_samples(source, options.samples))
            print(f"| {name} | {len(samples)} | {_shares(samples)} | {_cost_ms(samples):.1f} |", flush=True)
            if options.pictures:
                _draw(samples, options.pictures / name, options.rows)


def _sources(options: argparse.Namespace, folder: Path) -> Mapping[str, ScenarioSource]:
    town = options.data
    if town is None:
        summary = write_dataset(folder / "town", logs=4, seconds=30)
        config = NuPlanConfig(data_root=str(summary.data_root), map_root=str(summary.map_root))
    else:
        config = NuPlanConfig(data_root=str(town / "nuplan-v1.1"), map_root=str(town / "maps"))
    found: dict[str, ScenarioSource] = {"town": NuPlanSource(config, cache_home=folder / "cache")}
    if options.av2:
        found["av2"] = Av2Source(Av2Config(data_root=str(options.av2)))
    return found


def _samples(source: ScenarioSource, count: int) -> Iterator[Sample]:
    """Yield the samples of scenarios spread evenly; those that give none are left out."""
    ids = list(source.list(ScenarioFilter()).ids())
    for one in ids[:: max(1, len(ids) // count)]:
        try:
            yield BUILDER.build(source.load(one, BUILDER.window))
        except SampleError:
            continue


def _shares(samples: list[Sample]) -> str:
    """Return the columns of shares, as they were drawn for `positive` and `negative`, as possible for the generators."""
    roles = [AUGMENTATION.augment(sample, generator(0, number), 0) for number, sample in enumerate(samples)]
    applies = [negatives.available(sample, AUGMENTATION.config) for sample in samples]
    columns = [
        [one["positive"] is not None for one in roles],
        *([name in found for found in applies] for name in GENERATORS),
        [one["negative"] is not None for one in roles],
    ]
    return " | ".join(f"{100 * np.mean(column):.0f} %" for column in columns)


def _cost_ms(samples: list[Sample]) -> float:
    rounds = []
    for number in range(3):
        began = time.process_time()
        for row, sample in enumerate(samples):
            AUGMENTATION.augment(sample, generator(number, row), 0)
        rounds.append((time.process_time() - began) / len(samples))
    return 1e3 * min(rounds)


def _draw(samples: list[Sample], folder: Path, rows: int) -> None:
    """Write one picture for each sample and generator that applies, up to `rows` a generator."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in GENERATORS:
        alone = Contrastive(ContrastiveConfig(negatives=(name,)))
        apt = [sample for sample in samples if negatives.available(sample, alone.config)]
        for number, sample in enumerate(apt[:: max(1, len(apt) // rows)][:rows]):
            roles = alone.augment(sample, generator(0, name, number), 0)
            save(triplet(roles, name), folder / f"{name}-{number:02d}.png", dpi=75)


def triplet(roles: Mapping[str, Mapping[str, Array] | None], name: str) -> Picture:
    """Return anchor, positive and negative side by side."""
    cells = []
    for role, sample in roles.items():
        sketch = Sketch() if sample is None else CROPPED.sketch(sample)
        bare = tuple(line for line in sketch.lines if line.role not in {Role.ROUTE, Role.REFERENCE_LINE})
        shown = attrs.evolve(sketch, lines=bare, radius_m=SHOWN_M)  # lights are not hidden under routes
        text = "not varied" if sample is None else name if role == "negative" else ""
        cells.append(Cell(sketch=shown, caption=f"{role}\n{text}"))
    return sheet(cells, columns=len(cells), size_in=4.6)


if __name__ == "__main__":
    main()
