"""The source of what is run: of the script, or of the cells of a notebook, in the order in which they were run.

Python keeps the text of a script where it was, on the disk; IPython keeps the text of each cell, without which it could
show no traceback. Nobody keeps what was typed into Python before 3.13, given with `-c`, or read from a pipe.
"""

from __future__ import annotations

import ast
import io
import linecache
import os
import re
import shlex
import sys
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from ..runtime.roots import MAIN
from .imports import parsed

__all__ = ["MainSource", "Part", "defining_code", "is_made_by_ipython", "place_in_cells"]

_RUNS_ITS_BODY = frozenset({"capture", "prun", "time"})
"""Magics that run the rest of their cell where the cell itself would have been run."""


@dataclass(frozen=True)
class Part:
    """A script, by its file, or a cell. `first_line` is the line of the cell that it begins with."""

    text: str
    file: str | None = None
    cell: str = ""
    """`In [3]`; a script has none."""
    first_line: int = 1

    def place(self, line: int) -> str:
        """A line of it as messages name it."""
        return f"{self.cell} line {line + self.first_line - 1}" if self.cell else f"{self.file}:{line}"

    def made(self, file: str) -> bool:
        """Whether code that says it is from `file` was made of this, as far as that can be told."""
        if self.file is not None:
            return self.file == file or os.path.realpath(self.file) == os.path.realpath(file)
        text = "".join(linecache.getlines(file))
        return text.rstrip() == self.text.rstrip() if text else self.first_line > 1


@dataclass(frozen=True)
class MainSource:
    """What was run, in parts, and the namespace that came of it.

    `location` is what messages call all of it together; `package` is what relative imports in it start from.
    """

    parts: tuple[Part, ...]
    namespace: Mapping[str, Any]
    location: str
    package: str

    @classmethod
    def of_process(cls) -> MainSource:
        """The source of this process's `__main__`. Raises `LookupError`, which says why there is none."""
        main = sys.modules[MAIN]
        shell = _ipython_of(main)
        if shell is not None:
            parts, location = (*_earlier_scripts(main, cells := tuple(_cells(shell))), *cells), "the notebook"
        else:
            file = _file_of(main)
            script = (Part(_script_text(main, file), file),) if file is not None else ()
            parts = (*script, *_typed_lines())  # both, after `python -i script.py`
            location = file or "what was typed into Python"
        if not parts:
            raise LookupError(_why_there_is_none())
        return cls(parts, vars(main), location, getattr(main, "__package__", None) or "")


def defining_code(value: object, name: str) -> Iterator[tuple[str, str, int]]:
    """The names, files and first lines of the functions that an object of `__main__` is, wraps or has, those that were written
    there under its name: decorators, and classes such as `Enum`, put others of the same names into their place."""
    is_class = isinstance(value, type)
    for one in list(vars(value).values()) if is_class else [value]:
        function = _unwrapped(one.__func__ if isinstance(one, (staticmethod, classmethod)) else one)
        if isinstance(function, FunctionType) and function.__globals__.get("__name__") in (MAIN, "__mp_main__"):
            code = function.__code__
            is_generated = code.co_filename.startswith(("<string", "<attrs"))
            if not is_generated and function.__qualname__ == (f"{name}.{code.co_name}" if is_class else name):
                yield code.co_name, code.co_filename, code.co_firstlineno


def _unwrapped(value: object) -> object:
    seen = set()
    while id(value) not in seen and not isinstance(value, type):
        seen.add(id(value))
        value = getattr(value, "__dict__", {}).get("__wrapped__", value)
    return value


def place_in_cells(file: str, line: int) -> str:
    """A line as messages name it: by its cell, where the file is the one that a notebook has made up for a cell."""
    try:
        parts = MainSource.of_process().parts
    except LookupError:
        parts = ()
    made = (part for part in reversed(parts) if part.cell and part.first_line == 1 and part.made(file))
    return next((part.place(line) for part in made), f"{file}:{line}")


def is_made_by_ipython(value: object) -> bool:
    """Whether a builtin is one that IPython has put there."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).partition(".")[0] in ("IPython", "ipykernel")


def _ipython_of(main: ModuleType) -> Any:
    """The shell whose cells are run in a module; while it does `%run`, `__main__` is another one."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "user_ns", None) is vars(main) else None


