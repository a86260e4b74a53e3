"""A shared library as its bytes tell: for which machine it is, which libraries it needs and where it looks for them.

Only ELF is read (System V ABI, chapter 5), which Linux has. Of other formats nothing is told but that they are others.
"""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["LIBRARY_NAME", "SharedLibrary", "compiled_module", "foreign_machine"]

LIBRARY_NAME = re.compile(r"\.(?:so(?:\.[0-9]+)*|dylib|pyd|dll)\Z")
"""How the names of shared libraries end, extension modules of Python included."""

_EXTENSIONS = (".so", ".pyd")

_ELF = b"\x7fELF"
_HEADER_BYTES = 20
_SYSTEMS = {
    _ELF: "Linux",
    b"MZ": "Windows",
    b"\xcf\xfa\xed\xfe": "macOS",
    b"\xce\xfa\xed\xfe": "macOS",
    b"\xca\xfe\xba\xbe": "macOS",
}
_MACHINES = {3: "i686", 40: "arm", 62: "x86_64", 183: "aarch64", 243: "riscv64", 21: "ppc64", 22: "s390x"}
_LOADED, _DYNAMIC = 1, 2  # kinds of segments
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29  # tags of the dynamic section


@dataclass(frozen=True)
class SharedLibrary:
    """What an ELF file says: the names of the libraries it needs, and the folders it looks for them in, as written."""

    needed: tuple[str, ...]
    search_path: tuple[str, ...]

    @classmethod
    def of(cls, data: bytes) -> SharedLibrary:
        """Read it. What is no ELF file, or a broken one, needs nothing that can be told."""
        if not data.startswith(_ELF):
            return cls((), ())
        try:
            entries = list(_dynamic_entries(data))
            strings = next((_offset(data, value) for tag, value in entries if tag == _STRINGS), None)
            if strings is None:
                return cls((), ())
            paths = [_text(data, strings + value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
            return cls(
                tuple(_text(data, strings + value) for tag, value in entries if tag == _NEEDED),
                tuple(one for path in paths for one in path.split(":") if one),
            )
        except (struct.error, ValueError, IndexError, OverflowError):
            return cls((), ())


def compiled_module(path: str) -> str | None:
    """`mycompany.fast` for `mycompany/fast.cpython-312-x86_64-linux-gnu.so`, whatever Python it is for; `None` if it is no module."""
    folder, _, file = path.rpartition("/")
    if not file.endswith(_EXTENSIONS):
        return None
    name = file.partition(".")[0]
    return ".".join([*folder.split("/")] * bool(folder) + [name] * (name != "__init__"))


def foreign_machine(header: bytes) -> str | None:
    """For which other system or machine a file is that begins so; `None` for this one, and for what is no shared library."""
    system = next((name for magic, name in _SYSTEMS.items() if header.startswith(magic)), None)
    if system is None or _system() is None:
        return None
    if system != _system():
        return system
    ours = _own_header()
    if system != "Linux" or len(header) < _HEADER_BYTES or not ours.startswith(_ELF):
        return None
    same = header[4:6] == ours[4:6] and header[18:20] == ours[18:20]
    return None if same else f"machines of {_machine(header)}"


def _system() -> str | None:
    return {"linux": "Linux", "darwin": "macOS", "win32": "Windows"}.get(sys.platform)


@lru_cache(maxsize=1)
def _own_header() -> bytes:
    """The Python that runs is a program for this machine."""
    try:
        with open(sys.executable, "rb") as file:
            return file.read(_HEADER_BYTES)
    except OSError:  # embedded
        return b""


def _machine(header: bytes) -> str:
    order = "<" if header[5] == 1 else ">"
    number: int = struct.unpack_from(f"{order}H", header, 18)[0]
    return _MACHINES.get(number, f"ELF's number {number}")


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Kind, offset, address and size of each segment."""
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    start = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    for index in range(count):
        position = start + index * size
        if wide:
            kind, _, offset, address, _, in_file = struct.unpack_from(f"{order}IIQQQQ", data, position)
        else:
            kind, offset, address, _, in_file = struct.unpack_from(f"{order}IIIII", data, position)
        yield kind, offset, address, in_file


def _dynamic_entries(data: bytes) -> Iterator[tuple[int, int]]:
    form = ("<" if data[5] == 1 else ">") + ("qQ" if data[4] == 2 else "iI")
    for kind, offset, _, size in _segments(data):
        if kind == _DYNAMIC:
            for position in range(offset, offset + size, struct.calcsize(form)):
                tag, value = struct.unpack_from(form, data, position)
                if tag == 0:
                    return
                yield tag, value


def _offset(data: bytes, address: int) -> int:
    for kind, offset, start, size in _segments(data):
        if kind == _LOADED and start <= address < start + size:
            return offset + address - start
    raise ValueError(f"no segment has the address {address:#x}")


def _text(data: bytes, position: int) -> str:
    return data[position : data.index(b"\0", position)].decode("utf-8", "surrogateescape")
