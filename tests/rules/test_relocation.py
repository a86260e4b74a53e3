"""Relocation: absolute imports of the tree become relative, and nothing else changes."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.delivery.relocation import imports_of, may_need_relocation, relocate


def relocated(source: str, depth: int = 1) -> str:
    return relocate(source.encode(), "tg", depth).source.decode()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("from tg.x import y", "from ..x import y"),
        ("from tg.x.z import (y,\n  w as v)", "from ..x.z import (y,\n  w as v)"),
        ("from tg import x", "from .. import x"),
        ("from tg.x import *", "from ..x import *"),
        ("from tg . x import y", "from ..x import y"),
        ("import tg", "from ... import tg"),
        ("import tg as t", "from ... import tg as t"),
        ("import tg.x", "from .. import x as tg; from ... import tg"),
        ("import tg.x.y as z", "from ..x import y as z"),
        ("import os, tg.x as x, re as r", "import os; from .. import x as x; import re as r"),
        ("if a: import tg; b()", "if a: from ... import tg; b()"),
        ("def f():\n    from tg.x import y", "def f():\n    from ..x import y"),
        ('s = "é"; from tg.x import y', 's = "é"; from ..x import y'),
        ("from tg \\\n  .x import y", "from ..x\\\n import y"),
        ("import \\\n  tg.x as x", "from \\\n.. import x as x"),
        ("import_module('tg.x')", 'import_module("..x", __spec__.parent)'),
        ("importlib.import_module('tg')", 'importlib.import_module("..", __spec__.parent)'),
        ("\x0cfrom tg.x import y", "\x0cfrom ..x import y"),
    ],
)
def test_a_reference_to_the_tree_becomes_relative(written: str, expected: str) -> None:
    assert may_need_relocation(written.encode(), "tg")
    assert relocated(written) == expected
    ast.parse(expected)


@pytest.mark.parametrize(
    "source",
    [
        "import tgbot, tg2.x",
        "from tgbot.tg import x",
        "from .tg import x",
        "from x import tg",
        "'from tg.x import y'",
        "# import tg.x",
        '"""\nfrom tg.x import y\n"""',
        "tg = 3",
        "import_module('tgbot')",
        "import_module('.x', __package__)",
    ],
)
def test_what_only_looks_like_one_stays(source: str) -> None:
    assert relocated(source) == source
    assert relocate(source.encode(), "tg", 1).unresolved == ()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x = 1\nimport_module(name)", "import_module(name)"),
        ("\nimportlib.import_module(f'tg.{name}')", "importlib.import_module(f'tg.{name}')"),
        ("\nimport_module('tg.' +\n   name)", "import_module('tg.' + name)"),
        ("\n__import__('tg.x')", "__import__('tg.x')"),
        ("\nimportlib.resources.files('tg.x')", "importlib.resources.files('tg.x')"),
    ],
)
def test_what_cannot_be_relocated_is_reported_with_its_line(source: str, shown: str) -> None:
    assert may_need_relocation(source.encode(), "tg")
    assert relocate(source.encode(), "tg", 1).unresolved == ((2, shown),)


@pytest.mark.parametrize("name", ["f'plugins.{name}'", "'json'"])
def test_a_name_that_certainly_is_not_of_the_tree_is_not_reported(name: str) -> None:
    assert relocate(f"import_module({name})".encode(), "tg", 1).unresolved == ()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "cp1252"])
def test_the_encoding_a_file_declares_is_kept(encoding: str) -> None:
    source = f"# -*- coding: {encoding} -*-\nname = 'é'; from tg.x import y\n".encode(encoding)
    changed = relocate(source, "tg", 0).source
    assert changed == source.replace(b"from tg.x", b"from .x")


def test_byte_order_mark_and_line_ends_are_kept() -> None:
    source = b"\xef\xbb\xbfimport os\r\nfrom tg.x import y\r\nz = 1\r\n"
    assert relocate(source, "tg", 0).source == source.replace(b"from tg.x", b"from .x")


def test_relocating_again_changes_nothing() -> None:
    source = "import tg.x, os\nfrom tg import y\n"
    assert relocated(relocated(source)) == relocated(source)


STATEMENTS = st.sampled_from(
    [
        "import tg.x\n",
        "import tg.x.y as y, os\n",
        "from tg.x import (\n    y,\n    z,\n)\n",
        "from tg \\\n    import x\n",
        "import tg, \\\n    os\n",
        "try:\n    from tg.x import y\nexcept ImportError:\n    pass\n",
        "x = '''\nimport tg.x\n'''\n",
        "def f():\n    import tg.z; return 1\n",
        "\n",
    ]
)


@given(st.lists(STATEMENTS, max_size=8), st.integers(0, 3), st.sampled_from(["\n", "\r\n", "\r"]))
def test_every_line_keeps_its_number(statements: list[str], depth: int, line_end: str) -> None:
    marked = "".join(f"{statement}mark_{index} = {index}\n" for index, statement in enumerate(statements))
    source = marked.replace("\n", line_end).encode()
    changed = relocate(source, "tg", depth).source

    def marks(text: bytes) -> list[tuple[int, str]]:
        names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
        return sorted((node.lineno, node.id) for node in names if node.id.startswith("mark_"))

    assert marks(changed) == marks(source)
    assert [item for item in imports_of(changed) if item.level == 0 and item.module.split(".")[0] == "tg"] == []


def test_imports_are_optional_where_the_code_goes_on_without_them() -> None:
    source = """
import a
try:
    import b
except ImportError:
    import c
try:
    import d
finally:
    pass
if TYPE_CHECKING:
    import e
else:
    import f
def g():
    import h
"""
    assert {item.module: item.optional for item in imports_of(source.encode())} == {
        "a": False, "b": True, "c": False, "d": False, "e": True, "f": False, "h": False,
    }  # fmt: skip
