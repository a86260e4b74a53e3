"""Proxies: what stands here for an object that lives in a worker.

A proxy has the special methods that the object's class has, so it can be called, indexed, iterated over or entered as the
object can. All else is looked up in the worker when it is asked for; a method is called without being fetched before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..runtime.crossing import Description
from ..runtime.errors import UncrossableValue

__all__ = ["Caller", "Proxy", "RemoteMethod", "proxy_class"]


class Caller(Protocol):
    """What does the calls of a proxy: its session."""

    module_name: str

    def call(self, action: str, target: int, name: str, arguments: tuple[Any, ...] = (), named: Any = None) -> Any: ...


class Proxy:
    """An object in a worker. Nothing of it is here but the way to it."""

    __slots__ = ("__weakref__", "_tg_place")
    _tg_methods: frozenset[str] = frozenset()
    _tg_place: tuple[Caller, int]

    def __init__(self, session: Caller, number: int) -> None:
        object.__setattr__(self, "_tg_place", (session, number))

    def __getattr__(self, name: str) -> Any:
        if name in type(self)._tg_methods:
            return RemoteMethod(self, name)
        return _call(self, "get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        _call(self, "set", name, value)

    def __delattr__(self, name: str) -> None:
        _call(self, "delete", name)

    def __dir__(self) -> list[str]:
        return list(_call(self, "special", "__dir__"))

    def __repr__(self) -> str:
        return str(_call(self, "special", "__repr__"))

    def __str__(self) -> str:
        return str(_call(self, "special", "__str__"))

    def __format__(self, specification: str) -> str:
        return str(_call(self, "special", "__format__", specification))

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError(
            f"{type(self)} stands for an object in a worker, which cannot be pickled or copied here. Ask it for plain values"
        )


class RemoteMethod:
    """A method of an object in a worker."""

    __slots__ = ("__name__", "__self__")

    def __init__(self, proxy: Proxy, name: str) -> None:
        self.__self__ = proxy
        self.__name__ = name

    def __call__(self, /, *arguments: Any, **named: Any) -> Any:
        session, number = self.__self__._tg_place
        return session.call("call", number, self.__name__, arguments, named)

    def __getattr__(self, name: str) -> Any:
        return _call(self.__self__, "get", f"{self.__name__}.{name}")

    def __eq__(self, other: object) -> bool:
        return type(other) is RemoteMethod and self.__self__ is other.__self__ and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__name__))

    def __repr__(self) -> str:
        return f"<method {self.__name__} of {type(self.__self__)}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__self__.__reduce_ex__(protocol)


def proxy_class(description: Description) -> type[Proxy]:
    """The class of proxies for objects of a class."""
    members: dict[str, Any] = {name: _special(name) for name in description.special}
    members.update(
        __slots__=(),
        __module__=description.module,
        __qualname__=f"Proxy[{description.name}]",
        __doc__=description.documentation,
        _tg_methods=frozenset(description.methods),
    )
    if "__exit__" in members:
        members["__exit__"] = _exit
    for name in ("__eq__", "__ne__"):
        if name in members:
            members[name] = _comparing(name)
    return type(f"Proxy[{description.name.rpartition('.')[2]}]", (Proxy,), members)


def _call(proxy: Proxy, action: str, name: str, *arguments: Any) -> Any:
    session, number = proxy._tg_place
    return session.call(action, number, name, arguments)


def _special(name: str) -> Callable[..., Any]:
    def method(self: Proxy, /, *arguments: Any, **named: Any) -> Any:
        session, number = self._tg_place
        return session.call("special", number, name, arguments, named)

    method.__name__ = name
    return method


def _comparing(name: str) -> Callable[..., Any]:
    def method(self: Proxy, other: Any, /) -> Any:
        try:
            return _call(self, "special", name, other)
        except UncrossableValue:  # what cannot get there, an object of another worker too, is another object
            return NotImplemented

    method.__name__ = name
    return method


def _exit(self: Proxy, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> Any:
    """Tracebacks stay where they are; so does an exception that only this side knows, and the text of it goes."""
    try:
        return _call(self, "special", "__exit__", kind, error, None)
    except UncrossableValue:
        told = RuntimeError(f"{type(error).__name__}: {error}")
        return _call(self, "special", "__exit__", RuntimeError, told, None)
