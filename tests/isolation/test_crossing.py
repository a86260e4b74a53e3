"""Values cross by value where both sides have what they are of; big ones in shared memory, copied once."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import gc
import importlib.util
import os
import pathlib
import socket
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from projects import Project

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.runtime.channel import Channel
from tg.common.delivery.runtime.crossing import IncomingValues, OutgoingValues
from tg.common.delivery.runtime.errors import UncrossableValue
from tg.common.delivery.runtime.segments import SegmentPool

pytestmark = pytest.mark.usefixtures("unchecked")

Isolate = Callable[..., IsolatedEntryPoint]
KIB, MIB = 1024, 1024 * 1024

ECHO = """
class Job:
    def __init__(self):
        self.kept = []

    def echo(self, *values, **named):
        return (*values, *named.values())

    def keep(self, value):
        self.kept.append(value)

    def drop(self):
        self.kept.clear()

    def total(self):
        return [float(one.sum()) for one in self.kept]

    def change(self, value):
        value[0] = 42
        return value[1]

    def mapped(self):
        with open("/proc/self/maps") as file:
            return sum("memfd:tg" in line for line in file)

    def make(self, size, value):
        import numpy
        return numpy.full(size, value)
"""
VALUES = [
    None,
    True,
    -1,
    2**100,
    1.5,
    1j,
    "text ä",
    "x" * 200_000,
    b"bytes",
    bytes(range(256)) * 1000,
    bytearray(b"x" * 100_000),
    [1, [2, {3: (4, {5})}]],
    frozenset([1, 2]),
    range(3),
    slice(1, 2),
    Ellipsis,
    NotImplemented,
    decimal.Decimal("0.1"),
    fractions.Fraction(1, 3),
    datetime.datetime(2022, 12, 28, tzinfo=datetime.timezone.utc),
    uuid.UUID(int=7),
    pathlib.PurePosixPath("a/b"),
    collections.OrderedDict(a=1),
    collections.Counter("hello"),
    collections.defaultdict(list, a=[1]),
    collections.deque([1, 2], maxlen=3),
    array.array("d", [1.0, 2.0]),
    socket.AF_UNIX,
    len,
    int,
    os.path.join,
    ValueError("a", 1),
]


@pytest.fixture
def job(isolate: Isolate) -> Any:
    return isolate(ECHO).load_resource("job")


@pytest.fixture
def job_with_arrays(isolate: Isolate) -> Any:
    return isolate(ECHO, requirements=("numpy",)).load_resource("job")


def test_plain_values_cross_there_and_back(job: Any) -> None:
    for sent in VALUES:
        [got] = job.echo(sent)
        assert type(got) is type(sent)
        assert repr(got) == repr(sent)
    assert job.echo(*VALUES[:-1], last=VALUES[:-1]) == (*VALUES[:-1], VALUES[:-1])


def test_a_structure_keeps_its_form(job: Any) -> None:
    inner = [1]
    cycle: list[Any] = [inner, inner]
    cycle.append(cycle)
    [got] = job.echo(cycle)
    assert got[0] is got[1]
    assert got[2] is got


def test_classes_of_a_dependency_that_is_not_here_are_proxies(isolate: Isolate) -> None:
    assert importlib.util.find_spec("boltons") is None
    job = isolate(
        """
        class Job:
            made = 0
            def run(self):
                from boltons import funcutils, mathutils        # which are where the package lands, and not here
                self.made += 1
                return [funcutils.InstancePartial(max, 3), self.made], funcutils.InstancePartial, mathutils
        """,
        requirements=("boltons",),
    ).load_resource("job")
    for number in (1, 2):
        [largest, made], kind, module = job.run()
        assert (largest(5), made) == (5, number)
        assert isinstance(largest, kind)
        assert module.clamp(7, upper=4) == 4


def test_a_value_that_cannot_be_made_here_is_told_as_such(isolate: Isolate) -> None:
    job = isolate("""
        import functools
        class Job:
            def run(self):
                return Here()
            def next(self):
                return 1
        class Here:
            __module__ = "functools"        # which has no such class here
            __qualname__ = "Here"
            def __reduce__(self):
                return functools.reduce, ()
        functools.Here = Here
    """).load_resource("job")
    with pytest.raises(UncrossableValue, match="cannot be read here: TypeError"):
        job.run()
    assert job.next() == 1


def test_local_objects_arrive_in_the_classes_of_the_package(project: Project, shared_environments: None) -> None:
    project.write("mycompany/__init__.py", "")
    project.write("mycompany/money.py", "class Euro:\n    def __init__(self, amount):\n        self.amount = amount\n")
    project.write(
        "tg/my/job.py",
        """
        from mycompany.money import Euro
        class Job:
            price = Euro(1)
            def run(self, price, among):
                return type(price) is Euro, all(type(one) is Euro for one in among), price.amount, type(price).__module__
        """,
    )
    file = project.deliver(job="tg.my.job:Job()", settings="packaging.roots = ['mycompany']")
    printed = project.run(f"""
        from mycompany.money import Euro
        from tg.common.delivery.delivery import install_package_and_get_loader
        with install_package_and_get_loader({str(file)!r}, silent=True, isolated=True) as entry_point:
            print(entry_point.load_resource("job").run(Euro(5), [Euro(6)]))
    """)
    assert printed.strip() == "(True, True, 5, 'my_job__1_0_0.mycompany.money')"


def test_an_object_of_another_version_arrives_in_the_classes_of_this_one(
    project: Project, shared_environments: None
) -> None:
    project.write(
        "tg/my/job.py",
        "class Job:\n    number = 1\n    def run(self, other):\n        return type(other) is Job, other.number\n",
    )
    one, two = project.deliver(version="1.0.0"), project.deliver(version="2.0.0")
    printed = project.run(f"""
        from tg.common.delivery.delivery import install_package_and_get_loader
        here = install_package_and_get_loader({str(one)!r}, silent=True).load_resource("job")
        here.number = 7
        with install_package_and_get_loader({str(two)!r}, silent=True, isolated=True) as entry_point:
            print(entry_point.load_resource("job").run(here))
    """)
    assert printed.strip() == "(True, 7)"


def test_arrays_cross_there_and_back(job_with_arrays: Any) -> None:
    big = np.random.default_rng(0).random((300, 400))
    frozen = big.copy()
    frozen.flags.writeable = False
    arrays = [
        big,
        big.T,
        big[::3],
        big[:2],
        frozen,
        np.array(3),
        np.array(["a", None], dtype=object),
        np.array(["2020"], "M8[D]"),
    ]
    for sent, got in zip(arrays, job_with_arrays.echo(*arrays), strict=True):
        assert got.dtype == sent.dtype
        assert np.array_equal(got, sent)
        assert got.flags.writeable == sent.flags.writeable


def test_many_buffers_cross_in_one_call(job_with_arrays: Any) -> None:
    arrays = [np.full(size, index) for index, size in enumerate([10_000, 200_000] * 60)]
    got = job_with_arrays.echo(*arrays)
    assert [(len(one), int(one[-1])) for one in got] == [(len(one), int(one[-1])) for one in arrays]


def test_what_arrived_can_be_changed_and_changes_nothing_here(job_with_arrays: Any) -> None:
    sent = np.zeros(MIB)
    assert job_with_arrays.change(sent) == 0
    assert sent[0] == 0
    [got] = job_with_arrays.echo(sent)
    got[0] = 1
    assert job_with_arrays.echo(sent)[0][0] == 0


def test_what_the_worker_keeps_stays_as_it_was_given(job_with_arrays: Any) -> None:
    for number in range(4):
        sent = np.full(MIB, float(number))
        job_with_arrays.keep(sent)
        sent[:] = -1
    assert job_with_arrays.total() == [MIB * number for number in (0.0, 1.0, 2.0, 3.0)]


def test_what_is_kept_here_stays_as_it_came(job_with_arrays: Any) -> None:
    kept = [job_with_arrays.make(MIB, float(number)) for number in range(4)]
    assert [one.sum() for one in kept] == [MIB * number for number in (0.0, 1.0, 2.0, 3.0)]


def test_what_the_worker_has_let_go_is_not_mapped_any_more(job_with_arrays: Any) -> None:
    for _ in range(3):
        job_with_arrays.keep(np.zeros(MIB))
    assert job_with_arrays.mapped() >= 3
    job_with_arrays.drop()
    assert job_with_arrays.mapped() == 0


def test_nothing_is_left_in_a_folder_for_shared_memory(job_with_arrays: Any) -> None:
    before = sorted(os.listdir("/dev/shm"))
    job_with_arrays.keep(np.zeros(MIB))
    assert sorted(os.listdir("/dev/shm")) == before


class _Message:
    """Both ends of a channel, and what goes through the socket between them."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.sender, self.receiver = Channel(self.ours), Channel(self.theirs)

    def __enter__(self) -> _Message:
        return self

    def __exit__(self, *error: object) -> None:
        self.sender.close()
        self.receiver.close()

    def cross(self, value: Any) -> Any:
        self.sender.send(OutgoingValues().pack((value,), self.sender))
        message = self.receiver.receive()
        with message.body as file:
            return IncomingValues(message, file, lambda *reference: reference).load()[0]


