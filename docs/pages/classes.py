"""What builders read and draw with: scenes, maps, geometry, sketches."""

import ast
import enum
import inspect
import textwrap
from collections.abc import Callable, Iterator

from pages.markdown import block, code, page, table
from pluto_core import geometry, maps, plan, scene, shapes, sketch

SECTIONS: dict[str, tuple[str, tuple[type, ...]]] = {
    "Scene": (
        "What `build` is given.",
        (
            scene.Scene,
            scene.Ego,
            scene.Tracks,
            scene.StaticObjects,
            scene.Lights,
            scene.ScenarioId,
            scene.Window,
            scene.Vehicle,
            scene.Category,
            scene.LightStatus,
        ),
    ),
    "Map": (
        "`scene.map`. Queries return rows of its tables.",
        (maps.MapView, maps.Lanes, maps.Blocks, maps.Areas, maps.Layer, shapes.Polylines, shapes.Polygons, shapes.Ragged),
    ),
    "Plan": ("What a model's `plan` returns, and what it is compared with.", (plan.Plan, plan.Truth)),
    "Sketch": (
        "What a builder's `sketch` returns.",
        (sketch.Sketch, sketch.Line, sketch.Box, sketch.Area, sketch.Track, sketch.Raster, sketch.Role),
    ),
}
INTRODUCTION = (
    "What builders and models work with, all of it in `pluto_core`. SI units, float64, one global metric frame unless a field "
    "says otherwise. What is missing is masked, never NaN."
)
FUNCTIONS: tuple[Callable[..., object], ...] = (geometry.rotation, geometry.wrap, geometry.resample, geometry.project)


def pages() -> dict[str, str]:
    """Return the page by path."""
    parts = [
        "# Scenes, maps and sketches",
        INTRODUCTION,
    ]
    for title, (text, found) in SECTIONS.items():
        parts += [f"## {title}", text]
        for kind in found:
            parts += _class(kind)
    parts += ["## Geometry", "Of `pluto_core.geometry`."]
    for function in FUNCTIONS:
        parts += [block(f"{_signature(_tree(function))}\n{textwrap.indent(_text(function), '    ')}", "text")]
    return {"reference/scenes.md": page(*parts)}


def _class(kind: type) -> Iterator[str]:
    yield f"### `{kind.__name__}`"
    yield f"{_text(kind)} (`{kind.__module__}`)"
    tree = _tree(kind)
    assert isinstance(tree, ast.ClassDef)
    if issubclass(kind, enum.Enum):
        yield ", ".join(code(str(member.name) if isinstance(member.value, int) else f"{member.value}") for member in kind) + "."
        return
    fields = list(_fields(tree))
    if fields:
        yield table(("field", "type", "meaning"), fields)
    methods = [
        (code(_signature(node)), (ast.get_docstring(node) or "").partition("\n")[0])
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    if methods:
        yield table(("method", "what it does"), methods)


def _fields(tree: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_"):
            told = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            yield code(node.target.id), code(ast.unparse(node.annotation).strip("'")), str(told)


def _signature(node: ast.stmt) -> str:
    assert isinstance(node, ast.FunctionDef)
    if any(isinstance(one, ast.Name) and one.id in {"property", "cached_property"} for one in node.decorator_list):
        return node.name
    arguments = ast.unparse(node.args).removeprefix("self, ").removeprefix("cls, ").removeprefix("self").removeprefix("cls")
    returned = ast.unparse(node.returns).strip("'\"") if node.returns else ""
    return f"{node.name}({arguments}) -> {returned}"


def _tree(found: object) -> ast.stmt:
    return ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]  # type: ignore[arg-type]


def _text(found: object) -> str:
    return inspect.getdoc(found) or ""
