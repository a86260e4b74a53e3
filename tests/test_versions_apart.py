"""What holds between two versions in one process: types are apart, so is state, and `convert` takes an object over."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from extensions import extension
from projects import REPOSITORY, Project

MODULES = {
    "__init__.py": """
        RAN = []
        from . import first, second
        """,
    # Each imports the other, the second while the first is half made.
    "first.py": """
        from mycompany import RAN
        RAN.append(__name__)
        import mycompany.second

        class First:
            def other(self):
                return mycompany.second.Second
        """,
    "second.py": """
        from mycompany import RAN
        RAN.append(__name__)
        import mycompany.first

        class Second:
            def other(self):
                return mycompany.first.First
        """,
    "shapes.py": """
        import abc
        import array
        import enum
        import functools
        import threading
        from contextvars import ContextVar
        from dataclasses import dataclass, field
        from typing import NamedTuple

        VERSION = {version}

        class Registry(type):
            known = {{}}
            def __new__(mcs, name, bases, members):
                mcs.known[name] = made = super().__new__(mcs, name, bases, members)
                return made

        class Registered(metaclass=Registry):
            pass

        class Plugin:
            known = {{}}
            def __init_subclass__(cls, **options):
                super().__init_subclass__(**options)
                Plugin.known[cls.__name__] = cls

        class Extra(Plugin):
            pass

        class Single:
            made = None
            def __new__(cls):
                if cls.made is None:
                    cls.made = super().__new__(cls)
                return cls.made
            def __reduce__(self):
                return Single, ()

        NOTHING = Single()

        class Color(enum.Enum):
            RED = 1
            BLUE = 2

        class Level(enum.IntEnum):
            LOW = 1

        class Access(enum.Flag):
            READ = 1
            WRITE = 2

        @dataclass
        class Point:
            x: int
            y: int = 0

        @dataclass(frozen=True, slots=True, order=True)
        class Key:
            name: str
            color: Color = Color.RED

        class Pair(NamedTuple):
            left: object
            right: object

        @dataclass
        class Everything:
            points: list
            by_key: dict
            keys: set
            frozen: frozenset
            color: Color
            access: Access
            level: Level
            pair: Pair
            numbers: object
            single: Single
            type_of: type
            itself: object = None

        @functools.singledispatch
        def told(value):
            return "something"

        @told.register
        def _(value: Point):
            return "a point of {version}"

        class Shape(abc.ABC):
            @abc.abstractmethod
            def area(self): ...

        class Square(Shape):
            def area(self):
                return {version}

        @Shape.register
        class Foreign:
            def area(self):
                return -1

        class Sized(abc.ABC):
            @classmethod
            def __subclasshook__(cls, other):
                return hasattr(other, "area") or NotImplemented

        CURRENT = ContextVar("current", default={version})
        LOCAL = threading.local()
        LOCAL.value = {version}

        class Job:
            def run(self):
                return Point(1)

            def everything(self):
                key = Key("a", Color.BLUE)
                made = Everything(
                    [Point(1, 2), [Point(3)]], {{key: Point(4), Color.RED: [key]}}, {{key, Color.BLUE, 7}}, frozenset({{Key("b")}}),
                    Color.BLUE, Access.READ | Access.WRITE, Level.LOW, Pair(Point(5), (Color.RED,)), array.array("d", [1.5, 2.5]),
                    NOTHING, Point,
                )
                made.itself = made
                return made
        """,
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project, and code that has the modules of two versions of it: `one` and `two`, by the entry points `points`."""
    project = Project(tmp_path_factory.mktemp("versions"))
    files = []
    for version in (1, 2):
        for path, text in MODULES.items():
            project.write(f"mycompany/{path}", text.format(version=version) if path == "shapes.py" else text)
        files.append(str(project.deliver(version=f"{version}.0.0", job="mycompany.shapes:Job()")))
    project.write("versions.txt", "\n".join(files))
    return project


def holds(project: Project, code: str, **options: bool) -> list[str]:
    files = (project.folder / "versions.txt").read_text().splitlines()
    before = f"""
import sys
from tg.common.delivery.delivery import install_package_and_get_loader
from tg.common.delivery.trust import Policy
points = [install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {files!r}]
jobs = [point.load_resource('job') for point in points]
one, two = (sys.modules[type(job).__module__] for job in jobs)
packages = [sys.modules[name] for name in ('my_job__1_0_0.mycompany', 'my_job__2_0_0.mycompany')]
"""
    return project.run(before + textwrap.dedent(code), with_project=False, **options).splitlines()


