"""Fingerprints: what a cache was made from, and whether it may be used for what is asked now."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pluto_core import arrays
from pluto_core.jobs import Identity
from pluto_core.protocols import SceneBuilder

Plain = Mapping[str, Any]
_OF_SOURCES = ("reader", "settings", "dataset")
"""What samples depend on of a source's `Identity`."""


@attrs.frozen(kw_only=True)
class Fingerprint:
    """What samples depend on."""

    source: Plain | None = None
    """`reader`, `settings` and `dataset` of the source; None where there is none, and it is not compared."""
    builders: Mapping[str, Plain] = attrs.field(factory=dict)
    """`version`, `config`, `window` and `spec` by tag."""
    code: Mapping[str, str] = attrs.field(factory=dict)
    """Hash of each builder's source, by tag: soft, a difference is only said."""

    def differences(self, asked: "Fingerprint") -> list[str]:
        """Return what differs for those parts that both know, one readable line each; no line: the samples may be used."""
        lines: list[str] = []
        if self.source is not None and asked.source is not None:
            for part in ("reader", "settings"):
                lines += _different(f"source {part}", self.source.get(part), asked.source.get(part))
            lines += _other_files(self.source.get("dataset", {}), asked.source.get("dataset", {}))
        for tag in sorted(self.builders.keys() & asked.builders.keys()):
            lines += _different(f"builder {tag}", self.builders[tag], asked.builders[tag])
        return lines

    def changed_code(self, asked: "Fingerprint") -> list[str]:
        """Return the tags of builders whose source changed although their version did not."""
        return [tag for tag in sorted(self.code.keys() & asked.code.keys()) if self.code[tag] != asked.code[tag]]

    def joined(self, more: "Fingerprint") -> "Fingerprint":
        """Return what both know; where both do, what was known before stays (new files are added)."""
        source = self.source or more.source
        if self.source is not None and more.source is not None:
            dataset = {**more.source.get("dataset", {}), **self.source.get("dataset", {})}
            source = {**self.source, "dataset": dataset}
        return Fingerprint(source=source, builders={**more.builders, **self.builders}, code={**more.code, **self.code})


def fingerprint(identity: Identity | None, builders: Sequence[tuple[str, SceneBuilder, Any]]) -> Fingerprint:
    """Return the fingerprint of what is asked.

    Args:
        identity: Of the source; None where training goes without one.
        builders: Tag, builder and config (an attrs instance or a mapping) of each.
    """
    return Fingerprint(
        source=None if identity is None else _plain({name: getattr(identity, name) for name in _OF_SOURCES}),
        builders={tag: described(builder, config) for tag, builder, config in builders},
        code={tag: source_hash(type(builder)) for tag, builder, _ in builders},
    )


def source_hash(kind: type) -> str:
    """Return a hash of the Python files of a class: its module, or its whole package where that lies within another."""
    module = sys.modules.get(kind.__module__)
    name = getattr(module, "__file__", None)
    if name is None:
        return ""
    file = Path(name)
    nested = "." in (getattr(module, "__package__", None) or "")
    state = hashlib.blake2b(digest_size=8)
    for path in sorted(file.parent.glob("*.py")) if nested else [file]:
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def described(builder: SceneBuilder, config: Any) -> Plain:
    """Return what a fingerprint holds of one builder: its version, settings, window and arrays."""
    settings = attrs.asdict(config) if attrs.has(type(config)) else dict(config or {})
    window = attrs.asdict(builder.window)
    return _plain({"version": builder.version, "config": settings, "window": window, "spec": arrays.to_plain(builder.spec)})


def _plain(value: Plain) -> Plain:
    """Return a value as JSON would bring it back, so that what is stored compares with what is asked."""
    plain: Plain = json.loads(json.dumps(value, default=_text))
    return plain


def _text(value: object) -> Any:
    return sorted(value, key=str) if isinstance(value, (set, frozenset)) else str(value)


def _different(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            yield from _different(f"{where}, {key}", old.get(key), new.get(key))
    elif old != new:
        yield f"{where}: {_shown(old)} in the cache, {_shown(new)} asked"


def _shown(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value)


def _other_files(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[str]:
    changed = [name for name in sorted(old.keys() & new.keys()) if old[name] != new[name]]
    for name in changed[:3]:
        yield f"dataset, {name}: {old[name]} when cached, {new[name]} now"
    if changed[3:]:
        yield f"dataset: {len(changed) - 3} more files were changed"
