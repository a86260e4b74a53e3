"""A registry of a test's own, whose files can be looked at, and which can be ended in the middle and started again."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

from services import Missing, given
from waiting import until


class OwnRegistry:
    """It listens at a port that the kernel has given it, and has the same `address` when it is started again."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        given(which("docker-registry") or Missing("docker-registry is not installed"))
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.address = "127.0.0.1:0"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        file, log = self.folder / "config.yml", self.folder / "log"
        config = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},  # where it listens is information
            "storage": {"filesystem": {"rootdirectory": str(self.folder)}},
            "http": {"addr": self.address, "secret": "the same before and after"},
            **self._settings,
        }
        file.write_text(json.dumps(config))
        with log.open("wb") as opened:
            self._process = process = subprocess.Popen(
                ["docker-registry", "serve", str(file)], stdout=opened, stderr=opened
            )

        def listening() -> re.Match[str] | None:
            assert process.poll() is None, log.read_text()
            return re.search(r'listening on ([\w.:]+)[", ]', log.read_text())

        self.address = until(listening, told=log.read_text)[1]

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def file_of(self, digest: str) -> Path:
        digits = digest.partition(":")[2]
        return self.folder / f"docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