def test_modules_that_import_each_other_find_those_of_their_own_version(versions: Project) -> None:
    printed = holds(
        versions,
        """
        for package in packages:
            first, second = package.first.First, package.second.Second
            print(first().other() is second, second().other() is first, first.__module__)
        """,
    )
    assert printed == ["True True my_job__1_0_0.mycompany.first", "True True my_job__2_0_0.mycompany.first"]


def test_what_a_module_does_when_it_is_imported_is_done_once_for_each_version(versions: Project) -> None:
    printed = holds(
        versions,
        """
        points[0].load_resource('job'), points[1].load_resource('job')
        for package in packages:
            print([name.rpartition('.')[2] for name in package.RAN], {name.partition('.')[0] for name in package.RAN})
        """,
    )
    assert printed == ["['first', 'second'] {'my_job__1_0_0'}", "['first', 'second'] {'my_job__2_0_0'}"]


def test_a_metaclass_registers_the_classes_of_its_own_version(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print([list(module.Registry.known.items()) == [('Registered', module.Registered)] for module in (one, two)])
        print(type(one.Registered) is type(two.Registered), isinstance(one.Registered, two.Registry))
        """,
    )
    assert printed == ["[True, True]", "False False"]


def test_plugins_are_known_to_their_own_version(versions: Project) -> None:
    printed = holds(versions, "print([module.Plugin.known == {'Extra': module.Extra} for module in (one, two)])")
    assert printed == ["[True, True]"]


def test_each_version_has_its_own_singletons(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print([module.Single() is module.NOTHING for module in (one, two)], one.NOTHING is two.NOTHING)
        print(points[1].convert(one.NOTHING) is two.NOTHING)
        """,
    )
    assert printed == ["[True, True] False", "True"]


def test_enumerations_of_two_versions_are_not_equal_unless_they_are_numbers(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print(one.Color.RED == two.Color.RED, one.Color.RED in {two.Color.RED}, one.Color.RED.value == two.Color.RED.value)
        print(one.Level.LOW == two.Level.LOW, isinstance(one.Level.LOW, two.Level))
        print([points[1].convert(value) is value2 for value, value2 in (
            (one.Color.BLUE, two.Color.BLUE), (one.Level.LOW, two.Level.LOW), (one.Access.READ | one.Access.WRITE, two.Access(3)))])
        """,
    )
    assert printed == ["False False True", "True False", "[True, True, True]"]


def test_dataclasses_of_two_versions_are_not_equal_and_have_no_order(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print(one.Point(1) == two.Point(1), one.Point(1) == one.Point(1), one.Key('a') == two.Key('a'))
        try:
            one.Key('a') < two.Key('b')
        except TypeError as error:
            print(type(error).__name__)
        print(points[1].convert(one.Point(1)) == two.Point(1), points[1].convert(one.Key('a')) < two.Key('b'))
        """,
    )
    assert printed == ["False True False", "TypeError", "True True"]


def test_an_object_is_an_instance_of_its_own_versions_classes_alone(versions: Project) -> None:
    printed = holds(
        versions,
        """
        point = one.Point(1)
        print(isinstance(point, one.Point), isinstance(point, two.Point), issubclass(one.Square, two.Shape))
        class Mixed(one.Point, two.Plugin):
            pass
        print(isinstance(Mixed(1), one.Point), isinstance(Mixed(1), two.Plugin), 'Mixed' in two.Plugin.known, 'Mixed' in one.Plugin.known)
        print(isinstance(points[1].convert(point), two.Point))
        """,
    )
    assert printed == ["True False False", "True True True False", "True"]


