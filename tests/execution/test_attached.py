"""Runs in this process: the same lines, results and errors as anywhere else."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project

from tg.common import Logger
from tg.common.delivery.delivery import uninstall
from tg.common.delivery.execution import AttachedExecutor, ProcessExecutor
from tg.common.delivery.execution.attached import AttachedRun
from tg.common.delivery.runtime.errors import (
    JobFailed,
    MissingVariables,
    OutOfMemory,
    RunCancelled,
    RunFailed,
    RunNotFound,
    UntrustedResult,
)
from tg.common.locations import Loc

Deliver = Callable[..., Path]


@pytest.fixture
def deliver(project: Project, unchecked: None) -> Iterator[Deliver]:
    """Make a package of a job whose `run` has this body."""
    made = 0

    def deliver(body: str, version: str = "1.0.0", **options: Any) -> Path:
        nonlocal made
        made += 1
        lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
        project.write("tg/my/job.py", f"from ..common import Logger\nclass Job:\n    def run(self):\n{lines}")
        return project.deliver("attached_job", version, **options)

    yield deliver
    if made:
        for name in ("attached_job__1_0_0", "attached_job__1_0_1"):
            if any(module.partition(".")[0] == name for module in sys.modules):
                uninstall(name)


def messages(run: Any) -> list[str]:
    """The lines without their time."""
    return [line.partition(": ")[2] if line.startswith("20") else line for line in run.logs()]


def wait_for_end(run: AttachedRun) -> None:
    for thread in threading.enumerate():
        if run.id in thread.name:
            thread.join()


def test_result_lines_and_states_are_those_of_a_process_of_its_own(deliver: Deliver) -> None:
    package = deliver("Logger.info('at work\\n  hard')\nreturn {'answer': 42}")
    run = AttachedExecutor().start(package)
    other = ProcessExecutor().start(package)
    assert messages(run) == messages(other)
    assert "  hard" in messages(run)
    assert run.result() == other.result() == {"answer": 42}
    assert (run.wait(), run.state, run.exit_code) == (other.wait(), other.state, other.exit_code) == (0, "succeeded", 0)


@pytest.mark.parametrize("configure", ["", "logging.basicConfig(stream=sys.stdout, format='%(message)s')"])
def test_lines_are_shown_as_usual_and_once(deliver: Deliver, project: Project, configure: str) -> None:
    package = deliver("Logger.info('at work')\nreturn 1")
    printed = project.run(f"""
        import logging, sys
        from tg.common.delivery.execution import AttachedExecutor
        {configure}
        run = AttachedExecutor().start({str(package)!r})
        run.wait()
        print(len(list(run.logs())))
    """).splitlines()
    assert printed[-1] == "7"
    assert sum(line.endswith("at work") for line in printed) == 1
    assert len(printed) == 8


def test_start_returns_at_once_and_lines_are_live(deliver: Deliver, tmp_path: Path) -> None:
    body = f"import pathlib, time\nLogger.info('up')\nwhile not pathlib.Path({str(tmp_path / 'on')!r}).exists(): time.sleep(0.005)"
    executor = AttachedExecutor()
    run = executor.start(deliver(body))
    lines, other = run.logs(), run.logs()
    assert any(line.endswith("up") for line in lines)
    assert (run.state, run.exit_code) == ("running", None)
    assert executor.find(run.id) is run
    (tmp_path / "on").touch()
    assert next(lines).endswith("Job has exited successfully")
    assert len(list(other)) == 7
    assert run.state == "succeeded"


def test_a_result_of_the_tree_is_of_the_local_class_and_new_each_time(project: Project) -> None:
    project.write("tg/my/result.py", "class Result:\n    def __init__(self, value):\n        self.value = value\n")
    project.write(
        "tg/my/job.py",
        """
        from .result import Result

        class Job:
            def run(self, entry_point):
                return Result(entry_point.load_resource('model'))
        """,
    )
    printed = project.run("""
        from tg.common.delivery.delivery import Packaging
        from tg.common.delivery.execution import AttachedExecutor
        from tg.my.job import Job
        from tg.my.result import Result
        packaging = Packaging('class_job', '1.0.0', dict(job=Job(), model=[7]))
        packaging.silent = True
        with AttachedExecutor().start(packaging) as run:
            one, two = run.result(), run.result()
        print(type(one) is Result, one.value, one is two)
    """)
    assert printed.splitlines()[-1] == "True [7] False"


def test_a_job_that_raises_is_told_with_its_traceback_and_the_error_itself(deliver: Deliver) -> None:
    run = AttachedExecutor().start(deliver("values = {}\nreturn values['missing']"))
    with pytest.raises(JobFailed, match="KeyError: 'missing'") as raised:
        run.result()
    assert isinstance(raised.value.__cause__, KeyError)
    assert (raised.value.error_type, raised.value.exit_code, raised.value.run_id) == ("KeyError", 1, run.id)
    assert "attached_job__1_0_0/tg/my/job.py" in raised.value.traceback
    assert (run.state, run.exit_code) == ("failed", 1)
    assert "Job has failed" in messages(run)
    assert "return values['missing']" in "\n".join(run.logs())


@pytest.mark.parametrize(
    ("body", "error", "said", "status"),
    [
        ("raise MemoryError('too much')", OutOfMemory, "Give it more, or less to do", 1),
        ("raise SystemExit(7)", JobFailed, "SystemExit: 7", 7),
        ("raise SystemExit('gone')", JobFailed, "SystemExit: gone", 1),
        ("raise SystemExit", RunFailed, r"sys\.exit\(\)", 0),
        ("raise KeyboardInterrupt", JobFailed, "KeyboardInterrupt", 1),
        ("return lambda: 1", JobFailed, "cannot be pickled", 1),
    ],
)
def test_every_end_without_a_result_is_told(
    deliver: Deliver, body: str, error: type[RunFailed], said: str, status: int
) -> None:
    run = AttachedExecutor().start(deliver(body))
    with pytest.raises(error, match=said):
        run.result()
    assert run.exit_code == status


def test_a_result_that_refers_to_what_is_not_declared_is_refused_here_too(deliver: Deliver) -> None:
    run = AttachedExecutor().start(deliver("import fileinput\nreturn fileinput.hook_encoded"))
    with pytest.raises(UntrustedResult, match=r"fileinput\.hook_encoded"):
        run.result()


def test_variables_must_be_set_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingVariables, match="NOT_SET_ONE, NOT_SET_TWO"):
        AttachedExecutor(propagate=["NOT_SET_ONE", "NOT_SET_TWO"]).start("no-such-package.whl")
    assert not Loc.home.exists()


def test_a_cancelled_run_is_given_up_and_its_thread_runs_on(deliver: Deliver, tmp_path: Path) -> None:
    body = f"""
