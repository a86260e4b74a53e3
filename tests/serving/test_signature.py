"""The signature of a job: which arguments it takes, what they are made of, and what cannot be checked."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Optional

import numpy
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from tg.common.delivery.serving.signature import InvalidArguments, JobSignature
from tg.common.delivery.serving.type_hints import array_of, checkable, hints_of

if TYPE_CHECKING:
    from nowhere import Unknown


class Node(BaseModel):
    value: int
    children: list[Node] = []


@dataclasses.dataclass
class Rows:
    values: NDArray[numpy.float32]
    tables: list[pandas.DataFrame] = dataclasses.field(default_factory=list)
    name: str = "rows"


class Leaf(BaseModel):
    value: int


class Row(TypedDict):
    values: numpy.ndarray


class Opaque:
    """Pydantic knows nothing of it."""


class Called:
    def __call__(self, value: int, *rest: int) -> str:
        return str(value)


LAW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""On a busy machine a law holds as well, only later."""
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@LAW
@given(st.dictionaries(st.text(min_size=1, max_size=10), JSON, max_size=4))
def test_arguments_by_any_name_come_as_they_were_sent(arguments: dict[str, Any]) -> None:
    signature = JobSignature(lambda **others: others)
    assert signature.arguments_of_json(json.dumps(arguments).encode()) == arguments
    assert signature.arguments_of(arguments) == arguments


@LAW
@given(JSON)
def test_an_answer_without_a_hint_is_the_json_that_it_is(answer: Any) -> None:
    assert json.loads(JobSignature(lambda: None).json_of(answer)) == answer


def test_defaults_are_those_of_the_job() -> None:
    def run(first: int, second: list[int] = (), third: Any = "x") -> None: ...

    assert JobSignature(run).arguments_of_json(b'{"first": "1"}') == {"first": 1, "second": (), "third": "x"}


def test_parameters_that_are_given_by_the_server_are_none_of_the_clients() -> None:
    def run(entry_point: Any, value: int) -> None: ...

    signature = JobSignature(run, given=frozenset({"entry_point"}))
    assert signature.arguments_of_json(b'{"value": 1}') == {"value": 1}
    with pytest.raises(InvalidArguments, match="entry_point: Extra inputs are not permitted"):
        signature.arguments_of_json(b'{"value": 1, "entry_point": 2}')


def test_every_problem_is_told_with_its_place() -> None:
    def run(node: Node, limit: Annotated[int, Field(gt=0)] = 1) -> None: ...

    with pytest.raises(InvalidArguments) as refused:
        JobSignature(run).arguments_of_json(b'{"node": {"value": 1, "children": [{"value": "x"}]}, "limit": 0}')
    places = [one["place"] for one in refused.value.problems]
    assert places == [["node", "children", 0, "value"], ["limit"]]
    assert str(refused.value).startswith("node.children.0.value: Input should be a valid integer")


def test_one_hint_that_cannot_be_resolved_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    def run(known: int, unknown: Unknown, late: Missing = None) -> list[int]: ...  # type: ignore[name-defined] # noqa: F821

    with caplog.at_level(logging.WARNING):
        assert hints_of(run) == {"known": int, "return": list[int]}
    assert [record.getMessage().partition(" cannot")[0] for record in caplog.records] == [
        "the type hint 'Unknown' of unknown",
        "the type hint 'Missing' of late",
    ]


def test_the_hints_of_what_is_called_are_found() -> None:
    def function(value: int) -> str: ...

    @functools.wraps(function)
    def wrapped(*given: Any) -> Any: ...

    expected = {"value": int, "return": str}
    for call in (function, wrapped, functools.partial(function, value=1)):
        assert hints_of(call) == expected
    assert hints_of(Called()) == {"value": int, "rest": int, "return": str}
    assert JobSignature(Called()).hints == {"value": int}
    assert hints_of(len) == {}


@pytest.mark.parametrize(
    ("hint", "sent", "check"),
    [
        (numpy.ndarray, [[1, 2]], lambda made: made.shape == (1, 2)),
        (NDArray[numpy.int8], [1, 2], lambda made: made.dtype == numpy.int8),
        (Optional[numpy.ndarray], None, lambda made: made is None),  # noqa: UP045 written either way
        (numpy.ndarray | None, [1], lambda made: made.tolist() == [1]),
        (dict[str, NDArray[numpy.float32]], {"a": [1]}, lambda made: made["a"].dtype == numpy.float32),
        (Sequence[numpy.ndarray], [[1], [2]], lambda made: [one.tolist() for one in made] == [[1], [2]]),
        (tuple[numpy.ndarray, ...], [[1]], lambda made: made[0].tolist() == [1]),
        (pandas.DataFrame, [{"a": 1}], lambda made: list(made.columns) == ["a"]),
        (Annotated[numpy.ndarray, "of minutes"], [1], lambda made: made.tolist() == [1]),
        (Row, {"values": [1]}, lambda made: made["values"].tolist() == [1]),
        (Rows, {"values": [1]}, lambda made: isinstance(made, Rows) and made.values.dtype == numpy.float32),
        (
            list[Rows],
            [{"values": [], "tables": [[{"a": 1}]], "name": "x"}],
            lambda made: made[0].name == "x" and made[0].tables[0].shape == (1, 1),
        ),
    ],
)
def test_arrays_and_tables_are_made_wherever_they_stand_in_a_hint(
    hint: Any, sent: Any, check: Callable[[Any], bool]
) -> None:
    def run(value: Any) -> None: ...

    run.__annotations__["value"] = hint
    made = JobSignature(run).arguments_of_json(json.dumps({"value": sent}).encode())["value"]
    assert check(made)


@pytest.mark.parametrize("hint", [Opaque, list[Opaque], Callable[[int], int]])
def test_what_pydantic_does_not_know_is_not_checked(hint: Any) -> None:
    assert checkable(hint) in (Any, list[Any])


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1.5], "int64"),
        ([300], "uint8"),
        ([-1], "uint8"),
        (["1"], "float64"),
        ([[1], [2, 3]], "int64"),
        ({}, "float32"),
    ],
)
def test_an_array_loses_nothing_on_the_way_to_its_dtype(value: Any, dtype: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        array_of(value, numpy.dtype(dtype))


@LAW
@given(st.lists(st.integers(0, 2**64 - 1)))
def test_big_whole_numbers_stay_exact(values: list[int]) -> None:
    assert array_of(values, numpy.dtype("uint64")).tolist() == values


def test_definitions_carry_the_name_of_their_job() -> None:
    def run(leaf: Leaf) -> Leaf: ...

    schema = JobSignature(run).schema("tree.")
    assert set(schema["definitions"]) == {"tree.Leaf"}
    assert schema["arguments"]["properties"]["leaf"] == {"$ref": "#/components/schemas/tree.Leaf"}
    assert schema["answer"] == {"$ref": "#/components/schemas/tree.Leaf"}


def test_a_parameter_that_can_be_given_by_position_alone_is_refused() -> None:
    def run(value: int, /) -> None: ...

    with pytest.raises(TypeError, match="can be given by position only"):
        JobSignature(run)


def test_an_answer_is_written_as_its_hint_says_and_as_it_is_where_it_is_not_so() -> None:
    def run() -> Rows: ...

    signature = JobSignature(run)
    rows = Rows(numpy.array([0.5], numpy.float32), [pandas.DataFrame({"a": [1]})])
    assert json.loads(signature.json_of(rows)) == {"values": [0.5], "tables": [[{"a": 1}]], "name": "rows"}
    assert json.loads(signature.json_of(["anything", float("nan")])) == ["anything", None]
