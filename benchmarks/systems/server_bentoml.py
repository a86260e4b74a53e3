"""BentoML: its server takes no new version, so another one is started in its place.

python server_bentoml.py PORT FOLDER; then a number on each line of standard input is swapped in, and "done" is printed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

SERVICE = """
import os

import bentoml


@bentoml.service(workers=1)
class Adder:
    @bentoml.api(route="/adder")
    def run(self, value: int) -> int:
        return value + int(os.environ["NUMBER"])
"""


def main(port: str, name: str) -> None:
    folder = Path(name)
    (folder / "service.py").write_text(SERVICE, encoding="utf-8")
    server = start(port, folder, 0)
    try:
        print("done", flush=True)
        for line in sys.stdin:
            server.terminate()
            server.wait(30)
            server = start(port, folder, int(line))
            print("done", flush=True)
    finally:
        server.terminate()
        server.wait(30)


def start(port: str, folder: Path, number: int) -> subprocess.Popen[bytes]:
    command = [str(Path(sys.executable).with_name("bentoml")), "serve", "service:Adder", "--port", port]
    environment = {**os.environ, "NUMBER": str(number), "BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "true"}
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while True:
        with suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).status == 200:
                return server
        time.sleep(0.02)


if __name__ == "__main__":
    main(*sys.argv[1:])
