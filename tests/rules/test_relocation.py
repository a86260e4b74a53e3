"""Relocation: absolute imports of the tree become relative, and nothing else changes."""

from __future__ import annotations

import ast
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.delivery.imports import imports_of
from tg.common.delivery.delivery.relocation import may_need_relocation, relocate
from tg.common.delivery.runtime.names import lies_in


def relocated(source: str, depth: int = 1) -> str:
    return relocate(source.encode(), ["tg"], "tg/" + "p/" * depth + "m.py").source.decode()


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
        ("import tg.x", "from ..x import __doc__ as tg; from ... import tg"),
        ("import tg.x.y as z", "from ..x import y as z"),
        ("import os, tg.x as x, re as r", "import os; from .. import x as x; import re as r"),
        ("if a: import tg; b()", "if a: from ... import tg; b()"),
        ("def f():\n    from tg.x import y", "def f():\n    from ..x import y"),
        ('s = "é"; from tg.x import y', 's = "é"; from ..x import y'),
        ("from tg \\\n  .x import y", "from ..x\\\n import y"),
        ("import \\\n  tg.x as x", "from \\\n.. import x as x"),
        ("import_module('tg.x')", "import_module('..x', __spec__.parent)"),
        ("importlib.import_module('tg')", "importlib.import_module('..', __spec__.parent)"),
        ("\x0cfrom tg.x import y", "\x0cfrom ..x import y"),
    ],
)
def test_a_reference_to_the_tree_becomes_relative(written: str, expected: str) -> None:
    assert may_need_relocation(written.encode(), ["tg"])
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
    assert relocate(source.encode(), ["tg"], "tg/p/m.py").unresolved == ()


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("x = 1\ns = f'{import_module(name)}'", "import_module(name)"),
        ("\nimport_module(*names)", "import_module(*names)"),
        ("\nload = 'tg.x:make'", "'tg.x:make'"),
    ],
)
def test_what_cannot_be_relocated_is_reported_with_its_line(source: str, shown: str) -> None:
    assert may_need_relocation(source.encode(), ["tg"])
    assert relocate(source.encode(), ["tg"], "tg/p/m.py").unresolved == ((2, shown),)


@pytest.mark.parametrize("name", ["f'plugins.{name}'", "'json'"])
def test_a_name_that_certainly_is_not_of_the_tree_is_not_reported(name: str) -> None:
    assert relocate(f"import_module({name})".encode(), ["tg"], "tg/p/m.py").unresolved == ()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "cp1252"])
def test_the_encoding_a_file_declares_is_kept(encoding: str) -> None:
    source = f"# -*- coding: {encoding} -*-\nname = 'é'; from tg.x import y\n".encode(encoding)
    changed = relocate(source, ["tg"], "tg/m.py").source
    assert changed == source.replace(b"from tg.x", b"from .x")


def test_byte_order_mark_and_line_ends_are_kept() -> None:
    source = b"\xef\xbb\xbfimport os\r\nfrom tg.x import y\r\nz = 1\r\n"
    assert relocate(source, ["tg"], "tg/m.py").source == source.replace(b"from tg.x", b"from .x")


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
    changed = relocate(source, ["tg"], "tg/" + "p/" * depth + "m.py").source

    def marks(text: bytes) -> list[tuple[int, str]]:
        names = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)]
        return sorted((node.lineno, node.id) for node in names if node.id.startswith("mark_"))

    assert marks(changed) == marks(source)
    assert [item for item in imports_of(changed) if item.level == 0 and item.module.split(".")[0] == "tg"] == []


PLAIN = st.sampled_from(
    [
        "from tg.x import y\n",
        "    from tg.x.z import (y,  # import tg.z\n        w)\n",
        "import tg.x as x, os\n",
        "import tg  # '''\n",
        "from a import tg\n",
        "from . import tg\n",
        "s = '''\nimport tg.x\n\\'''\n'''\n",
        's = """\n  from tg.x import y\n  \\"""\' """\n',
        "s = 'it\\'s' + \"# \\\" '''\" # it's\n",
        "s = 'a\\\nimport tg.x'\n",
        "s = f'{a!r:>{b}}'; import tg.y\n",
        "import \\\n  tg.x\n",
        "def f(): import tg.x\n",
        "é = 'é'\n",
    ]
)


@given(st.lists(PLAIN, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_is_relocated_without_a_parser_is_what_the_parser_would_find(parts: list[str], line_end: str) -> None:
    body = "".join(f"if 1:\n{part}" if part.startswith(" ") else part for part in parts)
    source = body.replace("\n", line_end).encode()
    with_parser = relocate(source + b"'tg.x' in sys.modules", ["tg"], "tg/p/m.py").source
    assert with_parser.startswith(relocate(source, ["tg"], "tg/p/m.py").source)
    compile(with_parser, "m.py", "exec")


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


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    pass\nexcept E:\n    import tg.x\nelse:\n    import tg.y\nfinally:\n    from tg import z\n",
        "match a:\n    case 1:\n        import tg.x as x\n",
        "async def f():\n    async with a:\n        from tg.x import y\n",
        "class A:\n    def f(self):\n        def g():\n            from tg.x import y\n",
        "while a: import tg.x; break\n",
        "if a:\n    pass\nelif b: import tg.x\n",
        "x = 1 ;\tfrom\ttg.x\timport y ; import tg\n",
        "@import_module('tg.x').decorated\ndef f(a=import_module('tg.y')): pass\n",
    ],
)
def test_a_reference_is_found_wherever_a_statement_can_stand(source: str) -> None:
    assert may_need_relocation(source.encode(), ["tg"])
    changed = relocate(source.encode(), ["tg"], "tg/p/m.py")
    assert changed.unresolved == ()
    assert not [item for item in imports_of(changed.source) if item.level == 0 and lies_in(item.module, "tg")]
    assert "'tg." not in changed.source.decode()


