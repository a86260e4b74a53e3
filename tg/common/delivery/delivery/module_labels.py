"""Labels: strings that say which module something is of, and that are compared or looked up by what modules are called.

| written                                          | of it the label                    |
|--------------------------------------------------|------------------------------------|
| `__module__ = "mycompany.x"`, in all its forms   | `"mycompany.x"`                    |
| `namedtuple("A", "a b", module="mycompany")`     | `"mycompany"`                      |
| `filterwarnings("ignore", module="mycompany.x")` | `"mycompany.x"`, which is a pattern |
| `__name__ == "mycompany.x"`, `cls.__module__ in ("mycompany.x", …)` | each of them     |
| `mycompany.__name__ == "mycompany"`, where that is imported | `"mycompany"`          |
| `cls.__module__.startswith("mycompany.")`        | `"mycompany."`                     |
| `for m in sys.modules: if m.startswith("mycompany")` | `"mycompany"`                  |
| `pytest_plugins = ["mycompany.x"]`               | each of them                       |
| `[sys.executable, "-m", "mycompany.x"]`          | `"mycompany.x"`                    |
| `[sys.executable, "-mmycompany.x"]`              | what follows `-m`                  |
| `filterwarnings("ignore:a:mycompany.SomeWarning")` | what follows the colon           |

In a package they have its name before them, as what they are compared with has.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise

from .imports import name_of
from .relative_names import RelativeNames

__all__ = ["LABELS", "labels_in", "labels_inside", "roots_imported_in"]

LABELS = (
    rb"__(?:module|name|package)__\b[^\r\n]*[\"']%(root)s\b",
    rb"[\"']%(root)s(?:\.[.\w]+)?[\"']\s*[!=]=",
    rb"module\s*=\s*r?[\"']%(root)s\b",
    rb"filterwarnings\([^\r\n]*[\"']%(root)s\b",
    rb":%(root)s\.[.\w]*Warning\b",
    rb"set_module\(\s*[\"']%(root)s\b",
    rb"pytest_plugins\b",
    rb"in\s+\w+\(_?sys\.modules\b",
    rb"[\"']-m(?:[\"']\s*,\s*[\"'])?%(root)s\b",
)
"""What a module has that has to be looked at here; patterns with a place for the roots' names."""

_TAKE_LABELS = frozenset(
    "namedtuple NamedTuple Enum IntEnum StrEnum Flag IntFlag make_dataclass filterwarnings warn_explicit".split()
)


def labels_in(node: ast.AST, names: RelativeNames, imported: frozenset[str] = frozenset()) -> list[ast.expr]:
    """The labels of one node, those of roots; `imported`: the roots that are bound to their own names."""
    return [label for label in _labels(node, imported) if _is_of_roots(label, names)]


