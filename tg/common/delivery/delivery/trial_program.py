"""The program of a trial: loads a package's resources in a fresh interpreter, and tells what happened.

It stands on nothing but the standard library and is run by its path, with `-I`: neither the project nor delivery is on its path. What
it is to do comes to its standard input, marshalled, and what happened leaves by what was its standard output; what the
package prints goes to the standard error.
"""

from __future__ import annotations

import marshal
import mmap
import os
import pickle
import sys
import traceback
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import FunctionType
from typing import Any

__all__ = ["main"]

_PICKLED_AGAIN_BYTES = 16 * 1024 * 1024


def main() -> None:
    """Do what is asked for, answer, and end without waiting for what the package has started."""
    question = marshal.loads(sys.stdin.buffer.read())
    answers = os.dup(1)
    os.dup2(2, 1)
    answer = marshal.dumps(_tried(question))
    with open(answers, "wb") as file:
        file.write(answer)
    os._exit(0)


def _tried(question: dict[str, Any]) -> dict[str, Any]:
    gate = _Gate(question)
    sys.path += [*question["path"], question["folder"]]
    sys.meta_path.insert(0, gate)
    failed: dict[str, Any] = {}
    elsewhere: set[str] = set()
    for key, buffers in question["resources"]:
        gate.resource = key
        try:
            value = _loaded(f"{question['folder']}/{question['uid']}/resources/{key}", question["archive"], buffers)
        except BaseException as error:  # noqa: BLE001  told to whoever asked, whatever it is
            failed[key] = _described(error)
        else:
            elsewhere |= _named_elsewhere(value, question["roots"])
    return {
        "failed": failed,
        "absolute": gate.absolute,
        "elsewhere": sorted(elsewhere),
        "files": [file for one in list(sys.modules.values()) if type(file := getattr(one, "__file__", None)) is str],
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    }


def _loaded(path: str, archive: str, buffers: list[tuple[int, int]]) -> Any:
    """Unpickle a resource; its big buffers are mapped, where they lie in the archive."""
    views = []
    if buffers:
        with open(archive, "rb") as file:
            mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        views = [mapped[start : start + size] for start, size in buffers]
    with open(path, "rb") as file:
        return pickle.load(file, buffers=views)


class _Gate:
    """Lets a top-level module be imported if it will be there where the package lands; first of `sys.meta_path`.

    Python's own, the package's, and what is installed will be; a root under its plain name, for the package's own code, will
    not, be it installed here or not.
    """

    def __init__(self, question: dict[str, Any]) -> None:
        self._uid = question["uid"]
        self._roots = frozenset(question["roots"])
        self._declared = frozenset(question["declared"])
        self._installed = tuple(question["installed"])
        self._own = question["folder"]
        self.resource = ""
        self.absolute: list[tuple[str, str, int]] = []

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if path is not None or "." in name or name == self._uid or name in sys.stdlib_module_names:
            return None
        if name in self._roots:
            file, line, inside = self._importer()
            if inside:
                self.absolute.append((name, file, line))
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, None)
            if spec is not None:
                return spec if name in self._declared or self._will_be_there(spec) else self._refuse(name)
        return None

    def _will_be_there(self, spec: ModuleSpec) -> bool:
        places = list(spec.submodule_search_locations or ())
        if spec.has_location and spec.origin:
            places.append(spec.origin)
        return not places or any(place.startswith(self._installed) for place in places)

    @staticmethod
    def _refuse(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def _importer(self) -> tuple[str, int, bool]:
        """The file and line that an import stands in, and whether that is in the package or in a resource."""
        frame = sys._getframe(2)
        # Made text has no file, and `import_module` is in one of Python's; whoever made or called it is meant.
        while frame.f_back is not None and (
            frame.f_code.co_filename.startswith("<") or f"{os.sep}importlib{os.sep}" in frame.f_code.co_filename
        ):
            frame = frame.f_back
        file = frame.f_code.co_filename
        if file == __file__:
            return self.resource, 0, True
        return file, frame.f_lineno, file.startswith(self._own)


def _described(error: BaseException) -> dict[str, Any]:
    frames = [(one.filename, one.lineno or 0) for one in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno or 0))
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  an exception of the package, which may do anything when it is asked for its text
        message = "(its text cannot be had)"
    return {
        "type": type(error).__qualname__,
        "message": message,
        # An AttributeError has a name as well, and `cannot import name` is of a module that is there.
        "name": str(error.name) if isinstance(error, ModuleNotFoundError) and error.name else None,
        "frames": frames,
    }


class _Names(pickle.Pickler):
    """Finds classes and functions that would be pickled under the plain name of a root. Writes nowhere."""

    def __init__(self, roots: frozenset[str]) -> None:
        super().__init__(_Nowhere(), 5, buffer_callback=lambda buffer: False)
        self._roots = roots
        self.found: set[str] = set()

    def reducer_override(self, value: Any, /) -> Any:
        module = value.__module__ if isinstance(value, (type, FunctionType)) else None
        if not isinstance(module, str) or module.partition(".")[0] not in self._roots:
            return NotImplemented
        self.found.add(f"{module}.{value.__qualname__}")
        return str, ()  # something harmless, so that the rest is looked at


class _Nowhere:
    def __init__(self) -> None:
        self.size = 0

    def write(self, data: Any) -> int:
        self.size += len(data)
        if self.size > _PICKLED_AGAIN_BYTES:
            raise OverflowError("what is bigger is data")
        return len(data)


def _named_elsewhere(value: Any, roots: Any) -> set[str]:
    names = _Names(frozenset(roots))
    with suppress(Exception):  # it was pickled once; that it cannot be again is nothing that loading needs
        names.dump(value)
    return names.found


if __name__ == "__main__":
    main()