import pathlib, time
Logger.info('up')
while not pathlib.Path({str(tmp_path / "on")!r}).exists(): time.sleep(0.005)
pathlib.Path({str(tmp_path / "ended")!r}).touch()
"""
    run = AttachedExecutor().start(deliver(body))
    lines = run.logs()
    assert any(line.endswith("up") for line in lines)
    run.cancel()
    assert list(lines) == []
    assert (run.state, run.exit_code, run.wait()) == ("cancelled", 143, 143)
    with pytest.raises(RunCancelled):
        run.result()
    (tmp_path / "on").touch()
    wait_for_end(run)
    assert (tmp_path / "ended").exists()
    assert run.state == "cancelled"
    run.cancel()


def test_what_has_ended_is_not_cancelled(deliver: Deliver) -> None:
    run = AttachedExecutor().start(deliver("return 1"))
    run.wait()
    run.cancel()
    assert (run.state, run.result()) == ("succeeded", 1)


def test_lines_of_others_are_not_in_the_log_and_those_of_the_jobs_threads_are(deliver: Deliver) -> None:
    body = """
import threading
thread = threading.Thread(target=lambda: Logger.info('from a thread'))
thread.start()
thread.join()
"""
    executor = AttachedExecutor()
    package = deliver(body)
    stop = threading.Event()

    def chatter() -> None:
        while not stop.is_set():
            Logger.info("not of the job")
            time.sleep(0.001)

    thread = threading.Thread(target=chatter)
    thread.start()
    lines = messages(executor.start(package))
    stop.set()
    thread.join()
    assert "from a thread" in lines
    assert "not of the job" not in lines
    assert len(lines) == 7


def test_two_runs_at_once_have_each_its_own_lines(deliver: Deliver) -> None:
    body = "import time\nfor n in range(20):\n    Logger.info({0!r})\n    time.sleep(0.001)"
    one, two = deliver(body.format("one")), deliver(body.format("two"), "1.0.1")
    executor = AttachedExecutor()
    runs = [executor.start(one), executor.start(two), executor.start(one)]
    for run, own in zip(runs, ["one", "two", "one"], strict=True):
        lines = messages(run)
        assert lines.count(own) == 20
        assert len(lines) == 26


def test_a_line_that_cannot_be_shown_does_not_end_the_job(deliver: Deliver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    run = AttachedExecutor().start(deliver("Logger.info('%d', 'no number')\nreturn 1"))
    assert any("cannot be shown" in line for line in run.logs())
    assert run.result() == 1


def test_nothing_stays_behind_on_the_logger(deliver: Deliver) -> None:
    package = deliver("return 1")
    logger = logging.getLogger("tg")
    filters = list(logger.filters)
    found = []
    for _ in range(2):  # the first run may be what gives the logger of this process its handler
        run = AttachedExecutor().start(package)
        run.wait()
        wait_for_end(run)
        assert logger.filters == filters
        found.append(list(logger.handlers))
    assert found[0] == found[1]


def test_a_run_of_another_executor_is_not_found(deliver: Deliver) -> None:
    run = AttachedExecutor().start(deliver("return 1"))
    with pytest.raises(RunNotFound, match=run.id):
        AttachedExecutor().find(run.id)
    assert run.wait() == 0
