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
    search.dump(value)
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
            if isinstance(value, (type, FunctionType)):
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
            for above, below in zip(way[position:-1], way[position + 1 :], strict=True):
                step = _step(above, below, holder)
                if step is not None:
                    if step.startswith("._"):
                        return position
                    break
    return None


def _path(key: str, way: list[Any]) -> str:
    """The way from the payload object to the last one, as one would write it."""
    path = key
    for position in range(1, len(way)):
        holder, value = way[position - 1], way[position]
        step = _step(holder, value, way[position - 2] if position > 1 else None)
        if step is not None:
            path += step
    return path


def _step(holder: Any, value: Any, above: Any) -> str | None:
    if isinstance(holder, Mapping):
        for name, held in holder.items():
            if held is value:
                is_state = above is not None and not isinstance(above, (list, tuple, set, frozenset, Mapping))
                return f".{name}" if is_state and isinstance(name, str) else f"[{name!r}]"
            if name is value:
                return f" (key {name!r})"
        return None
    if isinstance(holder, (list, tuple)):
        for index, held in enumerate(holder):
            if held is value:
                return f"[{index}]" if not _is_arguments(holder, above) else None
        return None
    if isinstance(holder, (set, frozenset)):
        return "{…}"
    names = [*getattr(holder, "__dict__", ()), *getattr(type(holder), "__slots__", ())]
    for name in names:
        if getattr(holder, name, None) is value:
            return f".{name}"
    return None


def _is_arguments(holder: Any, above: Any) -> bool:
    """Whether a tuple is one that pickling made, and not one that the objects hold."""
    if type(holder) is not tuple or above is None:
        return False
    if isinstance(above, (list, tuple)):
        return not any(held is holder for held in above)
    if isinstance(above, Mapping):
        return not any(held is holder for held in above.values())
    return not any(held is holder for held in getattr(above, "__dict__", {}).values())
