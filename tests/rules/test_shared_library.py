"""A shared library as its bytes tell, held against what binutils read in it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from extensions import build

from tg.common.delivery.delivery.shared_library import LIBRARY_NAME, SharedLibrary, foreign_machine

ELF = b"\x7fELF\x02\x01" + bytes(12)


@pytest.mark.skipif(sys.platform != "linux", reason="ELF is what Linux has")
def test_it_says_what_it_needs_and_where_it_looks(tmp_path: Path) -> None:
    library = build(tmp_path / "libinner.so.1", "int inner(void) { return 1; }", "-Wl,-soname,libinner.so.1")
    options = [str(library), "-Wl,-rpath,$ORIGIN/../x.libs:/opt/lib", "-lm", "-Wl,--no-as-needed"]
    outer = build(tmp_path / "outer.so", "int inner(void); int outer(void) { return inner(); }", *options)
    read = SharedLibrary.of(outer.read_bytes())
    assert "libinner.so.1" in read.needed
    assert read.search_path == ("$ORIGIN/../x.libs", "/opt/lib")
    readelf = shutil.which("readelf")
    assert readelf is not None  # comes with the compiler
    printed = subprocess.run([readelf, "-d", str(outer)], capture_output=True, text=True, check=True).stdout
    assert list(read.needed) == re.findall(r"\(NEEDED\).*\[(.*)\]", printed)


@pytest.mark.parametrize("data", [b"", b"text", ELF, ELF + bytes(100), ELF + b"\xff" * 200])
def test_what_is_broken_or_no_library_needs_nothing(data: bytes) -> None:
    assert SharedLibrary.of(data) == SharedLibrary((), ())


@pytest.mark.skipif(sys.platform != "linux", reason="the formats are told apart from Linux's")
@pytest.mark.parametrize(
    ("header", "whose"),
    [
        (Path(sys.executable).read_bytes()[:20], None),
        (b"MZ" + bytes(18), "Windows"),
        (b"\xcf\xfa\xed\xfe" + bytes(16), "macOS"),
        (ELF + (243).to_bytes(2, "little"), "machines of riscv64"),
        (ELF + (9999).to_bytes(2, "little"), "machines of ELF's number 9999"),
        (b"GROUP ( /usr/lib/x )", None),
        (b"", None),
    ],
)
def test_another_machines_files_are_known_by_how_they_begin(header: bytes, whose: str | None) -> None:
    assert foreign_machine(header) == whose


def test_libraries_are_known_by_how_their_names_end() -> None:
    names = (
        "a.so",
        "a.cpython-311-x86_64-linux-gnu.so",
        "liba.so.1.2",
        "a.pyd",
        "a.dylib",
        "a.py",
        "a.so.txt",
        "aso",
        "a.sox",
    )
    assert [name for name in names if LIBRARY_NAME.search(name)] == list(names[:5])
