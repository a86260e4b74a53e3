"""Comparison: what is called different between two packages, and what is the same but for the package's own name."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import pytest
from projects import Project

from tg.common.cli.command import main
from tg.common.delivery.delivery import inspect_package
from tg.common.delivery.delivery.wheel import WheelReader
from tg.common.delivery.inspection.comparison import Comparison

pytestmark = pytest.mark.usefixtures("unchecked")


def compared(before: Path, after: Path) -> Comparison:
    with ExitStack() as stack:
        old, new = (stack.enter_context(WheelReader(file)) for file in (before, after))
        return Comparison.of(inspect_package(before), old, inspect_package(after), new)


def test_a_version_of_the_same_differs_by_its_name_alone(project: Project) -> None:
    project.write("tg/my/job.py", "class Job:\n    def __init__(self):\n        self.of = {Job, int}\n")
    comparison = compared(project.deliver(), project.deliver(version="22.0.0"))
    assert [(one.what, one.before, one.after) for one in comparison.facts] == [("version", "1.0.0", "22.0.0")]
    assert [(one.key, one.state) for one in comparison.resources] == [("job", "same")]
    assert comparison.source == ()


def test_each_resource_says_how_it_differs(project: Project) -> None:
    project.write("tg/my/job.py", "import collections\nclass Job:\n    pass\n")
    both = "packaging.payload = {{**packaging.payload, 'big': {big}, 'kind': {kind}, {only}: 1}}\n"
    before = project.deliver(settings=both.format(big="[bytes(70_000), b'a' * 70_000]", kind="{}", only="'old'"))
    settings = "import collections\n" + both.format(
        big="[bytes(70_000), b'b' * 70_000, b'c' * 70_000]", kind="collections.OrderedDict()", only="'new'"
    )
    comparison = compared(before, project.deliver(version="1.1.0", settings=settings))
    found = {one.key: one for one in comparison.resources}
    assert {key: one.state for key, one in found.items()} == {
        "big": "changed",
        "job": "same",
        "kind": "changed",
        "new": "added",
        "old": "removed",
    }
    assert found["big"].buffers == (1, 2)
    assert (found["kind"].new_references, found["kind"].gone_references) == (("collections.OrderedDict",), ())


def test_it_is_told_as_text_that_a_terminal_does_not_obey(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = project.deliver()
    project.write("tg/my/job.py", "class Job:\n    pass  # \x1b[2J\n")
    after = project.deliver(version="1.1.0", settings="packaging.payload = {**packaging.payload, 'more': 1}")
    monkeypatch.setenv("TG_HOME", str(project.home))

    assert main(["inspect", str(after), "--against", str(before)]) == 0
    told = capsys.readouterr().out
    assert "version: 1.0.0 → 1.1.0\n" in told
    assert "resource job: same (pickle" in told
    assert "resource more: added" in told
    assert "--- tg/my/job.py\n+++ tg/my/job.py\n@@ -1,3 +1,2 @@\n class Job:\n" in told
    assert "+    pass  # \\x1b[2J\n" in told

    assert main(["inspect", str(after), "--against", str(before), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["resources"]["more"]["state"] == "added"


def test_what_packages_say_of_themselves_is_compared(project: Project) -> None:
    before = project.deliver(settings="packaging.dependencies = [DependencyList('mine', ['numpy>=1'])]")
    after = project.deliver("other", settings="packaging.requires_python = '>=3.10,<4'")
    comparison = compared(before, after)
    assert [(one.what, one.before, one.after) for one in comparison.facts] == [
        ("name", "my_job", "other"),
        ("Python", ">=3.10", ">=3.10,<4"),
        ("dependencies", "numpy>=1", "none"),
    ]
