"""Results: what they may refer to is made, and anything else is found before anything is made."""

from __future__ import annotations

import array
import builtins
import collections
import contextlib
import copyreg
import datetime
import decimal
import fractions
import importlib
import io
import ipaddress
import math
import pathlib
import pickle
import re
import sys
import types
import uuid
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tg.common.delivery.delivery.example_job import ExampleJob
from tg.common.delivery.execution.results import read_result
from tg.common.delivery.runtime.errors import JobFailed, UntrustedResult
from tg.common.delivery.runtime.running import pickle_result

UID = "job__1_0_0"
PLACE = """
import enum, functools, os, subprocess
from builtins import eval as evaluate, getattr as attribute
from dataclasses import dataclass
from functools import partial
from os import system

made = []
state = {"a": 1}
later = partial(system, "true")
get = state.get

@dataclass
class Value:
    rows: int
    more: object = None

class Color(enum.Enum):
    RED = 1

class Noted:
    def __new__(cls):
        made.append(cls)
        return super().__new__(cls)

    def __setstate__(self, state):
        made.append(state)

class Outer:
    os = os
    class Inner:
        pass

    popen = subprocess.Popen

    @classmethod
    def parse(cls, text):
        found = cls()
        found.text = text
        return found

    def __reduce__(self):
        return type(self).parse, (getattr(self, "text", ""),)

class Sentinel:
    def __reduce__(self):
        return "MISSING"

MISSING = Sentinel()

def function():
    return __name__
"""


class Places(NamedTuple):
    """A module of the local tree, and the same one in the package."""

    local: ModuleType
    remote: ModuleType


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("results")
    names = ["tg.resultplaces.place", f"{UID}.tg.resultplaces.place"]
    for name in names:
        file = folder / (name.replace(".", "/") + ".py")
        file.parent.mkdir(parents=True)
        file.write_text(PLACE)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield Places(*map(importlib.import_module, names))
    sys.path.remove(str(folder))
    for loaded in [name for name in sys.modules if name.startswith(("tg.resultplaces", UID))]:
        del sys.modules[loaded]


def read(pickled: bytes, *requirements: str) -> Any:
    return read_result(io.BytesIO(pickled), UID, requirements)


def back(value: Any, *requirements: str) -> Any:
    file = io.BytesIO()
    pickle_result(value, file)
    return read(file.getvalue(), *requirements)


