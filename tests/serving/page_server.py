"""A server for the tests of its page: `tg serve` as users start it, and the packages that are deployed there."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from projects import Project

from tg.common.delivery.serving.access import Access, Role

_JOB = """
class Job:
    def run(self, value: int) -> int:
        return value * {factor}
"""
_SLOW = """
import pathlib, time

class Job:
    def warm_up(self):
        print("waiting for the sign")
        while not pathlib.Path({sign!r}).exists():
            time.sleep(0.02)

    def run(self, value: int) -> int:
        return value
"""
_BROKEN = """
class Job:
    def warm_up(self):
        print("reading the table")
        raise RuntimeError("the table is empty")

    def run(self, value: int) -> int:
        return value
"""


class PageServer:
    """A server that runs; its page is at `address`."""

    def __init__(self, project: Project, folder: Path, port: int, management_port: int) -> None:
        self._project = project
        self.requests = f"http://127.0.0.1:{port}"
        self.address = f"http://127.0.0.1:{management_port}"
        self.token, self.reading_token = (
            Access.new_token(folder / "tokens.json", name, role)
            for name, role in (("owner", Role.DEPLOY), ("reader", Role.READ))
        )

    def package(self, name: str, version: str | None, factor: int = 1) -> Path:
        """A package whose job multiplies by `factor`."""
        return self.package_of(name, version, _JOB.format(factor=factor))

    def broken_package(self, name: str, version: str) -> Path:
        """A package whose job raises when it is warmed up."""
        return self.package_of(name, version, _BROKEN)

    def slow_package(self, name: str, version: str, sign: Path) -> Path:
        """A package whose job is warm when a file exists."""
        return self.package_of(name, version, _SLOW.format(sign=str(sign)))

    def package_of(self, name: str, version: str | None, code: str, job: str = "Job") -> Path:
        """A package of a class that is defined by `code`."""
        self.write(f"tg/{name}/__init__.py", "")
        self.write(f"tg/{name}/job.py", code)
        return self._project.deliver(name, version, job=f"tg.{name}.job:{job}()", settings="packaging.checked = False")

    def write(self, path: str, text: str) -> None:
        """Write a file of the project that the packages are made of."""
        self._project.write(path, text)

    def deploy(self, name: str, version: str | None, factor: int = 1, **parameters: Any) -> None:
        file = self.package(name, version, factor)
        answer = self.manage("POST", "/packages", data=file.read_bytes(), params=parameters)
        assert answer.ok, answer.text

    def manage(self, method: str, path: str, **given: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(method, self.address + path, headers=headers, timeout=120, **given)

    def weights(self, name: str) -> dict[str, int]:
        """Who gets the requests of a name."""
        weights: dict[str, int] = self.manage("GET", "/status").json()["names"][name]["traffic"]["weights"]
        return weights

    def ask(self, name: str, value: int) -> Any:
        answer = requests.post(f"{self.requests}/{name}", json={"value": value}, timeout=60)
        assert answer.ok, answer.text
        return answer.json()


@contextlib.contextmanager
def page_server(folder: Path) -> Iterator[PageServer]:
    """A server of a project of its own, as long as the `with` lasts."""
    project = Project(folder)
    server = PageServer(project, folder / "server", _free_port(), _free_port())
    command = [sys.executable, "-m", "tg.common.cli", "serve", "--store", str(folder / "server")]
    ports = ["--port", server.requests.rpartition(":")[2], "--management-port", server.address.rpartition(":")[2]]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *ports], env=project.environment(), stdout=log, stderr=log)
    try:
        while not _is_ready(server):
            assert process.poll() is None, (folder / "server.log").read_text("utf-8")
            time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _is_ready(server: PageServer) -> bool:
    try:
        return requests.get(f"{server.address}/health/ready", timeout=5).ok
    except requests.RequestException:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
