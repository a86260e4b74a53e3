"""Held objects: those that stay in the worker, by the numbers that the owner's proxies have.

A number is never given twice. The owner says how often it was told of a number when it lets go, so that an object which has
been sent once more meanwhile stays.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from .crossing import Description

__all__ = ["HeldObjects", "describe"]

_ARITHMETIC = (
    "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or".split()  # with a reflected one each
)
_SPECIAL = (
    *(f"__{name}__" for name in _ARITHMETIC),
    *(f"__r{name}__" for name in _ARITHMETIC),
    *(f"__i{name}__" for name in _ARITHMETIC if name != "divmod"),
    *"__neg__ __pos__ __abs__ __invert__ __round__ __trunc__ __floor__ __ceil__".split(),
    *"__bool__ __int__ __float__ __complex__ __index__ __bytes__ __hash__".split(),
    *"__lt__ __le__ __eq__ __ne__ __gt__ __ge__".split(),
    *"__len__ __length_hint__ __getitem__ __setitem__ __delitem__ __contains__ __iter__ __next__ __reversed__".split(),
    *"__call__ __enter__ __exit__ __instancecheck__ __subclasscheck__ __fspath__ __array__ __missing__".split(),
)


class HeldObjects:
    """The objects of one worker that its owner has proxies of."""

    def __init__(self, entry_point: Any) -> None:
        self._last = 0
        self._objects: dict[int, Any] = {0: entry_point}
        self._times_sent: dict[int, int] = {}
        self._numbers: dict[int, int] = {id(entry_point): 0}

    def look_up(self, number: int, name: str | None = None) -> Any:
        """The very object that the owner has a proxy of, or a method of it."""
        found = self._objects[number]
        return found if name is None else getattr(found, name)

    def hold(self, value: Any) -> int:
        """The number of an object that is about to be sent; the same for the same object, while it is held."""
        number = self._numbers.get(id(value))
        if number is None:
            self._last += 1
            number = self._last
            self._objects[number] = value
            self._numbers[id(value)] = number
            self._times_sent[number] = 0
        if number:
            self._times_sent[number] += 1
        return number

    def let_go(self, numbers: Iterable[tuple[int, int]]) -> None:
        """Proxies are gone: their numbers, and how often the owner had been told of each. The entry point is always held."""
        for number, times in numbers:
            if not number:
                continue
            self._times_sent[number] -= times
            if not self._times_sent[number]:
                del self._times_sent[number], self._numbers[id(self._objects.pop(number))]


def describe(kind: type) -> Description:
    """What the owner is told of a class."""
    special = tuple(name for name in _SPECIAL if _defines(kind, name))
    methods = []
    for name in dir(kind):
        if name.startswith("__"):
            continue
        found = inspect.getattr_static(kind, name, None)  # a metaclass can list what nobody finds
        if inspect.isroutine(found) or isinstance(found, (classmethod, staticmethod)):
            methods.append(name)
    documentation = kind.__doc__ if isinstance(kind.__doc__, str) else None  # it can be a property of the objects
    return Description(kind.__module__, kind.__qualname__, documentation, special, tuple(methods))


def _defines(kind: type, name: str) -> bool:
    """Whether objects of a class have a special method that not all objects have; `getattr` would find its metaclass's, too."""
    for one in kind.__mro__:
        if name in vars(one):
            return one is not object and vars(one)[name] is not None
    return False
