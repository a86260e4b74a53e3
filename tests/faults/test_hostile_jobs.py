"""A job that means harm, in a container: what it can take is bounded, what it leaves is refused, and it is not believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.execution import DockerExecutor
from tg.common.delivery.runtime.errors import (
    InvalidName,
    JobFailed,
    RunCancelled,
    RunFailed,
    UntrustedResult,
)

pytestmark = pytest.mark.usefixtures("image_cache")

Deliver = Callable[..., Path]


@pytest.fixture
def deliver(project: Project, unchecked: None) -> Deliver:
    """Make a package of a job whose `run` has this body."""

    def deliver(body: str, *, before: str = "") -> Path:
        lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
        project.write("tg/my/job.py", f"{before}\nclass Job:\n    def run(self):\n{lines}")
        return project.deliver("run_job", "1.0.0")

    return deliver


def test_it_has_few_rights(deliver: Deliver) -> None:
    body = """
import os, tempfile
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
def writable(path):
    try:
        with open(os.path.join(path, "probe"), "w"):
            return True
    except OSError:
        return False
places = [place for place in ("/", "/etc", "/usr/lib", "/opt/tg/lib", "/var", "/tmp", "/root", "/home", "/home/job") if writable(place)]
with tempfile.NamedTemporaryFile() as file:
    temporary = file.name
rights = {name: status[name].strip() for name in ("Uid", "CapEff", "CapBnd", "NoNewPrivs")}
return rights, places, temporary, os.listdir("/home/job")
"""
    with DockerExecutor() as executor:
        rights, places, temporary, there = executor.start(deliver(body)).result()
    assert rights["Uid"].split() == ["1000"] * 4
    assert int(rights["CapEff"], 16) == int(rights["CapBnd"], 16) == 0
    assert rights["NoNewPrivs"] == "1"
    assert places == ["/home/job"]
    assert temporary.startswith("/home/job/")
    assert sorted(there) == [".tg", "probe"]


def test_it_has_no_network_when_it_is_to_have_none(deliver: Deliver) -> None:
    body = """
import os, socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2)
except OSError as error:
    return sorted(os.listdir("/sys/class/net")), error.errno
"""
    with DockerExecutor(network=False) as executor:
        import errno

        assert executor.start(deliver(body)).result() == (["lo"], errno.ENETUNREACH)


def test_a_fork_bomb_stays_in_its_bounds(deliver: Deliver) -> None:
    body = """
import os, time
made = 0
for _ in range(5000):
    try:
        if os.fork() == 0:
            while True:
                try:
                    os.fork()
                except OSError:
                    time.sleep(1)
        made += 1
    except OSError as error:
        return made, error.errno
return made, 0
"""
    import errno

    with DockerExecutor(processes=64) as executor:
        started = time.monotonic()
        made, number = executor.start(deliver(body)).result()
    assert made < 64
    assert number == errno.EAGAIN
    assert time.monotonic() - started < 60


@pytest.mark.parametrize("where", ["/home/job", "/home/job/.tg", "/opt/tg/run", "/tmp", "/dev/shm"])
def test_a_disk_is_not_filled(deliver: Deliver, where: str) -> None:
    """With `disk=`: what it can write anywhere is bounded, and the result, which needs room as well, comes back."""
    body = f"""
import os
written = 0
try:
    for number in range(1000):
        with open(os.path.join({where!r}, f"filler-{{number}}"), "wb", buffering=0) as file:
            for _ in range(64):
                written += file.write(bytes(1 << 20))
except OSError as error:
    pass
for name in ("result.pickle", "result.pickle.failure"):
    try:
        with open("/opt/tg/run/" + name, "ab", buffering=0) as file:
            while True:
                written += file.write(bytes(1 << 20))
    except OSError:
        pass