def test_an_import_right_after_the_byte_order_mark_is_found() -> None:
    source = b"\xef\xbb\xbffrom tg.x import y\n"
    assert may_need_relocation(source, ["tg"])
    assert relocate(source, ["tg"], "tg/m.py").source == b"\xef\xbb\xbffrom .x import y\n"


@pytest.mark.parametrize("quotes", ['"', "'" * 3, '"' * 3])
def test_a_module_name_inside_an_f_string_leaves_source_that_parses(quotes: str) -> None:
    source = f"s = f{quotes}{{import_module('tg.x')}}{quotes}\n"
    ast.parse(relocated(source))


def test_a_module_name_over_several_lines_keeps_their_numbers() -> None:
    changed = ast.parse(relocated("import_module(\n    'tg.'\n    'x'\n)\nmark = 1\n"))
    assert changed.body[-1].lineno == 5


@pytest.mark.parametrize("given", ["'tg.x'", "name"])
def test_a_module_name_given_by_keyword_is_relocated_or_reported(given: str) -> None:
    source = f"import_module(name={given})\n"
    changed = relocate(source.encode(), ["tg"], "tg/p/m.py")
    assert changed.source != source.encode() or changed.unresolved == ((1, source.strip()),)


RAISING = st.lists(
    st.sampled_from(
        [
            "import tg.x\n",
            "from tg.x \\\n    import y\n",
            "from tg.x import (\n    y,\n)\n",
            "import os, \\\n    tg.x as x\n",
            "def f{0}():\n    import os; raise ZeroDivisionError\n",
            "def f{0}():\n    a = 1; \\\n        b = 2\n    raise ZeroDivisionError({0})\n",
            "def f{0}():\n\x0c\n    '''import tg.x\n    '''\n    raise ZeroDivisionError(\n        {0})\n",
            "class C{0}:\n    def g(self):\n        raise ZeroDivisionError\nf{0} = C{0}().g\n",
        ]
    ),
    max_size=8,
)


@given(RAISING, st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 3))
def test_a_traceback_names_the_line_that_was_written(parts: list[str], line_end: str, depth: int) -> None:
    source = "".join(part.format(index) for index, part in enumerate(parts)).replace("\n", line_end).encode()

    def raising_lines(text: bytes) -> list[int]:
        tree = ast.parse(text)
        tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
        namespace: dict[str, Any] = {}
        exec(compile(tree, "module.py", "exec"), namespace)
        lines = []
        for name in sorted(namespace):
            if name.startswith("f"):
                with pytest.raises(ZeroDivisionError) as caught:
                    namespace[name]()
                lines.append(caught.traceback[-1].lineno)
        return lines

    assert raising_lines(relocate(source, ["tg"], "tg/" + "p/" * depth + "m.py").source) == raising_lines(source)


@pytest.mark.parametrize(
    ("source", "optional"),
    [
        ("with suppress(ImportError):\n    import a", True),
        ("with contextlib.suppress(ModuleNotFoundError):\n    import a", True),
        ("with open(x):\n    import a", False),
        ("if not TYPE_CHECKING:\n    import a", False),
        ("if typing.TYPE_CHECKING:\n    import a", True),
        ("try:\n    import a\nexcept (ImportError, OSError):\n    pass", True),
        ("try:\n    import a\nexcept ValueError:\n    pass", False),
    ],
)
def test_more_ways_to_go_on_without_an_import(source: str, optional: bool) -> None:
    assert [item.optional for item in imports_of(source.encode())] == [optional]


@pytest.fixture
def _garbage_collected_all_the_time() -> Iterator[None]:
    """Python code runs in the middle of everything, and other threads get their turn."""

    def take_turns(phase: str, info: dict[str, int]) -> None:
        time.sleep(0)

    before = gc.get_threshold()
    gc.callbacks.append(take_turns)
    gc.set_threshold(50)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(take_turns)


@pytest.mark.usefixtures("_garbage_collected_all_the_time")
def test_threads_may_parse_at_once() -> None:
    """CPython 3.11 before 3.11.8 has `ast.parse` fail then, with a SystemError (python/cpython#106905)."""
    source = b"from tg.x import y\n" + b"def f():\n    return [(1, 2), {3: 4 + 5 * 6}]\n" * 30

    def parse(_: int) -> int:
        return len(imports_of(source)) + len(relocate(source, ["tg"], "tg/m.py").unresolved)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(parse, range(100))) == [1] * 100
