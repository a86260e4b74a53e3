"""Packages in workers, used by the process that runs the tests: whatever is left open there is an error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.trust import Policy

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


class MadePackages:
    """Packages that tests have made: a process for each, where most want one of the same few."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[object, ...], Path] = {}

    def of(self, project: Project, name: str, job: str, requirements: tuple[str, ...]) -> Path:
        """The package of all that a project has now; another test may have made it."""
        files = {
            file.relative_to(project.folder): file.read_bytes() for file in project.folder.rglob("*") if file.is_file()
        }
        key = name, job, requirements, frozenset(files.items())
        if key not in self._made:
            needed = f"packaging.dependencies = (DependencyList('needed', {list(requirements)!r}),)"
            file = project.deliver(name, job=job, settings=needed)
            folder = self._folder / str(len(self._made))
            folder.mkdir()
            self._made[key] = Path(shutil.copy(file, folder))
        return self._made[key]


@pytest.fixture(scope="session")
def _made_packages(tmp_path_factory: pytest.TempPathFactory) -> MadePackages:
    return MadePackages(tmp_path_factory.mktemp("made"))


@pytest.fixture
def isolate(
    project: Project, unchecked: None, shared_environments: None, _made_packages: MadePackages
) -> Iterator[Isolate]:
    """Load a package of `tg.my.job`, whose source is given, into a worker; `job` is an expression there."""
    anything = Policy.any()  # the user of this test, with a home of its own, may not be the one whose test has made it
    with ExitStack() as stack:

        def isolate(
            source: str, *, job: str = "Job()", requirements: tuple[str, ...] = (), name: str = "my_job"
        ) -> IsolatedEntryPoint:
            project.write("tg/my/job.py", source)
            file = _made_packages.of(project, name, f"tg.my.job:{job}", requirements)
            return stack.enter_context(
                install_package_and_get_loader(file, silent=True, isolated=True, policy=anything)
            )

        yield isolate
