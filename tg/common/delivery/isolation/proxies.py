"""The proxies of one session: one for each object that the worker has sent, and what the worker is to be told of those gone."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable

from ..runtime.crossing import Description
from .proxy import Caller, Proxy, proxy_class

__all__ = ["Proxies"]


class Proxies:
    """Proxies by the numbers of what they stand for; they live as long as somebody uses them."""

    def __init__(self) -> None:
        self._references: dict[int, _Reference] = {}
        self._classes: dict[Description, type[Proxy]] = {}
        self._let_go: deque[tuple[int, int]] = deque()

    def of(self, caller: Caller, number: int, description: Description) -> Proxy:
        """The proxy of an object that was sent, the same one as long as there is one."""
        reference = self._references.get(number)
        proxy = reference() if reference is not None else None
        if reference is not None and proxy is not None:
            reference.times += 1
            return proxy
        kind = self._classes.get(description)
        if kind is None:
            kind = self._classes[description] = proxy_class(description)
        proxy = kind(caller, number)
        reference = self._references[number] = _Reference(proxy, _gone)
        reference.number, reference.times, reference.proxies = number, 1, self
        return proxy

    def take_let_go(self) -> list[tuple[int, int]]:
        """The numbers whose proxies are gone, and how often each had been sent."""
        return [self._let_go.popleft() for _ in range(len(self._let_go))]

    def were_not_told(self, numbers: Iterable[tuple[int, int]]) -> None:
        """These could not be told to the worker: the next message will have them."""
        self._let_go.extend(numbers)

    def has_gone(self, reference: _Reference) -> None:
        """A proxy is gone. This happens at any moment, in any thread, and so waits for nothing."""
        self._let_go.append((reference.number, reference.times))
        if self._references.get(reference.number) is reference:
            del self._references[reference.number]


class _Reference(weakref.ref[Proxy]):
    number: int
    times: int
    """How often the worker has sent the object."""
    proxies: Proxies


def _gone(reference: weakref.ref[Proxy]) -> None:
    assert isinstance(reference, _Reference)
    reference.proxies.has_gone(reference)
