"""Names of modules in strings: made to mean the package's own, where a function is known to take them as such.

| written in `tg/a/b.py`                | relocated                                                         |
|---------------------------------------|-------------------------------------------------------------------|
| `import_module("tg.x")`               | `import_module("..x", __spec__.parent)`                           |
| `import_module(f"tg.{name}")`         | `import_module(__spec__.parent.rsplit(".", 2)[0] + "." + f"tg.{name}")` |
| `__import__("tg.x")`                  | `__import__("tg.x", globals(), None, (), 3)`                      |
| `files("tg.x")`, `patch("tg.x.y")`, … | `files(__spec__.parent.rsplit(".", 2)[0] + "." + "tg.x")`         |
| `sys.modules["tg.x"]`                 | the same                                                          |
| `version("mydist")`, of a root's distribution | the same; see `runtime/distributions.py`                  |

What is not known to be one is left as it is: a string is also a title, a key, a logger. What is used to import and cannot
be relocated is reported. Names that are made elsewhere are those of `late_names.py`, what modules, classes and programs are
called those of `module_labels.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .imports import name_of, parsed_expression
from .late_names import (
    ASKED_OF_LOADERS,
    LATE,
    TAKE_LATE_NAMES,
    ask_for_arguments,
    ask_for_name,
    compiled_text,
    compilers_in,
    dotted_name_taken_apart,
    is_asked_for,
    is_first_part_of_own,
    is_of_this_process,
    made_label,
)
from .module_labels import LABELS, Bound, labels_in, labels_inside, made_labels_in
from .module_variables import VARIABLES
from .path_entries import PATHS, executes_in_space, path_entries_in
from .relative_names import RelativeNames
from .source_text import SourceText

__all__ = ["METADATA", "STRINGS", "Module", "relocate_strings"]

STRINGS = (
    rb"import_module\s*\((?!\s*[\"']\.)",
    rb"import_module\s*\(\s*[\"'][.\w]*[\"']\s*,\s*(?:package\s*=\s*)?[\"']%(root)s\b",
    rb"__import__\s*\((?!\s*[\"']\.)",
    rb"[\"']%(root)s\.[.\w]+[\"':]",
    # A root alone is a word like any other, but where it is given to one of these; the last letters of their names tell enough.
    rb"[([=](?<=les.|pec.|der.|ata.|ule.|kip.|t__.|get.|pop.|ame.|ing.|eam.|sts.|dir.|age.|ite.|ult.)\s*[\"']%(root)s[\"']",
    rb"[\"']%(root)s[\"']\s+(?:not\s+)?in\s+sys\b",
    rb"\(\s*__(?:name|package)__\.(?:split|partition)\(",
    *LATE,
    *LABELS,
    *PATHS,
    *VARIABLES,
)
"""What a module has that has to be looked at here; patterns with a place for the roots' names."""

METADATA = rb"(?:\b(?:version|metadata|distribution|requires|files)|entry_points)\s*\("
"""The same for the names of distributions."""

_GIVE_PLUGINS = frozenset({"entry_points", "iter_entry_points"})
_TAKE_DISTRIBUTIONS = frozenset({"version", "metadata", "distribution", "requires", "files"})
_TAKE_MODULES = TAKE_LATE_NAMES | frozenset(
    "import_module __import__ DocTestSuite loadTestsFromName PackageLoader".split()
)
_TAKE_DOTTED_NAMES = frozenset(
    "path contents is_resource open_text open_binary read_text read_binary patch setattr delattr locate".split()
)
"""Functions that other things have as well; so theirs is a name of a module only where it has a dot in it."""

_PARAMETERS = ("name", "mod_name", "package", "target", "modname", "distribution_name")
_LITERAL = re.compile(r"(?P<quote>'|\")(?P<value>[\w.]+)(?P=quote)")
_DOTTED = re.compile(r"\w+(?:\.\w+)*(?::\w+(?:\.\w+)*)?")
_ENTRY_POINT = re.compile(r"\w+(?:\.\w+)*:\w+(?:\.\w+)*")


