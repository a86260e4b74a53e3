"""Asking for an object as a type: what comes is of it, or an error says what it is; in this process, in a worker, and of results."""

from __future__ import annotations

from typing import Protocol

import pytest
import typing_extensions
from projects import Project

from tg.common.delivery.runtime.errors import UnexpectedType
from tg.common.delivery.runtime.kinds import check_kind

JOB = """
from dataclasses import dataclass

class Base:
    pass

@dataclass
class Job(Base):
    factor: int

    def run(self):
        return {"factor": self.factor}

class Other:
    pass
"""
ASK = """
from typing import Protocol
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.runtime.errors import UnexpectedType
from tg.my.job import Base, Job, Other

class Runs(Protocol):
    factor: int
    def run(self) -> dict[str, int]: ...

class Walks(Protocol):
    def walk(self) -> None: ...

if __name__ == "__main__":
    entry_point = install_package_and_get_loader({file!r}, silent=True{isolated})
    for kind in (Job, Base, Runs):
        job = entry_point.load_resource("job", kind)
        assert job.run() == {{"factor": 3}} and not isinstance(job, Job)
    assert entry_point.load_resource("table", dict[str, int]) == {{"a": 1}}
    for name, kind in (("job", Other), ("job", dict), ("table", Job), ("job", Walks)):
        try:
            entry_point.load_resource(name, kind)
        except UnexpectedType as error:
            print(error)
    entry_point.unload()
"""


@pytest.mark.parametrize("isolated", ["", ", isolated=True"])
def test_a_resource_is_of_the_type_that_it_is_asked_for_as(project: Project, unchecked: None, isolated: str) -> None:
    project.write("tg/my/job.py", JOB)
    file = project.deliver(
        job="tg.my.job:Job(3)", settings="packaging.payload = {**packaging.payload, 'table': {'a': 1}}"
    )

    said = project.run(ASK.format(file=str(file), isolated=isolated)).splitlines()

    of_package = "my_job__1_0_0.tg.my.job.Job"
    assert said[0] == (
        f"'job' of my_job__1_0_0 is a {of_package}, and no tg.my.job.Other. Ask for what it is, or for anything by leaving the type out."
    )
    assert said[1].startswith(f"'job' of my_job__1_0_0 is a {of_package}, and no dict.")
    assert said[2].startswith("'table' of my_job__1_0_0 is a dict, and no tg.my.job.Job.")
    assert said[3].startswith("'job' of my_job__1_0_0 has no walk, as __main__.Walks has.")


def test_a_result_is_of_the_type_that_it_is_asked_for_as(project: Project, unchecked: None) -> None:
    project.write("tg/my/job.py", JOB)
    file = project.deliver(job="tg.my.job:Job(3)")
    printed = project.run(f"""
        from tg.common.delivery.execution import AttachedExecutor
        from tg.common.delivery.runtime.errors import UnexpectedType
        run = AttachedExecutor().start({str(file)!r})
        print(run.result(dict))
        try:
            run.result(list)
        except UnexpectedType as error:
            print(error.expected, error.found)
    """)
    assert printed.splitlines()[-2:] == ["{'factor': 3}", "list dict"]


class Counted(typing_extensions.Protocol):
    def __len__(self) -> int: ...


class Sized(Protocol):
    def __len__(self) -> int: ...


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (True, int),
        (None, type(None)),
        ([], list[int]),
        ("text", Sized),
        ("text", Counted),
        ({}, Sized),
        (len, object),
    ],
)
def test_what_is_of_a_kind(value: object, kind: object) -> None:
    check_kind(value, kind, "it")


@pytest.mark.parametrize(("value", "kind"), [(1, str), ("1", int), ([], dict[str, int]), (1, Sized), (1, Counted)])
def test_what_is_not(value: object, kind: object) -> None:
    with pytest.raises(UnexpectedType, match=r"^it (is a|has no) .*leaving the type out"):
        check_kind(value, kind, "it")


@pytest.mark.parametrize("kind", ["int", 1, int | str])
def test_what_is_no_kind(kind: object) -> None:
    with pytest.raises(TypeError, match="which is no class"):
        check_kind(1, kind, "it")