@pytest.mark.parametrize(
    "value", [np.zeros(4 * MIB), bytes(32 * MIB), "x" * (32 * MIB), list(range(4_000_000))], ids=type
)
def test_what_is_big_does_not_go_through_the_socket(value: Any) -> None:
    with _Message() as message:
        message.sender.send(OutgoingValues().pack((value,), message.sender))  # nobody reads: the socket would be full
        sent = message.theirs.recv(MIB, socket.MSG_PEEK)
        assert 0 < len(sent) < 2 * KIB


def test_a_segment_that_was_let_go_is_written_again() -> None:
    with _Message() as message:
        files = []
        for number in range(5):
            got = message.cross(np.full(MIB, number))
            assert got[0] == got[-1] == number
            files.append({segment.number for segment in message.sender._pool._away.values()})
            del got
            message.receiver.send(message.receiver.pack([b"N."], []))
            message.sender.receive()
        assert files == [{1}] * 5


def test_a_segment_that_a_fork_may_still_see_is_not_written_again() -> None:
    with _Message() as message:
        got = message.cross(np.full(MIB, 1))
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
        del got
        message.receiver.send(message.receiver.pack([b"N."], []))
        message.sender.receive()
        message.cross(np.full(MIB, 2))
        assert [segment.number for segment in message.sender._pool._away.values()] == [2]