@dataclass(frozen=True)
class Module:
    """What is known of the module as a whole."""

    sources: frozenset[str]
    """Variables that may have source that imports a root."""
    bound: Bound
    has_hook: bool
    """Whether it puts an import hook in."""


def relocate_strings(
    node: ast.AST, text: SourceText, names: RelativeNames, *, late: bool, module: Module
) -> tuple[int, str] | None:
    """Relocate what one node names; or tell its line, and what stands there, when that cannot be done.

    `late`: whether names that nothing is known of may be asked for where the source runs.
    """
    for label in labels_in(node, names, module.bound):
        _prefix(label, text, names)
    for whole, begin in labels_inside(node, names):
        _insert(whole, begin, text, names)
    for asked, function, runtime in _asked(node, names, module) if late else ():
        if not is_asked_for(asked, text) and _is_at(asked, text):
            ask_for_name(asked, text, names, function, runtime)
    if isinstance(node, ast.Call):
        if late and executes_in_space(node):
            ask_for_arguments(node, text, names, "executed", "path_entries")
        return _of_call(node, text, names, late)
    if isinstance(node, ast.Subscript) and _is_sys_modules(node.value):
        return _of_module_table(node, node.slice, text, names, late)
    if isinstance(node, ast.Compare) and _is_sys_modules(node.comparators[0]):
        return _of_module_table(node, node.left, text, names, late)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and _ENTRY_POINT.fullmatch(node.value):
        named = node.value.partition(":")[0]
        reported = "." in named and names.has(named) and not text.is_prefixed(node)
        return (node.lineno, repr(node.value)) if reported else None
    return None


def _asked(node: ast.AST, names: RelativeNames, module: Module) -> Iterator[tuple[ast.expr, str, str]]:
    """What the package is to look at where the source runs, and the function and the module of its runtime that do."""
    if (program := compiled_text(node, names, module.sources)) is not None:
        yield program, "source", "late_names"
    if (label := made_label(node)) is not None:
        yield label, "here", "late_names"
    if module.has_hook and (name := dotted_name_taken_apart(node)) is not None:
        yield name, "written", "late_names"
    for labels in made_labels_in(node, module.bound):
        yield labels, "labels", "late_names"
    for compiler in compilers_in(node):
        yield compiler, "compiler", "late_names"
    for entry, function in path_entries_in(node):
        yield entry, function, "path_entries"


