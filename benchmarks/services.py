"""The engine, the ssh server and the registry that `scripts/services` starts; and what is made with them to measure on.

What is made has names of its own and is taken away at the end: `tg-bench…` in the engine, and a temporary folder. What was
pushed to the registry stays until `scripts/services stop`.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tg.common.delivery.images.labels import BASE_NAME

from .samples import REPOSITORY, sample

SSH_ALIAS = "tg-test-server"


class ServiceMissing(Exception):
    """This machine cannot have a part; the text is the reason."""


@dataclass(frozen=True)
class Services:
    """What is there: each part, or the reason why it is not, as `scripts/services start` prints them."""

    report: dict[str, Any]

    @classmethod
    def start(cls) -> Services:
        """Start what is missing; minutes where the base image is to be made first. Raises `ServiceMissing`."""
        command = [sys.executable, str(REPOSITORY / "scripts/services"), "start"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ServiceMissing(f"scripts/services ended with {done.returncode}: {_last_line(done.stderr)}")
        return cls(json.loads(done.stdout))

    @property
    def engine(self) -> str:
        """The URL of its socket."""
        return f"unix://{self._part('docker')['socket']}"

    @property
    def base_image(self) -> str:
        """A name that the engine knows. Its Python is ours, or nothing is measured: bytecode is for one version."""
        name = str(self._part("base_image"))
        version = "{}.{}".format(*sys.version_info[:2])
        if not re.search(rf"\b{re.escape(version)}\b", name):
            raise ServiceMissing(f"the base image is {name}, and this is Python {version}; take that of the image")
        return name

    @property
    def registry(self) -> str:
        """`host:port`, without TLS and passwords."""
        return str(self._part("registry")["plain"])

    @property
    def ssh_config(self) -> Path:
        """With it, `ssh` knows the server as `SSH_ALIAS`."""
        return Path(self._part("ssh")["config"])

    def _part(self, name: str) -> Any:
        found = self.report[name]
        if isinstance(found, dict) and "missing" in found:
            raise ServiceMissing(f"{name}: {found['missing']}")
        return found


@dataclass(frozen=True)
class Base:
    """A base image of this run's own, and a TG_HOME that has it and nothing else."""

    name: str
    home: Path

    def copy_home(self, home: Path) -> Path:
        """A fresh home with the base image in it; blobs are linked."""
        shutil.copytree(self.home, home, copy_function=os.link)
        return home


@contextmanager
def own_base(services: Services, folder: Path, environment: dict[str, str]) -> Iterator[Base]:
    """The base image of the services and one small layer more, which no other image has.

    An engine knows a layer by all that lies below it: so nothing that others have left in it helps anybody here.
    """
    if shutil.which("docker") is None:
        raise ServiceMissing("there is no docker command, which the other way of making images is")
    token = secrets.token_hex(6)
    base = Base(f"tg-bench-base:{token}", folder / "home-with-base")
    context = folder / "base"
    context.mkdir()
    (context / "token").write_text(token)
    (context / "Dockerfile").write_text(
        f"FROM {services.base_image}\nLABEL tg-bench={token}\nCOPY token /etc/tg-bench\n"
    )
    docker("build", "--quiet", "--tag", base.name, str(context), environment=environment)
    try:
        sample("-m", "benchmarks.sample_image", "base", base.name, home=base.home, environment=environment)
        yield base
    finally:
        for label in (f"{BASE_NAME}={base.name}", f"tg-bench={token}"):
            _remove_labelled(label, environment)


@contextmanager
def ssh_on_path(config: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of the server's engine, and the environment whose `ssh` knows that server."""
    with tempfile.TemporaryDirectory() as folder:
        wrapper = Path(folder) / "ssh"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {config} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o755)
        yield f"ssh://{SSH_ALIAS}", {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def docker(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """What `docker ARGUMENTS` printed. Raises `DockerFailed`."""
    done = subprocess.run(
        ["docker", *arguments], env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DockerFailed(f"docker {' '.join(arguments)} ended with {done.returncode}: {_last_line(done.stderr)}")
    return done.stdout


def _remove_labelled(label: str, environment: dict[str, str]) -> None:
    """Whatever has been left: images on a base are labelled with it, by delivery, or inherit its labels from docker."""
    labelled = "--quiet", "--filter", f"label={label}"
    containers = docker("ps", "--all", *labelled, environment=environment).split()
    if containers:
        docker("rm", "--force", *containers, environment=environment)
    images = dict.fromkeys(docker("images", *labelled, environment=environment).split())
    if images:
        docker("rmi", "--force", *images, environment=environment)


class DockerFailed(Exception):
    """A docker command has failed; the text is its last line."""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]
