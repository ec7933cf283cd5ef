"""What large machines would give: a model with constants that were measured with one and two processes of this one.

    python benchmarks/scaling.py                                   # measures first: 6 minutes on two free cores
    python benchmarks/scaling.py --save constants.json             # and keeps what it measured
    python benchmarks/scaling.py --constants constants.json --shared-mb-s 500 --cores 16 64 512 2048

Four tables: the constants; the cache step of 1 and 10 million scenarios with 16, 64 and 512 cores where every machine has a
disk of its own; the same where all write to one file system; how many cores 8 GPUs need to be supplied with batches. The text
above each table says how it is computed, and what is assumed and not measured.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from scaling_constants import Constants, measure

LOGS, FRAMES, LOGS_GB = 13_200, 5_900, 1_115
"""Of nuPlan's training set: its logs, frames of one, and the size of all."""
REFERENCE_S = 0.58
"""Of one core and scenario in the reference stack's cache step, storing included."""
REFERENCE_LOADER = {"": 211.0, ", varied": 94.0}
"""Samples a second of one loading process of the reference's way: the table `Loader`, where both are measured in one run."""
GPUS, LOADING_CORES = 8, 8
"""Of one machine, and the cores beside each GPU that may load."""
SHARD = 5_000
"""Samples after which a worker seals its shard: `pluto_core.pipeline.shards.SEAL_SAMPLES`."""


