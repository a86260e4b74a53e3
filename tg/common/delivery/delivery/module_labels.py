"""Labels: strings that say which module something is of, and that are compared or looked up by what modules are called.

| written                                          | of it the label                    |
|--------------------------------------------------|------------------------------------|
| `__module__ = "mycompany.x"`, in all its forms   | `"mycompany.x"`                    |
| `namedtuple("A", "a b", module="mycompany")`     | `"mycompany"`                      |
| `filterwarnings("ignore", module="mycompany.x")` | `"mycompany.x"`, which is a pattern |
| `__name__ == "mycompany.x"`, `cls.__module__ in ("mycompany.x", …)` | each of them     |
| `mycompany.__name__ == "mycompany"`, where that is imported | `"mycompany"`          |
| `cls.__module__.startswith("mycompany.")`        | `"mycompany."`                     |
| `name.startswith(skipped)`, where `name` is one of a module | what is in `skipped`      |
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
from dataclasses import dataclass
from itertools import pairwise

from .imports import name_of
from .module_variables import names_module
from .relative_names import RelativeNames

__all__ = ["LABELS", "Bound", "labels_in", "labels_inside", "made_labels_in", "roots_imported_in"]

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


@dataclass(frozen=True)
class Bound:
    """What names in a module are bound to, where that tells labels."""

    imported: frozenset[str]
    """Names that are those of imported modules, and of nothing else."""
    variables: frozenset[int]
    """Places where a variable is read that holds what a module is called, by the `id` of their nodes."""

    def names_module(self, node: ast.expr) -> bool:
        """Whether an expression is what a module is called."""
        return names_module(node) or id(node) in self.variables


def labels_in(node: ast.AST, names: RelativeNames, bound: Bound) -> list[ast.expr]:
    """The labels of one node, those of roots."""
    return [label for label in _labels(node, bound) if _is_of_roots(label, names)]


def made_labels_in(node: ast.AST, bound: Bound) -> list[ast.expr]:
    """What is no label that is written out, and that a module's name is compared with: `name.startswith(skipped)`."""
    if isinstance(node, ast.Call) and _is_startswith(node) and bound.names_module(node.func.value):  # type: ignore[attr-defined]
        compared = node.args[:1]
    elif (
        isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)) and bound.names_module(node.left)
    ):
        compared = node.comparators[:1]
    else:
        return []
    made = [one for one in compared if isinstance(one, (ast.Name, ast.Attribute)) and not bound.names_module(one)]
    return [one for one in made if name_of(one) != "modules"]


def _is_startswith(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "startswith"


def roots_imported_in(tree: ast.Module) -> frozenset[str]:
    """The names in a module that are bound by `import name` and by no other import."""
    nodes = list(ast.walk(tree))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names if not alias.asname}
    others = {alias.asname for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    others |= {alias.asname or alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return frozenset(name.partition(".")[0] for name in modules) - others


def _labels(node: ast.AST, bound: Bound) -> Iterator[ast.expr]:
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
        if any(map(bound.names_module, sides)):
            yield from labels
        elif named := [side for side in sides if isinstance(side, ast.Attribute) and side.attr == "__name__"]:
            own = bound.imported & {name_of(side.value) for side in named if isinstance(side.value, ast.Name)}
            constants = [label for label in labels if isinstance(label, ast.Constant)]
            yield from (
                one for one in constants if one.value in own or "." in str(one.value)
            )  # a class has no dot in its own
    elif isinstance(node, ast.Call):
        yield from _labels_of_call(node, bound)
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


def _labels_of_call(node: ast.Call, bound: Bound) -> Iterator[ast.expr]:
    function = name_of(node.func)
    if function in _TAKE_LABELS:
        yield from (keyword.value for keyword in node.keywords if keyword.arg == "module")
    if function == "filterwarnings":
        yield from node.args[3:4]
    elif function == "set_module":
        yield from node.args[:1]
    elif isinstance(node.func, ast.Attribute) and _is_startswith(node):
        labels = [label for given in node.args[:1] for label in _each(given)]
        if bound.names_module(node.func.value):
            yield from labels
        elif name_of(node.func.value) == "__name__":
            yield from filter(_has_dot, labels)
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


def _has_dot(label: ast.expr) -> bool:
    """A class has none in its `__name__`."""
    return isinstance(label, ast.Constant) and "." in str(label.value)


def _is_of_roots(label: ast.expr, names: RelativeNames) -> bool:
    return isinstance(label, ast.Constant) and isinstance(label.value, str) and names.has(label.value)
