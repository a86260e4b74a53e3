"""The syntax check: what a second process finds is what this one would find, also when that process dies."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from tg.common.delivery.delivery import syntax
from tg.common.delivery.delivery.bytecode import compiled_modules
from tg.common.delivery.delivery.parsing import syntax_error
from tg.common.delivery.delivery.syntax import SyntaxCheck

SOURCES = {
    "good": b"x = 1\n",
    "bad": b"x = 1\n\ndef f(:\n",
    "null": b"x = '\0'\n",
    "latin": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    "unknown_encoding": b"# -*- coding: no-such -*-\n",
    "not_utf8": b"x = '\xff'\n",
    "deep": b"(" * 5000,
    "unfinished": b"x = (1,\n",
}


@pytest.fixture
def modules(tmp_path: Path) -> dict[str, bytes]:
    """A hundred and sixty modules, every eighth of each kind, as files."""
    found = {}
    for number in range(20):
        for name, source in SOURCES.items():
            file = tmp_path / f"{name}{number}.py"
            file.write_bytes(source)
            found[str(file)] = source
    return found


def test_a_second_process_finds_what_this_one_would(modules: dict[str, bytes]) -> None:
    with SyntaxCheck(list(modules)) as check:
        assert check._child is not None
        found = check.errors(modules)
    assert found == {where: syntax_error(where, source) for where, source in modules.items()}
    assert {Path(where).name[:4] for where, error in found.items() if error is None} == {"good", "lati"}
    assert next(error for where, error in found.items() if "bad" in where) == (3, "invalid syntax")


def test_when_that_process_is_killed_this_one_does_the_work(modules: dict[str, bytes]) -> None:
    with SyntaxCheck(list(modules)) as check:
        assert check._child is not None
        os.kill(check._child._pid, signal.SIGKILL)
        found = check.errors(modules)
    assert found == {where: syntax_error(where, source) for where, source in modules.items()}


def test_without_an_executable_this_one_does_the_work(
    modules: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with SyntaxCheck(list(modules)) as check:
        assert check.errors(modules)[next(iter(modules))] is None
    monkeypatch.delattr(os, "posix_spawn")
    with SyntaxCheck(list(modules)) as check:
        assert check.errors(modules)[next(iter(modules))] is None


def test_a_check_that_nobody_waits_for_leaves_no_process_and_no_open_file(modules: dict[str, bytes]) -> None:
    gc.collect()  # what other tests have left is closed now
    files = len(os.listdir("/proc/self/fd"))
    with SyntaxCheck(list(modules)) as check:
        assert check._child is not None
        child = check._child._pid
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert len(os.listdir("/proc/self/fd")) == files


def test_a_file_that_vanishes_meanwhile_is_judged_by_what_was_read(modules: dict[str, bytes]) -> None:
    bad = next(where for where in modules if "bad" in where)
    for where in modules:
        os.unlink(where)
    with SyntaxCheck(list(modules)) as check:
        assert check.errors(modules)[bad] == (3, "invalid syntax")


def test_few_modules_are_checked_without_a_process(modules: dict[str, bytes]) -> None:
    few = dict(list(modules.items())[:10])
    with SyntaxCheck(list(few)) as check:
        assert check._child is None
        assert check.errors(few) == {where: syntax_error(where, source) for where, source in few.items()}


def test_the_share_of_the_second_process_is_most_of_the_work() -> None:
    share, of = syntax._THEIRS
    assert 0.5 <= share / of < 1


def compiled(file: Path) -> Path:
    import py_compile

    return Path(py_compile.compile(str(file), doraise=True))


def test_what_python_has_compiled_as_it_is_counts_as_checked(tmp_path: Path) -> None:
    for name in ("a", "b", "changed", "never", "by_hash"):
        (tmp_path / f"{name}.py").write_text("x = 1\n")
    for name in ("a", "b", "changed"):
        compiled(tmp_path / f"{name}.py")
    (tmp_path / "changed.py").write_text("x = (1\n# longer\n")
    cached = Path(importlib.util.cache_from_source(str(tmp_path / "by_hash.py")))
    cached.write_bytes(importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + bytes(8))
    found = compiled_modules([str(path) for path in tmp_path.glob("*.py")])
    assert {Path(path).stem for path in found} == {"a", "b"}


def test_trees_are_made_one_at_a_time_by_many_threads() -> None:
    from tg.common.delivery.delivery.relocation import relocate

    source = b"import tg.x\n" + b"def f(a, b):\n    return [a + b * (a - b) for _ in range(3)]\n" * 200
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                relocate(source, ["tg"], "tg/p/m.py")
        except SystemError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
