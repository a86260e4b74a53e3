"""`python -m UID`: the lines of the page, the job's result, and what happens when it fails."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from projects import Project

from tg.common.delivery.delivery.store import Store

pytestmark = pytest.mark.usefixtures("unchecked")


def run_package(project: Project, file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    package = Store().install(file)
    environment = {**project.environment(with_project=False, with_delivery=False)}
    return subprocess.run(
        [sys.executable, "-m", package.module_name, *arguments],
        cwd=project.elsewhere,
        env={**environment, "PYTHONPATH": str(package.folder.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def lines(output: str) -> list[str]:
    """The log lines without their time, which must be there in the page's form."""
    found = []
    for line in output.splitlines():
        match = re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} (INFO: .*)", line)
        assert match is not None, line
        found.append(match[1])
    return found


def test_running_the_example_prints_the_lines_of_the_page(project: Project) -> None:
    file = project.deliver("example_job", "0.0.0", job="tg.common.delivery.delivery.example_job:ExampleJob()")
    done = run_package(project, file)
    assert done.returncode == 0
    assert lines(done.stdout) == [
        "INFO: Welcome to Training Grounds!",
        "INFO: Loading job",
        "INFO: Job of type <class 'example_job__0_0_0.tg.common.delivery.delivery.example_job.ExampleJob'> is loaded",
        "INFO: Job has `run` attribute",
        "INFO: SUCCESS",
        "INFO: Job has exited successfully",
        "INFO: DONE. Exiting Training Grounds.",
    ]


def test_a_callable_job_is_called(project: Project) -> None:
    project.write("tg/my/job.py", "from ..common import Logger\ndef work():\n    Logger.info('working')\n")
    done = run_package(project, project.deliver(job="tg.my.job:work"))
    assert lines(done.stdout)[3:5] == ["INFO: Job is callable", "INFO: working"]


def test_a_job_that_wants_the_entry_point_gets_it(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        from ..common import Logger
        class Job:
            def run(self, entry_point):
                Logger.info(f'{entry_point.module_name} {entry_point.load_resource("model")}')
        """,
    )
    file = project.deliver(settings="packaging.payload['model'] = [1, 2]")
    assert "INFO: my_job__1_0_0 [1, 2]" in lines(run_package(project, file).stdout)


def test_a_job_that_raises_ends_with_a_status_and_its_traceback_in_the_log(project: Project) -> None:
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        raise ValueError('broken data')\n")
    done = run_package(project, project.deliver())
    assert done.returncode == 1
    assert "ERROR: Job has failed\nTraceback (most recent call last):" in done.stdout
    assert "tg/my/job.py\", line 3, in run\n    raise ValueError('broken data')" in done.stdout
    assert "DONE" not in done.stdout


@pytest.mark.parametrize(
    ("payload", "said"), [("job=3", "can neither be called nor"), ("model=3", "no resource 'job'")]
)
def test_a_payload_without_a_job_is_said_to_have_none(project: Project, payload: str, said: str) -> None:
    file = project.deliver(settings=f"packaging.payload = dict({payload})")
    done = run_package(project, file)
    assert done.returncode == 1
    assert said in done.stdout


def test_the_result_is_written_whole_and_read_back_into_the_local_classes(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        from dataclasses import dataclass
        @dataclass
        class Result:
            rows: int
        class Job:
            def run(self):
                return Result(12)
        """,
    )
    file = project.deliver()
    result = project.elsewhere / "out/result.pickle"
    assert run_package(project, file, "--result", str(result)).returncode == 0
    assert [path.name for path in result.parent.iterdir()] == ["result.pickle"]
    printed = project.run(f"""
        from tg.common.delivery.delivery import get_loader_from_installed_package
        result = get_loader_from_installed_package('my_job').load_file_in_local_tg({str(result)!r})
        print(result, type(result).__module__)
    """)
    assert printed.strip() == "Result(rows=12) tg.my.job"


def test_a_failed_job_writes_no_result(project: Project) -> None:
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return lambda: 1\n")
    result = project.elsewhere / "out/result.pickle"
    done = run_package(project, project.deliver(), "--result", str(result))
    assert done.returncode == 1
    assert [path.name for path in result.parent.iterdir()] == ["result.pickle.failure"]


def test_a_result_of_plain_values_is_a_plain_pickle(project: Project) -> None:
    result = project.elsewhere / "result.pickle"
    run_package(project, project.deliver(), "--result", str(result))
    assert pickle.loads(result.read_bytes()) == "one"
