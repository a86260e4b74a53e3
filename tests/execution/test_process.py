"""Runs in processes of their own: clean, limited, found again, cancelled, removed. All of it with real processes."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from projects import REPOSITORY, Project
from waiting import is_running, until

from tg.common.delivery.environments.environment import environment_for, python_of
from tg.common.delivery.execution import ProcessExecutor
from tg.common.delivery.execution.process_run import ProcessRun
from tg.common.delivery.runtime.errors import (
    DependencyProblem,
    InvalidName,
    JobFailed,
    MissingVariables,
    OutOfMemory,
    PackageRejected,
    RunCancelled,
    RunFailed,
    RunNotFound,
    TimeLimitReached,
    UntrustedResult,
)
from tg.common.delivery.trust import Policy
from tg.common.locations import Loc

Deliver = Callable[..., Path]
UP = "print('up', flush=True)\n"
FOREVER = "import time\n" + UP + "while True: time.sleep(0.01)"


@pytest.fixture
def deliver(project: Project, unchecked: None) -> Deliver:
    """Make a package of a job whose `run` has this body."""

    def deliver(body: str, version: str = "1.0.0", **options: Any) -> Path:
        lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
        project.write("tg/my/job.py", f"class Job:\n    def run(self):\n{lines}")
        return project.deliver("run_job", version, **options)

    return deliver


def started(run: ProcessRun) -> None:
    next(line for line in run.logs() if line == "up")


def messages(run: ProcessRun) -> list[str]:
    """The lines without their time."""
    return [line.partition(": ")[2] if line.startswith("20") else line for line in run.logs()]


def test_the_result_comes_back_and_the_lines_that_were_logged(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("print('at work')\nreturn {'answer': 42}"))
    assert messages(run) == [
        "Welcome to Training Grounds!",
        "Loading job",
        "Job of type <class 'run_job__1_0_0.tg.my.job.Job'> is loaded",
        "Job has `run` attribute",
        "at work",
        "Job has exited successfully",
        "DONE. Exiting Training Grounds.",
    ]
    assert run.wait() == 0
    assert (run.state, run.exit_code) == ("succeeded", 0)
    assert run.result() == run.result() == {"answer": 42}


def test_a_result_of_a_class_of_the_tree_is_of_the_local_class(project: Project) -> None:
    project.write("tg/my/result.py", "class Result:\n    def __init__(self, value):\n        self.value = value\n")
    project.write(
        "tg/my/job.py",
        """
        from .result import Result

        class Job:
            def run(self):
                return Result(7)
        """,
    )
    printed = project.run("""
        from tg.common.delivery.delivery import Packaging
        from tg.common.delivery.execution import ProcessExecutor
        from tg.my.job import Job
        from tg.my.result import Result
        packaging = Packaging('class_job', '1.0.0', dict(job=Job()))
        packaging.silent = True
        with ProcessExecutor().start(packaging) as run:
            result = run.result()
        print(type(result) is Result, result.value)
    """)
    assert printed.splitlines()[-1] == "True 7"


def test_a_result_that_refers_to_what_is_not_declared_is_refused(deliver: Deliver) -> None:
    body = "class Bad:\n    def __reduce__(self):\n        import os\n        return os.mkdir, ('made',)\nreturn Bad()"
    run = ProcessExecutor().start(deliver(body))
    with pytest.raises(UntrustedResult, match=r"posix\.mkdir") as raised:
        run.result()
    assert raised.value.reference == "posix.mkdir"
    assert run.state == "succeeded"


def test_a_job_that_raises_is_told_with_the_traceback_of_there(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("values = {}\nreturn values['missing']"))
    with pytest.raises(JobFailed, match="KeyError: 'missing'") as raised:
        run.result()
    assert (raised.value.error_type, raised.value.exit_code, raised.value.run_id) == ("KeyError", 1, run.id)
    assert "run_job__1_0_0/tg/my/job.py" in raised.value.traceback
    assert (run.state, run.exit_code) == ("failed", 1)
    assert "return values['missing']" in "\n".join(run.logs())


def test_a_result_that_cannot_be_pickled_is_a_failure_that_says_so(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("return lambda: 1"))
    with pytest.raises(JobFailed, match=r"the job returned an object of <class 'function'>, which cannot be pickled"):
        run.result()


@pytest.mark.parametrize(("ending", "status"), [("os._exit(3)", 3), ("os.kill(os.getpid(), 6)", 134)])
def test_a_job_that_ends_its_process_is_told_by_status(deliver: Deliver, ending: str, status: int) -> None:
    run = ProcessExecutor().start(deliver(f"import os\n{ending}"))
    with pytest.raises(RunFailed, match=rf"status {status}.*cat .*log") as raised:
        run.result()
    assert run.exit_code == raised.value.exit_code == status


def test_a_job_that_exits_has_its_own_status(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("import sys\nsys.exit(7)"))
    with pytest.raises(JobFailed, match="SystemExit: 7"):
        run.result()
    assert run.exit_code == 7
    run = ProcessExecutor().start(deliver("import sys\nsys.exit()", "1.0.1"))
    with pytest.raises(RunFailed, match=r"returned nothing, as sys\.exit\(\) does"):
        run.result()
    assert (run.exit_code, run.state) == (0, "succeeded")


def test_the_environment_is_clean_but_for_what_is_named(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "swordfish")
    monkeypatch.setenv("SECRET_OF_MINE", "herring")
    monkeypatch.setenv("LC_TIME", "C")
    package = deliver(UP + "import os, sys, time\ntime.sleep(0.5)\nreturn dict(os.environ), sys.path, os.getcwd()")
    run = ProcessExecutor(propagate=["TOKEN_OF_MINE"]).start(package)
    started(run)
    shown = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    variables, path, folder = run.result()
    assert run.id in shown
    assert "swordfish" not in shown
    kept = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LC_TIME", "PATH", "PWD", "OLDPWD", "SSL_CERT_DIR", "SSL_CERT_FILE"}
    ours = {"PYTHONNOUSERSITE", "PYTHONPATH", "PYTHONSAFEPATH", "PYTHONUNBUFFERED", "TG_EXECUTOR", "TOKEN_OF_MINE"}
    assert set(variables) <= kept | {"TMPDIR", "TZ", "SHLVL", "_"} | ours
    assert variables["TOKEN_OF_MINE"] == "swordfish"
    assert Path(folder).samefile(run.folder / "work")
    for file in run.folder.rglob("*"):
        assert not file.is_file() or file.name == "result.pickle" or b"swordfish" not in file.read_bytes(), file
    assert not any(entry.startswith(str(REPOSITORY)) for entry in path)
    assert run.folder.stat().st_mode & 0o077 == 0


def test_variables_that_are_not_set_are_refused_before_anything_is_made() -> None:
    with pytest.raises(MissingVariables, match="NOT_SET_ONE, NOT_SET_TWO"):
        ProcessExecutor(propagate=["NOT_SET_ONE", "NOT_SET_TWO"]).start("no-such-package.whl")
    assert not Loc.home.exists()


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.whl").write_bytes(b"no zip")
    with pytest.raises(PackageRejected):
        ProcessExecutor().start(tmp_path / "x.whl")
    assert not Loc.runs.exists()


def test_files_go_in_and_come_out(deliver: Deliver, tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/words.txt").write_text("hello")
    (tmp_path / "one.txt").write_text("single")
    executor = ProcessExecutor(
        inputs={"data": tmp_path / "in", "given/one.txt": tmp_path / "one.txt"}, outputs={"out": tmp_path / "results"}
    )
    body = """
