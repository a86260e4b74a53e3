"""What cannot be delivered is refused with the place and what to do, before anything is written."""

from __future__ import annotations

import pytest
from projects import Project

JOB = """
class Step:
    def __init__(self, callback=None):
        self.callback = callback

class Job:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def run(self):
        return "ran"
"""
DELIVER = """
import sys, threading
from tg.common.delivery.delivery import Packaging
from tg.my.job import Job, Step
{before}
packaging = Packaging('my_job', '1.0.0', dict(job={job}), roots={roots})
packaging.make_package()
"""


def refusal(project: Project, job: str, before: str = "", roots: object = None) -> str:
    """What is said when `job` is to be delivered; nothing may have been written."""
    project.write("tg/my/job.py", JOB)
    printed = project.run(DELIVER.format(job=job, before=before, roots=roots), fails=True)
    assert "UndeliverablePayload" in printed
    assert not project.home.exists()
    return printed


def test_a_class_of_main_is_named_with_its_place_where_its_source_is_not_kept(project: Project) -> None:
    before = """
source = "class Cell:\\n    def run(self):\\n        pass\\n"
del sys.modules['__main__'].__file__
exec(compile(source, '<some-editor>', 'exec'), globals())"""
    printed = refusal(project, "Job(a=[Cell()])", before)
    assert "job.a[0] refers to class Cell (<some-editor>:2), which is in __main__; it was read from standard" in printed
    assert "Put it into a file, and run that." in printed


def test_a_class_of_a_function_body_is_named_with_its_place(project: Project) -> None:
    before = "def make():\n    class Local:\n        pass\n    return Local()"
    printed = refusal(project, "make()", before)
    assert "class make.<locals>.Local (" in printed
    assert "script_0.py:6), made inside a function. Move it to the top of its module." in printed


def test_a_class_of_the_project_outside_tg_is_named_with_its_place(project: Project) -> None:
    outside = project.write("helpers.py", "\nclass Helper:\n    pass\n")
    printed = refusal(project, "Job(helper=Helper())", "from helpers import Helper", roots=[])
    assert f"job.helper refers to class helpers.Helper ({outside}:1), which is outside tg/ and will not be" in printed
    assert "or add 'helpers' to roots" in printed


def test_a_function_of_the_project_outside_tg_is_named_as_well(project: Project) -> None:
    project.write("helpers.py", "def helper():\n    pass\n")
    printed = refusal(project, "Job(f=helper)", "from helpers import helper", roots=[])
    assert "job.f refers to function helpers.helper" in printed


def test_a_class_of_tg_that_was_imported_under_another_name_is_told_its_proper_one(project: Project) -> None:
    before = f"sys.path.insert(0, {str(project.folder / 'tg')!r})\nimport my.job"
    printed = refusal(project, "my.job.Job()", before)
    assert "which is in tg/ but was imported as my.job. Import it from tg.my.job." in printed


def test_an_object_of_what_is_run_no_more_is_refused(project: Project) -> None:
    file = project.write("script.py", "class Job:\n    pass\n")
    before = f"import runpy\nJob = runpy.run_path({str(file)!r}, run_name='__main__')['Job']\nold, Job = Job(), None"
    printed = refusal(project, "old", before)
    assert "class __main__.Job" in printed
    assert "but under that name nothing is there" in printed


def test_an_object_of_a_class_of_main_that_was_defined_anew_is_refused(project: Project) -> None:
    before = "class Anew: pass\nold = Anew()\nclass Anew: pass"
    printed = refusal(project, "old", before)
    assert "job refers to class __main__.Anew" in printed
    assert "another object is there. It was defined anew after the object was made: make it again" in printed


def test_an_object_of_a_module_that_was_reloaded_is_refused(project: Project) -> None:
    before = "import importlib, tg.my.job\nold = Job()\nimportlib.reload(tg.my.job)"
    printed = refusal(project, "old", before)
    assert "class tg.my.job.Job" in printed
    assert "but under that name another object is there" in printed


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lambda: 1", "refers to a lambda ("),
        ("open(sys.executable, 'rb')", "cannot be pickled: an object of _io.BufferedReader"),
        ("threading.Lock()", "cannot be pickled: an object of _thread.lock"),
        ("threading.Thread()", "cannot be pickled: an object of threading.Thread"),
        ("(x for x in [])", "cannot be pickled: an object of builtins.generator"),
        ("threading", "is the module threading"),
    ],
)
def test_what_cannot_be_pickled_is_told_by_its_attribute_path(project: Project, value: str, said: str) -> None:
    printed = refusal(project, f"Job(steps=[1, 2, Step({value})])")
    assert f"job.steps[2].callback {said}" in printed


