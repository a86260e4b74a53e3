"""What a module imports, by statements and by calls, and what of it the code goes on without."""

from __future__ import annotations

from pathlib import Path

import pytest

from tg.common.delivery.delivery import imports
from tg.common.delivery.delivery.imports import imports_of


def found(source: str) -> list[tuple[int, str, bool]]:
    return [(one.line, "." * one.level + one.module, one.optional) for one in imports_of(source.encode())]


@pytest.mark.parametrize(
    ("call", "module"),
    [
        ("import_module('yaml')", "yaml"),
        ("importlib.import_module('yaml.loader')", "yaml.loader"),
        ("[importlib.import_module('yaml')]", "yaml"),
        ("__import__('yaml').load", "yaml"),
        ("import_module('.part', __package__)", ".part"),
    ],
)
def test_an_import_by_calling_a_function_is_one(call: str, module: str) -> None:
    assert found(f"def f():\n    x = {call}") == [(2, module, False)]
    assert found(f"try:\n    {call}\nexcept ImportError:\n    pass") == [(2, module, True)]
    assert found(f"with suppress(ImportError):\n    {call}") == [(2, module, True)]


@pytest.mark.parametrize("call", ["import_module(name)", "hooks.import_module('yaml')", "print('__import__', 'yaml')"])
def test_what_is_no_import_by_its_name_is_none(call: str) -> None:
    assert found(call) == []


@pytest.mark.parametrize(
    ("condition", "first", "second"),
    [
        ("sys.platform == 'win32'", True, False),
        ("sys.platform != 'win32'", False, True),
        ("sys.platform in ('win32', 'cygwin')", True, False),
        ("sys.platform.startswith('win')", True, False),
        ("os.name == 'nt'", True, False),
        ("platform.system() == 'Windows'", True, False),
        ("not sys.platform == 'win32'", False, True),
        ("x and os.name == 'nt'", True, False),
        ("x or os.name == 'posix'", False, True),
        ("__name__ == '__main__'", True, False),
        ("'__main__' != __name__", False, True),
        ("__name__ == 'mycompany.x'", False, False),
        ("TYPE_CHECKING", True, False),
        ("typing.TYPE_CHECKING or x", False, False),
        ("find_spec('a')", True, False),
        ("importlib.util.find_spec('a') is not None", True, False),
        ("importlib.util.find_spec('a') is None", False, True),
        ("not find_spec('a')", False, True),
        ("x.startswith('win')", False, False),
        ("x == 'win32'", False, False),
    ],
)
def test_what_is_not_run_here_or_only_where_it_is_there_is_optional(condition: str, first: bool, second: bool) -> None:
    """On Linux and macOS."""
    source = f"if {condition}:\n    import a\nelse:\n    import b"
    assert {module: optional for _, module, optional in found(source)} == {"a": first, "b": second}


def test_imports_for_other_pythons_are_optional() -> None:
    source = "if sys.version_info >= (3, 10):\n    import a\nelse:\n    import b\nif sys.version_info < (3, 10):\n    import c\n"
    assert {one.module: one.optional for one in imports_of(source.encode())} == {"a": False, "b": True, "c": True}


def test_all_that_parses_takes_turns() -> None:
    """Python 3.11 fails when two threads parse at once, now and then (https://github.com/python/cpython/issues/106905)."""
    files = Path(imports.__file__).parent.glob("*.py")
    assert [file.name for file in files if "ast.parse(" in file.read_text("utf-8")] == ["imports.py"]