from pathlib import Path
text = Path("data/deep/words.txt").read_text() + Path("given/one.txt").read_text()
Path("out/shout.txt").write_text(text.upper())
"""
    run = executor.start(deliver(body))
    assert run.wait() == 0
    assert (tmp_path / "results/shout.txt").read_text() == "HELLOSINGLE"
    run.remove()
    assert (tmp_path / "in/deep/words.txt").read_text() == "hello"
    assert (tmp_path / "results/shout.txt").exists()


def test_an_input_is_no_module(deliver: Deliver, tmp_path: Path) -> None:
    if sys.version_info < (3, 11):
        pytest.skip("PYTHONSAFEPATH is of Python 3.11")
    (tmp_path / "json.py").write_text("raise RuntimeError('imported')")
    run = ProcessExecutor(inputs={"json.py": tmp_path / "json.py"}).start(deliver("import json\nreturn json.dumps(1)"))
    assert run.result() == "1"


def test_inputs_that_are_not_there_are_refused(deliver: Deliver, tmp_path: Path) -> None:
    with pytest.raises(InvalidName, match="not there"):
        ProcessExecutor(inputs={"data": tmp_path / "nothing"}).start("no-such-package.whl")
    with pytest.raises(InvalidName, match="not in the working folder"):
        ProcessExecutor(inputs={"/data": tmp_path}).start("no-such-package.whl")


def test_only_what_is_declared_is_installed(deliver: Deliver) -> None:
    body = """
