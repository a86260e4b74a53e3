"""Resources: pickles under the package's names, with big buffers beside them."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import Project

from tg.common.delivery.delivery import RenamingUnpickler
from tg.common.delivery.delivery.origins import Origins
from tg.common.delivery.delivery.pickling import pickle_resource
from tg.common.delivery.runtime.resources import load_resource
from tg.common.delivery.runtime.roots import Roots

pytestmark = pytest.mark.usefixtures("unchecked")

ORIGINS = Origins(Roots.of([], ""), {"tg": (Path("nowhere"),)})


def round_trip(value: Any) -> Any:
    pickled = pickle_resource("value", value, ORIGINS)
    return pickle.loads(pickled.dump(""), buffers=[bytearray(buffer) for buffer in pickled.buffers])


PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.complex_numbers(allow_nan=False),
)
HASHABLE = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=4), max_leaves=6
)
VALUES = st.recursive(
    PLAIN | st.sets(HASHABLE, max_size=6) | st.frozensets(HASHABLE, max_size=6) | st.binary().map(bytearray),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HASHABLE, inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_values_come_back_equal_and_of_their_types(value: Any) -> None:
    loaded = round_trip(value)
    assert loaded == value
    assert repr(type(loaded)) == repr(type(value))


@settings(deadline=None)
@given(
    st.sets(
        st.one_of(st.text(max_size=3), st.integers(), st.tuples(st.text(max_size=2), st.binary(max_size=2))), max_size=8
    )
)
def test_a_set_of_plain_values_is_written_in_one_order(value: set[Any]) -> None:
    other: set[Any] = set()
    for item in sorted(value, key=repr, reverse=True):
        other.add(item)
    assert pickle_resource("a", [value], ORIGINS) == pickle_resource("a", [other], ORIGINS)


def test_what_is_shared_and_what_is_cyclic_stays_so() -> None:
    shared = {"a", "b"}
    big = bytes(100_000)
    cyclic: list[Any] = [shared, shared, big, big]
    cyclic.append(cyclic)
    loaded = round_trip(cyclic)
    assert loaded[0] is loaded[1]
    assert loaded[2] is loaded[3]
    assert loaded[4] is loaded


@pytest.mark.parametrize("value", [bytes(65_536), bytearray(65_536), np.zeros(8192), np.zeros((64, 128)).T])
def test_buffers_of_64_kib_lie_beside_the_pickle(value: Any) -> None:
    pickled = pickle_resource("a", {"value": value}, ORIGINS)
    assert [len(buffer) for buffer in pickled.buffers] == [65_536]
    assert len(pickled.body) + len(pickled.values) < 1000


@pytest.mark.parametrize("value", [bytes(65_535), np.zeros(8191), "x" * 100_000])
def test_smaller_ones_and_text_are_in_it(value: Any) -> None:
    assert pickle_resource("a", {"value": value}, ORIGINS).buffers == ()


RICH = """
import enum, functools, types, typing
from collections import namedtuple
from dataclasses import dataclass

T = typing.TypeVar('T')
Point = namedtuple('Point', 'x y')

class Sentinel:
    def __reduce__(self):
        return 'MISSING'
MISSING = Sentinel()

class Color(enum.Enum):
    RED = 1

@dataclass(frozen=True)
class Frozen:
    value: int

class Slotted:
    __slots__ = ('a',)

class Outer:
    class Inner:
        pass
    @classmethod
    def make(cls):
        return cls()
    def method(self):
        return 'method'

def function(x):
    return x

class Box:
    __class_getitem__ = classmethod(types.GenericAlias)

class Job:
    def __init__(self):
        self.slotted = Slotted()
        self.slotted.a = Frozen(3)
        self.values = [Point(1, 2), Color.RED, Outer.Inner(), Outer, function, functools.partial(function, 2)]
        self.methods = [Outer().method, Outer.make]
        self.missing = MISSING
        self.type_variable = T
        self.box, self.boxes = Box, Box[int]
        self.inner = {Color.RED: {Frozen(1), Frozen(2)}}
    def run(self):
        return 'rich'
