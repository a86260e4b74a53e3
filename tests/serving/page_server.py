"""A server for the tests of its page: `tg serve` as users start it, and the packages that are deployed there."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from projects import Project
from serving.servers import Packages, addresses
from waiting import until

from tg.common.delivery.serving.access import Access, Role

_JOBS = """
import pathlib, time

class Times:
    def __init__(self, factor):
        self.factor = factor

    def run(self, value: int) -> int:
        return value * self.factor

class Slow:
    def __init__(self, sign):
        self.sign = sign

    def warm_up(self):
        print("waiting for the sign")
        while not pathlib.Path(self.sign).exists():
            time.sleep(0.02)

    def run(self, value: int) -> int:
        return value

class Broken:
    def warm_up(self):
        print("reading the table")
        raise RuntimeError("the table is empty")

    def run(self, value: int) -> int:
        return value
"""
_OTHER_SOURCE = """
class Job:
    def run(self, value: int) -> int:
        return value * {factor}
"""


class PageServer:
    """A server that runs; its page is at `address`."""

    def __init__(self, project: Project, packages: Packages, folder: Path) -> None:
        self._project = project
        self._packages = packages
        self.requests = self.address = ""  # until it has been started
        self.token, self.reading_token = (
            Access.new_token(folder / "tokens.json", name, role)
            for name, role in (("owner", Role.DEPLOY), ("reader", Role.READ))
        )

    def package(self, name: str, version: str | None, factor: int = 1) -> Path:
        """A package whose job multiplies by `factor`."""
        return self._packages.make(name, version, f"Times({factor})")

    def broken_package(self, name: str, version: str) -> Path:
        """A package whose job raises when it is warmed up."""
        return self._packages.make(name, version, "Broken()")

    def slow_package(self, name: str, version: str, sign: Path) -> Path:
        """A package whose job is warm when a file exists."""
        return self._packages.make(name, version, f"Slow({str(sign)!r})")

    def package_with_source(self, name: str, version: str | None, factor: int) -> Path:
        """Such a package whose `factor` is in its source, so that two of them differ there."""
        return self.package_of(name, version, _OTHER_SOURCE.format(factor=factor))

    def package_of(self, name: str, version: str | None, code: str, job: str = "Job") -> Path:
        """A package of a class that is defined by `code`."""
        self.write(f"tg/{name}/__init__.py", "")
        self.write(f"tg/{name}/job.py", code)
        return self._project.deliver(name, version, job=f"tg.{name}.job:{job}()", settings="packaging.checked = False")

    def write(self, path: str, text: str) -> None:
        """Write a file of the project that the packages are made of."""
        self._project.write(path, text)

    def deploy(self, name: str, version: str | None, factor: int = 1, **parameters: Any) -> None:
        self.deploy_file(self.package(name, version, factor), **parameters)

    def deploy_file(self, file: Path, **parameters: Any) -> None:
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
    project.write("tg/served/__init__.py", "")
    project.write("tg/served/jobs.py", _JOBS)
    log = folder / "server.log"
    command = [sys.executable, "-m", "tg.common.cli", "serve", "--store", str(folder / "server")]
    with contextlib.closing(Packages(project)) as packages, log.open("wb") as opened:
        server = PageServer(project, packages, folder / "server")
        process = subprocess.Popen(
            [*command, "--port", "0", "--management-port", "0"],
            env=project.environment(),
            stdout=opened,
            stderr=opened,
        )
        try:
            listening = addresses(process, log)
            server.requests, server.address = (f"http://{listening[one]}" for one in ("requests", "management"))
            until(lambda: requests.get(f"{server.address}/health/ready", timeout=60).ok, told=log.read_text)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
