"""The kinds of component: one row each. Section, hook suffix, protocol and conformance suite carry the same word."""

import attrs


@attrs.frozen(kw_only=True)
class Kind:
    """One kind of component that an experiment can be made of."""

    name: str
    """Plural, as in the hook `pluto_register_<name>`."""
    section: str
    """TOML section."""
    many: bool = False
    """Whether the section is an array of tables (`[[features]]`)."""
    default: str | None = None
    """What `use` is where the experiment does not say; None: the experiment says, or the model does, or there is none."""
    protocol: str
    """Import string of what factories return."""
    suite: str
    """Import string of the conformance suite."""
    summary: str
    facts: tuple[str, ...] = ()
    """Attributes of the protocol that a `Component` may promise, so that `check` knows them before anything is imported."""

    @property
    def hook(self) -> str:
        """Return the name of the hook that registers components of this kind."""
        return f"pluto_register_{self.name}"

    @property
    def header(self) -> str:
        """Return the section as it stands in a file."""
        return f"[[{self.section}]]" if self.many else f"[{self.section}]"


def _kind(name: str, section: str, protocol: str, suite: str, summary: str, **more: object) -> Kind:
    return Kind(
        name=name,
        section=section,
        protocol=f"pluto_core.protocols:{protocol}",
        suite=suite,
        summary=summary,
        **more,  # type: ignore[arg-type]
    )


KINDS: tuple[Kind, ...] = (
    _kind(
        "sources",
        "source",
        "ScenarioSource",
        "pluto_core.testing:SourceSuite",
        "Lists and loads scenarios.",
        facts=("answers",),
    ),
    _kind(
        "features",
        "features",
        "SceneBuilder",
        "pluto_core.testing:BuilderSuite",
        "Turns scenes into a model's inputs.",
        many=True,
    ),
    _kind(
        "targets",
        "targets",
        "SceneBuilder",
        "pluto_core.testing:BuilderSuite",
        "Turns scenes into what a model learns.",
        many=True,
    ),
    _kind(
        "caches",
        "cache",
        "ShardStore",
        "pluto_core.testing:CacheSuite",
        "How one shard of the cache is stored.",
        default="lmdb",
        facts=("shared",),
    ),
    _kind(
        "splitters", "splitter", "Splitter", "pluto_core.testing:SplitterSuite", "Train, validation, test.", default="by_log"
    ),
    _kind(
        "augmentations",
        "augmentations",
        "Augmentation",
        "pluto_core.testing:AugmentationSuite",
        "Varies training samples.",
        many=True,
    ),
    _kind(
        "models",
        "model",
        "PlannerModel",
        "pluto_lightning.testing:ModelSuite",
        "A torch module and how its outputs become a plan.",
    ),
    _kind("objectives", "objective", "Objective", "pluto_lightning.testing:ObjectiveSuite", "Loss terms of outputs and batch."),
    _kind(
        "optimizers",
        "optimizer",
        "OptimizerMaker",
        "pluto_lightning.testing:OptimizerSuite",
        "What the trainer steps with.",
        default="adamw",
    ),
    _kind(
        "schedules",
        "schedule",
        "ScheduleMaker",
        "pluto_lightning.testing:ScheduleSuite",
        "How the learning rate changes.",
        default="warmup_cosine",
    ),
    _kind("trainers", "trainer", "Trainer", "pluto_lightning.testing:TrainerSuite", "Fits and evaluates.", default="lightning"),
    _kind(
        "workers",
        "worker",
        "Worker",
        "pluto_core.testing:WorkerSuite",
        "Runs tasks.",
        default="sequential",
        facts=("processes",),
    ),
    _kind(
        "loggers",
        "loggers",
        "RunLogger",
        "pluto_lightning.testing:LoggerSuite",
        "Where curves go.",
        many=True,
        default="tensorboard",
    ),
    _kind(
        "callbacks", "callbacks", "RunCallback", "pluto_lightning.testing:CallbackSuite", "What the trainer calls.", many=True
    ),
)

BY_SECTION = {kind.section: kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}
