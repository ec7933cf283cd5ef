"""What of an experiment file belongs to the core: the top level, `[cache]` beside its backend's keys, and `[loader]`.

`[filter]` is in `pluto_core.filters`. No numpy here: `pluto check` and `pluto plugins` read these classes.
"""

from typing import Literal

import attrs

from pluto_core.component import setting
from pluto_core.errors import PlutoError

Step = Literal["cache", "train", "validate", "test"]
STEPS: tuple[Step, ...] = ("cache", "train", "validate", "test")


def _each_once(_owner: object, _attribute: object, value: tuple[str, ...]) -> None:
    if not value:
        message = f"names no step; there are {', '.join(STEPS)}"
        raise ValueError(message)
    twice = sorted({step for step in value if value.count(step) > 1})
    if twice:
        message = f"names {twice[0]!r} twice"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class TopLevel:
    """Keys that stand above the first table."""

    name: str = setting("", "Name of the experiment; the name of its file where unset.")
    seed: int = setting(0, "Where all chance comes from.", minimum=0, maximum=2**63 - 1)
    steps: tuple[Step, ...] = setting(("cache", "train", "validate"), "What to do, in this order.", validator=_each_once)
    output_dir: str = setting("runs", "Folder that holds one numbered folder a run; relative to the working directory.")
    checkpoint: str = setting(
        "best", "What `validate` and `test` judge: `best` or `last` of the run, or the path of a checkpoint or of another run."
    )
    max_failures: int | None = setting(None, "Stop when more scenarios than this fail; unset: go on.", minimum=0)
    plugins: tuple[str, ...] = setting((), "Modules to load as plugins, beside the installed ones.")
    plugin_folders: tuple[str, ...] = setting(
        (), "Folders to look for `plugins` in, besides those of the file and of what it extends, and the working directory."
    )


@attrs.frozen(kw_only=True)
class CacheSettings:
    """Keys of `[cache]` that every backend shares."""

    path: str | None = setting(None, "Folder of the cache; `<output_dir>/cache` where unset.")
    only: bool = setting(default=False, help="Train from what the cache holds, without the source.")
    profile: Literal["raw", "default", "small"] = setting("default", "How arrays are compressed: not at all, fast, or small.")
    scratch: str | None = setting(None, "Fast local folder in which shards are written before they are moved to `path`.")
    retry_failures: bool = setting(default=False, help="Try scenarios again that failed before.")


@attrs.frozen(kw_only=True)
class LoaderSettings:
    """`[loader]`: how samples become batches."""

    batch_size: int = setting(32, "Samples in a training batch; `batch_size_of` says of how many devices.", minimum=1)
    batch_size_of: Literal["device", "all"] = setting(
        "device", "Whether `batch_size` is that of each device, or of all devices together, which share it evenly."
    )
    eval_batch_size: int | None = setting(
        None, "Samples in a batch of validation and test on one device; unset: as `batch_size` says.", minimum=1
    )
    workers: int = setting(0, "Processes that fill the batches of each part; 0: the training process does.", minimum=0)
    threads: int | None = setting(
        None,
        "Threads of each process that fills batches; unset: 2 in a training process that fills its own on two processors, "
        "else 1.",
        minimum=1,
        maximum=2,
    )
    shuffle: bool = setting(default=True, help="Draw training samples in a new order every epoch.")
    drop_last: bool = setting(default=False, help="Leave out the last training batch where it is not full.")
    train_fraction: float = setting(1.0, "Share of the training part to use.", above=0, maximum=1)
    val_fraction: float = setting(1.0, "Share of the validation part to use.", above=0, maximum=1)
    test_fraction: float = setting(1.0, "Share of the test part to use.", above=0, maximum=1)
    limit_train_batches: int | None = setting(None, "Batches in a training epoch, at most.", minimum=1)
    limit_val_batches: int | None = setting(None, "Batches of validation, at most.", minimum=1)
    limit_test_batches: int | None = setting(None, "Batches of the test, at most.", minimum=1)
    overfit_samples: int | None = setting(
        None,
        "Train, validate and test on so many drawn training samples, without augmentations, to see whether a network can learn "
        "them by heart.",
        minimum=1,
    )
    type_weights: dict[str, float] = attrs.field(
        factory=dict,
        metadata={"help": "Weight of each scenario type in the draw of training samples; 1 where not named.", "minimum": 0},
    )
    replacement: bool = setting(default=False, help="Draw training samples with replacement.")
    on_damaged: Literal["error", "replace"] = setting("error", "A value that cannot be read: stop, or take another sample.")
    verify: bool = setting(default=False, help="Prove every sample that is read: checksum, spec, and what its builder asks.")
    poison: bool = setting(default=False, help="Overwrite buffers before they are used again, to find code that keeps views.")


def device_share(batch_size: int, devices: int) -> int:
    """Return how many samples of a batch of all devices each of them takes.

    Raises:
        PlutoError: They cannot share it evenly.
    """
    share, rest = divmod(batch_size, devices)
    if rest:
        near = f"{share * devices} or {(share + 1) * devices}" if share else f"{devices}"
        message = (
            f'loader.batch_size = {batch_size} is for all devices together (loader.batch_size_of = "all"), and {devices} '
            f"devices cannot share it evenly; make it {near}"
        )
        raise PlutoError(message)
    return share
