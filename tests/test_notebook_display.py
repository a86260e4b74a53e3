"""What a notebook shows: cards of what delivery has, and the log of a run while it runs."""

from __future__ import annotations

import re
import sys

import pytest
from notebooks import Notebook
from projects import Project

from tg.common.delivery.execution import ProcessExecutor, watch
from tg.common.delivery.runtime.card import card
from tg.common.delivery.runtime.sizes import size_of

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11), reason="notebooks are the same on every Python: this is told on 3.11"
    ),
]

PACKAGING = """
from tg.common.delivery.delivery import DependencyList, Packaging, inspect_package, install_package_and_get_loader
from tg.common.delivery.execution import AttachedExecutor, ProcessExecutor, watch
from tg.my.job import Job
packaging = Packaging('my_job', '1.0.0', {'job': Job(), 'weights': bytes(100_000)})
packaging.silent, packaging.checked = True, False
"""
UNTIL_ENOUGH = """
    class Job:
        def run(self):
            import time
            from pathlib import Path
            print('begun <b>', flush=True)
            while not Path({enough!r}).exists():
                time.sleep(0.01)
            print('ended', flush=True)
            return [1, 2]
"""


def text_of(drawn: str) -> str:
    return re.sub(r"<[^>]*>", " ", drawn.partition("</style>")[2])


def test_what_is_put_into_a_card_is_text() -> None:
    drawn = card(
        "<b>", 'a "quoted" & <name>', [("<i>", ["<script>", 1]), ("empty", ""), ("none", None)], lines=["</pre>"]
    )
    shown = drawn.partition("</style>")[2]
    assert re.findall(r"<(\w+)", shown) == "div div b table tr th td br div pre".split()
    assert "&lt;script&gt;<br>1" in shown
    assert "&lt;/pre&gt;" in shown
    assert "&lt;name&gt;" in shown
    assert "empty" not in shown


def test_a_card_needs_nothing_from_elsewhere_and_brings_no_colour_for_text() -> None:
    drawn = card("a", "b", [("c", "d")], state="running", lines=["e"])
    assert "http" not in drawn
    assert "url(" not in drawn
    assert re.findall(r"(?<![-\w])color:(\w+)", drawn) == ["inherit"]


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 bytes"), (1023, "1,023 bytes"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")]
)
def test_a_size_is_told_in_powers_of_1024(count: int, shown: str) -> None:
    assert size_of(count) == shown


def test_a_notebook_shows_packages_entry_points_and_runs_as_cards(project: Project) -> None:
    cards: list[str] = []
    with Notebook(project) as notebook:
        notebook.run(PACKAGING)
        notebook.run("packaging", seen=cards.append)
        notebook.run("packaging.check()", seen=cards.append)
        notebook.run("packaging.dependencies = 'auto'\npackaging", seen=cards.append)
        notebook.run("packaging.make_package()", seen=cards.append)
        notebook.run("inspect_package(packaging.package_location)", seen=cards.append)
        notebook.run("install_package_and_get_loader(packaging.package_location, silent=True)", seen=cards.append)
        notebook.run("run = AttachedExecutor().start(packaging)\nrun.wait()\nrun", seen=cards.append)
        notebook.run("run = ProcessExecutor().start(packaging)\nrun.wait()\nrun", seen=cards.append)
        notebook.run("again = ProcessExecutor().find(run.id)\nrun.remove()\nagain", seen=cards.append)
    shown = [" ".join(text_of(one).split()) for one in cards]
    assert (
        "Packaging my_job 1.0.0 payload job: tg.my.job.Job weights: builtins.bytes dependencies min: nothing"
        in shown[0]
    )
    assert "not made yet" in shown[0]
    assert shown[1] == "CheckReport nothing was found"
    assert "inferred" in shown[2] or "auto" in shown[2]
    assert "my_job-1.0.0-py3-none-any.whl" in shown[3]
    assert "package my_job 1.0.0 file" in shown[4]
    assert "EntryPoint my_job 1.0.0 module my_job__1_0_0 source tree tg is my_job__1_0_0.tg here" in shown[5]
    assert re.search(r"weights \(97\.\d KiB\)", shown[5])
    assert re.search(r"AttachedRun my_job__1_0_0-\w+ succeeded runs my_job__1_0_0", shown[6])
    assert re.search(r"ProcessRun my_job__1_0_0-\w+ succeeded runs my_job__1_0_0.* exit status 0", shown[7])
    assert re.search(r"ProcessRun my_job__1_0_0-\w+ .* gone .*the run my_job__1_0_0-\w+ was removed", shown[8])


