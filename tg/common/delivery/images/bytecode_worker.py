"""Compiles source files; its text is run by the Python that an image has. Standard library only, no import of ours.

A job, on the standard input, is a line of JSON, `[source file, path in the image, file to write]`. The bytecode is of the unchecked kind (PEP 552):
in an image nobody changes the source, and its time is not kept. Two things make the bytes the same every time: marshal
format 2, which has no references and so does not show what else the process holds, and PYTHONHASHSEED=0, since sets of
constants are written in their order. What does not parse is left without bytecode, as pip leaves it.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import marshal
import sys
import warnings
from types import CodeType

__all__ = ["unchecked_bytecode"]

_UNCHECKED = (1).to_bytes(4, "little")


def unchecked_bytecode(text: bytes, code: CodeType) -> bytes:
    """The content of a `.pyc` file (PEP 552, flags 0b01)."""
    return importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(text) + marshal.dumps(code, 2)


def _main() -> None:
    warnings.simplefilter("ignore")
    gc.disable()  # nothing here goes round in circles, and a tenth of the time would go into looking for it
    for line in sys.stdin:
        source, path, target = json.loads(line)
        with open(source, "rb") as file:
            text = file.read()
        try:
            code = compile(text, path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError):
            continue
        with open(target, "wb") as file:
            file.write(unchecked_bytecode(text, code))


if __name__ == "__main__":
    _main()
