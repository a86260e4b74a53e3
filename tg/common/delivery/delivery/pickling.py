"""Pickling the payload: under the names of the package, the same bytes for the same objects, big buffers beside it.

A resource is a *prologue* and a *body*. The body is what the standard pickler writes; the prologue comes before it
in the same stream, makes objects that the body refers to, and puts them into the unpickler's memo. In it stand

1. the classes and functions of the source tree, under the package's names. The body has no name of the tree in it, so it
   is the same for every UID, and the UID can be made from it;
2. sets of plain values, in sorted order, since their own order changes with every process (`PYTHONHASHSEED`);
3. bytes of 64 KiB and more, which the pickler itself never puts out of band (PEP 574 leaves that to the type).

The pickler finds these objects in its memo and writes a reference. A first pass, written nowhere, finds them, and
finds all that cannot be pickled or would not be delivered before anything is written.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from ..runtime.errors import UndeliverablePayload
from ..runtime.reducers import write_plainly
from ..runtime.resources import BUFFER_THRESHOLD_BYTES
from .obstacles import find_obstacles
from .origins import Origins
from .torch_storage import StorageReducer

__all__ = ["PickledResource", "pickle_resource", "roots_outside"]

_PROTOCOL = 5
_PLAIN = (str, bytes, int, float, complex, bool, type(None))


@dataclass(frozen=True)
class PickledResource:
    """One payload object, pickled but for the names of the package.

    `globals` are the modules (by their names inside the package) and qualified names of the tree's classes and functions
    in it, in memo order; `foreign` the modules of all others, sorted; `values` the opcodes that make the rest of the prologue; `buffers` are one-dimensional views of bytes, in load order.
    """

    key: str
    globals: tuple[tuple[str, str], ...]
    foreign: tuple[str, ...]
    values: bytes
    body: bytes
    buffers: tuple[memoryview, ...]

    def dump(self, prefix: str) -> bytes:
        """The pickle, with `prefix` before the names of the roots: `UID.`, or nothing."""
        named = [_global(prefix + module, name) for module, name in self.globals]
        return b"".join([pickle.PROTO, bytes([_PROTOCOL]), *named, self.values, self.body])


def pickle_resource(key: str, value: Any, origins: Origins) -> PickledResource:
    """Pickle one object of the payload.

    Raises `UndeliverablePayload` with every place in it that cannot be pickled, or whose code would not be
    delivered.
    """
    scout = _Scout(origins)
    try:
        scout.dump(value)
        unclear = scout.found_problem
    except RecursionError as error:
        raise UndeliverablePayload(
            "payload", [f"{key} is nested deeper than Python can pickle. Keep long chains in a list."]
        ) from error
    except Exception:  # noqa: BLE001  whatever the objects' own code raises; the slow search tells where
        unclear = True
    if unclear:
        problems = find_obstacles(key, value, origins)
        raise UndeliverablePayload("payload cannot be delivered", problems)
    prologue = _Prologue()
    for _, _, definition in scout.globals.values():
        prologue.remember(definition)
    values = []
    # Sorted as well: those within a set were found in its own order.
    for opcodes, plain in sorted(
        ((_sorted_set(plain), plain) for plain in scout.sets.values()), key=lambda pair: pair[0]
    ):
        values.append(opcodes + pickle.MEMOIZE + pickle.POP)
        prologue.remember(plain)
    buffers: list[pickle.PickleBuffer] = []
    for big in scout.big_bytes.values():
        values.append(_out_of_band(type(big)))
        buffers.append(pickle.PickleBuffer(big))
        prologue.remember(big)
    file = io.BytesIO()
    if scout.reduced or "torch" in sys.modules:
        body: pickle.Pickler = _BodyPickler(file, scout.reduced, _callback(buffers))
    else:  # the pickler need call nothing of ours for each object
        body = pickle.Pickler(file, _PROTOCOL, buffer_callback=_callback(buffers))
    write_plainly(body)
    body.memo = prologue.memo
    body.dump(value)
    return PickledResource(
        key=key,
        globals=tuple((module, name) for module, name, _ in scout.globals.values()),
        foreign=tuple(sorted(scout.foreign)),
        values=b"".join(values),
        body=file.getvalue()[2:],  # the prologue has said which protocol it is
        buffers=tuple(buffer.raw() for buffer in buffers),
    )


def roots_outside(value: Any, origins: Origins) -> set[str]:
    """The top-level packages of classes and functions that an object refers to, and that would not travel."""
    scout = _Scout(origins)
    with suppress(Exception):  # what cannot be pickled is told by pickling it
        scout.dump(value)
    return scout.outside


class _Prologue:
    """The pickler's memo as the prologue leaves it: `{id: (index, object)}`."""

    def __init__(self) -> None:
        self.memo: dict[int, tuple[int, Any]] = {}

    def remember(self, value: Any) -> None:
        self.memo[id(value)] = (len(self.memo), value)


class _Nowhere(io.RawIOBase):
    """Takes what is written and forgets it."""

    def write(self, data: Any, /) -> int:
        return len(data)


class _BodyPickler(pickle.Pickler):
    """The standard pickler, given what objects said in the first pass, and what torch's storages are: buffers."""

    def __init__(
        self, file: Any, reduced: dict[int, tuple[Any, tuple[Any, ...]]], callback: Callable[..., bool]
    ) -> None:
        super().__init__(file, _PROTOCOL, buffer_callback=callback)
        self._reduced = reduced
        self._storages = StorageReducer()

    def reducer_override(self, value: Any, /) -> Any:
        said = self._reduced.get(id(value))
        return self._storages.reduce(value) if said is None else _replayed(said[1])