import importlib.util, iniconfig
return iniconfig.__name__, [name for name in ("numpy", "pytest", "pip") if importlib.util.find_spec(name)]
"""
    settings = "packaging.dependencies = [DependencyList('mine', ['iniconfig'])]"
    run = ProcessExecutor().start(deliver(body, settings=settings))
    assert run.result() == ("iniconfig", [])
    (environment,) = Loc.environments.iterdir()
    made = environment.stat().st_ctime_ns
    assert environment_for(["iniconfig"]) == environment
    assert environment.stat().st_ctime_ns == made


def test_an_environment_that_several_ask_for_at_once_is_whole() -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(environment_for([]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    assert [path.name for path in Loc.environments.iterdir()] == [found[0].name]
    done = subprocess.run([python_of(found[0]), "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    assert done.stdout.strip() == str(found[0])


def test_an_environment_whose_python_is_gone_is_made_again() -> None:
    folder = environment_for([])
    python_of(folder).unlink()
    assert environment_for([]) == folder
    assert python_of(folder).exists()


def test_an_environment_is_made_with_the_python_that_is_named() -> None:
    named = environment_for([], python=os.path.realpath(sys.executable))
    version = subprocess.run([python_of(named), "--version"], capture_output=True, text=True, check=True).stdout
    assert version.split()[1] == sys.version.split()[0]


def test_what_cannot_be_had_is_told_in_the_words_of_uv_before_anything_runs(deliver: Deliver) -> None:
    settings = "packaging.dependencies = [DependencyList('mine', ['iniconfig>=2', 'iniconfig<2'])]"
    with pytest.raises(DependencyProblem, match=r"(?s)iniconfig.*unsatisfiable"):
        ProcessExecutor().start(deliver("return 1", settings=settings))
    assert not Loc.runs.exists()
    assert list(Loc.environments.iterdir()) == []


def test_more_memory_than_it_may_take_is_told(deliver: Deliver) -> None:
    executor = ProcessExecutor(memory="100m")
    run = executor.start(deliver("held = [bytearray(1 << 20) for _ in range(500)]\nreturn len(held)"))
    with pytest.raises(OutOfMemory, match="memory 100m") as raised:
        run.result()
    assert raised.value.exit_code == 1
    assert run.state == "failed"
    assert executor.start(deliver("return len([bytearray(1 << 20) for _ in range(50)])", "1.0.1")).result() == 50


def test_a_kill_under_a_memory_limit_is_taken_for_what_it_will_have_been(deliver: Deliver) -> None:
    body = "import os\nos.kill(os.getpid(), 9)"
    with pytest.raises(OutOfMemory, match="memory 1g") as raised:
        ProcessExecutor(memory="1g").start(deliver(body)).result()
    assert raised.value.exit_code == 137
    with pytest.raises(RunFailed, match="killed by SIGKILL") as other:
        ProcessExecutor().start(deliver(body)).result()
    assert not isinstance(other.value, OutOfMemory)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no process to processors")
def test_processors_are_limited(deliver: Deliver) -> None:
    before = os.sched_getaffinity(0)
    run = ProcessExecutor(cpus=0.5).start(deliver("import os\nreturn len(os.sched_getaffinity(0))"))
    assert run.result() == 1
    assert os.sched_getaffinity(0) == before


def test_more_time_than_it_may_take_is_told(deliver: Deliver) -> None:
    run = ProcessExecutor(time_seconds=3).start(
        deliver("import time\ntry:\n    time.sleep(600)\nexcept Exception:\n    pass")
    )
    with pytest.raises(TimeLimitReached, match=r"(?s)time 3 s.*sleep\(600\)") as raised:
        run.result()
    assert raised.value.exit_code == 124


def test_more_time_than_it_may_take_is_told_of_code_that_is_stuck_too(deliver: Deliver) -> None:
    body = "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\ntime.sleep(600)"
    run = ProcessExecutor(time_seconds=3).start(deliver(body))
    with pytest.raises(TimeLimitReached, match=r"(?s)time 3 s.*job\.py\", line 5 in run"):
        run.result()


def test_who_watches_ends_a_run_that_does_not_end_itself(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.execution.process_run._OVERTIME_SECONDS", 0)
    body = "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n" + FOREVER
    run = ProcessExecutor(time_seconds=1).start(deliver(body))
    with pytest.raises(TimeLimitReached):
        run.result()
    assert run.exit_code == 137


def test_a_cancelled_run_cleans_up_and_says_so_to_everybody(deliver: Deliver) -> None:
    body = "import time\ntry:\n    " + UP.strip() + "\n    time.sleep(600)\nfinally:\n    print('cleaned up')"
    run = ProcessExecutor().start(deliver(body))
    started(run)
    assert (run.state, run.exit_code) == ("running", None)
    run.cancel()
    assert (run.state, run.exit_code) == ("cancelled", 143)
    assert messages(run)[-2:] == ["cleaned up", "Job was stopped by SIGTERM"]
    run.cancel()  # does nothing
    found = ProcessExecutor().find(run.id)
    assert found.state == "cancelled"
    with pytest.raises(RunCancelled):
        found.result()


def test_a_run_that_will_not_stop_is_made_to(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.execution.process_run._STOP_SECONDS", 0.2)
    run = ProcessExecutor().start(deliver("import signal\nsignal.signal(15, signal.SIG_IGN)\n" + FOREVER))
    started(run)
    run.cancel()
    assert (run.state, run.exit_code) == ("cancelled", 137)


def test_a_run_is_cancelled_at_any_moment(deliver: Deliver) -> None:
    package = deliver(FOREVER)
    for wait in (0, 0.002, 0.01, 0.03, 0.06):
        run = ProcessExecutor().start(package)
        time.sleep(wait)
        run.cancel()
        assert run.state == "cancelled"
        assert list(run.logs()) == list(run.logs())


def test_what_has_ended_is_not_cancelled(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("return 1"))
    run.wait()
    run.cancel()
    assert run.state == "succeeded"
    assert run.result() == 1


def test_what_the_job_leaves_running_ends_with_it(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("import subprocess\nreturn subprocess.Popen(['sleep', '600']).pid"))
    left = run.result()
    until(lambda: not is_running(left), seconds=30)


def test_another_process_finds_a_run_by_its_id_when_the_first_is_gone(deliver: Deliver, project: Project) -> None:
    body = "import time\nfor n in range(5):\n    print('line', n)\n    time.sleep(.1)\nreturn [1, 2]"
    package = deliver(body)
    run_id = project.run(f"""
        import os
        from tg.common.delivery.execution import ProcessExecutor
        print(ProcessExecutor().start({str(package)!r}).id, flush=True)
        os._exit(0)
    """).strip()
    run = ProcessExecutor().find(run_id)
    assert [line for line in run.logs() if line.startswith("line")] == [f"line {n}" for n in range(5)]
    assert (run.result(), run.exit_code, run.state) == ([1, 2], 0, "succeeded")


def test_lines_come_as_they_are_written(deliver: Deliver, tmp_path: Path) -> None:
    body = "import time, pathlib\n" + UP + "while not pathlib.Path('go/on').exists(): time.sleep(0.005)"
    run = ProcessExecutor(inputs={"go": tmp_path}).start(deliver(body))
    lines = run.logs()
    assert "up" in lines  # before it can go on
    (tmp_path / "on").touch()
    assert "DONE" in list(lines)[-1]


def test_two_who_read_the_log_are_not_in_each_others_way(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver("for n in range(1000): print(n)"))
    one, other = run.logs(), run.logs()
    pairs = [(line, next(other)) for line in one]
    assert len(pairs) > 1000
    assert all(line == same for line, same in pairs)
    assert list(other) == []


def test_output_that_is_no_text_a_long_line_and_one_without_an_end_arrive(deliver: Deliver) -> None:
    body = r"""