def text(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def named(module: str, name: str) -> bytes:
    """The opcodes that put the object of that name on the stack."""
    return text(module) + text(name) + b"\x93"


def stream(*opcodes: bytes) -> bytes:
    return b"\x80\x05" + b"".join(opcodes) + b"."


def call(module: str, name: str, *arguments: str) -> bytes:
    return named(module, name) + b"(" + b"".join(map(text, arguments)) + b"tR"


def refused(pickled: bytes, *requirements: str) -> str:
    with pytest.raises(UntrustedResult) as raised:
        read(pickled, *requirements)
    return raised.value.reference


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.uuids()
    | st.ip_addresses(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner)
        | st.sets(st.integers() | st.text())
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_plain_values_come_back_as_they_are(value: Any) -> None:
    assert back(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *[bytearray(b"x"), frozenset([1]), range(3), slice(1, 2), Ellipsis, NotImplemented, object],
        *[collections.Counter("aab"), collections.deque([1], 3), collections.OrderedDict(a=1)],
        *[collections.defaultdict(list, a=[1]), collections.ChainMap({"a": 1})],
        *[decimal.Decimal("1.20"), fractions.Fraction(1, 3), uuid.UUID(int=1), array.array("d", [1.5])],
        *[pathlib.PurePosixPath("a/b"), pathlib.Path("a"), ipaddress.ip_network("10.0.0.0/8")],
        *[
            types.SimpleNamespace(a=1),
            datetime.timezone.utc,
            datetime.datetime(2022, 12, 28, tzinfo=datetime.timezone.utc),
        ],
        *[re.compile("a+", re.IGNORECASE), zoneinfo.ZoneInfo("Europe/Berlin")],
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", [4, 5])
def test_values_of_the_standard_library_come_back(value: Any, protocol: int) -> None:
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("error", [ValueError("x"), OSError(2, "gone", "file"), KeyError(1)], ids=repr)
def test_exceptions_come_back(error: Exception) -> None:
    assert repr(back(error)) == repr(error)


def test_exceptions_come_back_where_dask_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    from tblib.pickling_support import pickle_exception

    monkeypatch.setitem(copyreg.dispatch_table, ValueError, pickle_exception)
    assert b"tblib" in pickle.dumps(ValueError("x"))
    assert repr(back([ValueError("x")])) == "[ValueError('x')]"


def test_objects_of_the_package_come_back_as_those_of_the_local_tree(places: Places) -> None:
    value = back([places.remote.Value(1, places.remote.Color.RED), places.remote.Outer.Inner(), places.remote.function])
    assert value[0] == places.local.Value(1, places.local.Color.RED)
    assert type(value[1]) is places.local.Outer.Inner
    assert value[2] is places.local.function


def test_a_method_that_makes_an_object_may_be_called(places: Places) -> None:
    made = back(places.remote.Outer.parse("abc"))
    assert type(made) is places.local.Outer
    assert made.text == "abc"


def test_what_is_known_by_its_name_is_that_of_the_local_tree(places: Places) -> None:
    assert back(places.remote.MISSING) is places.local.MISSING


def test_an_enumeration_may_be_looked_up_by_name_as_python_3_11_does(places: Places) -> None:
    place = f"{UID}.tg.resultplaces.place"
    by_name = named("builtins", "getattr") + named(place, "Color") + text("RED") + b"\x86R"
    assert read(stream(by_name)) is places.local.Color.RED


def test_a_version_that_was_set_aside_is_the_package_too(places: Places) -> None:
    pickled = stream(named(f"{UID}__at_0123456789ab.tg.resultplaces.place", "Value"))
    assert read(pickled) is places.local.Value


def test_a_path_of_python_3_13_is_a_path() -> None:
    assert read(stream(call("pathlib._local", "PurePosixPath", "a"))) == pathlib.PurePosixPath("a")


def test_values_and_errors_of_delivery_itself_come_back() -> None:
    assert type(back(ExampleJob())) is ExampleJob
    assert (
        refused(stream(named("tg.common.delivery.environments.uv", "run_uv")))
        == "tg.common.delivery.environments.uv.run_uv"
    )
    assert refused(stream(named(f"{UID}.tg.common.delivery.delivery.store", "Store"))).endswith("store.Store")
    assert read(stream(named(f"{UID}.tg.common.delivery.runtime.errors", "JobFailed"))) is JobFailed


def test_arrays_come_back_where_numpy_is_declared() -> None:
    for value in (numpy.arange(10.0), numpy.array(["a", None], object), numpy.zeros((2, 3), "M8[ns]")):
        assert (back(value, "numpy>=1") == value).all()
    assert back(numpy.float64(3), "numpy") == 3
    assert back([numpy.add, numpy.dtype("i4")], "numpy") == [numpy.add, numpy.dtype("i4")]
    assert refused(pickle.dumps(numpy.arange(3))).startswith("numpy")


def test_frames_come_back_where_pandas_is_declared_and_numpy_with_it() -> None:
    frame = pandas.DataFrame(
        {
            "number": [1, 2],
            "text": ["x", "y"],
            "time": pandas.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("Europe/Berlin"),
            "kind": pandas.Categorical(["u", "v"]),
        }
    )
    pandas.testing.assert_frame_equal(back(frame, "pandas"), frame)
    pandas.testing.assert_frame_equal(back(frame, "Pandas [performance] >=2"), frame)
    assert refused(pickle.dumps(frame)).startswith("pandas")
    assert refused(pickle.dumps(frame), "numpy").startswith("pandas")


def test_a_refusal_names_the_reference_and_what_to_do() -> None:
    with pytest.raises(
        UntrustedResult, match=r"pandas\.(core\.frame\.)?DataFrame.*packaging\.dependencies.*plain values"
    ):
        back(pandas.DataFrame())
    with pytest.raises(UntrustedResult, match="Not installed here, though declared: not-there-at-all"):
        back(pandas.DataFrame(), "not-there-at-all")
    with pytest.raises(UntrustedResult, match=r"posix\.system.*Return plain values, or objects of classes in tg/\."):
        read(stream(named("posix", "system")))


BAD = [
    *[("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("subprocess", "run"), ("functools", "partial")],
    *[
        ("builtins", name)
        for name in ("eval", "exec", "open", "__import__", "compile", "type", "map", "globals", "vars")
    ],
    *[
        ("operator", "methodcaller"),
        ("importlib", "import_module"),
        ("pickle", "loads"),
        ("sys", "exit"),
        ("nt", "system"),
    ],
    *[("collections", "namedtuple"), ("copyreg", "add_extension"), ("datetime", "sys"), ("uuid", "os.system")],
    *[
        ("collections", "_sys.modules"),
        ("re", "enum.sys"),
        ("pathlib", "os.system"),
        ("__main__", "x"),
        ("__builtin__", "eval"),
    ],
    *[(f"{UID}", "Entry"), (f"{UID}.other", "x"), (f"{UID}bot.tg.x", "y"), ("tgbot", "x"), ("", "x"), (".common", "x")],
    *[("zoneinfo", "ZoneInfo.no_cache"), ("datetime", "datetime.now"), ("collections", "Counter.update")],
    *[("_pytest.config", "main"), ("pip", "main"), ("antigravity", "x"), ("numpy", "ndarray"), ("numpy_", "x")],
]


@pytest.mark.parametrize(("module", "name"), BAD, ids=lambda part: part)
def test_anything_else_is_refused_and_not_imported(module: str, name: str) -> None:
    before = set(sys.modules)
    assert refused(stream(call(module, name, "true"))) == f"{module}.{name}"
    assert module not in set(sys.modules) - before


def test_a_dependency_lets_in_itself_and_no_namesake() -> None:
    assert refused(stream(named("numpyx", "x")), "numpy") == "numpyx.x"
    assert refused(stream(named("pandas", "DataFrame")), "numpy") == "pandas.DataFrame"


def test_what_a_dependency_has_of_others_stays_theirs() -> None:
    assert refused(stream(named("numpy.lib._datasource", "os.system")), "numpy").endswith("os.system")
    assert refused(stream(named("numpy", "sys.exit")), "numpy") == "numpy.sys.exit"


ESCAPES = [
    *["os", "os.system", "system", "evaluate", "attribute", "partial", "later", "functools", "subprocess.Popen"],
    *[
        "Outer.os",
        "Outer.os.system",
        "Outer.popen",
        "Outer.Inner.__subclasses__",
        "Outer.__class__",
        "Outer.__base__.__subclasses__",
    ],
    *[
        "function.__globals__",
        "function.__code__",
        "Value.__init__.__globals__",
        "Outer.parse.__func__.__globals__",
        "MISSING.__reduce__",
    ],
    *[
        "__builtins__",
        "__builtins__.eval",
        "__loader__",
        "__spec__",
        "state",
        "state.get",
        "get",
        "made",
        "made.append",
    ],
    *["dataclass", "enum.sys.modules", "__dict__", "Value.__dict__", "Color.RED.value", "gone", "Outer.gone"],
]


@pytest.mark.parametrize("name", ESCAPES)
def test_nothing_gets_out_of_the_local_tree_through_it(places: Places, name: str) -> None:
    assert refused(stream(named(f"{UID}.tg.resultplaces.place", name))) == f"tg.resultplaces.place.{name}"
    assert refused(stream(named("tg.resultplaces.place", name))) == f"tg.resultplaces.place.{name}"


@pytest.mark.parametrize("name", ["os", "popen", "__subclasses__", "__init__", "gone"])
def test_nothing_gets_out_by_getattr_either(places: Places, name: str) -> None:
    outer = named("tg.resultplaces.place", "Outer")
    refused(stream(named("builtins", "getattr"), outer, text(name), b"\x86R"))


def test_getattr_is_for_classes_alone(places: Places) -> None:
    instance = named("tg.resultplaces.place", "Value") + b")\x81"
    assert refused(stream(named("builtins", "getattr"), instance, text("rows"), b"\x86R")) == "builtins.getattr"
    assert refused(stream(named("builtins", "getattr"), text("x"), text("upper"), b"\x86R")) == "builtins.getattr"
    assert refused(stream(named("builtins", "getattr"), text("x"), b"\x85R")) == ""


def test_a_bad_reference_is_found_before_anything_is_made(places: Places) -> None:
    noted = pickle.dumps(places.remote.Noted(), 5)[2:-1]
    places.local.made.clear()
    assert refused(stream(b"(", noted, call("os", "system", "true"), b"t")) == "os.system"
    assert places.local.made == []
    read(stream(noted))
    assert places.local.made == [places.local.Noted]


@pytest.mark.parametrize(
    "change",
    [b"}" + text("rows") + text("x") + b"sb", b"(" + text("a") + b"e", text("a") + b"a", text("a") + text("b") + b"s"],
    ids=["state", "extend", "append", "item"],
)
@pytest.mark.parametrize("name", ["Value", "function", "MISSING"])
def test_what_is_here_already_is_not_changed(places: Places, name: str, change: bytes) -> None:
    before = dict(vars(getattr(places.local, name)))
    refused(stream(named("tg.resultplaces.place", name), change))
    assert dict(vars(getattr(places.local, name))) == before


@pytest.mark.parametrize("cut", [0, 1, 5, -1])
def test_what_is_no_pickle_is_refused_with_the_reason(cut: int) -> None:
    with pytest.raises(UntrustedResult, match="not in the form of one, or was cut"):
        read(pickle.dumps([1, "two", math.pi])[:cut])


@given(st.binary(max_size=60))
def test_any_bytes_are_a_plain_value_or_refused(data: bytes) -> None:
    with contextlib.suppress(UntrustedResult):
        read(b"\x80\x05" + data)


def test_every_builtin_that_does_something_is_refused() -> None:
    for name, value in vars(builtins).items():
        if not isinstance(value, type) and name not in ("Ellipsis", "NotImplemented", "getattr"):
            assert refused(stream(named("builtins", name))) == f"builtins.{name}"


def test_a_result_is_read_from_a_path_and_from_the_middle_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "result.pickle"
    file.write_bytes(pickle.dumps([1]))
    assert read_result(file, UID, []) == [1]
    opened = io.BytesIO(b"head" + pickle.dumps([1]))
    opened.seek(4)
    assert read_result(opened, UID, []) == [1]
