"""A worker ends with its owner, whatever ends that and whatever the worker does; and nothing is left of it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from waiting import is_running, until

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.errors import WorkerEnded

pytestmark = pytest.mark.usefixtures("unchecked")

Isolate = Callable[..., IsolatedEntryPoint]

BUSY = """
import os
import re
import subprocess
import sys
import threading
import time

class Job:
    def pid(self):
        return os.getpid()

    def child(self):
        return subprocess.Popen(["sleep", "600"]).pid

    def search(self, pid_file):
        write(pid_file)
        re.match("(a+)+$", "a" * 60 + "b")      # for years, and never gives up the interpreter

    def sleep(self, pid_file):
        write(pid_file)
        time.sleep(600)

    def fork(self, pid_file):
        if os.fork() == 0:
            write(pid_file)
            time.sleep(600)

    def add(self, one, other):
        time.sleep(0.001)
        return one + other

    def atexit(self, file):
        import atexit
        atexit.register(lambda: open(file, "w").write("cleaned up"))

    def stay(self):
        threading.Thread(target=time.sleep, args=[600]).start()

def write(pid_file):
    with open(pid_file + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(pid_file + ".new", pid_file)
"""
OWNER = """
import sys, threading
from tg.common.delivery.delivery import install_package_and_get_loader
file, method, pid_file, owner_file = sys.argv[1:]
job = install_package_and_get_loader(file, silent=True, isolated=True).load_resource("job")
print(job.pid(), job.child(), flush=True)
getattr(job, method)(pid_file)
"""


def start_owner(project: Project, method: str, tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """A process whose worker is busy with a call, and the pids of the worker and of what it has started."""
    project.write("tg/my/job.py", BUSY)
    file = project.deliver()
    script = tmp_path / "owner.py"
    script.write_text(OWNER, "utf-8")
    pid_file = tmp_path / "pid"
    command = [sys.executable, str(script), str(file), method, str(pid_file), str(tmp_path / "owner")]
    owner = subprocess.Popen(command, env=project.environment(), stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    until(pid_file.exists)
    pids.append(int(pid_file.read_text()))
    return owner, pids


@pytest.mark.parametrize("method", ["search", "sleep"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_busy_worker_and_what_it_has_started_end_with_their_owner(
    project: Project, tmp_path: Path, shared_environments: None, method: str, number: signal.Signals
) -> None:
    owner, pids = start_owner(project, method, tmp_path)
    with owner:
        owner.send_signal(number)
        owner.communicate()
    until(lambda: not any(map(is_running, pids)))
    assert owner.returncode != 0


def test_a_fork_of_the_owner_does_not_keep_the_worker_up(
    project: Project, tmp_path: Path, shared_environments: None
) -> None:
    project.write("tg/my/job.py", BUSY)
    script = tmp_path / "owner.py"
    script.write_text(
        textwrap.dedent("""
        import os, signal, sys, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)     # of forks beside threads
        from tg.common.delivery.delivery import install_package_and_get_loader
        job = install_package_and_get_loader(sys.argv[1], silent=True, isolated=True).load_resource("job")
        print(job.pid(), flush=True)
        child = os.fork()
        if child == 0:
            time.sleep(600)
        print(child, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """),
        "utf-8",
    )
    command = [sys.executable, str(script), str(project.deliver())]
    with subprocess.Popen(command, env=project.environment(), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        worker, child = (int(owner.stdout.readline()) for _ in range(2))
        owner.wait()
        until(lambda: not is_running(worker))
        assert is_running(child)
        os.kill(child, signal.SIGKILL)


def test_a_fork_of_the_owner_is_told_that_the_worker_is_not_its_own(
    project: Project, shared_environments: None
) -> None:
    project.write("tg/my/job.py", BUSY)
    printed = project.run(f"""
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from tg.common.delivery.delivery import install_package_and_get_loader
        entry_point = install_package_and_get_loader({str(project.deliver())!r}, silent=True, isolated=True)
        job = entry_point.load_resource("job")
        before = job.pid()
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        if os.fork() == 0:
            try:
                job.pid()
            except Exception as error:
                print(type(error).__name__, str(error).partition(".")[0], flush=True)
            print(entry_point.load_resource("job").pid() != before, flush=True)
            del job
            sys.exit()
        assert os.wait()[1] == 0
        print(job.pid() == before)
    """)
    fork = "WorkerEnded the worker of my_job__1_0_0 belongs to the process that this one is a fork of"
    assert printed.splitlines() == [fork, "True", "True"]


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "raise ValueError", "del job, entry_point", "entry_point.unload()"])
def test_an_owner_that_ends_leaves_nothing_and_says_nothing(
    project: Project, shared_environments: None, end: str
) -> None:
    project.write("tg/my/job.py", BUSY)
    file = project.deliver()
    script = project.elsewhere / "owner.py"
    script.write_text(
        "import os, sys\nfrom tg.common.delivery.delivery import install_package_and_get_loader\n"
        f"entry_point = install_package_and_get_loader({str(file)!r}, silent=True, isolated=True)\n"
        f"job = entry_point.load_resource('job')\nprint(job.pid(), job.child(), flush=True)\n{end}\n",
        "utf-8",
    )
    command = [sys.executable, "-X", "dev", "-W", "error", str(script)]
    done = subprocess.run(command, env=project.environment(), capture_output=True, text=True, check=False)
    until(lambda: not any(is_running(int(pid)) for pid in done.stdout.split()))
    assert done.stderr.count("\n") == (4 if "raise" in end else 0), done.stderr
    assert "ResourceWarning" not in done.stderr


def test_a_worker_ends_as_a_program_does(isolate: Isolate, tmp_path: Path) -> None:
    entry_point = isolate(BUSY)
    entry_point.load_resource("job").atexit(str(tmp_path / "file"))
    entry_point.unload()
    assert (tmp_path / "file").read_text() == "cleaned up"


def test_a_worker_that_does_not_end_by_itself_is_killed(isolate: Isolate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.isolation.worker_process.GRACE_SECONDS", 0.3)
    entry_point = isolate(BUSY)
    job = entry_point.load_resource("job")
    pid = job.pid()
    job.stay()
    entry_point.unload()
    assert not is_running(pid)


def test_what_a_worker_has_started_ends_with_it(isolate: Isolate) -> None:
    entry_point = isolate(BUSY)
    child = entry_point.load_resource("job").child()
    assert is_running(child)
    entry_point.unload()
    until(lambda: not is_running(child))


def test_a_fork_of_the_worker_does_not_hide_its_end(isolate: Isolate, tmp_path: Path) -> None:
    job = isolate(BUSY).load_resource("job")
    job.fork(str(tmp_path / "pid"))
    until((tmp_path / "pid").exists)
    os.kill(job.pid(), signal.SIGKILL)
    with pytest.raises(WorkerEnded, match="SIGKILL"):
        job.pid()
    until(lambda: not is_running(int((tmp_path / "pid").read_text())))


def test_a_worker_ends_when_nothing_here_refers_to_it(isolate: Isolate, project: Project) -> None:
    entry_point = isolate(BUSY)
    job = entry_point.load_resource("job")
    pid = job.pid()
    entry_point._session = None  # the fixture has the entry point until the test is over
    assert is_running(pid)
    del job
    gc.collect()
    until(lambda: not is_running(pid))


def test_threads_that_call_at_the_same_time_get_their_own_answers(isolate: Isolate) -> None:
    job = isolate(BUSY).load_resource("job")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: job.add(number, 1000), range(400)))
    assert found == [number + 1000 for number in range(400)]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_job_has_processes_of_its_own(isolate: Isolate, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    job = isolate("""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        def square(number):
            print("at work")
            return number ** 2
        class Job:
            def run(self, method):
                with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
                    return list(pool.map(square, range(5)))
    """).load_resource("job")
    for _ in range(2):
        assert job.run(method) == [0, 1, 4, 9, 16]
    job.run(method)
    assert "at work" in capsys.readouterr().out


def test_the_thread_that_started_a_worker_may_end(isolate: Isolate) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(isolate(BUSY).load_resource("job")))
    thread.start()
    thread.join()
    assert found[0].add(1, 2) == 3


def test_no_file_descriptor_is_left(isolate: Isolate) -> None:
    entry_point = isolate(BUSY)
    entry_point.unload()
    gc.collect()  # what other tests have left is closed now
    before = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        job = entry_point.load_resource("job")
        assert job.add(bytes(1_000_000), b"") == bytes(1_000_000)
        entry_point.unload()
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_a_fork_of_the_owner_keeps_files_that_have_the_numbers_of_an_ended_worker_s(
    project: Project, shared_environments: None
) -> None:
    project.write("tg/my/job.py", BUSY)
    printed = project.run(f"""
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from tg.common.delivery.delivery import install_package_and_get_loader
        entry_point = install_package_and_get_loader({str(project.deliver())!r}, silent=True, isolated=True)
        job = entry_point.load_resource("job")
        entry_point.unload()
        files = [open(os.devnull) for _ in range(30)]       # while the proxy is there
        running = install_package_and_get_loader({str(project.deliver())!r}, silent=True, isolated=True)
        print(running.load_resource("job").pid() > 0, flush=True)
        if os.fork() == 0:
            print([os.fstat(file.fileno()).st_rdev for file in files] == [os.stat(os.devnull).st_rdev] * 30, flush=True)
            os._exit(0)
        os.wait()
    """)
    assert printed.splitlines() == ["True", "True"]


def test_a_worker_that_ended_while_nobody_called_is_replaced_by_loading(isolate: Isolate) -> None:
    entry_point = isolate(BUSY)
    job = entry_point.load_resource("job")
    pid = job.pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_running(pid))
    assert entry_point.load_resource("job").pid() != pid
    with pytest.raises(WorkerEnded, match="SIGKILL"):
        job.pid()


def test_a_fork_that_a_job_makes_ends_as_a_program_does(isolate: Isolate, capfd: pytest.CaptureFixture[str]) -> None:
    job = isolate("""
        import os, sys
        class Job:
            def run(self, how):
                child = os.fork()
                if child == 0:
                    if how == "exit":
                        sys.exit(7)
                    return "in the child"
                return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    """).load_resource("job")
    assert (job.run("exit"), job.run("return")) == (7, 0)
    assert capfd.readouterr() == ("", "")