import os
os.write(1, b'caf\xe9 \xff\n' + 'schön\n'.encode())
os.write(1, b'x' * (1 << 20) + b'\n')
print('the end', end='')
os._exit(0)
"""
    run = ProcessExecutor().start(deliver(body))
    lines = list(run.logs())
    assert r"caf\xe9 \xff" in lines
    assert "schön" in lines
    assert "".join(line for line in lines if set(line) == {"x"}) == "x" * (1 << 20)
    assert max(map(len, lines)) <= 65536
    assert lines[-1] == "the end"


def test_much_output_is_read_in_constant_memory(deliver: Deliver, project: Project) -> None:
    package = deliver("import sys\nfor _ in range(64): sys.stdout.write(('y' * 1023 + chr(10)) * 1024)")
    printed = project.run(f"""
        import resource
        from tg.common.delivery.execution import ProcessExecutor
        run = ProcessExecutor().start({str(package)!r})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        count = sum(1 for line in run.logs() if line.startswith('yyy'))
        print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024)
    """)
    assert printed.splitlines()[-1] == "65536 True"


def test_a_run_whose_processes_are_gone_has_failed_and_says_so(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver(FOREVER))
    started(run)
    os.killpg(int((run.folder / "pid").read_text()), signal.SIGKILL)
    run.wait()
    assert run.state == "failed"
    with pytest.raises(RunFailed, match="gone and left no exit status"):
        run.result()
    assert ProcessExecutor().find(run.id).state == "failed"
    assert messages(run)[-1] == "up"


def test_runs_are_listed_removed_and_pruned_by_one_call_each(deliver: Deliver) -> None:
    executor = ProcessExecutor()
    assert executor.runs() == []
    assert executor.prune() == []
    ended = [executor.start(deliver("return 1")) for _ in range(2)]
    for run in ended:
        run.wait()
    going = executor.start(deliver(FOREVER, "1.0.1"))
    assert [run.id for run in executor.runs()] == [going.id, ended[1].id, ended[0].id]
    executor.remove(ended[0].id)
    assert executor.prune() == [ended[1].id]
    assert [run.id for run in executor.runs()] == [going.id]
    executor.remove(going.id)
    assert executor.runs() == []
    assert list(Loc.runs.iterdir()) == []
    for found in (going.id, "nobody-01234567", "../store", ""):
        with pytest.raises(RunNotFound, match=r"runs\(\)"):
            executor.find(found)


def test_a_run_that_somebody_else_removes_is_not_found(deliver: Deliver) -> None:
    run = ProcessExecutor().start(deliver(FOREVER))
    started(run)
    ProcessExecutor().remove(run.id)
    with pytest.raises(RunNotFound, match="was removed"):
        run.wait()


def test_what_has_ended_leaves_no_zombie_and_no_descriptor(deliver: Deliver) -> None:
    package = deliver("return 1")
    ProcessExecutor().start(package).wait()
    gc.collect()  # what other tests have left is closed now
    before = len(os.listdir("/proc/self/fd"))
    runs = [ProcessExecutor().start(package) for _ in range(4)]
    for run in runs:
        run.wait()
        pid = int((run.folder / "pid").read_text())
        while Path(f"/proc/{pid}").exists():  # the shell ends right after it has written the status
            assert run._child is not None
            run._child.reap()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_written_of_a_run_is_plain(deliver: Deliver, tmp_path: Path) -> None:
    executor = ProcessExecutor(propagate=["PATH"], outputs={"out": tmp_path / "o"}, memory="1g", time_seconds=60)
    run = executor.start(deliver("return 1"))
    facts = json.loads((run.folder / "run.json").read_bytes())
    assert facts.pop("started_at") > 0
    assert facts == {
        "module_name": "run_job__1_0_0",
        "requirements": [],
        "limits": "memory 1g, time 60 s",
        "memory_bytes": 1 << 30,
        "time_seconds": 60,
        "propagate": ["PATH"],
        "inputs": {},
        "outputs": {"out": str(tmp_path / "o")},
        "roots": ["tg"],
    }
    assert run.result() == 1
    with (run.folder / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # nobody holds it any more


def test_a_package_of_an_earlier_version_runs(tmp_path: Path) -> None:
    (earlier,) = (REPOSITORY / "tests/packages/format-1-made-by-3.10").iterdir()
    run = ProcessExecutor(policy=Policy.any()).start(earlier)
    assert run.wait() == 0
    assert "Result is written to" in "\n".join(run.logs())