"""


def test_every_kind_of_definition_is_loaded_from_the_package(project: Project) -> None:
    project.write("tg/my/job.py", RICH)
    file = project.deliver()
    printed = project.run(
        f"""
        import sys
        from tg.common.delivery.delivery import install_package_and_get_loader
        job = install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job')
        module = sys.modules['my_job__1_0_0.tg.my.job']
        assert job.missing is module.MISSING and job.type_variable is module.T
        assert job.values[1] is module.Color.RED and job.values[3] is module.Outer and job.values[4] is module.function
        assert job.slotted.a == module.Frozen(3) and type(job.values[2]) is module.Outer.Inner
        assert job.values[5]() == 2 and job.methods[0]() == 'method' and type(job.methods[1]()) is module.Outer
        assert job.box is module.Box and job.boxes == module.Box[int] and job.boxes != module.Box
        assert job.inner == {{module.Color.RED: {{module.Frozen(1), module.Frozen(2)}}}}
        print([name for name in sys.modules if name == 'tg.my' or name.startswith('tg.my.')])
        """,
        with_project=False,
    )
    assert printed.strip() == "[]"


ARRAYS = """
import numpy as np, pandas as pd
class Job:
    def __init__(self):
        self.array = np.arange(100_000.0)
        self.frame = pd.DataFrame({'a': np.arange(20_000.0), 'b': np.arange(20_000.0), 'c': ['x'] * 20_000})
        self.data = bytes(200_000)
    def run(self):
        return float(self.array.sum())
"""
UNPACK = """
import pickle, sys, zipfile
from pathlib import Path
zipfile.ZipFile({file!r}).extractall('unpacked')
sys.path.insert(0, 'unpacked')
resources = 'unpacked/my_job__1_0_0/resources'
"""


def test_plain_pickle_reads_a_resource_with_nothing_of_ours(project: Project) -> None:
    file = project.deliver()
    printed = project.run(
        UNPACK.format(file=str(file))
        + """
job = pickle.load(open(f'{resources}/job', 'rb'))
print(type(job), job.run(), [name for name in sys.modules if 'delivery' in name])
""",
        with_project=False,
        with_delivery=False,
    )
    assert printed.strip() == "<class 'my_job__1_0_0.tg.my.job.Job'> one []"


def test_plain_pickle_takes_the_buffers_as_the_docstring_shows(project: Project) -> None:
    from tg.common.delivery.runtime import resources

    lines = [line.strip() for line in (resources.__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(lines) == 2
    project.write("tg/my/job.py", ARRAYS)
    code = "\n".join(lines).replace('"resources/', 'f"{resources}/')
    printed = project.run(
        UNPACK.format(file=str(project.deliver()))
        + "from glob import glob\n"
        + code
        + "\nprint(job.run(), len(buffers))\n",
        with_project=False,
        with_delivery=False,
    )
    assert printed.startswith("4999950000.0 ")


def test_arrays_are_mapped_writable_and_their_files_stay_as_they_are(project: Project) -> None:
    project.write("tg/my/job.py", ARRAYS)
    printed = project.run(
        f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        entry_point = install_package_and_get_loader({str(project.deliver())!r}, silent=True)
        job, other = entry_point.load_resource('job'), entry_point.load_resource('job')
        files = sorted((entry_point.resources_location / 'job.buffers').iterdir())
        before = [file.read_bytes() for file in files]
        job.array += 1
        job.frame['a'] = job.frame['a'] + 1
        assert [file.read_bytes() for file in files] == before
        print(job.run() - other.run(), job.frame.a.sum() - other.frame.a.sum(), job.data == bytes(200_000))
        """,
        with_project=False,
    )
    assert printed.strip() == "100000.0 20000.0 True"


def test_loading_reads_no_buffer_until_it_is_touched(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        "import numpy as np\nclass Job:\n    def __init__(self):\n        self.array = np.ones(16_000_000)\n",
    )
    printed = project.run(
        f"""
        import numpy
        from pathlib import Path
        from tg.common.delivery.delivery import install_package_and_get_loader
        def resident():
            return int(Path('/proc/self/statm').read_text().split()[1]) * 4096 >> 20
        entry_point = install_package_and_get_loader({str(project.deliver())!r}, silent=True)
        before = resident()
        job = entry_point.load_resource('job')
        loaded = resident()
        assert job.array.sum() == 16_000_000
        print(loaded - before < 20, resident() - before > 100)
        """,
        with_project=False,
    )
    assert printed.strip() == "True True"


def test_the_body_is_the_same_for_every_uid(project: Project) -> None:
    project.write("tg/my/job.py", RICH)
    bodies = set()
    for name in ("my_job", "another_name"):
        printed = project.run(f"""
            from tg.common.delivery.delivery import install_package_and_get_loader
            entry_point = install_package_and_get_loader({str(project.deliver(name))!r}, silent=True)
            text = (entry_point.resources_location / 'job').read_bytes()
            print(text[text.index(b'\\x95'):].hex())
        """)
        bodies.add(printed)
    assert len(bodies) == 1
    assert "another" not in bytes.fromhex(printed.strip()).decode("latin-1")


