"""Bytecode for images: the same bytes, whoever compiles."""

from __future__ import annotations

import hashlib
import marshal
import sys

import pytest

from tg.common.delivery.images import bytecode
from tg.common.delivery.images.bytecode import Interpreter, bytecode_path, compile_texts

SOURCES = {
    "plain.py": b"def f(a, *, b='text', c=(1, 2.5, None, ...)):\n    return [a for a in range(3)], lambda: b\n",
    "sets.py": b"def f(a):\n    return a in {'x', 'y', 'z', 'other'} or a in {1, 2, None}\n",
    "nested.py": b"class A:\n    def m(self):\n        def n():\n            return 'x y' in {'p', 'q'}\n        return n\n",
    "broken.py": b"class {{ name }}:\n",
    "old.py": b"print 'python 2'\n",
    "odd.py": b"x = '\\d'\n",
    "latin.py": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    "empty.py": b"",
}
TEXTS = {path: (hashlib.sha256(text).hexdigest(), text) for path, text in SOURCES.items()}
HERE = Interpreter.of_version("{}.{}".format(*sys.version_info[:2]))


def test_a_few_modules_compiled_here_have_the_bytes_that_the_worker_gives(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    here = compile_texts(TEXTS, HERE)
    monkeypatch.setenv("TG_HOME", str(tmp_path_factory.mktemp("another")))
    monkeypatch.setattr(bytecode, "_FEW", 0)
    assert compile_texts(TEXTS, HERE) == here
    assert sorted(here) == ["empty.py", "latin.py", "nested.py", "odd.py", "plain.py", "sets.py"]


def test_what_is_known_is_not_compiled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_texts(TEXTS, HERE)
    monkeypatch.setattr(bytecode, "_compiled_here", None)
    monkeypatch.setattr(bytecode, "compile_files", None)
    assert compile_texts(TEXTS, HERE) == first


def test_what_was_written_badly_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = compile_texts(TEXTS, HERE)
    for file in bytecode.Loc.cache.glob("bytecode-*"):
        file.write_bytes(file.read_bytes()[:-10])
    assert compile_texts(TEXTS, HERE) == first


def test_it_runs() -> None:
    namespace: dict[str, object] = {}
    exec(marshal.loads(compile_texts(TEXTS, HERE)["sets.py"][16:]), namespace)
    assert namespace["f"]("y") is True  # type: ignore[operator]


def test_places_are_those_of_python() -> None:
    assert bytecode_path("a/b.py", HERE) == f"a/__pycache__/b.{sys.implementation.cache_tag}.pyc"
    assert bytecode_path("b.py", HERE) == f"__pycache__/b.{sys.implementation.cache_tag}.pyc"