class _Scout(pickle.Pickler):
    """The first pass: sees every object, writes nothing."""

    def __init__(self, origins: Origins) -> None:
        super().__init__(_Nowhere(), _PROTOCOL, buffer_callback=lambda buffer: False)
        write_plainly(self)
        self._origins = origins
        self._storages = StorageReducer()
        self.globals: dict[int, tuple[str, str, Any]] = {}
        self.foreign: set[str] = set()
        self.sets: dict[int, set[Any] | frozenset[Any]] = {}
        self.big_bytes: dict[int, bytes | bytearray] = {}
        self.reduced: dict[int, tuple[Any, tuple[Any, ...]]] = {}
        self.outside: set[str] = set()
        self.found_problem = False

    def persistent_id(self, value: Any, /) -> None:
        """Called for every object before anything else is done with it; `None` lets the pickler go on."""
        kind = type(value)
        if kind is set or kind is frozenset:
            if len(value) > 1 and all(_is_plain(item) for item in value):
                self.sets[id(value)] = value
        elif (kind is bytes or kind is bytearray) and len(value) >= BUFFER_THRESHOLD_BYTES:
            self.big_bytes[id(value)] = value

    def reducer_override(self, value: Any, /) -> Any:
        # By their types: aliases such as `Box[int]` and proxies claim to be the class they stand for.
        if issubclass(type(value), (type, FunctionType)):
            if self._origins.problem_of(value) is not None:
                self.found_problem = True
                self._note_outside(value.__module__)
                return str, ()  # something harmless, so that the rest is looked at
            self._note(value, value.__module__, value.__qualname__)
            return NotImplemented
        storage = self._storages.reduce(value)
        kind = type(value)
        if storage is not NotImplemented or kind in copyreg.dispatch_table or not _reduces_itself(kind):
            return storage
        reduced = value.__reduce_ex__(_PROTOCOL)
        if isinstance(reduced, str):  # "I am the global of this name": type variables, sentinels
            module = pickle.whichmodule(value, reduced)  # type: ignore[attr-defined]
            if self._origins.problem_of_global(module, reduced) is not None:
                self.found_problem = True
                self._note_outside(module)
            self._note(value, module, reduced)
        else:
            # Its parts may be made anew each time it is asked; the iterators in it can be used once.
            reduced = (*reduced[:3], *(part if part is None else list(part) for part in reduced[3:5]), *reduced[5:])
            self.reduced[id(value)] = value, reduced
        return _replayed(reduced)

    def _note_outside(self, module: str) -> None:
        if self._origins.could_be_in_a_root(module):
            self.outside.add(module.partition(".")[0])

    def _note(self, value: Any, module: str, name: str) -> None:
        inside = self._origins.roots.inside(module)
        if inside is not None:
            self.globals.setdefault(id(value), (inside, name, value))
        else:
            self.foreign.add(module)


def _reduces_itself(kind: type) -> bool:
    """Whether objects of a type have a say in how they are pickled."""
    names = ("__reduce__", "__reduce_ex__", "__getstate__")  # the last is one of `object` only since Python 3.11
    return any(getattr(kind, name, None) is not getattr(object, name, None) for name in names)


def _replayed(reduced: Any) -> Any:
    """What `__reduce_ex__` gave, with fresh iterators over the items in it."""
    if isinstance(reduced, str):
        return reduced
    return (*reduced[:3], *(part if part is None else iter(part) for part in reduced[3:5]), *reduced[5:])


def _is_plain(value: Any) -> bool:
    return type(value) in _PLAIN or (type(value) in (tuple, frozenset) and all(_is_plain(item) for item in value))


def _callback(buffers: list[pickle.PickleBuffer]) -> Callable[[pickle.PickleBuffer], bool]:
    def take(buffer: pickle.PickleBuffer) -> bool:
        """Keep big buffers out of the stream. A true answer leaves the buffer in it."""
        if buffer.raw().nbytes < BUFFER_THRESHOLD_BYTES:
            return True
        buffers.append(buffer)
        return False

    return take


def _text(value: str) -> bytes:
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) < 256:
        return pickle.SHORT_BINUNICODE + bytes([len(encoded)]) + encoded
    return pickle.BINUNICODE + struct.pack("<I", len(encoded)) + encoded


def _global(module: str, name: str) -> bytes:
    return _text(module) + _text(name) + pickle.STACK_GLOBAL + pickle.MEMOIZE + pickle.POP


def _sorted_set(value: set[Any] | frozenset[Any]) -> bytes:
    """`set([...])`, in an order that follows from the values alone."""
    opcodes = [_text("builtins"), _text(type(value).__name__), pickle.STACK_GLOBAL, pickle.MARK]
    opcodes += sorted(_plain_opcodes(item) for item in value)
    return b"".join([*opcodes, pickle.LIST, pickle.TUPLE1, pickle.REDUCE])


def _plain_opcodes(value: Any) -> bytes:
    if type(value) is tuple:
        return b"".join([pickle.MARK, *map(_plain_opcodes, value), pickle.TUPLE])
    if type(value) is frozenset:
        return _sorted_set(value)
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 4)
    pickler.fast = True  # no memo: the numbers in it are the prologue's
    pickler.dump(value)
    return _without_frame(file.getvalue())


def _without_frame(pickled: bytes) -> bytes:
    """The opcodes alone: no PROTO, no FRAME, no STOP."""
    start = 2 + (9 if pickled[2:3] == pickle.FRAME else 0)
    return pickled[start:-1]


def _out_of_band(kind: type[bytes] | type[bytearray]) -> bytes:
    opcodes = [_text("builtins"), _text(kind.__name__), pickle.STACK_GLOBAL, pickle.NEXT_BUFFER]
    return b"".join([*opcodes, pickle.TUPLE1, pickle.REDUCE, pickle.MEMOIZE, pickle.POP])
