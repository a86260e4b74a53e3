"""Running jobs under limits and signals: what ends them, what is left of them, and that everything is put back."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from projects import Project

from tg.common.delivery.delivery import install_package_and_get_loader, uninstall
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.runtime.running import main

pytestmark = pytest.mark.usefixtures("unchecked")

Here = Callable[..., int]


def package_of(project: Project, body: str) -> Path:
    lines = "".join(f"        {line}\n" for line in body.strip("\n").splitlines())
    project.write("tg/my/job.py", f"from ..common import Logger\nclass Job:\n    def run(self):\n{lines}")
    return project.deliver("limited_job")


def start(project: Project, body: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    package = Store().install(package_of(project, body))
    return subprocess.Popen(
        [sys.executable, "-u", "-m", package.module_name, *arguments],
        cwd=project.elsewhere,
        env={
            **project.environment(with_project=False, with_delivery=False),
            "PYTHONPATH": str(package.folder.parent),
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def failure(result: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(result.with_name(result.name + ".failure").read_bytes())
    assert set(found) == {"type", "message", "traceback"}
    return found


@pytest.fixture
def here(project: Project) -> Iterator[Here]:
    """Run a body in this process, by `main`, and see to it that signals and timers are as they were."""
    loaded: list[ModuleType] = []

    def run(body: str, *arguments: str) -> int:
        entry_point = install_package_and_get_loader(package_of(project, body), silent=True)
        loaded.append(__import__(entry_point.module_name))
        before = [signal.getsignal(one) for one in (signal.SIGALRM, signal.SIGTERM)]
        try:
            return main(entry_point.module_name, arguments)
        finally:
            assert [signal.getsignal(one) for one in (signal.SIGALRM, signal.SIGTERM)] == before
            assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)

    yield run
    if loaded:
        uninstall("limited_job__1_0_0")


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ("raise ValueError('broken data')", "ValueError", "broken data"),
        ("raise MemoryError('too much')", "MemoryError", "too much"),
        ("class Full(MemoryError): pass\nraise Full('much')", "MemoryError", "much"),
        ("class Mine(Exception): pass\nraise Mine()", "limited_job__1_0_0.tg.my.job.Job.run.<locals>.Mine", ""),
        ("import json\njson.loads('')", "json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
        (
            "class Odd(Exception):\n    def __str__(self): raise KeyError\nraise Odd()",
            "limited_job__1_0_0.tg.my.job.Job.run.<locals>.Odd",
            "(its text cannot be had: __str__ raised)",
        ),
    ],
)
def test_a_job_that_raises_leaves_its_failure_beside_where_the_result_would_be(
    here: Here, tmp_path: Path, body: str, kind: str, message: str
) -> None:
    result = tmp_path / "out/result.pickle"
    assert here(body, "--result", str(result)) == 1
    told = failure(result)
    assert (told["type"], told["message"]) == (kind, message)
    assert told["traceback"].startswith("Traceback (most recent call last):")
    assert "limited_job__1_0_0/tg/my/job.py" in told["traceback"]
    assert [path.name for path in result.parent.iterdir()] == ["result.pickle.failure"]


def test_the_failure_goes_when_there_is_a_result(here: Here, tmp_path: Path) -> None:
    result = tmp_path / "result.pickle"
    (tmp_path / "result.pickle.failure").write_text("of an earlier run")
    assert here("return 1", "--result", str(result)) == 0
    assert pickle.loads(result.read_bytes()) == 1
    assert not (tmp_path / "result.pickle.failure").exists()


def test_without_a_file_for_the_result_nothing_is_written(here: Here, project: Project) -> None:
    before = sorted(project.elsewhere.rglob("*"))
    assert here("raise ValueError") == 1
    assert sorted(project.elsewhere.rglob("*"))[: len(before)] == before
    assert not list(project.elsewhere.rglob("*.failure"))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return lambda: 1", "<class 'function'>"),
        ("import threading\nreturn [threading.Lock()]", "<class 'list'>"),
        ("class Odd:\n    def __reduce__(self): raise KeyError('no')\nreturn Odd()", "Odd"),
    ],
)
def test_a_result_that_cannot_be_pickled_says_so(here: Here, tmp_path: Path, body: str, said: str) -> None:
    result = tmp_path / "result.pickle"
    assert here(body, "--result", str(result)) == 1
    told = failure(result)
    assert told["type"] == "TypeError"
    assert told["message"].startswith("the job returned an object of ")
    assert said in told["message"]
    assert not result.exists()


def test_a_failure_that_cannot_be_written_is_said(here: Here, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    assert here("raise ValueError('x')", "--result", str(tmp_path / "file/result.pickle")) == 1
    assert "What went wrong could not be written" in caplog.text


@pytest.mark.parametrize(("code", "message"), [("7", "7"), ("'gone'", "gone")])
def test_the_exit_of_a_job_is_its_own_and_a_failure_unless_it_is_0(
    here: Here, tmp_path: Path, code: str, message: str
) -> None:
    result = tmp_path / "result.pickle"
    with pytest.raises(SystemExit, match=message):
        here(f"raise SystemExit({code})", "--result", str(result))
    assert failure(result)["type"] == "SystemExit"
    assert failure(result)["message"] == message


@pytest.mark.parametrize("code", ["", "0", "None"])
def test_an_exit_with_0_is_no_failure(here: Here, tmp_path: Path, code: str) -> None:
    with pytest.raises(SystemExit):
        here(f"raise SystemExit({code})", "--result", str(tmp_path / "result.pickle"))
    assert not list(tmp_path.glob("result*"))


def test_an_interrupted_job_leaves_a_failure(here: Here, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        here("raise KeyboardInterrupt", "--result", str(tmp_path / "result.pickle"))
    assert failure(tmp_path / "result.pickle")["type"] == "KeyboardInterrupt"


def test_a_job_that_takes_longer_than_it_may_is_ended(
    here: Here, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = tmp_path / "result.pickle"
    body = (
        "import time\ntry:\n    time.sleep(600)\nexcept Exception:\n    pass\nfinally:\n    Logger.info('cleaned up')"
    )
    assert here(body, "--time-limit-seconds", "3", "--result", str(result)) == 124
    assert failure(result)["type"] == "TimeLimitReached"
    assert failure(result)["message"] == "the job took longer than the 3 seconds it may"
    assert "time.sleep(600)" in failure(result)["traceback"]
    shown = caplog.text
    assert shown.index("cleaned up") < shown.index("Job has failed")


def test_an_error_made_of_the_time_limit_is_told_as_the_limit(here: Here, tmp_path: Path) -> None:
    body = "import time\ntry:\n    time.sleep(600)\nexcept BaseException as e:\n    raise ValueError('stopped') from e"
    assert here(body, "--time-limit-seconds", "3", "--result", str(tmp_path / "result.pickle")) == 1
    assert failure(tmp_path / "result.pickle")["type"] == "TimeLimitReached"


def test_a_job_within_its_time_is_not_disturbed(here: Here) -> None:
    assert (
        here("import signal\nassert signal.getitimer(signal.ITIMER_REAL)[0] > 60", "--time-limit-seconds", "600") == 0
    )


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_what_is_no_time_is_refused(here: Here, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        here("return 1", f"--time-limit-seconds={seconds}")
    assert "--time-limit-seconds" in capsys.readouterr().err


def test_code_that_does_not_come_back_to_python_is_ended_and_shown(project: Project) -> None:
    body = "import signal, time\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\ntime.sleep(600)"
    process = start(project, body, "--time-limit-seconds", "3")
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "Timeout (0:00:08)!" in said
    assert 'job.py", line 6 in run' in said


def test_sigterm_ends_a_job_with_its_clean_up(project: Project, tmp_path: Path) -> None:
    result = tmp_path / "result.pickle"
    body = "import time\ntry:\n    print('up')\n    time.sleep(600)\nfinally:\n    Logger.info('cleaned up')"
    process = start(project, body, "--result", str(result))
    assert process.stdout is not None
    assert any(line == "up\n" for line in process.stdout)
    process.terminate()
    said, _ = process.communicate()
    assert process.returncode == 143
    assert [line.partition(": ")[2] for line in said.splitlines()] == ["cleaned up", "Job was stopped by SIGTERM"]
    assert failure(result)["type"] == "SystemExit"


def test_a_handler_of_somebody_else_stays(here: Here, tmp_path: Path) -> None:
    def theirs(*_: Any) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGTERM, theirs)
    try:
        assert here("import signal\nassert signal.getsignal(signal.SIGTERM).__name__ == 'theirs'") == 0
    finally:
        signal.signal(signal.SIGTERM, before)


def test_main_runs_in_other_threads_too_and_leaves_signals_alone(here: Here) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(here("return 1")))
    thread.start()
    thread.join()
    assert found == [0]


def test_a_job_that_fills_the_memory_can_still_say_so(project: Project, tmp_path: Path) -> None:
    body = """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
held = []
while True:
    held.append([None] * 1000)
"""
    process = start(project, body, "--result", str(tmp_path / "result.pickle"))
    said, _ = process.communicate()
    assert process.returncode == 1
    assert failure(tmp_path / "result.pickle")["type"] == "MemoryError"
    assert "held.append" in said


def test_of_the_result_of_an_executor_no_line_is_logged(project: Project, tmp_path: Path) -> None:
    arguments = ["--result", str(tmp_path / "result.pickle")]
    said, _ = start(project, "return 1", *arguments).communicate()
    assert "Result is written to" in said
    os.unlink(tmp_path / "result.pickle")
    said, _ = start(project, "return 1", *arguments, TG_EXECUTOR="process").communicate()
    assert "Result" not in said
    assert (tmp_path / "result.pickle").exists()
