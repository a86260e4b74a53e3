"""The house: imports run one way, what travels needs the standard library alone, nothing happens at import."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import REPOSITORY, Project

import tg.common

COMMON = REPOSITORY / "tg/common"
ROOMS = [
    "common",
    "common.delivery.runtime",
    "common.delivery.trust",
    "common.delivery.environments",
    "common.delivery.isolation",
    "common.delivery.images",
    "common.delivery.delivery",
    "common.delivery.inspection",
    "common.delivery.execution",
    "common.delivery.cluster",
    "common.delivery.serving",
    "common.cli",
]
"""From the ground up; each may import those before it."""
SERVING = {
    "msgspec",
    "numpy",
    "offapi",
    "opentelemetry",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "starlette",
    "typing_extensions",
    "uvicorn",
    "uvloop",
}
"""What the server is made of, an extra: imported at the top there, since nothing else ever imports that room."""

MODULES = sorted(module.name for module in pkgutil.walk_packages(tg.common.__path__, "tg.common."))
AROUND = {
    "IPython",
    "backports",
    "certifi",
    "cryptography",
    "cyclonedx",
    "distributed",
    "docker",
    "isal",
    "model_signing",
    "numpy",
    "packageurl",
    "packaging",
    "ray",
    "requests",
    "rich",
    "typing_extensions",  # for type checkers alone, which bring it
    "urllib3",
    "uv",
}
"""Distributions that are used around packages, never for making or loading one; imported in functions alone. IPython is the notebook's own."""


def relative_imports(file: Path) -> list[tuple[int, str]]:
    """The modules of the tree that a file imports, below `tg`, with their lines."""
    package = file.relative_to(REPOSITORY / "tg").parent.parts
    found = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            found.append((node.lineno, ".".join([*base, *(node.module or "").split(".")]).rstrip(".")))
    return found


def room_of(module: str) -> int:
    return max(index for index, room in enumerate(ROOMS) if module == room or module.startswith(room + "."))


@pytest.mark.parametrize("file", sorted(COMMON.rglob("*.py")), ids=lambda file: str(file.relative_to(COMMON)))
def test_imports_run_one_way(file: Path) -> None:
    here = room_of(".".join(file.relative_to(REPOSITORY / "tg").with_suffix("").parts))
    upwards = [(line, module) for line, module in relative_imports(file) if room_of(module) > here]
    assert upwards == []


@pytest.mark.parametrize("file", sorted(COMMON.rglob("*.py")), ids=lambda file: str(file.relative_to(COMMON)))
def test_the_tree_names_itself_only_relatively_and_uses_the_standard_library(file: Path) -> None:
    tree = ast.parse(file.read_bytes())
    at_top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for top in {name.split(".")[0] for name in names}:
                lazily = id(node) not in at_top
                assert (
                    top in sys.stdlib_module_names
                    or (lazily and top in AROUND)
                    or (file.parent.name == "serving" and top in SERVING)
                ), f"{file}:{node.lineno} {top}"


def test_no_two_modules_of_a_room_import_each_other() -> None:
    imports = {}
    for file in COMMON.rglob("*.py"):
        if file.name != "__init__.py":
            name = ".".join(file.relative_to(REPOSITORY / "tg").with_suffix("").parts)
            imports[name] = {module for _, module in relative_imports(file)}

    def reached(module: str, seen: set[str]) -> set[str]:
        for other in imports.get(module, set()) - seen:
            seen.add(other)
            reached(other, seen)
        return seen

    assert [module for module in imports if module in reached(module, set())] == []


def test_loading_a_package_imports_nothing_that_makes_packages(project: Project) -> None:
    file = project.deliver()
    folder = project.elsewhere / "unpacked"
    printed = project.run(
        f"""
        import sys, zipfile
        zipfile.ZipFile({str(file)!r}).extractall({str(folder)!r})
        sys.path.insert(0, {str(folder)!r})
        from my_job__1_0_0 import Entry
        Entry.load_resource('job').run()
        print(sorted(name for name in sys.modules if name.startswith('my_job__1_0_0.tg.common.delivery.delivery')))
        """,
        with_project=False,
        with_delivery=False,
    )
    assert printed.strip() == "[]"


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_is_public(module: str) -> None:
    imported = importlib.import_module(module)
    defined = {
        name
        for name, value in vars(imported).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module
    }
    listed = set(getattr(imported, "__all__", ()))
    assert defined - listed == set()
    assert [name for name in listed if not hasattr(imported, name)] == []


def test_importing_does_nothing(project: Project) -> None:
    before = sorted(project.elsewhere.rglob("*"))
    project.run(f"""
        import importlib, os, sys
        environment, path, folder = dict(os.environ), list(sys.path), os.getcwd()
        for name in {MODULES!r}:
            importlib.import_module(name)
        assert (dict(os.environ), sys.path, os.getcwd()) == (environment, path, folder)
    """)
    assert not project.home.exists()
    assert sorted(path for path in project.elsewhere.rglob("*") if path.suffix != ".py") == before


def test_the_face_of_delivery_loads_its_parts_on_first_use() -> None:
    code = "import sys, tg.common.delivery.delivery; print([n for n in sys.modules if n.startswith('tg.common.delivery.delivery.')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