def test_a_version_from_a_set_of_strings_does_not_depend_on_the_hash_seed(project: Project) -> None:
    project.write("tg/my/job.py", "class Job:\n    def __init__(self):\n        self.s = {'a', 'b', ('c', b'd')}\n")
    assert len({project.deliver(version=None, PYTHONHASHSEED=seed).name for seed in "123"}) == 1


def test_the_unpickler_renames_whole_modules_and_then_what_has_moved(tmp_path: Path) -> None:
    from fractions import Fraction

    file = tmp_path / "x.pickle"
    file.write_bytes(pickle.dumps([Fraction(1, 2)]).replace(b"\x8c\tfractions", b"\x8c\told.place"))
    with file.open("rb") as opened:
        loaded = RenamingUnpickler(
            opened, "old", "new", replacements={"new.place:Fraction": "fractions:Fraction"}
        ).load()
    assert loaded == [Fraction(1, 2)]
    with file.open("rb") as opened:
        assert RenamingUnpickler(opened, "old", "new", replacements={"new.place": "fractions"}).load() == loaded
    with file.open("rb") as opened:
        assert RenamingUnpickler(opened, "old.place", "fractions").load() == loaded
    with file.open("rb") as opened, pytest.raises(ModuleNotFoundError):
        RenamingUnpickler(opened, "ol", "fractions").load()


def test_a_result_of_a_delivered_version_is_read_into_classes_that_have_moved(project: Project) -> None:
    project.write("tg/my/job.py", "class Result:\n    pass\nclass Job:\n    def run(self):\n        return Result()\n")
    file = project.deliver()
    project.run(f"""
        import pickle
        from tg.common.delivery.delivery import install_package_and_get_loader
        result = install_package_and_get_loader({str(file)!r}, silent=True).load_resource('job').run()
        pickle.dump(result, open('result.pickle', 'wb'))
    """)
    project.write("tg/my/job.py", "")
    project.write("tg/my/results.py", "class Outcome:\n    pass\n")
    printed = project.run("""
        from tg.common.delivery.delivery import get_loader_from_installed_package
        entry_point = get_loader_from_installed_package('my_job')
        moved = {'tg.my.job:Result': 'tg.my.results:Outcome'}
        print(type(entry_point.load_file_in_local_tg('result.pickle', replacements=moved)))
        print(type(entry_point.load_file_in_local_tg(open('result.pickle', 'rb'), replacements=moved)))
    """)
    assert printed.split("\n")[:2] == ["<class 'tg.my.results.Outcome'>"] * 2


def test_a_resource_of_another_name_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "job").write_bytes(pickle.dumps(1))
    with pytest.raises(LookupError, match=r"no resource '\.\./job'"):
        load_resource(tmp_path, "../job", from_module="a", to_module="a")


@st.composite
def graphs(draw: st.DrawFn) -> list[Any]:
    """Lists that hold one another, themselves, and what can be shared."""
    shared: list[Any] = [{"a", "b", 1}, frozenset(["x", ("y", 2)]), bytes(70_000), bytearray(70_000), {"k": 1}, "text"]
    nodes: list[list[Any]] = [[] for _ in range(draw(st.integers(1, 5)))]
    for node in nodes:
        for index in draw(st.lists(st.integers(0, len(nodes) + len(shared) - 1), max_size=5)):
            node.append((nodes + shared)[index])
    return nodes[0]


def shape(value: Any, seen: dict[int, int]) -> Any:
    """What a graph looks like: each list by its number at first sight, then what it holds; the rest by identity and value."""
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = len(seen)
    return [shape(one, seen) for one in value] if isinstance(value, list) else (type(value).__name__, value)


@settings(deadline=None)
@given(graphs())
def test_any_graph_comes_back_in_its_shape(graph: list[Any]) -> None:
    assert shape(round_trip(graph), {}) == shape(graph, {})


def test_bytes_that_an_object_makes_when_it_is_pickled_lie_beside_as_well(project: Project) -> None:
    """Boosters and other models of C libraries give themselves as new bytes each time they are asked."""
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def __getstate__(self):
                return {'raw': bytes(100_000)}
            def run(self):
                return len(self.raw)
        """,
    )
    with zipfile.ZipFile(project.deliver()) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist() if "/resources/" in info.filename}
    assert sizes.pop("my_job__1_0_0/resources/job") < 1000
    assert list(sizes.values()) == [100_000]


def test_a_set_that_an_object_makes_when_it_is_pickled_has_one_order_as_well(project: Project) -> None:
    project.write(
        "tg/my/job.py",
        """
        class Job:
            def __init__(self):
                self.names = ['a', 'b', 'c', 'dd', 'ee']
            def __getstate__(self):
                return {'names': set(self.names)}
        """,
    )
    assert len({project.deliver(version=None, PYTHONHASHSEED=seed).name for seed in "1234"}) == 1
