"""A Ray cluster on this machine, in a process of its own: a program that obeys one command a line, and answers with one of JSON.

    python ray_nodes.py FOLDER NODES CPUS OBJECT_STORE_MIB

Each node has a home of its own below FOLDER, as machines have. All of Ray ends with the standard input, or with this process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TOKEN = "0123456789abcdef" * 4
TRIES = 3
"""A node that is not up in 30 seconds, as on a busy machine, is an error of Ray."""


class RayNodes:
    """The cluster, as tests have it."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder
        self.address = str(self._answer())

    def add(self) -> str:
        """Add a node; the name of its home."""
        return str(self._ask("add"))

    def remove(self) -> str:
        """Remove the node that was added last, as a machine that is switched off; the name of its home."""
        return str(self._ask("remove"))

    def home(self, name: str) -> Path:
        return self.folder / name

    def _ask(self, command: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)["answer"]
        raise AssertionError(f"the cluster has ended with status {self._process.wait()}")


@contextmanager
def ray_nodes(folder: Path, *, nodes: int = 3, cpus: int = 1, object_store_mib: int = 100) -> Iterator[RayNodes]:
    """A cluster that asks for a token, for as long as this is entered."""
    arguments = [str(folder), str(nodes), str(cpus), str(object_store_mib)]
    kept = {name: value for name, value in os.environ.items() if name not in ("TG_HOME", "PYTHONDONTWRITEBYTECODE")}
    environment = {**kept, **ray_environment(), "PYTHONPATH": quick_start(folder)}
    for attempt in range(TRIES):
        with (folder / "errors").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, __file__, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=folder,
                env=environment,
            )
        try:
            started = RayNodes(process, folder)
        except AssertionError:
            _end(process)
            if attempt + 1 == TRIES:
                raise
            continue
        try:
            yield started
        finally:
            _end(process)
        return


def _end(process: subprocess.Popen[str]) -> None:
    """It ends with its standard input, and all of Ray with it."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()


def quick_start(folder: Path) -> str:
    """A folder for the path of Ray's processes: what checks URIs for jsonschema, installed here with other tools, takes them 2.5 seconds."""
    quick = folder / "quick"
    quick.mkdir()
    (quick / "rfc3987_syntax.py").write_text('raise ImportError("not here")\n', "utf-8")
    return str(quick)


def ray_environment() -> dict[str, str]:
    """What a driver of it needs in its environment."""
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about graphics cards
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }


def main(folder: str, nodes: str, cpus: str, object_store_mib: str) -> None:
    from ray.cluster_utils import Cluster

    temporary = tempfile.mkdtemp(prefix="tg-ray-")  # a socket's path may not be long
    os.environ["RAY_TMPDIR"] = temporary
    cluster = Cluster()
    added: list[tuple[Any, str]] = []

    def add(*, wait: bool = True) -> str:
        name = f"node-{add.count}"
        add.count += 1
        head = {"include_dashboard": False} if not added else {}
        node = cluster.add_node(
            wait=wait or not added,
            num_cpus=int(cpus),
            object_store_memory=int(object_store_mib) * 1024 * 1024,
            env_vars={"TG_HOME": str(Path(folder, name))},
            **head,
        )
        added.append((node, name))
        return name

    add.count = 0
    try:
        for _ in range(int(nodes)):
            add(wait=False)
        cluster.wait_for_nodes()
        print(json.dumps({"answer": cluster.address}), flush=True)
        for line in sys.stdin:
            if line.strip() == "add":
                answer = add()
            else:
                node, answer = added.pop()
                cluster.remove_node(node, allow_graceful=False)
            print(json.dumps({"answer": answer}), flush=True)
    finally:
        cluster.shutdown()
        shutil.rmtree(temporary, ignore_errors=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