def roots_imported_in(tree: ast.Module) -> frozenset[str]:
    """The names in a module that are bound by `import name` and by no other import."""
    nodes = list(ast.walk(tree))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names if not alias.asname}
    others = {alias.asname for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    others |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return frozenset(name.partition(".")[0] for name in modules) - others


def _labels(node: ast.AST, imported: frozenset[str]) -> Iterator[ast.expr]:
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is not None and any(name_of(target) in ("__module__", "pytest_plugins") for target in targets):
            yield from _each(node.value)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "__module__":
                yield value
    elif isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        labels = [label for side in sides for label in _each(side)]
        if any(_names_module(side) for side in sides):
            yield from labels
        elif named := [side for side in sides if isinstance(side, ast.Attribute) and side.attr == "__name__"]:
            own = imported & {name_of(side.value) for side in named if isinstance(side.value, ast.Name)}
            constants = [label for label in labels if isinstance(label, ast.Constant)]
            yield from (
                one for one in constants if one.value in own or "." in str(one.value)
            )  # a class has no dot in its own
    elif isinstance(node, ast.Call):
        yield from _labels_of_call(node)
    elif isinstance(node, (ast.List, ast.Tuple)):
        yield from _program(node.elts)
    elif isinstance(node, (ast.For, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        yield from _labels_of_loop(node)


def _labels_of_loop(loop: ast.For | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Iterator[ast.expr]:
    """What the names in `sys.modules` are compared with, one after the other."""
    every = [loop] if isinstance(loop, ast.For) else loop.generators
    over = [one.target for one in every if any(getattr(part, "attr", "") == "modules" for part in ast.walk(one.iter))]
    bound = {part.id for target in over for part in ast.walk(target) if isinstance(part, ast.Name)}
    for node in ast.walk(loop) if bound else ():
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "startswith":
            sides = [node.func.value, *node.args[:1]]
        else:
            continue
        if any(isinstance(side, ast.Name) and side.id in bound for side in sides):
            yield from (label for side in sides for label in _each(side))


def _labels_of_call(node: ast.Call) -> Iterator[ast.expr]:
    function = name_of(node.func)
    if function in _TAKE_LABELS:
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "module")
    if function == "filterwarnings":
        yield from node.args[3:4]
    elif function == "set_module":
        yield from node.args[:1]
    elif function == "startswith" and isinstance(node.func, ast.Attribute) and _names_module(node.func.value):
        yield from (label for given in node.args[:1] for label in _each(given))
    elif function == "setattr" and len(node.args) == 3:
        name = node.args[1]
        if isinstance(name, ast.Constant) and name.value == "__module__":
            yield node.args[2]


def _program(command: list[ast.expr]) -> Iterator[ast.expr]:
    """The module that Python is told to run."""
    is_python = False
    for option, module in pairwise(command):
        is_python = is_python or (isinstance(option, ast.Attribute) and option.attr == "executable")
        if is_python and isinstance(option, ast.Constant) and option.value == "-m":
            yield module


def labels_inside(node: ast.AST, names: RelativeNames) -> list[tuple[ast.expr, str]]:
    """Texts in which a label follows something else: `-m` or a colon; and that with the root's name, as it stands there."""
    if isinstance(node, (ast.List, ast.Tuple)):
        command, pattern = list(node.elts), r"(-m)(\w+)[.\w]*"
        if not any(isinstance(one, ast.Attribute) and one.attr == "executable" for one in command):
            return []
    elif isinstance(node, ast.Call) and name_of(node.func) == "filterwarnings" and len(node.args) == 1:
        command, pattern = node.args, r"[a-z]+:[^:]*(:)(\w+)\.[.\w]+(?::.*)?"
    else:
        return []
    texts = [(one, re.fullmatch(pattern, str(one.value))) for one in command if isinstance(one, ast.Constant)]
    return [(one, found[1] + found[2]) for one, found in texts if found and names.has(found[2])]


def _each(value: ast.expr) -> list[ast.expr]:
    return list(value.elts) if isinstance(value, (ast.List, ast.Tuple, ast.Set)) else [value]


def _names_module(node: ast.expr) -> bool:
    """Whether an expression is the name of a module; `x.__name__` may be that of anything."""
    if isinstance(node, ast.Name):
        return node.id in ("__name__", "__package__")
    if isinstance(node, ast.Call):  # f_globals.get("__name__", ""), getattr(cls, "__module__", None)
        first = node.args[: 2 if name_of(node.func) == "getattr" else 1]
        names = ("__module__",) if name_of(node.func) == "getattr" else ("__name__", "__package__")
        known = name_of(node.func) in ("get", "getattr") and first and isinstance(first[-1], ast.Constant)
        return bool(known) and first[-1].value in names  # type: ignore[attr-defined]
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and node.slice.value in ("__name__", "__package__")
    return isinstance(node, ast.Attribute) and node.attr in ("__module__", "__package__")


def _is_of_roots(label: ast.expr, names: RelativeNames) -> bool:
    return isinstance(label, ast.Constant) and isinstance(label.value, str) and names.has(label.value)
