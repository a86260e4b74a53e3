"""What `scripts/services` started, as values; and what happens to a test whose part is missing.

The services outlive the tests: the processes of pytest-xdist, and later runs, find those that are there.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, TypeVar

import pytest
from projects import REPOSITORY

from tg.common.delivery.images import labels

REQUIRED = "TG_REQUIRE_SERVICES"
SCRIPT = REPOSITORY / "scripts/services"

Part = TypeVar("Part")


@dataclass(frozen=True)
class Missing:
    """A part that this machine cannot have, and why."""

    reason: str


@dataclass(frozen=True)
class SshServer:
    """An sshd on this machine. `config` is an ssh_config file with which it is reached as `alias`."""

    host: str
    port: int
    user: str
    key: Path
    config: Path
    known_hosts: Path
    alias: str = "tg-test-server"


@dataclass(frozen=True)
class SecuredRegistry:
    """A registry that wants a password, over TLS with a certificate that `ca` signed."""

    address: str
    user: str
    password: str = field(repr=False)
    ca: Path


@dataclass(frozen=True)
class Services:
    """All parts, each there or missing: the engine's URL, the plain registry's `host:port`, the image's name, the browser's path."""

    docker_engine: str | Missing
    ssh_server: SshServer | Missing
    plain_registry: str | Missing
    secured_registry: SecuredRegistry | Missing
    base_image: str | Missing
    browser: str | Missing

    @classmethod
    def parse(cls, text: str) -> Services:
        """From what `scripts/services start` prints."""
        report = json.loads(text)

        def part(name: str, make: Callable[[Any], Part]) -> Part | Missing:
            found = report[name]
            return Missing(found["missing"]) if isinstance(found, dict) and "missing" in found else make(found)

        return cls(
            docker_engine=part("docker", lambda docker: f"unix://{docker['socket']}"),
            ssh_server=part(
                "ssh",
                lambda ssh: SshServer(
                    host=ssh["host"],
                    port=ssh["port"],
                    user=ssh["user"],
                    key=Path(ssh["key"]),
                    config=Path(ssh["config"]),
                    known_hosts=Path(ssh["known_hosts"]),
                ),
            ),
            plain_registry=part("registry", lambda registry: str(registry["plain"])),
            secured_registry=part(
                "registry",
                lambda registry: SecuredRegistry(
                    address=registry["secured"],
                    user=registry["user"],
                    password=registry["password"],
                    ca=Path(registry["ca"]),
                ),
            ),
            base_image=part("base_image", str),
            browser=part("browser", str),
        )


@functools.cache
def start() -> Services:
    """Start what is missing, once in a process; minutes where an image is to be made first."""
    # More than the script's own limits come to, one after the other, so that it is the script that says what took so long.
    limit_seconds = 3600
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "start"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_seconds,
        check=False,
    )
    if done.returncode:
        nothing = Missing(f"scripts/services start ended with {done.returncode}: {done.stderr.strip()}")
        return Services(nothing, nothing, nothing, nothing, nothing, nothing)
    return Services.parse(done.stdout)


def given(part: Part | Missing) -> Part:
    """The part. Without it the test is skipped, with the reason; where TG_REQUIRE_SERVICES is set, it fails."""
    if isinstance(part, Missing):
        if os.environ.get(REQUIRED):
            pytest.fail(f"{part.reason} ({REQUIRED} is set, so this test may not be skipped)", pytrace=False)
        pytest.skip(part.reason)
    return part


def delivered_images(socket: str = "/var/run/docker.sock") -> set[str]:
    """The IDs of all images there that delivery has composed; none where there is no engine."""
    if not os.path.exists(socket) or shutil.which("docker") is None:
        return set()
    command = ["docker", "images", "--filter", f"label={labels.PACKAGE}", "--quiet", "--no-trunc"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return set(done.stdout.split())


def remove_images(ids: set[str]) -> None:
    """Remove images, under whatever names."""
    if ids:
        subprocess.run(["docker", "rmi", "--force", *ids], capture_output=True, check=False)


class ImagesOfTests:
    """What the tests leave on the engine, which may be that of several sessions at once: the last one to end removes it.

    1. A session holds the lock, shared, from its begin to its end.
    2. The first one of several has it alone for a moment, and writes into its file which images were there before.
    3. Whoever gets it alone at the end is the last one. Who asks for that in vain has let go of it (flock(2)), and so of two that end
       at the same time one gets it.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file: TextIO | None = None

    def begin(self) -> None:
        self._file = self._path.open("a+", encoding="utf-8")
        if self._locked_alone():
            self._file.truncate(0)
            self._file.write(json.dumps(sorted(delivered_images())))
            self._file.flush()
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def end(self) -> None:
        if self._file is None:
            return
        with self._file:
            if self._locked_alone():
                self._file.seek(0)
                remove_images(delivered_images() - set(json.loads(self._file.read() or "[]")))

    def _locked_alone(self) -> bool:
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
