"""Unpickling under another name: whole modules, then what has moved since."""

from __future__ import annotations

import importlib
import io
import pickle
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from tg.common.delivery.delivery import RenamingUnpickler

PLACE = """
import enum

class Color(enum.Enum):
    RED = 1

class Outer:
    class Inner:
        pass

    def method(self):
        return __name__

class OldName:
    pass

class NewName:
    pass

class Sentinel:
    def __reduce__(self):
        return "MISSING"

MISSING = Sentinel()

def function():
    return __name__
"""


class Places(NamedTuple):
    """The module that pickles are written under, the one they are read into, and a third, where things have moved."""

    old: ModuleType
    new: ModuleType
    third: ModuleType
    lookalike: ModuleType


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """`oldtg.deep.place`, the same as `newtg.deep.place` and `thirdtg.place`, and `oldtgbot.place`."""
    folder = tmp_path_factory.mktemp("places")
    names = ["oldtg.deep.place", "newtg.deep.place", "thirdtg.place", "oldtgbot.place"]
    for name in names:
        file = folder / (name.replace(".", "/") + ".py")
        file.parent.mkdir(parents=True)
        file.write_text(PLACE)
    sys.path.insert(0, str(folder))
    yield Places(*map(importlib.import_module, names))
    sys.path.remove(str(folder))
    for loaded in [name for name in sys.modules if name.partition(".")[0] in ("oldtg", "newtg", "thirdtg", "oldtgbot")]:
        del sys.modules[loaded]


def read(pickled: bytes, from_module: str = "oldtg", to_module: str = "newtg", **options: Any) -> Any:
    return RenamingUnpickler(io.BytesIO(pickled), from_module, to_module, **options).load()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_object_is_read_with_the_class_of_the_other_module(places: Places, protocol: int) -> None:
    assert type(read(pickle.dumps(places.old.Outer(), protocol))) is places.new.Outer


@pytest.mark.parametrize("protocol", [4, 5])
def test_a_nested_class_is_found_in_its_new_outer_one(places: Places, protocol: int) -> None:
    assert type(read(pickle.dumps(places.old.Outer.Inner(), protocol))) is places.new.Outer.Inner


@pytest.mark.parametrize("name", ["function", "Outer", "MISSING"])
def test_what_is_pickled_by_its_name_is_that_of_the_other_module(places: Places, name: str) -> None:
    assert read(pickle.dumps(getattr(places.old, name))) is getattr(places.new, name)


def test_a_member_of_an_enumeration_is_that_of_the_other_one(places: Places) -> None:
    assert read(pickle.dumps(places.old.Color.RED)) is places.new.Color.RED


def test_a_bound_method_runs_the_code_of_the_other_module(places: Places) -> None:
    assert read(pickle.dumps(places.old.Outer().method))() == "newtg.deep.place"


def test_what_was_read_and_written_again_is_read_back(places: Places) -> None:
    there = pickle.dumps(read(pickle.dumps(places.old.Outer())))
    assert type(read(there, "newtg", "oldtg")) is places.old.Outer


def test_a_module_whose_name_only_begins_alike_is_left_alone(places: Places) -> None:
    assert type(read(pickle.dumps(places.lookalike.Outer()))) is places.lookalike.Outer


def test_what_is_of_python_is_left_alone() -> None:
    value = {"c": Counter("aab"), "o": OrderedDict(a=1), "s": {1, 2}, "n": (None, 1.5, b"x")}
    assert read(pickle.dumps(value)) == value


def test_a_single_module_can_be_renamed_into_another_package(places: Places) -> None:
    loaded = read(pickle.dumps(places.old.Outer()), "oldtg.deep.place", "thirdtg.place")
    assert type(loaded) is places.third.Outer


def test_a_module_that_has_moved_is_found_with_all_below_it(places: Places) -> None:
    loaded = read(pickle.dumps(places.old.Outer()), replacements={"newtg.deep": "thirdtg"})
    assert type(loaded) is places.third.Outer


def test_a_class_that_was_renamed_is_found_under_its_new_name(places: Places) -> None:
    moved = {"newtg.deep.place:OldName": "thirdtg.place:NewName"}
    assert type(read(pickle.dumps(places.old.OldName()), replacements=moved)) is places.third.NewName


def test_a_class_that_moved_and_kept_its_name_needs_it_only_once(places: Places) -> None:
    moved = {"newtg.deep.place:OldName": "thirdtg.place"}
    assert type(read(pickle.dumps(places.old.OldName()), replacements=moved)) is places.third.OldName


def test_a_class_that_moved_takes_nothing_else_with_it(places: Places) -> None:
    moved = {"newtg.deep.place:OldName": "thirdtg.place:NewName"}
    assert type(read(pickle.dumps(places.old.Outer()), replacements=moved)) is places.new.Outer


def test_a_nested_class_that_moved_is_named_by_its_whole_name(places: Places) -> None:
    moved = {"newtg.deep.place:Outer.Inner": "thirdtg.place:NewName"}
    loaded = read(pickle.dumps([places.old.Outer.Inner(), places.old.Outer()]), replacements=moved)
    assert [type(one) for one in loaded] == [places.third.NewName, places.new.Outer]


def test_the_first_replacement_that_fits_wins(places: Places) -> None:
    one_first = {"newtg.deep.place:OldName": "newtg.deep.place:NewName", "newtg.deep": "thirdtg"}
    module_first = dict(reversed(one_first.items()))
    pickled = pickle.dumps(places.old.OldName())
    assert type(read(pickled, replacements=one_first)) is places.new.NewName
    assert type(read(pickled, replacements=module_first)) is places.third.OldName


def test_replacements_are_written_in_the_names_of_the_new_side(places: Places) -> None:
    loaded = read(pickle.dumps(places.old.Outer()), replacements={"oldtg.deep": "thirdtg"})
    assert type(loaded) is places.new.Outer


def test_a_replacement_goes_by_whole_parts_as_well(places: Places) -> None:
    loaded = read(pickle.dumps(places.old.Outer()), replacements={"newtg.de": "thirdtg", "newtg.deep.pl": "thirdtg"})
    assert type(loaded) is places.new.Outer


def test_buffers_are_taken_as_pickle_takes_them(places: Places) -> None:
    buffers: list[pickle.PickleBuffer] = []
    value = [places.old.Outer(), pickle.PickleBuffer(bytearray(b"big"))]
    pickled = pickle.dumps(value, 5, buffer_callback=buffers.append)
    loaded = read(pickled, buffers=buffers)
    assert type(loaded[0]) is places.new.Outer
    assert bytes(loaded[1]) == b"big"


def test_a_class_that_is_gone_is_an_error_that_names_where_it_was_looked_for(places: Places) -> None:
    pickled = pickle.dumps(places.old.OldName())
    with pytest.raises(AttributeError, match=r"Gone.*newtg\.deep\.place"):
        read(pickled, replacements={"newtg.deep.place:OldName": "newtg.deep.place:Gone"})


def test_a_module_that_is_gone_is_an_error_that_names_it(places: Places) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"newtg\.gone"):
        read(pickle.dumps(places.old.OldName()), replacements={"newtg.deep": "newtg.gone"})
