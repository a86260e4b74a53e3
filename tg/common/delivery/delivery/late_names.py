"""Names that are made while the source runs: `import_module(name)`, and what is compiled or started as a program.

What such a name will be cannot be told here, so the package is asked when it is used (`runtime/late_names.py`):

| written                                  | relocated                                            |
|------------------------------------------|------------------------------------------------------|
| `import_module(name)`                    | `import_module(LATE.here(name))`                     |
| `__import__(name)`                       | `__import__(*LATE.import_arguments(name))`           |
| `sys.modules[name]`                      | `sys.modules[LATE.here(name)]`                       |
| `version(name)`                          | `version(LATE.of_distribution(name))`                   |
| `entry_points(group="x")`                | the same with `runtime/plugins.py`                   |
| `exec(text)`, `compile(text, …)`         | `exec(LATE.source(text))`                            |
| `[sys.executable, "-c", text]`           | `[sys.executable, "-c", LATE.source(text)]`          |
| `file.write("from tg.x import " + names)` | `file.write(LATE.source("from tg.x import " + names))` |
| `call(compile, text, …)`                 | `call(LATE.compiler(compile), text, …)`              |
| `f.__module__ = name`                    | `f.__module__ = LATE.here(name)`                     |
| `module_name.startswith(skipped)`        | `module_name.startswith(LATE.labels(skipped))`       |
| `name.split(".")`, in a module with an import hook | `LATE.written(name).split(".")`            |

where `LATE` is an expression that imports that module of the package. What begins with the name of a module of this
process (`__name__`, `cls.__module__`) needs no asking.
"""

from __future__ import annotations

import ast
import re

from .imports import name_of
from .relative_names import RelativeNames
from .source_text import SourceText

__all__ = [
    "ASKED_OF_LOADERS",
    "HOOK",
    "LATE",
    "LATE_WORDS",
    "TAKE_LATE_NAMES",
    "WRITES",
    "ask_for_arguments",
    "ask_for_name",
    "compiled_text",
    "compilers_in",
    "dotted_name_taken_apart",
    "is_asked_for",
    "is_first_part_of_own",
    "is_of_this_process",
    "made_label",
    "names_of_sources",
]

TAKE_LATE_NAMES = frozenset(
    "find_spec find_loader get_loader get_data run_module resolve_name importorskip import_string files "
    "resource_filename resource_string resource_stream resource_exists resource_isdir resource_listdir".split()
)
"""Functions that import by a name, beside those that everybody imports with."""

ASKED_OF_LOADERS = frozenset("get_code get_filename get_resource_reader get_source is_package load_module".split())
"""Methods that what is called a loader has for a name."""

HOOK = rb"sys\.meta_path\.(?:append|insert)\("
"""What a module has that puts an import hook in."""

LATE = (
    rb"sys\.modules(?:\[|\.(?:get|pop|setdefault)\()(?!__\w+__|[\"'])",
    rb"in\s+_?sys\.modules\b",
    rb"(?:_spec|_loader|_module|_name|importorskip|import_string|_data|files|resource_[a-z]+)\(\s*[^\s\"'):]",
    rb"exec\s*\(",
    rb"compile\((?<!\.compile\()",
    rb"[\"']-c[\"']\s*,",
    rb"compile\s*,",
    rb"loader(?:__)?\.(?:get_[a-z]+|is_package|load_module)\(",
    rb"\.__(?:module|package)__\s*=\s*(?![\"'=]|__\w+__|[^\r\n]*\.__\w+__)",
    HOOK,
)
"""What a module has that has to be looked at here."""

LATE_WORDS = tuple(
    b"import_module __import__ sys.modules exec( compile( \"-c\" '-c' _spec( _loader( _module( _name( importorskip( "
    b"import_string( _data( files( resource_ (__name__. (__package__. compile, __module__ f_globals "
    b".__package__ sys.meta_path loader. loader__.".split()
)
"""One of them is in whatever has any of those, and is found far sooner."""

WRITES = re.compile(rb"(?:write|writeline|write_text|makepyfile|makeconftest)\(")
"""What a module has that may write source, if it has an import of a root in a string."""

_WRITE = frozenset({"write", "writeline", "write_text", "makepyfile", "makeconftest"})
_IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+(\w+)", re.MULTILINE)
_OWN = frozenset({"__name__", "__package__", "__module__", "__spec__", "__file__"})


def ask_for_name(
    name: ast.expr, text: SourceText, names: RelativeNames, function: str = "here", module: str = "late_names"
) -> None:
    """Have a function of the package's runtime say what the value of an expression is where it runs."""
    start, end = text.span(name)
    text.replace(start, start, f"{_late(names, module)}.{function}(")
    text.replace(end, end, ")")


def ask_for_arguments(
    call: ast.Call,
    text: SourceText,
    names: RelativeNames,
    function: str = "import_arguments",
    module: str = "late_names",
) -> None:
    """Have a function of the package's runtime say what a call is to be given."""
    _, end_of_function = text.span(call.func)
    _, end = text.span(call)
    place = text.text.index("(", end_of_function) + 1
    text.replace(place, place, f"*{_late(names, module)}.{function}(")
    text.replace(end - 1, end - 1, ")")