def test_a_buffer_is_kept_without_those_it_came_with() -> None:
    with _Message() as message:
        small = message.cross([np.zeros(MIB // 4), *(np.zeros(MIB) for _ in range(4))])[0]
        message.receiver.send(message.receiver.pack([b"N."], []))
        message.sender.receive()
        assert [segment.capacity for segment in message.sender._pool._away.values()] == [2 * MIB]
        assert small[0] == 0


def test_a_pool_keeps_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tg.common.delivery.runtime.segments._KEPT_BYTES", 3 * MIB)
    pool = SegmentPool()
    taken = [pool.take(MIB) for _ in range(6)]
    pool.give_back(segment.number for segment in taken)
    assert len(pool._free) == 3
    assert pool.take(MIB).number in {segment.number for segment in taken}
    assert pool.take(16 * MIB).number == 7
    pool.close()


def test_an_object_of_a_class_of_the_script_arrives_in_the_package_s_class(
    project: Project, shared_environments: None
) -> None:
    printed = project.run("""
        from tg.common.delivery.delivery import Packaging, install_package_and_get_loader

        class Thing:
            def __init__(self, number=1):
                self.number = number

        class Job:
            def run(self, thing, kind):
                return type(thing) is Thing, thing.number, kind is Thing, Thing.__module__

        if __name__ == "__main__":
            packaging = Packaging("my_job", "1.0.0", dict(job=Job(), thing=Thing()))
            packaging.silent = True
            packaging.make_package()
            with install_package_and_get_loader(packaging.package_location, silent=True, isolated=True) as entry_point:
                print(entry_point.load_resource("job").run(Thing(7), Thing))
    """)
    assert printed.splitlines()[-1] == "(True, 7, True, 'my_job__1_0_0.main')"


KEYS = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Key:
    name: str

class Job:
    def run(self):
        from boltons.funcutils import InstancePartial        # which is where the package lands, and not here
        return {Key("a"), Key("b")}, InstancePartial(max, 1)
"""


def test_a_set_of_the_package_s_objects_comes_with_one_of_a_dependency_that_is_not_here(isolate: Isolate) -> None:
    keys, largest = isolate(KEYS, requirements=("boltons",)).load_resource("job").run()
    assert ({key.name for key in keys}, largest(2)) == ({"a", "b"}, 2)


def test_functions_of_compiled_modules_that_are_not_here_are_proxies(isolate: Isolate) -> None:
    job = isolate("""
        import sys
        import types

        class Named:                # as those of NumPy, which are pickled by their names
            def __init__(self, name):
                self.__name__ = self.__qualname__ = name
            def __call__(self, number):
                return 2 * number
            def __reduce__(self):
                return self.__name__

        Named.__module__ = "builtins"
        Named.__qualname__ = "object"       # of a type that is everywhere, which is not the matter here
        twice = Named("twice")
        twice.__module__ = __name__

        class Job:
            def run(self):
                return twice
    """).load_resource("job")
    assert job.run()(21) == 42


def test_what_was_not_read_of_an_answer_is_let_go_as_well(isolate: Isolate) -> None:
    assert importlib.util.find_spec("boltons") is None
    job = isolate(
        """
        import weakref
        class Thing:
            pass
        class Job:
            def run(self):
                from boltons.funcutils import InstancePartial
                thing = Thing()
                self.alive = weakref.ref(thing)
                return InstancePartial(max), thing
            def is_alive(self):
                return self.alive() is not None
        """,
        requirements=("boltons",),
    ).load_resource("job")
    got = job.run()
    assert job.is_alive()
    del got
    gc.collect()
    assert not job.is_alive()