def test_a_function_dispatches_on_the_classes_of_its_own_version(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print(one.told(one.Point(1)), '|', two.told(two.Point(1)), '|', two.told(one.Point(1)))
        two.told.register(one.Point, lambda value: 'an old point')
        print(two.told(one.Point(1)), '|', two.told(two.Point(1)), '|', one.told(one.Point(1)))
        print(two.told(points[1].convert(one.Point(1))))
        """,
    )
    assert printed == [
        "a point of 1 | a point of 2 | something",
        "an old point | a point of 2 | a point of 1",
        "a point of 2",
    ]


def test_an_abstract_class_knows_those_registered_with_its_own_version(versions: Project) -> None:
    printed = holds(
        versions,
        """
        print(isinstance(one.Foreign(), one.Shape), isinstance(one.Foreign(), two.Shape), isinstance(one.Square(), two.Shape))
        two.Shape.register(one.Square)
        print(isinstance(one.Square(), two.Shape), isinstance(two.Square(), one.Shape))
        """,
    )
    assert printed == ["True False False", "True False"]


def test_an_abstract_class_that_asks_for_methods_takes_those_of_any_version(versions: Project) -> None:
    """`__subclasshook__` looks at what a class has, not at where it is from: the one `isinstance` that holds across versions."""
    printed = holds(versions, "print(isinstance(one.Square(), two.Sized), isinstance(one.Point(1), two.Sized))")
    assert printed == ["True False"]


def test_context_variables_and_thread_locals_are_each_versions_own(versions: Project) -> None:
    printed = holds(
        versions,
        """
        import threading
        token = one.CURRENT.set('changed')
        one.LOCAL.value = 'changed'
        print(one.CURRENT.get(), two.CURRENT.get(), one.LOCAL.value, two.LOCAL.value)
        def elsewhere():
            print(one.CURRENT.get(), two.CURRENT.get(), hasattr(one.LOCAL, 'value'), hasattr(two.LOCAL, 'value'))
        thread = threading.Thread(target=elsewhere, **({'context': __import__('contextvars').Context()} if sys.version_info >= (3, 14) else {}))
        thread.start()
        thread.join()
        one.CURRENT.reset(token)
        print(one.CURRENT.get(), two.CURRENT.get())
        """,
    )
    assert printed == ["changed 2 changed 2", "1 2 False False", "1 2"]


def test_everything_in_an_object_is_taken_over(versions: Project) -> None:
    """Nested objects, keys of dictionaries, members of sets, enumerations, arrays, singletons, classes, and what holds itself."""
    printed = holds(
        versions,
        """
        import io, pickle
        taken, theirs = points[1].convert(jobs[0].everything()), jobs[1].everything()
        print(taken.itself is taken, taken is not theirs)
        taken.itself = theirs.itself = None
        print(taken == theirs, taken.single is two.NOTHING, taken.type_of is two.Point)
        print(taken.by_key[two.Key('a', two.Color.BLUE)] == two.Point(4), two.Key('b') in taken.frozen, two.Color.BLUE in taken.keys)
        print(taken.numbers, taken.access is two.Access(3), type(taken.pair).__module__)
        print(b'my_job__1_0_0' in pickle.dumps(taken), points[0].convert(taken).color is one.Color.BLUE)
        """,
    )
    assert printed == [
        "True True",
        "True True True",
        "True True True",
        "array('d', [1.5, 2.5]) True my_job__2_0_0.mycompany.shapes",
        "False True",
    ]


def test_arrays_are_taken_over_with_the_object_and_are_its_own(versions: Project) -> None:
    printed = holds(
        versions,
        """
        import numpy
        point = one.Point(numpy.arange(100_000.0), {one.Color.RED: numpy.array([1, 2], dtype='i2')})
        taken = points[1].convert(point)
        print(type(taken) is two.Point, numpy.array_equal(taken.x, point.x), taken.y[two.Color.RED].dtype, taken.x.flags.writeable)
        taken.x[0] = 42
        print(point.x[0])
        """,
    )
    assert printed == ["True True int16 True", "0.0"]


def test_an_object_of_the_installed_root_is_taken_over_as_well(versions: Project) -> None:
    """Where the root is there under its own name, with a third version of the code."""
    printed = holds(versions, "print('mycompany' in sys.modules)")
    assert printed == ["False"]
    third = versions.elsewhere / "third"
    for path, text in MODULES.items():
        (third / "mycompany").mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(text)
        (third / "mycompany" / path).write_text(text.format(version=3) if path == "shapes.py" else text)
    files = (versions.folder / "versions.txt").read_text().splitlines()
    printed = versions.run(
        f"""
        import sys
        import mycompany.shapes as plain
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        points = [install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {files!r}]
        jobs = [point.load_resource('job') for point in points]
        one, two = (sys.modules[type(job).__module__] for job in jobs)
        print([module.VERSION for module in (plain, one, two)], len({{plain.Point, one.Point, two.Point}}))
        print(type(points[0].convert(plain.Point(plain.Color.RED))) is one.Point, points[1].convert(plain.Color.BLUE) is two.Color.BLUE)
        print(plain.told(one.Point(1)), '|', plain.told(plain.Point(1)), '|', [name.rpartition('.')[2] for name in sys.modules['mycompany'].RAN])
        """,
        PYTHONPATH=f"{REPOSITORY}:{third}",
    )
    assert printed.splitlines() == ["[3, 1, 2] 3", "True True", "something | a point of 3 | ['first', 'second']"]


def installed(site: Path, version: str) -> Path:
    """A folder of site-packages with a version of a distribution that has compiled code."""
    write_all(
        site,
        {
            "known/__init__.py": f"""
                import sys
                from importlib.metadata import version
                from known import _fast
                from known._fast import count
                NUMBER = {version!r}

                class Known:
                    calls = 0
                    def run(self):
                        Known.calls += 1
                        return NUMBER, version("known-dist"), count(), _fast.__name__, Known.calls
                """,
            f"known_dist-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: known-dist\nVersion: {version}\n",
            f"known_dist-{version}.dist-info/RECORD": f"known/__init__.py,,\nknown_dist-{version}.dist-info/METADATA,,\n",
        },
    )
    extension(site / "known", "_fast")
    return site


def write_all(folder: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(textwrap.dedent(text), encoding="utf-8")


def test_two_versions_of_an_installed_package_run_beside_a_third_that_is_installed(project: Project) -> None:
    files = [
        project.deliver(
            version=version,
            job="known:Known()",
            settings="packaging.roots = ['known']",
            PYTHONPATH=f"{project.folder}:{REPOSITORY}:{installed(project.elsewhere / version, version)}",
        )
        for version in ("1.5", "2.0")
    ]
    printed = project.run(
        f"""
        import known
        plain = known.Known()
        print(plain.run())
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        points = [install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {list(map(str, files))!r}]
        jobs = [point.load_resource('job') for point in points]
        for job in (jobs[0], jobs[1], plain, jobs[0]):
            print(job.run())
        print(len({{type(job) for job in (plain, *jobs)}}), type(points[0].convert(plain)) is type(jobs[0]))
        """,
        PYTHONPATH=f"{REPOSITORY}:{installed(project.elsewhere / '3.0', '3.0')}",
    )
    assert printed.splitlines() == [
        "('3.0', '3.0', 1, 'known._fast', 1)",
        "('1.5', '1.5', 1, 'my_job__1_5.known._fast', 1)",
        "('2.0', '2.0', 1, 'my_job__2_0.known._fast', 1)",
        "('3.0', '3.0', 2, 'known._fast', 2)",
        "('1.5', '1.5', 2, 'my_job__1_5.known._fast', 2)",
        "3 True",
    ]


def test_two_packages_of_one_name_and_root_are_apart_from_the_projects_own(project: Project) -> None:
    """Own code: one version is what lies in the project, two are delivered, of two packages of different names."""
    files = []
    for name, number in (("first_job", 1), ("second_job", 2)):
        project.write("mycompany/__init__.py", f"class Own:\n    def run(self):\n        return {number}, __name__\n")
        files.append(str(project.deliver(name, job="mycompany:Own()")))
    project.write("mycompany/__init__.py", "class Own:\n    def run(self):\n        return 3, __name__\n")
    printed = project.run(
        f"""
        import mycompany
        from tg.common.delivery.delivery import install_package_and_get_loader
        from tg.common.delivery.trust import Policy
        points = [install_package_and_get_loader(file, silent=True, policy=Policy.any()) for file in {files!r}]
        print([job.run() for job in (*(point.load_resource('job') for point in points), mycompany.Own())])
        """
    )
    assert (
        printed.strip() == "[(1, 'first_job__1_0_0.mycompany'), (2, 'second_job__1_0_0.mycompany'), (3, 'mycompany')]"
    )