@pytest.mark.parametrize(
    ("job", "path"),
    [
        ("Job(d={'a': {3: bad}})", "job.d['a'][3]"),
        ("Job(t=(1, (2, bad)))", "job.t[1][1]"),
        ("Job(s=Slots(bad))", "job.s.inner"),
        ("[1, bad]", "job[1]"),
        ("{'k': bad}", "job['k']"),
        ("bad", "job"),
        ("Job(p=functools.partial(print, bad))", "job.p"),
    ],
)
def test_the_path_leads_through_everything_that_holds_objects(project: Project, job: str, path: str) -> None:
    before = "import functools\nfrom tg.my.slots import Slots\nbad = threading.Lock()"
    project.write(
        "tg/my/slots.py",
        "class Slots:\n    __slots__ = ('inner',)\n    def __init__(self, inner):\n        self.inner = inner\n",
    )
    assert f"{path} cannot be pickled: an object of _thread.lock" in refusal(project, job, before)


def test_all_obstacles_are_told_at_once(project: Project) -> None:
    printed = refusal(project, "Job(a=threading.Lock(), b=[lambda: 1], c=open(sys.executable, 'rb'))")
    assert "payload cannot be delivered: 3 problems" in printed


def test_a_chain_deeper_than_python_can_pickle_is_told_as_such(project: Project) -> None:
    before = "deep = []\nfor _ in range(100_000):\n    deep = [deep]"
    assert "job is nested deeper than Python can pickle" in refusal(project, "deep", before)


def test_what_cannot_be_pickled_is_told_where_it_lies_deeper_than_it_can_be_looked_for(project: Project) -> None:
    before = "deep = threading.Lock()\nfor _ in range(200):\n    deep = Step(deep)"
    printed = refusal(project, "deep", before)
    assert "UndeliverablePayload" in printed
    assert "job has something that cannot be pickled, deeper than can be looked for." in printed


def test_an_objects_own_error_is_shown_with_the_way_to_it(project: Project) -> None:
    project.write("tg/my/bad.py", "class Bad:\n    def __reduce__(self):\n        raise RuntimeError('not me')\n")
    printed = refusal(project, "Job(bad=Bad())", "from tg.my.bad import Bad")
    assert "job.bad cannot be pickled: an object of tg.my.bad.Bad (RuntimeError: not me)" in printed


@pytest.mark.parametrize("settings", ["{'../x': 1}", "{'': 1}", "{'a/b': 1}", "{'Job': 1, 'job': 2}"])
def test_a_payload_key_that_is_no_file_name_is_refused(project: Project, settings: str) -> None:
    printed = project.run(
        f"from tg.common.delivery.delivery import Packaging; Packaging('a', '1.0', {settings}).make_package()",
        fails=True,
    )
    assert "InvalidName: payload key" in printed
    assert not project.home.exists()


def test_a_requirement_that_is_none_is_shown_with_a_mark_under_the_place(project: Project) -> None:
    printed = project.run(
        """
        from tg.common.delivery.delivery import DependencyList, Packaging
        Packaging('a', '1.0', dependencies=[DependencyList('mine', ['pandas >== 2'])]).make_package()
        """,
        fails=True,
    )
    assert "DependencyProblem: 'pandas >== 2' is not a requirement" in printed
    assert "^" in printed


@pytest.mark.parametrize("name", ["MISSING", "T"])
def test_an_object_that_is_pickled_by_its_name_outside_tg_is_named(project: Project, name: str) -> None:
    project.write(
        "helpers.py",
        """
        import typing
        T = typing.TypeVar('T')
        class Sentinel:
            def __reduce__(self):
                return 'MISSING'
        MISSING = Sentinel()
        """,
    )
    printed = refusal(project, f"Job(x=helpers.{name})", "import helpers", roots=[])
    assert "job.x refers to" in printed
    assert f"helpers.{name}" in printed


def test_a_member_of_an_enumeration_is_told_by_its_own_path(project: Project) -> None:
    before = "import enum\ndef make():\n    class Color(enum.Enum):\n        RED = 1\n    return Color"
    assert "job.color refers to class make.<locals>.Color" in refusal(project, "Job(color=make().RED)", before)


def test_a_bound_method_is_told_by_the_class_it_belongs_to(project: Project) -> None:
    before = "def make():\n    class Local:\n        def method(self):\n            pass\n    return Local"
    assert "job.call refers to class make.<locals>.Local" in refusal(project, "Job(call=make()().method)", before)


@pytest.mark.parametrize(
    "value", ["collections.defaultdict(lambda: 0)", "collections.deque([lambda: 0])", "{lambda: 0}", "{(lambda: 0): 1}"]
)
def test_a_lambda_in_any_container_is_found(project: Project, value: str) -> None:
    printed = refusal(project, f"Job(held={value})", "import collections")
    assert "job.held" in printed
    assert "refers to a lambda (" in printed