def _of_call(node: ast.Call, text: SourceText, names: RelativeNames, late: bool) -> tuple[int, str] | None:
    function = name_of(node.func)
    if (
        function in ("dict", "multiple")
        and isinstance(node.func, ast.Attribute)
        and name_of(node.func.value) == "patch"
    ):
        function = "patch"
    if isinstance(node.func, ast.Attribute) and _is_sys_modules(node.func.value) and node.args:
        return _of_module_table(node, node.args[0], text, names, late)
    if function in ("setitem", "delitem") and len(node.args) > 1 and _is_sys_modules(node.args[0]):
        return _of_module_table(node, node.args[1], text, names, late)
    if function.lstrip("_") in _GIVE_PLUGINS and late and names.has_distributions:
        if isinstance(node.func, (ast.Name, ast.Attribute)) and not is_asked_for(node.func, text):
            ask_for_name(node.func, text, names, "with_own", "plugins")
        return None
    asked = node.func.value if isinstance(node.func, ast.Attribute) and function in ASKED_OF_LOADERS else None
    if asked is not None and name_of(asked).strip("_") == "loader" and node.args:
        return _of_module_table(node, node.args[0], text, names, late)
    given = node.args[:1] or [keyword.value for keyword in node.keywords if keyword.arg in _PARAMETERS]
    if not given or function not in _TAKE_MODULES | _TAKE_DOTTED_NAMES | _TAKE_DISTRIBUTIONS:
        return None
    name = given[0]
    if is_first_part_of_own(name) and late and _is_at(name, text):
        text.replace(*text.span(name), f'{names.uid_expression(chr(34))} + ".{names.root}"')
        return None
    if function in _TAKE_DISTRIBUTIONS and isinstance(name, ast.Constant) and names.has_distribution(str(name.value)):
        return None if _prefix(name, text, names) else (node.lineno, _shown(node, text))
    if function in ("version", "distribution", "metadata") and late and names.has_distributions:
        if not isinstance(name, (ast.Constant, ast.Starred)) and not _is_known(name, text) and _is_at(name, text):
            ask_for_name(name, text, names, "of_distribution")
        return None
    begin, whole = _beginning(name), isinstance(name, ast.Constant)
    imports = function in ("import_module", "__import__")
    if imports and not whole and (begin is None or ("." not in begin and not begin.startswith(":"))):
        return None if _ask(node, name, text, names, late) else (node.lineno, _shown(node, text))
    if begin is None and function in TAKE_LATE_NAMES:
        _ask(node, name, text, names, late)
    if begin is None or function in _TAKE_DISTRIBUTIONS - _TAKE_MODULES:
        return None
    if function == "import_module" and begin.startswith(".") and len(package := _package(node)) == 1:
        return _of_module_table(node, package[0], text, names, False)
    if not names.has(begin) or ("." not in begin and not (whole and function in _TAKE_MODULES)):
        return None
    if whole and not _DOTTED.fullmatch(begin):
        return None
    if function == "__import__":
        done = _has_level(node) or (whole and _relocate_dunder_import(node, text, names))
        done = done or _ask(node, name, text, names, late)
    elif function == "import_module" and whole and len(node.args) == 1 and not node.keywords:
        done = _relocate_import_module(name, text, names)
    else:
        done = _prefix(name, text, names)
    return None if done else (node.lineno, _shown(node, text))


def _package(node: ast.Call) -> list[ast.expr]:
    """What a relative name is relative to."""
    return [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "package")]


def _ask(node: ast.Call, name: ast.expr, text: SourceText, names: RelativeNames, late: bool) -> bool:
    """Have an import by a name that is made elsewhere ask what the module is called, where it has to."""
    if _is_relative_already(node) or _is_known(name, text):
        return True
    if not late or isinstance(name, ast.Starred) or not _is_at(name, text):
        return False
    if name_of(node.func) == "__import__":
        ask_for_arguments(node, text, names)
    else:
        ask_for_name(name, text, names)
    return True


def _of_module_table(
    node: ast.Call | ast.Subscript | ast.Compare, key: ast.expr, text: SourceText, names: RelativeNames, late: bool
) -> tuple[int, str] | None:
    begin = _beginning(key)
    if begin is None and late and not isinstance(key, ast.Constant):
        if not _is_known(key, text) and _is_at(key, text):
            ask_for_name(key, text, names)
        return None
    if begin is None or not names.has(begin) or not (isinstance(key, ast.Constant) or "." in begin):
        return None
    return None if _prefix(key, text, names) else (node.lineno, _shown(node, text))


def _relocate_import_module(name: ast.expr, text: SourceText, names: RelativeNames) -> bool:
    start, end = text.span(name)
    quoted = _LITERAL.fullmatch(text.text, start, end)
    if quoted is None or not _is_at(name, text):
        return _prefix(name, text, names)
    relative = names.relative(quoted["value"])
    text.replace(start, end, f"{quoted['quote']}{relative}{quoted['quote']}, __spec__.parent")
    return True


