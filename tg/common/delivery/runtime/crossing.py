"""Crossing: how values go from one process to the other, and how messages name what does not go.

A value of things that both sides have is pickled, its big buffers out of band. An object that stays in the worker is *held*
there: the message has a call of `held` in its place, with its number, which each side reads in its own way. What is said of
a held object is its `Description`, from which the owner makes a proxy.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import IO, Any, NamedTuple

from .channel import Channel, Message, Packed
from .names import lies_in, rename
from .reducers import write_plainly
from .resources import BUFFER_THRESHOLD_BYTES

__all__ = ["CALL_NUMBER_BYTES", "Answer", "Description", "IncomingValues", "OutgoingValues", "Request", "held"]

CALL_NUMBER_BYTES = 8
"""The number of a call that is to be given up, as it is written into a pipe, little end first."""


class Description(NamedTuple):
    """What the owner is told of the class of a held object: its name, and what it can be asked without asking for it."""

    module: str
    name: str
    documentation: str | None
    special: tuple[str, ...]
    """Its special methods, `__len__` and the like."""
    methods: tuple[str, ...]


class Request(NamedTuple):
    """What the worker is to do: `action` is the name of a method of `Worker`, or `again`.

    `again`: the answer to the request of this number cannot be read. `name` is a module that the owner has not, or empty
    where that is not the reason; the argument is how many references to held objects it had read before it found out.
    """

    number: int
    action: str
    target: int
    """The number of a held object; 0 is the worker's entry point."""
    name: str
    arguments: tuple[Any, ...]
    named: dict[str, Any]
    let_go: list[tuple[int, int]]
    """Numbers of held objects whose proxies are gone, and how many times each had been sent."""
    levels: tuple[int, int]
    """Of the owner's root logger, and of the logger `tg`."""
    outer: tuple[int, ...]
    """The numbers of the calls that this one is made within: while their arguments are written, or what came of them is read."""


class Answer(NamedTuple):
    """How it went, by `kind`.

    `value`; `raised`, an exception that goes by value; `failed`, one that stays; `cancelled`; `unread`, a request that could
    not be read, of which nothing was done; `refused`, a value that could not be sent.
    """

    kind: str
    value: Any = None
    error_type: str = ""
    message: str = ""
    traceback: str = ""


def held(number: int, name: str | None = None, description: tuple[Any, ...] | None = None) -> Any:
    """Stands in messages for an object that is held, or for its method `name`. Only messages are read with it."""
    raise pickle.UnpicklingError(f"a message between processes, with the held object {number}, is no file to load")


class OutgoingValues(pickle.Pickler):
    """Writes one message. What refers to held objects is for the side that sends to say (`reducer_override`)."""

    def __init__(self) -> None:
        # No reference leads back to the pickler, so what it has seen is let go at once, and not by the garbage collector.
        self.pieces: list[bytes] = []
        buffers: list[pickle.PickleBuffer] = []

        def stays_in(buffer: pickle.PickleBuffer) -> bool:
            if buffer.raw().nbytes < BUFFER_THRESHOLD_BYTES:
                return True
            buffers.append(buffer)
            return False

        self.buffers = buffers
        super().__init__(SimpleNamespace(write=self.pieces.append), protocol=5, buffer_callback=stays_in)
        write_plainly(self)

    def pack(self, value: tuple[Any, ...], channel: Channel) -> Packed:
        """Write one value, ready to be sent. Raises what pickling raises."""
        self.dump(value)
        return channel.pack(self.pieces, self.buffers)


class IncomingValues(pickle.Unpickler):
    """Reads one message. `held` is what this side takes a call of `held` for.

    It must not refer to the unpickler, which would be there, with all that it has read, until the garbage collector comes.
    """

    def __init__(self, message: Message, file: IO[bytes], held: Callable[..., Any]) -> None:
        super().__init__(file, buffers=message.buffers)
        self._held = held

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """A global of the message."""
        if global_name == "held" and module_name.endswith("tg.common.delivery.runtime.crossing"):
            return self._held
        return self.find_value(module_name, global_name)

    def find_value(self, module_name: str, global_name: str) -> Any:
        """Any other global, as `pickle.Unpickler.find_class` finds it; one that NumPy has moved, where it is here."""
        moved = rename(module_name, "numpy.core", "numpy._core")
        if lies_in(moved, "numpy._core"):
            # Pickles of arrays say one in NumPy 1 and the other in NumPy 2, which stand in for each other only in part.
            with suppress(ModuleNotFoundError, AttributeError):
                return super().find_class(moved, global_name)
            module_name = rename(module_name, "numpy._core", "numpy.core")
        return super().find_class(module_name, global_name)
