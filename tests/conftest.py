"""Fixtures for all tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import services as machine
from hypothesis import settings
from projects import REPOSITORY, Project
from services import SecuredRegistry, Services, SshServer, given

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# No test is about time: a property that holds, holds on a busy machine as well.
settings.register_profile("without a deadline", deadline=None)
settings.load_profile("without a deadline")

_images = machine.ImagesOfTests(Path(tempfile.gettempdir()) / f"tg-tests-{os.getuid()}.lock")


def pytest_configure() -> None:
    """Ctrl-C means what it does in a terminal: a shell starts what is to go on in its background with SIGINT ignored, and so all of its children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart() -> None:
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        _images.begin()


def pytest_sessionfinish() -> None:
    """Images that the tests have made go; the process that all workers report to ends last."""
    if not os.environ.get("PYTEST_XDIST_WORKER"):
        _images.end()


def _project_of_one_job(base: Path) -> Project:
    made = Project(base)
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


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with one job, `tg.my.job.Job`, whose `run` returns 'one'."""
    return _project_of_one_job(tmp_path)


@pytest.fixture(scope="session")
def _sound_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = _project_of_one_job(tmp_path_factory.mktemp("sound"))
    made.checked = False
    made.write("tg/my/r\u00e9sum\u00e9.py", "")
    return made.deliver()


@pytest.fixture
def sound_package(_sound_package: Path, tmp_path: Path) -> Path:
    """A copy, to do anything with, of a package that is made once: `my_job` 1.0.0 of what `project` has, and a name with accents.

    It was made in another home, so whoever uses it says whom to trust.
    """
    return Path(shutil.copy(_sound_package, tmp_path))


@pytest.fixture
def unchecked(project: Project) -> None:
    """For tests of what is done with a package, not of how it is made: none is loaded once before it is written.

    That is a process more for each, and some hundred tests make one. A test that loads the package sees what the check would.
    """
    project.checked = False


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's packages and store."""
    monkeypatch.setenv("TG_HOME", str(tmp_path / "home"))


@pytest.fixture(autouse=True)
def _no_packages_left(tmp_path: Path) -> Iterator[None]:
    """No test leaves packages that it has loaded to the next one: most are called the same."""
    yield
    inside = str(tmp_path) + os.sep
    sys.path[:] = [entry for entry in sys.path if not entry.startswith(inside)]
    for name, module in list(sys.modules.items()):
        facts = getattr(module, "__dict__", {})
        if any(inside in str(facts.get(key)) for key in ("__file__", "__path__")):
            sys.modules.pop(name, None)


@pytest.fixture(scope="session")
def our_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own wheel, built as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPOSITORY]
    build = subprocess.run(command, capture_output=True, text=True, check=False)
    assert build.returncode == 0, build.stdout + build.stderr
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="session")
def services() -> Services:
    """The engine, the ssh server, the registries and the browser, started where they were not; parts may be missing."""
    return machine.start()


@pytest.fixture(scope="session")
def docker_engine(services: Services) -> str:
    """The URL of a container engine's socket."""
    return given(services.docker_engine)


@pytest.fixture(scope="session")
def base_image(docker_engine: str, services: Services) -> str:
    """The name of an image with Python, which the engine has.

    It has one Python, and so the tests that run containers are run once, by that one.
    """
    if sys.version_info[:2] != (3, 11):
        pytest.skip(f"images of these tests have Python 3.11, and this is {sys.version_info[0]}.{sys.version_info[1]}")
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


@pytest.fixture(scope="session")
def browser_program(services: Services) -> str:
    """The path of a Chromium."""
    return given(services.browser)


@pytest.fixture(scope="module")
def browser(browser_program: str) -> Iterator[Browser]:
    """A browser that runs; a test opens windows of its own. Its driver has a loop in this thread, so it ends with the module."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        expect.set_options(timeout=60_000)  # as long as it takes on a machine that others use as well
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []  # the sandbox of Chromium refuses root
        with playwright.chromium.launch(executable_path=browser_program, args=arguments) as started:
            yield started


@pytest.fixture(scope="session")
def _image_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base images and dependency layers, shared by the tests of a run and its processes: they take seconds to make."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "images"
    (folder / "resolved").mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def image_cache(request: pytest.FixtureRequest, tmp_path: Path, base_image: str, _image_cache: Path) -> Iterator[Path]:
    """Tests with this fixture share `Loc.images` and `Loc.locks`; all else is their own. It comes with the base image.

    The engine is one for all processes of a run of the tests. Whoever counts or prunes what is on it is marked `engine_alone`.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / "images").symlink_to(_image_cache)
    (home / "locks").symlink_to(_image_cache / "resolved")
    with (_image_cache / "engine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if request.node.get_closest_marker("engine_alone") else fcntl.LOCK_SH)
        yield _image_cache


@pytest.fixture
def ssh_host(tmp_path: Path, ssh_server: SshServer, base_image: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a server whose engine has the base image: `ssh` on the PATH reads the configuration that knows it."""
    commands = tmp_path / "commands"
    commands.mkdir()
    wrapper = commands / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {ssh_server.config} "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return f"ssh://{ssh_server.alias}"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and no other place to take any from."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "empty").as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    return folder
