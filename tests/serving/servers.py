"""Servers for tests: real ones, each a process with what it starts; and the packages that they are given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from projects import Project
from waiting import Process, descendants, until

_SERVER = """
import json, sys
from pathlib import Path
from tg.common.delivery.serving.server import Server
from tg.common.delivery.serving.settings import ServerSettings

given = json.loads(sys.argv[1])
paths = {"folder", "policy", "tokens", "certificate", "certificate_key"}
Server(ServerSettings(**{name: Path(value) if name in paths else value for name, value in given.items()})).run()
"""

_MAKER = """
import json, sys
from tg.common.delivery.delivery import DependencyList, Packaging
from tg.served.jobs import *

for line in sys.stdin:
    given = json.loads(line)
    payload = {name: eval(expression) for name, expression in given["payload"].items()}
    packaging = Packaging(given["name"], given["version"], payload)
    packaging.dependencies = (DependencyList("needed", given["requirements"]),) if given["requirements"] else ()
    packaging.silent = True
    packaging.checked = False
    try:
        print("made", packaging.make_package().package_location, flush=True)
    except Exception as error:
        print("made", f"{type(error).__name__}: {error}".replace("\\n", " "), flush=True)
"""


class Packages:
    """Packages of the jobs of one project, `tg/served/jobs.py`, made by one process: each takes some milliseconds."""

    def __init__(self, project: Project) -> None:
        self.project = project
        script = project.elsewhere / "maker.py"
        script.write_text(_MAKER, encoding="utf-8")
        self._maker = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=project.elsewhere,
            env={**project.environment(), "MAKES_PACKAGES": "here"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def make(
        self, name: str, version: str | None, job: str, *, requirements: Sequence[str] = (), **resources: str
    ) -> Path:
        """A package of a job, an expression in `tg.served.jobs`; further resources are expressions as well."""
        assert self._maker.stdin is not None
        assert self._maker.stdout is not None
        payload = {"job": job, **resources}
        given = {"name": name, "version": version, "payload": payload, "requirements": list(requirements)}
        self._maker.stdin.write(json.dumps(given) + "\n")
        self._maker.stdin.flush()
        while not (line := self._maker.stdout.readline()).startswith("made "):
            assert line, "the maker has ended"
        told = line.removeprefix("made ").strip()
        assert told.endswith(".whl"), told
        return Path(told)

    def close(self) -> None:
        self._maker.communicate()


class RunningServer:
    """A server that was started; `log` is what it has logged, `folder` what it keeps."""

    def __init__(
        self,
        folder: Path,
        home: Path,
        *,
        environment: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        """`within` is a command in front of its own, which ends in an `exec`."""
        self.folder = folder
        self.scheme = "https" if "certificate" in settings else "http"
        self.verify: bool | str = str(settings["certificate"]) if "certificate" in settings else True
        self._log = folder.with_name(f"{folder.name}-{time.monotonic_ns()}.log")
        folder.parent.mkdir(parents=True, exist_ok=True)
        given = {"folder": folder, "port": 0, "management_port": 0, "preload": [], **settings}
        code = [*within, sys.executable, "-c", _SERVER, json.dumps(given, default=str)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                code, env={**_environment(home), **(environment or {})}, stdout=log, stderr=log
            )
        listening = addresses(self.process, self._log)
        self.requests = f"{self.scheme}://{listening['requests']}"
        self.management = f"{self.scheme}://{listening['management']}"
        token = Path(f"/proc/{self.process.pid}/root{folder}/token")  # as the server sees it
        self.token = token.read_text("ascii") if token.exists() else ""

    def wait_until_ready(self) -> RunningServer:
        until(lambda: self.manage("GET", "/health/ready").status_code == 200)
        return self

    @property
    def log(self) -> list[dict[str, Any]]:
        return lines_of(self._log)

    @property
    def raw_log(self) -> str:
        return self._log.read_text("utf-8", errors="replace")

    def logged(self, **facts: Any) -> list[dict[str, Any]]:
        """The lines with such facts."""
        return [line for line in self.log if facts.items() <= line.items()]

    def ask(
        self,
        name: str,
        arguments: object = None,
        *,
        version: str | None = None,
        key: str | None = None,
        **headers: str,
    ) -> requests.Response:
        """A request for a job."""
        if version is not None:
            headers["X-TG-Version"] = version
        if key is not None:
            headers["X-TG-Key"] = key
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        address = f"{self.requests}/{name}"
        return requests.post(address, json=arguments or {}, headers=given, timeout=60, verify=self.verify)

    def manage(self, method: str, path: str, *, token: str | None = None, **given: Any) -> requests.Response:
        """A request of those who run it, with the token that it has made for them unless another is given."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return requests.request(
            method, self.management + path, headers=headers, timeout=120, verify=self.verify, **given
        )

    def deploy(self, file: Path, *, token: str | None = None, **parameters: Any) -> requests.Response:
        with file.open("rb") as opened:
            return self.manage("POST", "/packages", data=opened, params=parameters, token=token)

    def deployed(self, file: Path, **parameters: Any) -> dict[str, Any]:
        """Deploy what is to be taken."""
        answer = self.deploy(file, **parameters)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def name(self, name: str) -> dict[str, Any]:
        """What the status says of a name."""
        known = dict(self.manage("GET", "/status").json()["names"].get(name, {}))
        for version in known.get("versions", ()):
            del version["memory_bytes"]  # it moves by itself
        return known

    def states(self, name: str) -> dict[str, str]:
        """The states of its versions."""
        return {one["version"]: one["state"] for one in self.name(name).get("versions", ())}

    def stored(self, name: str) -> set[str]:
        """The modules of a name in its store, those that are being removed as well."""
        found: set[str] = set()
        for folder in (self.folder / "store").iterdir():
            with suppress(FileNotFoundError, NotADirectoryError):  # it has been removed meanwhile; it is a lock
                found.update(entry for entry in os.listdir(folder) if entry.startswith(f"{name}__"))
        return found

    def processes(self) -> set[Process]:
        """What it has started, and what that has started, at this moment."""
        return descendants(self.process.pid)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as whoever runs it does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait()


Start = Callable[..., RunningServer]
"""Starts a server with settings of its own: the fixture `start`."""


def lines_of(log: Path) -> list[dict[str, Any]]:
    """The lines of a server's log that are whole."""
    lines = log.read_text("utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


def addresses(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Where a server that was just started listens: ports that it was given by the kernel, as it has logged."""

    def look() -> dict[str, str] | None:
        ended = process.poll() is not None
        found = next((line for line in lines_of(log) if line["message"] == "listening"), None)
        assert found or not ended, log.read_text("utf-8")
        return found

    return until(look, told=log.read_text)


def _environment(home: Path) -> dict[str, str]:
    project = Path(__file__).resolve().parents[2]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TG_", "PYTHONPATH"))}
    return {**kept, "TG_HOME": str(home), "PYTHONPATH": str(project)}