@attrs.frozen(kw_only=True)
class Site:
    """The machines of a cache step."""

    cores: int
    machine_cores: int
    shared_mb_s: float | None
    """What one file system for all machines takes and gives; None: each has a disk of its own."""

    @property
    def machines(self) -> int:
        """Return their number; each does one part (`--shard i/n`)."""
        return -(-self.cores // self.machine_cores)


@attrs.frozen(kw_only=True)
class Forecast:
    """What a cache step takes."""

    listing_s: float
    computing_s: float
    joining_s: float
    limits: dict[str, float]
    """Scenarios a second that each resource allows, or would where it were alone."""

    @property
    def seconds(self) -> float:
        """Return the time of the whole step."""
        return self.listing_s + self.computing_s + self.joining_s

    @property
    def bottleneck(self) -> str:
        """Return what takes the time: a limit of computing, or a phase that more cores do not shorten."""
        if self.joining_s > max(self.computing_s, self.listing_s):
            return "joining"
        return "listing" if self.listing_s > self.computing_s else min(self.limits, key=self.limits.__getitem__)


def forecast(known: Constants, site: Site, scenarios: int) -> Forecast:
    """Return what a cache step takes."""
    disk = known.disk_mb_s * site.machines if site.shared_mb_s is None else site.shared_mb_s
    limits = {
        "cores": site.cores * known.rate * known.efficiency,
        "disk": disk / (known.scenario_kb / 1e3 + LOGS_GB * 1e3 / scenarios),
        "driver": site.machines / known.driver_s,
    }
    own_cores = min(site.cores, site.machine_cores)
    return Forecast(
        listing_s=LOGS * (known.log_s + FRAMES * known.frame_s) / own_cores,
        computing_s=known.start_s + scenarios / min(limits.values()),
        joining_s=scenarios * known.join_s,
        limits=limits,
    )


def constants_table(known: Constants) -> Iterator[str]:
    """Yield the constants."""
    rows = {
        "r, scenarios/s of one process": f"{known.rate:.1f}",
        "e, what is left of it when two work": f"{known.efficiency:.2f}",
        "s, start to first result, s": f"{known.start_s:.1f}",
        "d, driver a result, µs": f"{1e6 * known.driver_s:.0f}",
        "b, written a scenario, kB": f"{known.scenario_kb:.0f}",
        "W, disk written and synced, MB/s": f"{known.disk_mb_s:,.0f}",
        "m, private memory of a worker, MB": f"{known.worker_mb:.0f}",
        "M, map that the workers of a machine share, MB": f"{known.shared_mb:.0f}",
        "D, driver, MB; and bytes a scenario": f"{known.driver_mb:.0f}; {known.scenario_bytes:.0f}",
        "j, driver for a scenario that is there (index, listing, what is missing), µs": f"{1e6 * known.join_s:.1f}",
        "listing of a log, ms; and of a frame, µs": f"{1e3 * known.log_s:.1f}; {1e6 * known.frame_s:.2f}",
        "C, memory copied by one core, GB/s": f"{known.copy_gb_s:.1f}",
    }
    yield f"{known.taken}, {known.machine['processor']}, {known.machine['processors']}.\n"
    yield from ("| constant | measured |", "|---|--:|")
    yield from (f"| {name} | {value} |" for name, value in rows.items())
    yield from (
        "\n| loader, batches of 32 | samples/s, 1 process | 2 processes | kB a sample stored | MB in a batch |",
        "|---|--:|--:|--:|--:|",
    )
    for way, one in known.loading.items():
        yield f"| {way} | {one.one:,.0f} | {one.two:,.0f} | {one.sample_kb:.0f} | {one.row_mb:.2f} |"


def cache_table(known: Constants, sites: Sequence[Site], counts: Sequence[int]) -> Iterator[str]:
    """Yield what the cache step takes."""
    columns = (
        "scenarios", "cores", "machines", "listing, s", "computing, min", "joining, s", "whole, h", "times one core",
        "disk, GB", "shards", "memory of a machine, GB", "first bottleneck", "next limits, scenarios/s", "reference, h",
    )  # fmt: skip
    yield f"| {' | '.join(columns)} |"
    yield f"|{'--:|' * 11}---|---|--:|"
    for count in counts:
        alone = forecast(known, attrs.evolve(sites[0], cores=1), count)
        for site in sites:
            told = forecast(known, site, count)
            own_cores = min(site.cores, site.machine_cores)
            memory = own_cores * known.worker_mb + known.shared_mb + known.driver_mb + count * known.scenario_bytes / 1e6
            others = sorted((limit, name) for name, limit in told.limits.items() if name != told.bottleneck)
            cells = (
                f"{count:,}", site.cores, site.machines, f"{told.listing_s:.1f}", f"{told.computing_s / 60:.1f}",
                f"{told.joining_s:.1f}", f"{told.seconds / 3600:.2f}", f"{alone.seconds / told.seconds:.0f}",
                f"{count * known.scenario_kb / 1e6:,.0f}", f"{count // SHARD + site.cores:,}", f"{memory / 1e3:.1f}",
                f"**{told.bottleneck}**", ", ".join(f"{name} {limit:,.0f}" for limit, name in others),
                f"{count * REFERENCE_S / site.cores / 3600:,.1f}",
            )  # fmt: skip
            yield f"| {' | '.join(map(str, cells))} |"


def supply_table(known: Constants, rates: Sequence[float], varied_rates: Sequence[float]) -> Iterator[str]:
    """Yield what it takes to supply 8 GPUs."""
    columns = (
        "samples/s of a GPU", "of 8", "cache", "loading cores", "read, GB/s", "copied, GB/s", "cores used",
        "disk used in a first epoch", "copying used", "runs out first", "1 M samples in memory, GB",
        "cores with the reference's loader",
    )  # fmt: skip
    yield f"| {' | '.join(columns)} |"
    yield f"|--:|--:|---|{'--:|' * 6}---|--:|--:|"
    for varied, wanted in (("", rates), (", varied", varied_rates)):
        for rate in wanted:
            for profile in ("default", "raw"):
                yield _supply_row(known, profile + varied, GPUS * rate, REFERENCE_LOADER[varied])


def _supply_row(known: Constants, way: str, need: float, reference: float) -> str:
    one = known.loading[way]
    cores = need / (one.one * min(one.two / one.one / 2, 1.0))
    read, copied = need * one.sample_kb / 1e6, need * one.row_mb / 1e3
    used = {
        "cores": cores / (GPUS * LOADING_CORES),
        "disk": 1e3 * read / known.disk_mb_s,
        "copying": copied / (GPUS * LOADING_CORES * known.copy_gb_s),
    }
    first = max(used, key=used.__getitem__)
    cells = (f"{need / GPUS:,.0f}", f"{need:,.0f}", way, f"{cores:.1f}", f"{read:.2f}", f"{copied:.1f}")
    shares = " | ".join(f"{share:.0%}" for share in used.values())
    return f"| {' | '.join(cells)} | {shares} | **{first}** | {one.sample_kb:,.0f} | {need / reference:,.0f} |"


def report(known: Constants, options: argparse.Namespace) -> Iterator[str]:
    """Yield all tables, each with what it assumes."""
    yield from constants_table(known)
    counts = [int(count) for count in options.scenarios]
    yield "\n### The cache step\n"
    yield from _cache_text(options.machine_cores)
    for shared in (None, options.shared_mb_s):
        sites = [Site(cores=cores, machine_cores=options.machine_cores, shared_mb_s=shared) for cores in options.cores]
        where = (
            "A disk of its own in each machine" if shared is None else f"One file system of {shared:,.0f} MB/s for all machines"
        )
        yield f"\n{where}:\n"
        yield from cache_table(known, sites, counts)
    yield "\n### Supplying 8 GPUs\n"
    yield from _supply_text()
    yield from supply_table(known, options.gpu, options.gpu_varied)


def _cache_text(machine_cores: int) -> Iterator[str]:
    yield f"""time = listing + computing + joining

- listing: {LOGS:,} logs of {FRAMES:,} frames, spread over the cores of a machine; every machine lists for itself
- computing: s + n / min(cores c r e, disk S / (b + logs / n), driver machines / d), where S is W for each machine, or what one
  file system gives to all; all logs, {LOGS_GB:,} GB, are read once, from the disk that is written to and as fast
  as it is written
- joining: n j, on one core: every machine joins the index of all shards
- memory: c m + M + D + n times what the driver holds a scenario; machines of {machine_cores} cores
- reference: {REFERENCE_S} s a scenario and core, as if nothing but cores limited it
"""


def _supply_text() -> Iterator[str]:
    yield f"""Loading cores = 8 g / (rate of one process x what is left of it when two work), beside those that drive the GPUs.
A first epoch reads from the disk (its writing rate W stands for its reading rate), later ones from memory as far as that
reaches. Used: of {LOADING_CORES} loading cores a GPU; of W; of what as many cores copy. Samples/s of a GPU: 79, and 39 with
variants, are those of the published training on RTX 3090s; ten times as many are assumed, for GPUs of today.
"""


def main() -> None:
    """Measure or read the constants, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", type=Path, help="what --save wrote, in place of measuring")
    parser.add_argument("--save", type=Path, help="where to write what was measured")
    parser.add_argument(
        "--data", type=Path, help="folder with nuplan-v1.1 and maps to measure on; a synthetic city is written without it"
    )
    parser.add_argument("--measured-scenarios", type=int, default=480, help="scenarios of a measured cache step")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure")
    parser.add_argument("--cores", type=int, nargs="*", default=[16, 64, 512])
    parser.add_argument("--machine-cores", type=int, default=64, help="cores of one machine")
    parser.add_argument("--scenarios", type=float, nargs="*", default=[1e6, 1e7])
    parser.add_argument("--shared-mb-s", type=float, default=1000.0, help="what a file system shared by all machines takes")
    parser.add_argument("--gpu", type=float, nargs="*", default=[79, 790], help="samples/s of one GPU")
    parser.add_argument(
        "--gpu-varied", type=float, nargs="*", default=[39, 390], help="the same with the contrastive augmentation"
    )
    options = parser.parse_args()
    if options.constants:
        known = Constants.load(options.constants)
    else:
        known = measure(options.data.resolve() if options.data else None, options.measured_scenarios, options.rounds)
    if options.save:
        known.save(options.save)
    print("\n".join(report(known, options)))


if __name__ == "__main__":
    main()
