"""Features of newer Pythons: names are held to the Python that runs this, syntax to what it parses."""

from __future__ import annotations

import ast
import builtins
import importlib
import sys

import pytest

from tg.common.delivery.delivery.newer_python import _SINCE, newer_features
from tg.common.delivery.delivery.required_python import release

HERE = sys.version_info[:2]


def found(source: str) -> list[tuple[int, str, str]]:
    return list(newer_features(ast.parse(source), source.encode()))


def is_there(name: str) -> bool:
    parts = name.split(".")
    if len(parts) == 1 and hasattr(builtins, name):
        return True
    for length in range(len(parts), 0, -1):
        try:
            value = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for part in parts[length:]:
            value = getattr(value, part, None)
        return value is not None
    return False


@pytest.mark.parametrize("name", sorted(_SINCE))
def test_names_are_there_from_their_python_on_and_not_before(name: str) -> None:
    assert is_there(name) == (release(_SINCE[name]) <= HERE)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import tomllib", ["tomllib"]),
        ("from typing import Any, Self", ["typing.Self"]),
        ("import asyncio\nasyncio.TaskGroup()", ["asyncio.TaskGroup"]),
        ("import asyncio as a\na.timeout(1)", ["asyncio.timeout"]),
        ("import collections.abc\ncollections.abc.Mapping", []),
        ("raise ExceptionGroup('', [])", ["ExceptionGroup"]),
        ("ExceptionGroup = 1", []),
        ("timeout = 1\nother.timeout(1)", []),
        ("import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli as tomllib", []),
        ("try:\n    from typing import Self\nexcept ImportError:\n    from typing_extensions import Self", []),
        ("try:\n    import tomllib\nfinally:\n    pass", ["tomllib"]),
        ("import math\ntry:\n    f = math.exp2\nexcept AttributeError:\n    f = None", []),
        ("import math\ntry:\n    f = math.exp2\nexcept ValueError:\n    raise AttributeError", ["math.exp2"]),
        ("import math\nif hasattr(math, 'exp2'):\n    f = math.exp2", []),
        ("if TYPE_CHECKING:\n    from typing import Self", []),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    from typing import Self", ["typing.Self"]),
        ("if __name__ == '__main__':\n    import tomllib", []),
        ("if not TYPE_CHECKING:\n    import tomllib", ["tomllib"]),
        (
            "if sys.version_info < (3, 11):\n    from exceptiongroup import ExceptionGroup\nraise ExceptionGroup('', [])",
            [],
        ),
    ],
)
def test_names_count_where_every_python_comes_by(source: str, what: list[str]) -> None:
    assert [name for _, name, _ in found(source)] == what


NEWER = [
    ("try:\n    pass\nexcept* ValueError:\n    pass", "except*", "3.11"),
    ("a = b[*c]", "a starred expression in an index", "3.11"),
    ("def f(*a: *b): ...", "a starred annotation", "3.11"),
    ("type A = int", "a type statement", "3.12"),
    ("def f[T](a: T): ...", "type parameters", "3.12"),
    ("class A[T]: ...", "type parameters", "3.12"),
    ("x = f'{a['b']}'", "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"),
    ("x = f'{'\\n'.join(a)}'", "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"),
    ("x = 'a' f'{b['c']}'", "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"),
    ("x = f'{\n1}'", "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"),
    ('x = f\'{f"{a["b"]}"}\'', "an f-string with quotes, line ends or backslashes inside of its braces", "3.12"),
    ("if TYPE_CHECKING:\n    type A = int", "a type statement", "3.12"),
    ("class A[T = int]: ...", "a default of a type parameter", "3.13"),
]


@pytest.mark.parametrize(("source", "what", "python"), NEWER)
def test_syntax_is_told_with_its_python_and_older_ones_do_not_parse_it(source: str, what: str, python: str) -> None:
    if release(python) > HERE:
        with pytest.raises(SyntaxError):
            ast.parse(source)
    else:
        assert (what, python) in [(name, since) for _, name, since in found(source)]
        guarded = "import sys\nif sys.version_info >= (3, 99):\n" + "".join(
            f"    {line}\n" for line in source.splitlines()
        )
        assert what in [name for _, name, _ in found(guarded)]  # a module is parsed as a whole


@pytest.mark.parametrize(
    "source",
    [
        "a[(*b,)]",
        "a[b, c]",
        "def f(*a: int): ...",
        "x = f'{a[\"b\"]}'",
        'x = f"""{\n\'a\'\n}"""',
        "x = f'{a!r:>{width}}'",
        "x = f'{a}' f\"{b['c']}\"",
        "x = 'a' f\"{b['c']}\"",
        "x = f'{a:{b[1:2]}}'",
        "x = f'ä{a}' \"it's\"",
        "x = f'{a}\\n'",
    ],
)
def test_what_every_python_parses_is_not_told(source: str) -> None:
    assert found(source) == []