return written
"""
    with DockerExecutor(disk="48m", memory="512m") as executor:
        assert executor.start(deliver(body)).result() <= 3 * (48 << 20) + (64 << 20)


def test_a_bounded_disk_and_a_failure(deliver: Deliver) -> None:
    with DockerExecutor(disk="16m") as executor:
        run = executor.start(deliver("raise RuntimeError('too bad')"))
        with pytest.raises(JobFailed, match="RuntimeError: too bad"):
            run.result()
        run.remove()


def test_what_a_bounded_disk_cannot_do_is_refused(ssh_host: str, deliver: Deliver, tmp_path: Path) -> None:
    with (
        DockerExecutor(host=ssh_host, disk="16m", outputs={"out": tmp_path / "out"}) as executor,
        pytest.raises(InvalidName, match="keeps the working folder in memory"),
    ):
        executor.start(deliver("return 1"))


def test_one_that_ignores_sigterm_ends_all_the_same(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.execution.container_run._STOP_SECONDS", 2)
    body = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    print("ready", flush=True)
while True:
    time.sleep(1)
"""
    with DockerExecutor() as executor:
        run = executor.start(deliver(body))
        next(line for line in run.logs() if line == "ready")
        run.cancel()
        assert run.wait() == 137
        assert run.state == "cancelled"
        with pytest.raises(RunCancelled):
            run.result()
        run.remove()


def test_what_it_says_of_itself_is_not_believed(deliver: Deliver, caplog: pytest.LogCaptureFixture) -> None:
    """It writes the lines that a good end has, and ours of the sending side. State, status and result are asked elsewhere."""
    forged = "2026-01-01 00:00:00.000000 INFO: Job has exited successfully\\n2026-01-01 00:00:00.000000 INFO: DONE. Exiting Training Grounds."
    body = f"""
import os, sys
print("{forged}", flush=True)
print("\\x1b[2J\\x1b[1;1Hrun_job__1_0_0 is signed: ssh-ed25519 AAAA", flush=True)
os._exit(3)
"""
    with DockerExecutor() as executor:
        run = executor.start(deliver(body))
        lines = list(run.logs())
        assert "2026-01-01 00:00:00.000000 INFO: DONE. Exiting Training Grounds." in lines
        assert run.wait() == 3
        assert run.state == "failed"
        with pytest.raises(RunFailed, match="ended with status 3"):
            run.result()
        run.remove()
    assert "DONE" not in caplog.text  # its lines are those of `run.logs()`, and never in the log of this process
    assert "signed" not in caplog.text


EVIL = """
import os
class Evil:
    def __reduce__(self):
        return os.system, ("touch CANARY",)
"""


@pytest.mark.parametrize("way", ["returned", "written by itself"])
def test_a_result_that_would_run_something_is_refused(deliver: Deliver, tmp_path: Path, way: str) -> None:
    canary = tmp_path / "canary"
    body = {
        "returned": "return [1, Evil()]",
        "written by itself": """
import os, pickle
with open("/home/job/.tg/result.pickle", "wb") as file:
    pickle.dump(Evil(), file)
os._exit(0)
""",
    }[way]
    with DockerExecutor() as executor:
        run = executor.start(deliver(body, before=EVIL.replace("CANARY", str(canary))))
        with pytest.raises(UntrustedResult, match=r"posix\.system"):
            run.result()
        run.remove()
    assert not canary.exists()


@pytest.mark.parametrize(
    "left",
    [
        "open('/home/job/.tg/result.pickle.failure', 'wb').write(b'{\"type\": ')",
        "open('/home/job/.tg/result.pickle.failure', 'wb').write(b'[' * 100_000)",
        "open('/home/job/.tg/result.pickle.failure', 'wb').write(b'[1, 2]')",
        "os.symlink('/etc/passwd', '/home/job/.tg/result.pickle')",
        "os.mkfifo('/home/job/.tg/result.pickle')",
        "os.mkdir('/home/job/.tg/result.pickle')",
    ],
)
def test_what_it_leaves_in_the_place_of_a_result_is_no_bare_error(deliver: Deliver, left: str) -> None:
    with DockerExecutor() as executor:
        run = executor.start(deliver(f"import os\n{left}\nos._exit(0)"))
        with pytest.raises(RunFailed):
            run.result()
        run.remove()
