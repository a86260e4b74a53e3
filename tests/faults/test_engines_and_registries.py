"""Engines, servers and registries that go away in the middle: nothing is lost, nothing repeated, nothing of ours left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from registries import OwnRegistry
from soaking import Soak
from waiting import until

from tg.common.delivery.delivery.containering import Containering
from tg.common.delivery.execution import DockerExecutor
from tg.common.delivery.execution import container_run as container_run_module
from tg.common.delivery.images.engine import Engine
from tg.common.delivery.images.pushing import RegistryPusher
from tg.common.delivery.images.reference import Reference
from tg.common.delivery.images.registry import Registry
from tg.common.delivery.runtime.errors import DeliveryError, EngineProblem, RegistryProblem, RunFailed

pytestmark = pytest.mark.usefixtures("image_cache")

Deliver = Callable[..., Path]

COUNTING = """
import time
for number in range(400):
    print(number, flush=True)
    time.sleep(.02)
return "done"
"""


@pytest.fixture
def deliver(project: Project, unchecked: None) -> Deliver:
    """Make a package of a job whose `run` has this body."""

    def deliver(body: str, version: str = "1.0.0") -> Path:
        lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n{lines}")
        return project.deliver("run_job", version)

    return deliver


class OwnEngine:
    """A dockerd of its own, in a network of its own, that keeps containers running while it is away (`--live-restore`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        (self.folder / "pid").unlink(missing_ok=True)
        # Its containerd ends with it; where nobody collects that at once, it would be taken for one that runs.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)
        command = ["dockerd", "--live-restore", "--host", self.url, "--iptables=false", "--bridge=none"]
        command += ["--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec")]
        command += ["--pidfile", str(self.folder / "pid")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(["unshare", "--net", *command], stdout=log, stderr=log)
        until(self._answers, told=lambda: (self.folder / "log").read_text()[-2000:])

    def end(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait()

    def end_all(self) -> None:
        """Its containers, its containerd, and what is mounted below its folder."""
        with contextlib.suppress(Exception), Engine(self.url) as engine:
            for one in engine.api.containers(all=True):
                engine.api.remove_container(one["Id"], force=True, v=True)
        self.end(signal.SIGTERM)
        listed = subprocess.run(["pgrep", "-f", str(self.folder)], capture_output=True, text=True, check=False)
        for pid in map(int, listed.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed([one for one in mounts if one.startswith(str(self.folder))]):
            subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b"200 OK" in probe.recv(100)
        return False


@pytest.fixture
def own_engine(base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnEngine]:
    if os.getuid() or not shutil.which("unshare") or not shutil.which("dockerd"):
        pytest.skip("restarting an engine that others use is not ours to do, and another needs root and dockerd")
    engine = OwnEngine(Path(tmp_path_factory.mktemp("engine")))
    engine.start()
    try:
        yield engine
    finally:
        engine.end_all()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_that_restarts_loses_no_run_and_no_line(
    own_engine: OwnEngine, base_image: str, deliver: Deliver, number: signal.Signals, soak: Soak
) -> None:
    file = deliver(COUNTING)
    with Engine() as shared:  # has the base image
        settings = Containering.from_package(file)
        with DockerExecutor(host=own_engine.url, containering=settings, network=False) as executor:
            subprocess.run(
                f"docker save {base_image} | docker -H {own_engine.url} load --quiet",
                shell=True, check=True, capture_output=True,
            )  # fmt: skip
            run = executor.start(file)
            seen = []
            for line in run.logs():
                if line.isdigit():
                    seen.append(int(line))
                    if len(seen) == 100:
                        own_engine.end(number)
                        threading.Timer(1.0, own_engine.start).start()
            assert seen == list(range(400))
            assert run.result() == "done"
            assert executor.runs() == []
        assert shared.stands
    soak.tell(f"engine ended with {number.name} and started again: 400 of 400 lines, each once, and the result")


def test_a_container_that_somebody_kills_is_told(deliver: Deliver) -> None:
    with DockerExecutor() as executor:
        run = executor.start(deliver("import time\ntime.sleep(60)"))
        subprocess.run(["docker", "kill", run.id], check=True, capture_output=True)
        assert run.wait() == 137
        assert run.state == "failed"
        with pytest.raises(RunFailed, match="ended with status 137, killed by SIGKILL"):
            run.result()
        assert [one.id for one in executor.runs() if one.id == run.id]  # it stays, to be looked at
        run.remove()


def test_a_connection_that_is_cut_while_a_run_starts_leaves_no_container(
    ssh_host: str, deliver: Deliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DockerExecutor(host=ssh_host) as executor:
        file = deliver("return 1", "0.0.189")  # a version that no other test has on this engine
        executor.start(file).result()
        engine = executor._pusher.engine()

        def cut(*arguments: Any, **named: Any) -> None:
            engine._tunnel._process.kill()
            engine._tunnel._process.wait()
            raise ConnectionError("cut")

        for call in ("start", "create_container_from_config"):
            engine = executor._pusher.engine()
            original = getattr(engine.api, call)

            def after(*arguments: Any, original: Any = original, **named: Any) -> None:
                original(*arguments, **named)  # the engine has done it, and nobody hears of it
                cut()

            monkeypatch.setattr(engine.api, call, cut if call == "start" else after)
            with pytest.raises(EngineProblem):
                executor.start(file)
            assert not [run for run in executor.runs() if "__0_0_189" in repr(run)]


@pytest.mark.engine_alone
def test_a_container_whose_starter_was_killed_is_pruned(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    with DockerExecutor() as executor:
        engine = executor._pusher.engine()
        file = deliver("return 1")
        with monkeypatch.context() as patched:
            patched.setattr(engine.api, "start", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
            patched.setattr(engine.api, "remove_container", lambda *_, **__: None)  # as if killed before it
            with pytest.raises(KeyboardInterrupt):
                executor.start(file)
        (left,) = [
            run for run in executor.runs() if run.state == "running" and not run._inspected()["State"]["Running"]
        ]
        assert left.id not in executor.prune()  # somebody may be about to start it
        monkeypatch.setattr(container_run_module, "_STARTING_SECONDS", -1)
        assert left.id in executor.prune()


def test_a_load_that_fails_inside_of_a_good_answer_is_told(deliver: Deliver, tmp_path: Path) -> None:
    version = f"7.0.{secrets.randbelow(1_000_000_000)}"  # the engine may have one that another session has made
    image = Containering.from_package(file := deliver("return 1", version)).compose(file)
    *rest, last = image.layers
    assert rest
    broken = tmp_path / "broken"
    content = bytearray(last.blob.read())
    content[len(content) // 2 :] = os.urandom(len(content) - len(content) // 2)
    broken.write_bytes(content)
    blob = dataclasses.replace(last.blob, open=lambda: broken.open("rb"))
    altered = dataclasses.replace(image, layers=(*rest, dataclasses.replace(last, blob=blob)))
    with Engine() as engine:
        with pytest.raises(DeliveryError, match=r"loading the image|was changed|is not"):
            engine.load(altered)
        assert engine.inspect_image(altered.reference) is None
        engine.load(image)
        assert engine.inspect_image(image.reference) is not None


@pytest.fixture
def own_registry(tmp_path: Path, plain_registry: str) -> Iterator[OwnRegistry]:
    registry = OwnRegistry(tmp_path / "registry")
    registry.start()
    yield registry
    registry.kill()


def test_a_registry_that_goes_in_the_middle_of_a_push_has_no_half_image(
    own_registry: OwnRegistry, deliver: Deliver, monkeypatch: pytest.MonkeyPatch, soak: Soak
) -> None:
    import requests

    image = Containering.from_package(file := deliver("return 1")).compose(file)
    reference = Reference.parse(f"{own_registry.address}/run_job:1.0.0")
    send = requests.adapters.HTTPAdapter.send
    requests_made = 0
    last = [1_000_000]

    def counted(self: Any, request: Any, **more: Any) -> Any:
        nonlocal requests_made
        requests_made += 1
        if requests_made == last[0]:
            own_registry.kill()
        return send(self, request, **more)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", counted)
    monkeypatch.setattr("tg.common.delivery.images.registry_connection._PAUSES_SECONDS", (0.0, 0.0))
    rounds = 0
    for moment in range(2, 100, soak.times(3, 1)):
        last[0], requests_made = moment, 0
        with contextlib.suppress(RegistryProblem):
            RegistryPusher(own_registry.address).push(image)
            break
        own_registry.start()
        with Registry(own_registry.address) as registry, pytest.raises(RegistryProblem):
            registry.resolve(reference)  # the name appears last
        rounds += 1
    assert rounds >= 2
    own_registry.kill()
    own_registry.start()
    last[0] = 1_000_000
    RegistryPusher(own_registry.address).push(image)
    with Registry(own_registry.address) as registry:
        assert registry.resolve(reference).layers == image.layers
    soak.tell(
        f"registry killed at {rounds} requests of a push: no image under the name, and a whole one after the next push"
    )
