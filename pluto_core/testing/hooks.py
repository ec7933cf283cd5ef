"""`HooksSuite`: what a plugin says about itself is cheap, complete and right."""

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest

from pluto_core.arrays import ArraySpec
from pluto_core.component import Component, Context, Requirement, load
from pluto_core.experiment.documents import given
from pluto_core.experiment.nodes import Origin
from pluto_core.experiment.structure import FAILED, Structurer, fields_of, hints_of
from pluto_core.experiment.tomltext import loads, write_value
from pluto_core.kinds import KINDS
from pluto_core.moments import Finding, Surroundings
from pluto_core.plugins import Catalogue
from pluto_core.testing.guard import Suite
from pluto_core.testing.isolation import python

_ASK = """
import importlib, json, sys
from pluto_core.component import load
from pluto_core.kinds import KINDS
from pluto_core.plugins import Catalogue
catalogue = Catalogue.of(importlib.import_module(sys.argv[1]))
settings = json.loads(sys.argv[2])
for kind in KINDS:
    for component in catalogue.components(kind.name):
        config = load(component.config)
        for asked in filter(None, (component.requires, component.provides)):
            function = load(asked)
            try:
                made = config(**settings.get(f"{kind.section}.{component.name}", {}))
            except TypeError:
                continue
            function(made)
print(*sorted(sys.modules), sep="\\n")
"""
"""Everything that `pluto check` asks of a plugin, in a fresh interpreter."""


