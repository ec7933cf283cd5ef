"""Reading an experiment: from a path to an `Experiment`, or to everything that is wrong with it."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import attrs

from pluto_core.errors import ExperimentError, Mistake
from pluto_core.experiment import agreement
from pluto_core.experiment.experiment import Experiment
from pluto_core.experiment.layers import Merged, read_layers
from pluto_core.experiment.nodes import Node, Origin
from pluto_core.experiment.resolved import component_tree, plain, with_origins, write
from pluto_core.experiment.sections import Sections
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import KINDS
from pluto_core.places import user_path
from pluto_core.plugins import Catalogue, PluginBugError
from pluto_core.settings import STEPS, CacheSettings, LoaderSettings, TopLevel


def read(
    path: str | Path,
    *,
    settings: Sequence[str] = (),
    catalogue: Catalogue | None = None,
    without: Collection[str] = (),
    modules: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Experiment:
    """Return the experiment in a file.

    Args:
        path: The file.
        settings: `KEY=VALUE`s that override it.
        catalogue: The plugins; None: those that are installed, and local ones.
        without: Plugins to leave out.
        modules: Local plugins, besides those that the file names.
        environment: Environment variables.

    Raises:
        ExperimentError: Everything that is wrong.
        PlutoError: The plugins contradict one another.
    """
    path = Path(path)

    def load_catalogue(named: Sequence[str], folders: Sequence[Path]) -> Catalogue:
        if catalogue is not None:
            return catalogue
        return Catalogue.load(
            without=without, modules=(*modules, *named), environment=environment, folders=(*folders, Path.cwd())
        )

    merged = read_layers(path, settings, environment, load_catalogue)
    experiment = _resolve(path, merged, modules)
    mistakes = _ask_plugins(experiment)
    if mistakes:
        raise ExperimentError(mistakes)
    return experiment


def _resolve(path: Path, merged: Merged, modules: Sequence[str]) -> Experiment:
    sections = Sections(merged.root, merged.catalogue)
    _check_plugins(sections, modules)
    top, scenario_filter, loader = sections.settings()
    steps = sections.steps() if top is None else top.steps
    sections.select(frozenset(STEPS if steps is None else steps))
    agreement.check_presence(sections, steps, Origin(str(path)))
    agreement.check_sharing(sections, loader)
    if scenario_filter is not None:
        agreement.check_filter(sections, scenario_filter)
    if not sections.structurer.found:
        agreement.check_requirements(sections)
    mistakes = [*sections.structurer.mistakes, *merged.mistakes]
    if mistakes or top is None or scenario_filter is None or loader is None or sections.cache is None:
        raise ExperimentError(mistakes)
    plugins = tuple(dict.fromkeys((*top.plugins, *modules)))
    top = attrs.evolve(top, name=top.name or path.stem, plugins=plugins, plugin_folders=_folders_of(plugins, merged.folders))
    cache = attrs.evolve(sections.cache, path=sections.cache.path or str(Path(top.output_dir) / "cache"))
    tree = _tree(sections, top, scenario_filter, loader, cache)
    return Experiment(
        path=path,
        name=top.name,
        seed=top.seed,
        steps=top.steps,
        output_dir=user_path(top.output_dir),
        checkpoint=top.checkpoint,
        max_failures=top.max_failures,
        filter=scenario_filter,
        loader=loader,
        cache=cache,
        catalogue=merged.catalogue,
        resolved=write(tree, f"# The experiment {path.name}, resolved: every setting and where it comes from.\n"),
        tree=tree,
        notes=tuple(sections.notes),
        unset=tuple(merged.variables.unset),
        lacking=tuple(agreement.extras(sections)),
        selections={section: tuple(item.selection for item in chosen) for section, chosen in sections.chosen.items()},
    )


def _folders_of(plugins: Sequence[str], folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the folders in which local plugins lie: the resolved experiment finds them wherever it is stored and read."""
    tops = [name.partition(".")[0] for name in plugins]
    whole = dict.fromkeys(os.path.realpath(folder) for folder in (*folders, Path.cwd()))
    return tuple(folder for folder in whole if any(_holds(folder, top) for top in tops if top))


def _holds(folder: str, module: str) -> bool:
    """Return whether a module lies in a folder; no, where that is somebody's whose folders we may not enter."""
    place = os.path.join(folder, module)  # noqa: PTH118 -- see below
    return os.path.isfile(f"{place}.py") or os.path.isdir(place)  # noqa: PTH112, PTH113 -- unlike Path's, they raise nothing


def _check_plugins(sections: Sections, modules: Sequence[str]) -> None:
    """Note local plugins that are broken: who names one wants it."""
    node = sections.root.value.get("plugins")
    named = node.plain() if node else []
    for name, broken in sections.catalogue.broken.items():
        if isinstance(named, list) and name in named:
            sections.structurer.blame(node.origin, ("plugins",), str(broken))
        elif name in modules:
            sections.structurer.blame(Origin(f"-p {name}", None, 1), (), str(broken))


def _tree(
    sections: Sections, top: TopLevel, scenario_filter: ScenarioFilter, loader: LoaderSettings, cache: CacheSettings
) -> Node:
    root = sections.root.value
    tree: dict[str, Node] = {}
    for key, value in plain(top).items():
        tree[key] = with_origins(value, root.get(key))
    tree["filter"] = with_origins(plain(scenario_filter), root.get("filter"))
    tree["loader"] = with_origins(plain(loader), root.get("loader"))
    for kind in KINDS:
        chosen = sections.chosen[kind.section]
        extra = [plain(cache)] if kind.section == "cache" else []
        trees = [component_tree(item, *extra) for item in chosen]
        if kind.many and (trees or kind.section in root or kind.default):
            tree[kind.section] = Node(trees, root[kind.section].origin if kind.section in root else Origin("default"))
        elif trees:
            tree[kind.section] = trees[0]
    return Node(tree, sections.root.origin)


def _ask_plugins(experiment: Experiment) -> list[Mistake]:
    try:
        answers = experiment.catalogue.hooks.pluto_check_experiment(experiment=experiment)
        mistakes = [mistake for answer in answers for mistake in answer or ()]
    except Exception as error:
        raise PluginBugError(f"a plugin's hook pluto_check_experiment raised {type(error).__name__}: {error}") from error
    for mistake in mistakes:
        if not isinstance(mistake, Mistake):
            raise PluginBugError(f"a plugin's hook pluto_check_experiment returned {mistake!r} where a Mistake belongs")
    return mistakes
