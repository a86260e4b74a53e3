"""What in a payload cannot travel, each with the path to it: `job.steps[2].callback`.

The standard pickler says what it stumbled over first, and not where. This one is slow and is used only after it has
stumbled: it follows the objects in Python, goes on after each obstacle, and knows the way it came.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Mapping
from types import FunctionType, ModuleType
from typing import Any

from .origins import Origins

__all__ = ["find_obstacles"]


def find_obstacles(key: str, value: Any, origins: Origins) -> list[str]:
    """One sentence for every obstacle in the payload object `key`."""
    search = _Search(key, origins)
    try:
        search.dump(value)
    except RecursionError:  # the standard pickler gets deeper than this one
        deeper = (
            f"{key} has something that cannot be pickled, deeper than can be looked for. Keep long chains in a list."
        )
        return list(search.found.values()) or [deeper]
    return list(search.found.values())


class _Search(pickle._Pickler):  # the pickler in Python, which can be followed
    def __init__(self, key: str, origins: Origins) -> None:
        super().__init__(io.BytesIO(), 5, buffer_callback=lambda buffer: False)
        self._key = key
        self._origins = origins
        self._way: list[Any] = []
        self.found: dict[tuple[str, int], str] = {}

    def save(self, value: Any, save_persistent_id: bool = True) -> None:
        self._way.append(value)
        before = len(self.found)
        try:
            if issubclass(type(value), (type, FunctionType)):
                problem = self._origins.problem_of(value)
                if problem is not None:
                    self._add(value, f"refers to {problem}.")
                    return
            if isinstance(value, ModuleType):
                self._add(value, f"is the module {value.__name__}. Import it where it is used instead of keeping it.")
                return
            super().save(value, save_persistent_id)  # type: ignore[misc]
        except RecursionError:
            raise
        except Exception as error:  # noqa: BLE001  the objects' own code may raise anything
            if len(self.found) == before:
                self._add(value, f"cannot be pickled: {_shown(value)} ({type(error).__name__}: {error}). {_ADVICE}")
        finally:
            self._way.pop()

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Called with a name for objects that say by which they are to be found."""
        if name is not None:
            problem = self._origins.problem_of_global(pickle.whichmodule(obj, name), name)  # type: ignore[attr-defined]
            if problem is not None:
                self._add(obj, f"refers to {problem}.")
                return
        super().save_global(obj, name)  # type: ignore[misc]

    def memoize(self, obj: Any) -> None:
        if id(obj) not in self.memo:  # type: ignore[attr-defined]  # an object is met twice when its first visit was cut short
            super().memoize(obj)  # type: ignore[misc]

    def _add(self, value: Any, what: str) -> None:
        inside = _library_object(self._way)
        if inside is not None:
            value = self._way[inside]
            what = f"cannot be pickled: {_shown(value)}. {_ADVICE}"
        way = self._way if inside is None else self._way[: inside + 1]
        self.found.setdefault((what, id(value)), f"{_path(self._key, way)} {what}")


_ADVICE = "Make it in run(), or leave it out in __getstate__."


def _shown(value: Any) -> str:
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"


def _library_object(way: list[Any]) -> int | None:
    """The position of the first object of the standard library that the way enters by a private attribute.

    That a thread has a lock in it is no help; that the thread is the obstacle is.
    """
    for position, holder in enumerate(way[:-1]):
        module = type(holder).__module__.partition(".")[0]
        if module in sys.stdlib_module_names and module != "builtins":
            steps = (_step(way, below) for below in range(position + 1, len(way)))
            if next(filter(None, steps), "").startswith("._"):
                return position
    return None


def _path(key: str, way: list[Any]) -> str:
    """The way from the payload object to the last one, as one would write it."""
    return key + "".join(_step(way, position) for position in range(1, len(way)))


def _step(way: list[Any], position: int) -> str:
    """How one gets to an object on the way from the one before it; empty where pickling made something in between."""
    holder, value = way[position - 1], way[position]
    if isinstance(holder, Mapping):
        for name, held in holder.items():
            if held is value:
                return f".{name}" if isinstance(name, str) and _is_made(way, position - 1) else f"[{name!r}]"
            if name is value:
                return f" (key {name!r})"
    elif isinstance(holder, (list, tuple)):
        if not _is_made(way, position - 1):
            return next((f"[{index}]" for index, held in enumerate(holder) if held is value), "")
    elif isinstance(holder, (set, frozenset)):
        return "{…}"
    else:
        for name in (*getattr(holder, "__dict__", ()), *getattr(type(holder), "__slots__", ())):
            if not name.startswith("__") and getattr(holder, name, None) is value:
                return f".{name}"
    return ""


def _is_made(way: list[Any], position: int) -> bool:
    """Whether a tuple or dict on the way is arguments or state that pickling made, and not one that an object holds."""
    value = way[position]
    if position == 0 or type(value) not in (tuple, dict):
        return False
    above = way[position - 1]
    if type(above) is tuple:
        return _is_made(way, position - 1)
    if isinstance(above, (list, set, frozenset, Mapping)):
        return False
    return not any(held is value for held in getattr(above, "__dict__", {}).values())
