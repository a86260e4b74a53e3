"""Source that a package makes while it runs: what it imports of the package's roots is looked for under the package's name."""

from __future__ import annotations

import ast

import pytest

from tg.common.delivery.runtime.generated_source import relocated_imports, relocated_tree
from tg.common.delivery.runtime.late_names import compiler, here, import_, labels, of_distribution, source, written
from tg.common.delivery.runtime.roots import Roots

ROOTS = Roots(("mycompany", "tg"), "")


def relocated(text: str) -> str:
    return str(relocated_imports(text, "UID.", ROOTS))


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("from mycompany import x", "from UID.mycompany import x"),
        ("from \\\n  mycompany.x import (\n  y)", "from \\\n  UID.mycompany.x import (\n  y)"),
        ("import mycompany", "import UID.mycompany as mycompany"),
        ("import os, mycompany.x as y", "import os, UID.mycompany.x as y"),
        ("import mycompany.x", "import UID.mycompany.x as mycompany, UID.mycompany as mycompany"),
        ("a = 'é'; import tg", "a = 'é'; import UID.tg as tg"),
        ("  def f():\n    import mycompany as m", "  def f():\n    import UID.mycompany as m"),
        ("if 1:\n  import mycompany.x as y", "if 1:\n  import UID.mycompany.x as y"),
        ("import_module('mycompany.x')", "import_module('UID.' 'mycompany.x')"),
        ("f'{import_module(\"mycompany.x\")}'", "f'{import_module(\"mycompany.x\")}'"),
    ],
)
def test_what_it_imports_of_a_root_has_the_packages_name(text: str, changed: str) -> None:
    assert relocated(text) == changed
    assert relocated_imports(text.encode(), "UID.", ROOTS) == changed.encode()


@pytest.mark.parametrize(
    "text",
    [
        "import mycompanyx",
        "from .mycompany import x",
        "from x import mycompany",
        "'import mycompany'",
        "# import mycompany",
        "from mycompany import",
        "not python at all: import mycompany",
        "import mycompany\0",
        "{% import mycompany %}",
        "if x:\n" + "".join(f"{' ' * depth}if x:\n" for depth in range(1, 120)) + " " * 120 + "import mycompany",
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert relocated(text) == text


def test_an_import_of_a_module_that_is_called_binds_what_it_did() -> None:
    changed = relocated("__import__('mycompany.x').x")
    late = "tg.common.delivery.runtime.late_names"
    assert changed == f"__import__('UID.{late}', fromlist=['here']).import_('mycompany.x').x"


def test_bytes_of_another_encoding_are_left_alone() -> None:
    text = "# coding: latin-1\nimport mycompany  # é".encode("latin-1")
    assert relocated_imports(text, "UID.", ROOTS) is text


@pytest.mark.parametrize("text", ["from mycompany.x import y", "import a, mycompany.x", "import mycompany.x as y"])
def test_a_syntax_tree_is_changed_as_the_text_is(text: str) -> None:
    tree = ast.parse(text)
    assert ast.unparse(relocated_tree(tree, "UID.", ROOTS)) == relocated(text)
    assert ast.unparse(tree) == text


def test_a_syntax_tree_that_imports_no_root_is_left_alone() -> None:
    tree = ast.parse("import a\nfrom . import mycompany")
    assert relocated_tree(tree, "UID.", ROOTS) is tree


def test_outside_of_a_package_everything_means_what_it_says() -> None:
    text = "import tg"
    assert source(text) is text
    assert here("tg.common") == "tg.common"
    assert of_distribution("tg") == "tg"
    assert import_("tg.common").__name__ == "tg"
    assert labels(("tg", "a")) == ("tg", "a")
    assert written("tg.common") == "tg.common"
    assert compiler(compile) is compile
