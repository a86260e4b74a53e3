"""The names of roots: in a project, in a package, and in `package.json`."""

from __future__ import annotations

import pytest

from tg.common.delivery.runtime.roots import Roots

HERE = Roots.of(["mycompany", "__main__"], "")
DELIVERED = Roots.of(["mycompany", "__main__"], "my_job__1_0_0.")


@pytest.mark.parametrize(
    ("module", "inside"),
    [
        ("tg.x", "tg.x"),
        ("mycompany", "mycompany"),
        ("__main__", "main"),
        ("__mp_main__", "main"),
        ("main", None),
        ("main.x", None),
        ("mainframe", None),
        ("other", None),
        ("my_job__1_0_0.main", None),
    ],
)
def test_what_is_run_here_is_named_main_in_a_package(module: str, inside: str | None) -> None:
    assert HERE.inside(module) == inside


@pytest.mark.parametrize(
    ("module", "inside"),
    [
        ("my_job__1_0_0.main", "main"),
        ("my_job__1_0_0.tg.x", "tg.x"),
        ("__main__", None),
        ("main", None),
        ("tg.x", None),
    ],
)
def test_in_a_package_it_is_a_root_like_any_other(module: str, inside: str | None) -> None:
    assert DELIVERED.inside(module) == inside


@pytest.mark.parametrize("roots", [HERE, DELIVERED], ids=["here", "delivered"])
@pytest.mark.parametrize("name", ["main", "tg.x.y", "mycompany"])
def test_a_name_of_a_package_is_found_here_and_back(roots: Roots, name: str) -> None:
    assert roots.inside(roots.here(name)) == name


def test_what_is_run_is_listed_by_a_name_that_no_folder_has() -> None:
    assert HERE.listed == DELIVERED.listed == ("__main__", "mycompany", "tg")
    assert HERE.names == ("main", "mycompany", "tg")
    assert HERE.imported == ("mycompany", "tg")
    assert Roots.of(HERE.listed, "") == HERE


def test_a_module_named_main_is_not_what_is_run() -> None:
    roots = Roots.of(["main"], "")
    assert (roots.inside("main"), roots.inside("__main__"), roots.here("main")) == ("main", None, "main")
    assert roots.listed == roots.imported == ("main", "tg")