def _cells(shell: Any) -> Iterator[Part]:
    for number, text in enumerate(shell.history_manager.input_hist_parsed):
        if text.strip():
            cell = f"In [{number}]"
            yield from _run_by_magics(shell, text, cell)
            yield Part(text, cell=cell)


def _run_by_magics(shell: Any, text: str, cell: str) -> Iterator[Part]:
    """What the magics of a cell run in its place: the scripts of `%run`, the rest of the cell after `%%time`."""
    for name, line, body in _magics(text):
        if name == "run":
            given = [one for one in _split(line) if not one.startswith("-")]
            file = os.path.abspath(os.path.expanduser(given[0])) if given and "-m" not in line.split() else ""
            for place in (file, f"{file}.py"):
                if place.endswith(".py") and os.path.isfile(place):
                    yield Part(_read(place), place)
                    break
        elif name in _RUNS_ITS_BODY and body:
            blank = body[: len(body) - len(body.lstrip())].count("\n")  # lines that IPython takes off
            yield Part(shell.transform_cell(body), cell=cell, first_line=2 + blank)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quote that is not closed: nothing was run
        return []


def _magics(text: str) -> Iterator[tuple[str, str, str]]:
    """`get_ipython().run_line_magic(name, line)` and `run_cell_magic(name, line, body)`, as IPython writes what was `%name line`."""
    if "_magic(" not in text:
        return
    try:
        tree = parsed(text)
    except SyntaxError:  # it was not run either
        return
    for statement in tree.body:
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            given = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if call.func.attr in ("run_line_magic", "run_cell_magic") and len(given) >= 2:
                yield given[0], given[1], given[2] if len(given) > 2 else ""


def _earlier_scripts(main: ModuleType, cells: tuple[Part, ...]) -> Iterator[Part]:
    """Scripts that were run in the namespace of cells by something else than `%run`: `ipython script.py`, an editor."""
    files = {
        file
        for value in list(vars(main).values())
        if issubclass(type(value), (type, FunctionType)) and value.__module__ == MAIN
        for _, file, _ in defining_code(value, value.__qualname__)
        if os.path.isfile(file) and not any(part.made(file) for part in cells)
    }
    for file in sorted(files):
        yield Part(_read(file), file)


def _typed_lines() -> Iterator[Part]:
    """What was typed into Python 3.13 or newer."""
    typed = [
        (int(match[1]), file) for file in linecache.cache if (match := re.fullmatch(r"<python-input-(\d+)>", file))
    ]
    for number, file in sorted(typed):
        text = "".join(linecache.getlines(file))
        if text.strip():
            yield Part(text, cell=f"input {number}")


def _file_of(main: ModuleType) -> str | None:
    """The file of a script; `<stdin>` is none, and neither is that of the program into which one types."""
    file = str(getattr(main, "__file__", None) or "<")
    spec = getattr(main, "__spec__", None)
    return None if file.startswith("<") or str(getattr(spec, "name", "")).startswith("_pyrepl") else file


def _script_text(main: ModuleType, file: str) -> str:
    if os.path.isfile(file) and not file.endswith((".pyc", ".pyo")):
        return _read(file)
    get_source = getattr(getattr(main, "__loader__", None), "get_source", None)
    try:
        text = get_source(main.__spec__.name if main.__spec__ else MAIN) if get_source is not None else None
    except ImportError:
        text = None
    if not text:
        raise LookupError(f"{file} is run, and its source is not there any more. Run it from its source")
    return str(text)


def _read(file: str) -> str:
    """The text of a file, its line ends as `\\n`, as the parser counts them."""
    try:
        with open(file, "rb") as opened:
            data = opened.read()
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        raise LookupError(f"{file} is run, and cannot be read ({error}). Put it right") from error


def _why_there_is_none() -> str:
    if sys.argv[:1] == ["-c"]:
        return "it was given with -c, and its source is kept nowhere. Put it into a file, and run that"
    if hasattr(sys, "ps1"):
        return (
            "it was typed into Python, which keeps no source of it. Put it into a file and run that, or use a notebook"
        )
    return "it was read from standard input, or is run by something that has no file. Put it into a file, and run that"
