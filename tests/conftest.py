"""Fixtures for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
import services as machine
from projects import Project
from services import SecuredRegistry, Services, SshServer, given


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one job, `tg.my.job.Job`, whose `run` returns 'one'."""
    made = Project(tmp_path)
    made.write("tg/my/__init__.py", "")
    made.write(
        "tg/my/job.py",
        """
        class Job:
            def run(self):
                return "one"
        """,
    )
    return made


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's packages and store."""
    monkeypatch.setenv("TG_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def services() -> Services:
    """The engine, the ssh server and the registries, started where they were not; parts may be missing."""
    return machine.start()


@pytest.fixture(scope="session")
def docker_engine(services: Services) -> str:
    """The URL of a container engine's socket."""
    return given(services.docker_engine)


@pytest.fixture(scope="session")
def base_image(docker_engine: str, services: Services) -> str:
    """The name of an image with Python, which the engine has."""
    return given(services.base_image)


@pytest.fixture(scope="session")
def ssh_server(services: Services) -> SshServer:
    """A server that is reached through ssh: this machine."""
    return given(services.ssh_server)


@pytest.fixture(scope="session")
def plain_registry(services: Services) -> str:
    """The `host:port` of a registry without TLS and passwords."""
    return given(services.plain_registry)


@pytest.fixture(scope="session")
def secured_registry(services: Services) -> SecuredRegistry:
    """A registry with TLS and a password."""
    return given(services.secured_registry)