def test_a_notebook_shows_lines_while_a_run_is_watched_and_then_its_result(project: Project) -> None:
    enough = project.elsewhere / "enough"
    project.write("tg/my/job.py", UNTIL_ENOUGH.format(enough=str(enough)))
    drawn: list[str] = []

    def seen(html: str) -> None:
        drawn.append(html)
        if "begun &lt;b&gt;" in html:
            enough.touch()  # the job ends because its line was seen, and not before

    with Notebook(project) as notebook:
        notebook.run(PACKAGING)
        printed = notebook.run("print(watch(ProcessExecutor().start(packaging)))", seen=seen)
    assert printed.strip().endswith("[1, 2]")
    assert " running" in text_of(drawn[0])
    assert "begun" not in drawn[0]
    assert " succeeded" in text_of(drawn[-1])
    assert "ended\n" in drawn[-1]


def test_who_stops_watching_leaves_the_run_alone(project: Project) -> None:
    enough = project.elsewhere / "enough"
    project.write("tg/my/job.py", UNTIL_ENOUGH.format(enough=str(enough)))
    drawn: list[str] = []

    def seen(html: str) -> None:
        drawn.append(html)
        if "begun" in html and not stopped:
            stopped.append(True)
            notebook.interrupt()

    stopped: list[bool] = []
    with Notebook(project) as notebook:
        notebook.run(PACKAGING)
        told = notebook.run("run = ProcessExecutor().start(packaging)\nwatch(run)", seen=seen, fails=True)
        assert "KeyboardInterrupt" in told
        assert "not watched any more" in text_of(drawn[-1])
        assert notebook.run("print(run.state)").strip() == "running"
        enough.touch()
        assert notebook.run("print(run.result())").strip() == "[1, 2]"


def test_a_notebook_shows_the_log_of_a_run_that_failed_above_its_error(project: Project) -> None:
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        return {}['no such price']\n")
    drawn: list[str] = []
    with Notebook(project) as notebook:
        notebook.run(PACKAGING)
        told = notebook.run("watch(ProcessExecutor().start(packaging))", seen=drawn.append, fails=True)
    assert "JobFailed" in told
    assert " failed" in text_of(drawn[-1])
    assert "KeyError" in drawn[-1]


def test_the_logger_writes_into_the_cell_also_from_a_run_in_a_thread(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        "from tg.common import Logger\nclass Job:\n    def run(self):\n        Logger.info('in the job')\n        return 1\n",
    )
    with Notebook(project) as notebook:
        notebook.run(PACKAGING)
        printed = notebook.run(
            "from tg.common import Logger\nLogger.info('here')\nAttachedExecutor().start(packaging).result()"
        )
    assert re.search(r"^\d{4}-.* INFO: here$", printed, re.MULTILINE)
    assert re.search(r"^\d{4}-.* INFO: in the job$", printed, re.MULTILINE)


def test_elsewhere_a_run_is_watched_line_by_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("tg/my/job.py", "class Job:\n    def run(self):\n        print('one line')\n        return 7\n")
    assert watch(ProcessExecutor().start(project.deliver())) == 7
    assert "one line" in capsys.readouterr().out.splitlines()


WORK = """
import pathlib, time
from tg.common.progress import working
with working('sending <layers>', 2 * 1024 * 1024) as work:
    work.advance(1024 * 1024)
    while not pathlib.Path({enough!r}).exists():
        time.sleep(0.01)
"""


def test_a_notebook_shows_progress_in_the_cell_where_that_was_asked_for(project: Project) -> None:
    enough = project.elsewhere / "enough"
    drawn: list[str] = []

    def seen(html: str) -> None:
        drawn.append(html)
        enough.touch()

    with Notebook(project) as notebook:
        notebook.run("%load_ext tg.common.notebook")
        notebook.run(WORK.format(enough=str(enough)), seen=seen)
        assert '<progress max="2097152" value="1048576"></progress> sending &lt;layers&gt;: 1.0 of 2.0 MiB' in drawn[0]
        assert re.fullmatch(r"✓ sending &lt;layers&gt;, 1\.0 MiB, \d+ s", drawn[-1])
        assert len(drawn) > 1
        drawn.clear()
        notebook.run(WORK.format(enough=str(enough)), seen=seen)  # over at once
        notebook.run("%unload_ext tg.common.notebook")
        notebook.run("from tg.common.progress import _listener\nprint(_listener.get())")
    assert drawn == []