def _relocate_dunder_import(node: ast.Call, text: SourceText, names: RelativeNames) -> bool:
    """`__import__("tg.x")` is `tg`, so it has to stay the name; the level says what it is relative to."""
    if not node.args or not _is_at(node.args[0], text):
        return False
    level = str(len(names.above))
    given, keywords = len(node.args), {keyword.arg for keyword in node.keywords}
    _, end = text.span(node.args[-1])
    if given == 1 and keywords <= {"fromlist"}:
        text.replace(end, end, f", globals=globals(), level={level}" if keywords else f", globals(), None, (), {level}")
        return True
    if given < 4 or keywords or ast.unparse(node.args[1]) != "globals()":
        return False
    if given == 4:
        text.replace(end, end, f", {level}")
        return True
    if isinstance(node.args[4], ast.Constant) and node.args[4].value == 0:
        text.replace(*text.span(node.args[4]), level)
        return True
    return False


def _has_level(call: ast.Call) -> bool:
    """Whether `__import__` is told that the name is a relative one."""
    level = [*call.args[4:5], *(keyword.value for keyword in call.keywords if keyword.arg == "level")]
    return any(isinstance(one, ast.Constant) and one.value != 0 for one in level)


def _prefix(name: ast.expr, text: SourceText, names: RelativeNames) -> bool:
    """Put what is above the roots before a name. All that it can begin with binds tighter than the `+`."""
    if not _is_at(name, text):
        return False
    start, end = text.span(name)
    quote = '"' if '"' in text.text[start:end] else "'"
    text.replace(start, start, f"{names.uid_expression(quote)} + {quote}.{quote} + ")
    return True


def _insert(whole: ast.expr, begin: str, text: SourceText, names: RelativeNames) -> None:
    """Put what is above the roots into a text, wherever it has `begin`: `-m` or a colon, and a root after it."""
    start, end = text.span(whole)
    quote, written = text.text[end - 1], text.text[start:end]
    if f"{quote}{quote}" in written or not _is_at(whole, text):
        return
    for found in re.finditer(rf"{begin}\b", written):
        place = start + found.start() + (2 if begin.startswith("-m") else 1)
        text.replace(place, place, f"{quote} + {names.uid_expression(quote)} + {quote}.")


def _is_at(name: ast.expr, text: SourceText) -> bool:
    """Whether a node is where the parser says: before Python 3.12 it does not know, of what is inside of an f-string."""
    start, end = text.span(name)
    try:
        there = parsed_expression(f"({text.text[start:end]}\n)")
    except (SyntaxError, ValueError):
        return False
    return ast.dump(there) == ast.dump(name)


def _beginning(name: ast.expr) -> str | None:
    """What the value of an expression certainly begins with; `None` where nothing is known of it."""
    if isinstance(name, ast.Constant):
        return name.value if isinstance(name.value, str) else None
    if isinstance(name, ast.JoinedStr):
        return _beginning(name.values[0]) if name.values else None
    if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Add):
        return _beginning(name.left)
    formatted = None
    if isinstance(name, ast.BinOp) and isinstance(name.op, ast.Mod):
        formatted = name.left
    elif isinstance(name, ast.Call) and isinstance(name.func, ast.Attribute) and name.func.attr == "format":
        formatted = name.func.value
    if isinstance(formatted, ast.Constant) and isinstance(formatted.value, str):
        return re.split(r"[%{]", formatted.value)[0]
    return None


def _is_relative_already(node: ast.Call) -> bool:
    """Whether a package is given beside the name."""
    return name_of(node.func) == "import_module" and bool(node.args) and (len(node.args) > 1 or bool(node.keywords))


def _is_known(name: ast.expr, text: SourceText) -> bool:
    """Whether a name is what a module is called here; it may have been made so when the package was delivered before."""
    if isinstance(name, ast.Starred):
        return is_asked_for(name.value, text)
    if is_of_this_process(name) or is_asked_for(name, text):
        return True
    return text.text.startswith("__spec__.parent", text.span(name)[0])


def _is_sys_modules(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "modules" and name_of(node.value) in ("sys", "_sys")


def _shown(node: ast.expr, text: SourceText) -> str:
    start, end = text.span(node)
    return " ".join(text.text[start:end].split())
