"""A server for the tests of protocols: jobs written in a test, delivered and served by a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from projects import REPOSITORY, Project
from serving.servers import addresses, lines_of
from waiting import until

_MAKE = """
import json, sys
from tg.common.delivery.delivery import Packaging
from tg.served import jobs

for name, expression in json.loads(sys.argv[1]).items():
    payload = eval(expression, vars(jobs))
    name, _, version = name.partition("@")
    packaging = Packaging(name, version or "1.0.0", payload if isinstance(payload, dict) else {"job": payload})
    packaging.silent = True
    packaging.checked = False
    print(packaging.make_package().package_location, flush=True)
"""


class ServedJobs:
    """The address of a server, and what it has logged."""

    def __init__(self, project: Project, address: str, management: str, token: str, log: Path) -> None:
        self.project = project
        self.address = address
        self.host = address.removeprefix("http://")
        self.management = management
        self.headers = {"Authorization": f"Bearer {token}"}
        self._log = log

    def ask(self, name: str, arguments: object = None, **headers: str) -> requests.Response:
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return requests.post(f"{self.address}/{name}", json=arguments or {}, headers=given, timeout=60)

    def post(self, path: str, body: bytes | str = b"", **headers: str) -> requests.Response:
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return requests.post(self.address + path, data=body, headers=given, timeout=60)

    def get(self, path: str) -> requests.Response:
        return requests.get(self.address + path, timeout=60)

    def infer(self, name: str, **request: Any) -> requests.Response:
        return self.post(f"/v2/models/{name}/infer", json.dumps(request))

    def deploy(self, file: Path, **parameters: str) -> requests.Response:
        return requests.post(
            f"{self.management}/packages",
            data=file.read_bytes(),
            params=parameters,
            headers=self.headers,
            timeout=60,
        )

    def log(self) -> list[dict[str, Any]]:
        return lines_of(self._log)


def packages_of(project: Project, source: str, jobs: Mapping[str, str]) -> list[Path]:
    """A package for each of some jobs, `name` or `name@version`: expressions in the module `tg.served.jobs`, which has this source."""
    project.write("tg/served/__init__.py", "")
    project.write("tg/served/jobs.py", textwrap.dedent(source))
    printed = subprocess.run(
        [sys.executable, "-c", _MAKE, json.dumps(jobs)],
        cwd=project.elsewhere,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert printed.returncode == 0, printed.stderr
    return [Path(line) for line in printed.stdout.splitlines()]


@contextmanager
def serving(
    folder: Path, source: str, jobs: Mapping[str, str], *options: str, token: str | None = None
) -> Iterator[ServedJobs]:
    """Serve jobs, each live under its name. The token is one to deploy with, if it is not that of the server's own."""
    project = Project(folder)
    files = packages_of(project, source, jobs)
    state, log = folder / "state", folder / "server.log"
    command = [sys.executable, "-m", "tg.common.cli", "serve", "--store", str(state), *options]
    command += ["--port", "0", "--management-port", "0"]
    environment = {
        **project.environment(with_project=False),
        "PYTHONPATH": str(REPOSITORY),
        "TG_HOME": str(project.home),
    }
    with log.open("wb") as opened:
        process = subprocess.Popen(command, env=environment, stdout=opened, stderr=opened, start_new_session=True)
    try:
        listening = addresses(process, log)
        management = f"http://{listening['management']}"
        until(lambda: requests.get(f"{management}/health/ready", timeout=60).ok, told=log.read_text)
        secret = token or (state / "token").read_text("ascii")
        served = ServedJobs(project, f"http://{listening['requests']}", management, secret, log)
        for file in files:
            answer = served.deploy(file)
            assert answer.status_code == 200, f"{file.name}: {answer.text}\n{log.read_text('utf-8')}"
        yield served
    finally:
        process.terminate()
        process.wait()
