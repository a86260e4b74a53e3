"""Servers that tests share, where nothing but what is served under a name of the test's own is changed; and packages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from serving.jobs import JOBS, UNIMPORTABLE
from serving.servers import Packages, RunningServer, Start


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packages]:
    """Makes packages of the jobs in `jobs.py`."""
    project = Project(tmp_path_factory.mktemp("served"))
    project.write("tg/served/__init__.py", "")
    project.write("tg/served/jobs.py", JOBS)
    project.write("tg/served/unimportable.py", UNIMPORTABLE)
    made = Packages(project)
    yield made
    made.close()


@pytest.fixture(scope="session")
def server(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server for tests that leave it as it was, but for names of their own."""
    started = RunningServer(
        tmp_path_factory.mktemp("server") / "state",
        packages.project.home,
        request_seconds=3,
        loading_seconds=5,
        head_seconds=300,
        body_bytes=1_000_000,
        body_seconds=1,
        package_bytes=50_000_000,
    )
    yield started.wait_until_ready()
    assert started.stop() == 0


@pytest.fixture(scope="session")
def narrow(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Another one, with which few requests can wait, and not for long."""
    folder = tmp_path_factory.mktemp("narrow") / "state"
    started = RunningServer(folder, packages.project.home, waiting=2, waiting_seconds=1)
    yield started.wait_until_ready()
    assert started.stop() == 0


@pytest.fixture
def start(packages: Packages, tmp_path: Path) -> Iterator[Start]:
    """Start a server of one's own; in the folder of one that has ended, where that is given."""
    with ExitStack() as stack:

        def start(*, folder: Path | None = None, ready: bool = True, **settings: Any) -> RunningServer:
            started = RunningServer(folder or tmp_path / "state", packages.project.home, **settings)
            stack.callback(started.stop)
            return started.wait_until_ready() if ready else started

        yield start
