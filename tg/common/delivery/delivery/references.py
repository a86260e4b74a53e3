"""References: the classes and functions that a pickle names, told by reading its opcodes. Nothing of it is made or imported.

They are what unpickling would look up at first. What these do then, no reading tells: a function that a pickle names can
import another, and a pickle can lie in the bytes of a pickle. So this is for looking, and no defence.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from typing import IO, Any

__all__ = ["UNKNOWN", "references_in"]

UNKNOWN = "?"
"""The module and the name of a reference that the pickle makes up as it goes."""

_LIMIT = 20_000_000
_MARK = object()
_TEXT = re.compile("UNICODE|STRING")


def references_in(pickle: bytes | IO[bytes]) -> list[tuple[str, str]]:
    """Modules and qualified names in a pickle, each once, in their order. Raises `ValueError` for what is no pickle.

    Reading takes as much memory as the stack and the memo of the pickle have entries, 20 million of them at most.
    """
    reading = _Reading()
    file = io.BytesIO(pickle) if isinstance(pickle, (bytes, bytearray, memoryview)) else pickle
    try:
        for opcode, argument, _ in pickletools.genops(file):
            reading.take(opcode, argument)
    except (IndexError, KeyError, OverflowError, MemoryError) as error:
        raise ValueError(f"it takes from a stack what was never put there ({error!r})") from error
    return list(reading.found)


class _Reading:
    """The unpickler's stack and memo, with texts in them and `None` for all else."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], None] = {}
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._special: dict[str, Callable[[Any], None]] = {
            "GLOBAL": self._global,
            "INST": self._instance,
            "STACK_GLOBAL": self._stack_global,
            **dict.fromkeys(("EXT1", "EXT2", "EXT4"), self._extension),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            "DUP": lambda _: self._stack.append(self._stack[-1]),
            "MARK": lambda _: self._stack.append(_MARK),
            "POP": lambda _: self._drop(1),
            "POP_MARK": lambda _: self._drop_to_mark(),
        }

    def take(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        special = self._special.get(opcode.name)
        if special is not None:
            special(argument)
        else:
            before, after = opcode.stack_before, opcode.stack_after
            if pickletools.markobject in before:
                self._drop_to_mark()
                before = before[: before.index(pickletools.markobject)]
            self._drop(len(before))
            text = argument if isinstance(argument, str) and _TEXT.search(opcode.name) else None
            self._stack.extend([text] * len(after))
        if len(self._stack) + len(self._memo) > _LIMIT:
            raise ValueError(f"it has more than {_LIMIT} objects at a time, too many to be looked through")

    def _drop(self, count: int) -> None:
        if count > len(self._stack):
            raise IndexError("empty stack")
        del self._stack[len(self._stack) - count :]

    def _drop_to_mark(self) -> None:
        while self._stack.pop() is not _MARK:
            pass

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.found[module, name] = None
        self._stack.append(None)

    def _instance(self, argument: str) -> None:
        self._drop_to_mark()
        self._global(argument)

    def _stack_global(self, _: None) -> None:
        module, name = self._stack[-2:]
        self._drop(2)
        known = isinstance(module, str) and isinstance(name, str)
        self.found[(module, name) if known else (UNKNOWN, UNKNOWN)] = None
        self._stack.append(None)

    def _extension(self, code: int) -> None:
        self.found[UNKNOWN, f"copyreg extension {code}"] = None
        self._stack.append(None)
