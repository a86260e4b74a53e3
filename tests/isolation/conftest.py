"""Packages in workers, used by the process that runs the tests: whatever is left open there is an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint

Isolate = Callable[..., IsolatedEntryPoint]


@pytest.fixture(scope="session")
def _environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "environments"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def shared_environments(tmp_path: Path, _environments: Path) -> None:
    """Tests with this fixture share `Loc.environments`; all else is their own."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "environments").symlink_to(_environments)


@pytest.fixture
def isolate(project: Project, unchecked: None, shared_environments: None) -> Iterator[Isolate]:
    """Load a package of `tg.my.job`, whose source is given, into a worker; `job` is an expression there."""
    with ExitStack() as stack:

        def isolate(
            source: str, *, job: str = "Job()", requirements: tuple[str, ...] = (), name: str = "my_job"
        ) -> IsolatedEntryPoint:
            project.write("tg/my/job.py", source)
            needed = f"packaging.dependencies = (DependencyList('needed', {list(requirements)!r}),)"
            file = project.deliver(name, job=f"tg.my.job:{job}", settings=needed)
            return stack.enter_context(install_package_and_get_loader(file, silent=True, isolated=True))

        yield isolate