class HooksSuite(Suite, suite=True):
    """Tests of a plugin's hooks and configs.

    A subclass names the module in `hooks`; `settings` gives what configs cannot do without: `{"source.shelf": {"root": "."}}`.
    """

    hooks: str = ""
    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings by `section.name`, of components whose config has keys without a default."""
    heavy: ClassVar[frozenset[str]] = frozenset(
        [
            "cv2",
            "jax",
            "lightning",
            "lmdb",
            "matplotlib",
            "numpy",
            "pandas",
            "pyarrow",
            "pytorch_lightning",
            "ray",
            "scipy",
            "shapely",
            "tensorflow",
            "torch",
        ]
    )
    """Packages that neither hooks nor configs may load."""

    @pytest.fixture
    def catalogue(self) -> Catalogue:
        """Return what the plugin offers."""
        if not self.hooks:
            pytest.fail(f"{type(self).__name__} needs `hooks`, the module with the hooks", pytrace=False)
        return Catalogue.of(importlib.import_module(self.hooks))

    def test_the_plugin_works(self, catalogue: Catalogue) -> None:
        """Its hooks exist, answer what they should, and its names are valid and unique."""
        assert not catalogue.broken, "; ".join(map(str, catalogue.broken.values()))
        assert catalogue.plugins

    def test_nothing_heavy_is_loaded(self) -> None:
        """Hooks, configs, `requires` and `provides` load none of the heavy packages, so that listing and checking stay fast."""
        loaded = set(python(_ASK, self.hooks, json.dumps(dict(self.settings))).splitlines())
        found = sorted(loaded & self.heavy)
        assert not found, f"loading {self.hooks} and its configs loads {', '.join(found)}; import it where factories are"

    def test_import_strings_resolve(self, catalogue: Catalogue) -> None:
        """Every factory, config, `requires` and `provides` can be imported and called."""
        for section, component in _components(catalogue):
            for named in (component.factory, component.config, component.requires, component.provides):
                if named is None:
                    continue
                try:
                    found = load(named)
                except ImportError:
                    assert component.extra, f"{section}.{component.name}: {named} cannot be imported, and no `extra` says why"
                    continue
                assert callable(found), f"{section}.{component.name}: {named} cannot be called"

    def test_doctor_checks(self, catalogue: Catalogue, tmp_path: Path) -> None:
        """Where nothing is set up, every check that the plugin gives `pluto doctor` finds something and nothing broken."""
        surroundings = Surroundings(environment={}, cache_home=tmp_path)
        for title, target in (item for answer in catalogue.hooks.pluto_doctor_checks() for item in answer.items()):
            for finding in load(target)(surroundings):
                assert isinstance(finding, Finding), f"{title}: {target} gives {finding!r}, which is no Finding"
                assert finding.state != "broken", (
                    f"{title}: {finding.subject} is broken where nothing is set up: {finding.text}"
                )

    def test_cache_importers(self, catalogue: Catalogue, tmp_path: Path) -> None:
        """Every reader of other programs' caches works with its defaults, and takes an empty folder for none of its own."""
        for component in (one for answer in catalogue.hooks.pluto_cache_importers() for one in answer):
            importer = load(component.factory)(load(component.config)(), Context())
            assert importer.open(tmp_path) is None, f"{component.name} takes an empty folder for a cache"

    def test_components_say_what_they_are(self, catalogue: Catalogue) -> None:
        """Every component has a summary that is a sentence on one line."""
        for section, component in _components(catalogue):
            text = component.summary
            assert text.strip() == text, f"{section}.{component.name}: the summary {text!r} begins or ends with a space"
            assert text.endswith("."), f"{section}.{component.name}: the summary {text!r} is no sentence"
            assert "\n" not in text, f"{section}.{component.name}: the summary has more than one line"

    def test_builders_and_models_say_what_passes_between_them(self, catalogue: Catalogue) -> None:
        """`provides` gives array specs, as every builder does, and `requires` a `Requirement`, so that `check` can compare."""
        for section, component in _components(catalogue):
            where = f"{section}.{component.name}"
            if section in {"features", "targets"}:
                assert component.provides, f"{where} does not say what it `provides`"
            config = self._config(section, component)
            if component.provides:
                spec = load(component.provides)(config)
                assert spec, f"{where} provides nothing"
                assert all(isinstance(array, ArraySpec) for array in spec.values()), f"{where} provides what are no ArraySpecs"
            if component.requires:
                assert isinstance(load(component.requires)(config), Requirement), f"{where} requires what is no Requirement"

    def test_configs_are_frozen_and_explained(self, catalogue: Catalogue) -> None:
        """Config classes are frozen, keyword-only and documented, and so is each of their keys."""
        for section, component in _components(catalogue):
            where = f"{section}.{component.name}: {component.config}"
            config = load(component.config)
            assert attrs.has(config), f"{where} is no attrs class"
            assert config.__doc__, f"{where} has no docstring"
            with_help = {field.name: field.metadata.get("help") for field in attrs.fields(config)}
            missing = [name for name, text in with_help.items() if not text]
            assert not missing, f"{where} does not say what {', '.join(missing)} mean; use setting(default, help)"
            assert all(field.kw_only for field in attrs.fields(config)), f"{where} takes arguments by position"
            assert config.__setattr__ is not object.__setattr__, f"{where} is not frozen"
            assert _is_frozen(config), f"{where} is not frozen"

    def test_defaults_survive_a_file(self, catalogue: Catalogue) -> None:
        """Every default can be written into a file, and is read back as what it was."""
        for section, component in _components(catalogue):
            config = load(component.config)
            for key, field in fields_of(config).items():
                default = _default(field)
                if default is attrs.NOTHING or default is None:
                    continue
                text = write_value(_plain(default))
                structurer = Structurer()
                read = structurer.value(given(text, Origin("test")), hints_of(config)[field.name], (key,))
                where = f"{section}.{component.name}: {key} = {text}"
                assert read is not FAILED, f"{where}: {structurer.mistakes}"
                assert read == default, f"{where} is read back as {read!r}"

    def test_presets_are_toml(self, catalogue: Catalogue) -> None:
        """Every preset can be read, and is TOML."""
        for name, preset in catalogue.presets.items():
            try:
                loads(preset.read())
            except ValueError as error:
                pytest.fail(f"preset {name} ({preset.location}): {error}", pytrace=False)

    def _config(self, section: str, component: Component) -> Any:
        where = f"{section}.{component.name}"
        try:
            return load(component.config)(**self.settings.get(where, {}))
        except TypeError as error:
            pytest.fail(f"{where}: {error}; give what it needs in `settings` of {type(self).__name__}", pytrace=False)


def _components(catalogue: Catalogue) -> Iterator[tuple[str, Component]]:
    for kind in KINDS:
        for component in catalogue.components(kind.name):
            yield kind.section, component


def _is_frozen(config: type) -> bool:
    draft: Any = object.__new__(config)
    try:
        draft.any_name = None
    except attrs.exceptions.FrozenInstanceError:
        return True
    return False


def _default(field: "attrs.Attribute[Any]") -> Any:
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return attrs.NOTHING if default.takes_self else default.factory()
    return default


def _plain(value: Any) -> Any:
    """Return a default as TOML would hold it."""
    if attrs.has(type(value)):
        return {field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value)) if _told(value, field)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, str | bool | int | float):
        return getattr(value, "value", value)
    return getattr(value, "value", str(value))


def _told(value: Any, field: "attrs.Attribute[Any]") -> bool:
    return field.init and getattr(value, field.name) is not None