def names_of_sources(tree: ast.Module, names: RelativeNames) -> frozenset[str]:
    """The names of variables, anywhere in a module, that are assigned a text that imports a root."""
    assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    found = [node for node in assigned if any(_imports_root(part, names) for part in ast.walk(node.value))]
    return frozenset(target.id for node in found for target in node.targets if isinstance(target, ast.Name))


def compiled_text(node: ast.AST, names: RelativeNames, sources: frozenset[str]) -> ast.expr | None:
    """What a call compiles or executes, or writes and imports a root, or a list has as the program of Python.

    `sources`: the names of variables that may be such a text.
    """
    if isinstance(node, ast.Call) and node.args and name_of(node.func) in ("exec", "compile"):
        function, text = node.func, node.args[0]
        if isinstance(function, ast.Attribute) and name_of(function.value) != "builtins":
            return None
    elif isinstance(node, ast.Call) and node.args and name_of(node.func) in _WRITE:
        text = node.args[0]
        if not any(_imports_root(part, names) or _is_one_of(part, sources) for part in ast.walk(text)):
            return None
    elif isinstance(node, (ast.List, ast.Tuple)):
        options = [index for index, one in enumerate(node.elts) if isinstance(one, ast.Constant) and one.value == "-c"]
        if not options or options[0] + 1 == len(node.elts) or not _is_python(node.elts[: options[0]]):
            return None
        text = node.elts[options[0] + 1]
    else:
        return None
    if isinstance(text, ast.Starred) or (isinstance(text, ast.Call) and name_of(text.func) == "compile"):
        return None
    if isinstance(text, ast.Constant):
        return text if isinstance(text.value, (str, bytes)) and "import" in str(text.value) else None
    return text


def compilers_in(node: ast.AST) -> list[ast.expr]:
    """`compile` where it is handed to another function, as the import system does to have less in its tracebacks."""
    if not isinstance(node, ast.Call) or name_of(node.func) == "compiler":
        return []
    return [one for one in node.args if isinstance(one, ast.Name) and one.id == "compile"]


def dotted_name_taken_apart(node: ast.AST) -> ast.expr | None:
    """What a node splits at its dots, from the first one on."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or len(node.args) != 1:
        return None
    at = node.args[0]
    splits = node.func.attr in ("split", "partition") and isinstance(at, ast.Constant) and at.value == "."
    return node.func.value if splits and not isinstance(node.func.value, ast.Constant) else None


def made_label(node: ast.AST) -> ast.expr | None:
    """What a node says that something is of, where that is not written out."""
    if not isinstance(node, ast.Assign) or isinstance(node.value, ast.Constant) or is_of_this_process(node.value):
        return None
    labelled = (isinstance(one, ast.Attribute) and one.attr in ("__module__", "__package__") for one in node.targets)
    return node.value if any(labelled) else None


def _imports_root(part: ast.AST, names: RelativeNames) -> bool:
    if not isinstance(part, ast.Constant) or not isinstance(part.value, (str, bytes)):
        return False
    text = part.value if isinstance(part.value, str) else part.value.decode("utf-8", "replace")
    return any(names.has(match[1]) for match in _IMPORT.finditer(text))


def _is_one_of(part: ast.AST, sources: frozenset[str]) -> bool:
    return isinstance(part, ast.Name) and part.id in sources


def _is_python(command: list[ast.expr]) -> bool:
    return any(isinstance(one, ast.Attribute) and one.attr == "executable" for one in command)


def is_asked_for(node: ast.expr, text: SourceText) -> bool:
    """Whether that was done when the package was delivered before."""
    return text.text.startswith(_BEGIN, text.span(node)[0])


def is_of_this_process(name: ast.expr) -> bool:
    """Whether an expression begins with what a module is called here, as far as can be seen."""
    if isinstance(name, ast.Name):
        return name.id in _OWN
    if isinstance(name, ast.Attribute):
        return name.attr in _OWN or is_of_this_process(name.value)
    if isinstance(name, ast.BinOp):
        return is_of_this_process(name.left)
    if isinstance(name, ast.JoinedStr):
        return bool(name.values) and is_of_this_process(name.values[0])
    if isinstance(name, ast.FormattedValue):
        return is_of_this_process(name.value)
    if isinstance(name, ast.Call) and isinstance(name.func, ast.Attribute):
        return is_of_this_process(name.func.value)
    if isinstance(name, ast.Call) and name_of(name.func) == "getattr" and len(name.args) > 1:
        return isinstance(name.args[1], ast.Constant) and name.args[1].value in _OWN
    return isinstance(name, ast.Subscript) and is_of_this_process(name.value)


_BEGIN = "__import__(__spec__.parent"


def is_first_part_of_own(name: ast.expr) -> bool:
    """Whether an expression is `__name__.split(".")[0]` or one that means the same: the root's name, as the source has it."""
    if not isinstance(name, ast.Subscript) or not isinstance(name.slice, ast.Constant) or name.slice.value != 0:
        return False
    call = name.value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return False
    module = call.func.value
    return (
        call.func.attr in ("split", "partition")
        and isinstance(module, ast.Name)
        and module.id in ("__name__", "__package__")
    )


def _late(names: RelativeNames, module: str = "late_names") -> str:
    whole = f'{names.uid_expression(chr(34))} + ".tg.common.delivery.runtime.{module}"'
    return f'__import__({whole}, fromlist=["here"])'
