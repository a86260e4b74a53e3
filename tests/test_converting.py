"""Types of different versions are different types; an object is taken over into another version by `convert`."""

from __future__ import annotations

import pytest
from projects import REPOSITORY, Project

pytestmark = pytest.mark.usefixtures("unchecked")

SHAPES = """
import enum
from dataclasses import dataclass, field

REGISTRY = {{}}

class Meta(type):
    def __new__(mcs, name, bases, members):
        REGISTRY[name] = made = super().__new__(mcs, name, bases, members)
        return made

class Registered(metaclass=Meta):
    pass

class Plugin:
    known = []
    def __init_subclass__(cls):
        Plugin.known.append(cls.__name__)

class Extra{version}(Plugin):
    pass

class Color(enum.Enum):
    RED = 1
    BLUE = 2

@dataclass
class Point:
    x: int
    color: Color = Color.RED
    more: list = field(default_factory=list)
    def version(self):
        return {version}

SINGLE = Point(0)

class Job:
    def run(self):
        return Point(1, Color.BLUE, [Point(2)])
"""


@pytest.fixture
def versions(project: Project) -> str:
    """Code that has entry points of two versions, and one result of each."""
    files = []
    for version in (1, 2):
        project.write("tg/my/shapes.py", SHAPES.format(version=version))
        files.append(str(project.deliver(version=f"{version}.0.0", job="tg.my.shapes:Job()")))
    return f"""
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
one, two = (install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {files!r})
first, second = (entry_point.load_resource('job').run() for entry_point in (one, two))
"""


def test_types_of_two_versions_are_two_types(project: Project, versions: str) -> None:
    printed = project.run(
        versions
        + """
import sys
shapes = [sys.modules[type(value).__module__] for value in (first, second)]
print(isinstance(first, type(second)), type(first) is type(second), first == second, first.color == second.color)
print(shapes[0].SINGLE is shapes[1].SINGLE, [list(one.REGISTRY) for one in shapes], [one.Plugin.known for one in shapes])
print(len({first.color, second.color}), [value.version() for value in (first, second)])
"""
    )
    assert printed.splitlines() == [
        "False False False False",
        "False [['Registered'], ['Registered']] [['Extra1'], ['Extra2']]",
        "2 [1, 2]",
    ]


def test_an_object_is_taken_over_with_all_that_is_in_it(project: Project, versions: str) -> None:
    printed = project.run(
        versions
        + """
taken = two.convert(first)
print(type(taken) is type(second), taken == second, taken.version(), type(taken.more[0]) is type(second))
print(taken.color is second.color, first.version(), one.convert(taken) == first, taken is first)
both = two.convert({'a': [first, second], 'b': 3})
print({type(value) for value in both['a']} == {type(second)}, both['b'])
from tg.my.shapes import Point
print(type(one.convert(Point(5))) is type(first), type(two.load_file_in_local_tg).__name__)
"""
    )
    assert printed.splitlines() == ["True True 2 True", "True 1 True False", "True 3", "True method"]


def test_big_buffers_of_the_copy_are_its_own(project: Project, versions: str) -> None:
    printed = project.run(
        versions
        + """
first.more = bytearray(200_000)
taken = two.convert(first)
taken.more[0] = 1
print(first.more[0], type(taken.more), len(taken.more))
"""
    )
    assert printed.strip() == "0 <class 'bytearray'> 200000"


def test_what_the_other_version_does_not_have_is_told(project: Project, versions: str) -> None:
    printed = project.run(
        versions
        + """
import sys
extra = sys.modules[type(first).__module__].Extra1()
two.convert(extra)
""",
        fails=True,
    )
    assert "AttributeError" in printed
    assert "Extra1" in printed


def test_a_version_that_was_replaced_converts_as_well(project: Project) -> None:
    """Its classes go by another name then."""
    files = []
    for version in (1, 2):
        project.write("tg/my/shapes.py", SHAPES.format(version=version))
        file = project.deliver(job="tg.my.shapes:Job()")
        files.append(str(file.rename(project.elsewhere / f"{version}.whl")))
    printed = project.run(
        f"""
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
one = install_package_and_get_loader({files[0]!r}, silent=True, policy=Policy.any())
first = one.load_resource('job').run()
two = install_package_and_get_loader({files[1]!r}, silent=True, policy=Policy.any())
second = two.load_resource('job').run()
print(two.convert(first) == second, two.convert(first).version(), one.convert(second).version(), '__at_' in type(first).__module__)
""",
        PYTHONPATH=f"{REPOSITORY}",
    )
    assert printed.strip() == "True 2 1 True"
