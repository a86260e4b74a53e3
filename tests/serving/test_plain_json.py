"""Plain JSON: `POST /NAME` for jobs with typed signatures, checked by their hints; answers of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from serving.protocol_server import ServedJobs, packages_of, serving

JOBS = '''
from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import numpy
import pandas
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

if TYPE_CHECKING:
    from nowhere import Unknown


class Flight(BaseModel):
    origin: str
    hour: int = Field(ge=0, le=23)
    tags: list[str] = []


@dataclasses.dataclass
class Plane:
    tail: str
    seats: int = 100
    built: Optional[datetime.date] = None


@dataclasses.dataclass
class Measured:
    name: str
    values: NDArray[numpy.float32]


class Weather(TypedDict):
    wind: float
    rain: NotRequired[bool]


class Carrier(enum.Enum):
    UNITED = "UA"
    DELTA = "DL"


class Model:
    def run(self, flight: Flight) -> Flight:
        return flight.model_copy(update={"tags": [*flight.tags, type(flight).__name__]})


class Dataclass:
    def run(self, plane: Plane, others: list[Plane] = ()) -> Plane:
        return dataclasses.replace(plane, seats=plane.seats + sum(other.seats for other in others))


class Dict:
    def run(self, weather: Weather) -> Weather:
        return weather


class Choice:
    def run(self, which: Literal["fast", "exact"], carrier: Carrier, limit: Optional[int] = None) -> list[Any]:
        return [which, carrier.name, limit]


class Time:
    def run(self, at: datetime.datetime, after: datetime.timedelta = datetime.timedelta(hours=1)) -> datetime.datetime:
        return at + after


class Constrained:
    def run(self, share: Annotated[float, Field(gt=0, lt=1)]) -> Annotated[float, Field(ge=0)]:
        return 1 - share


class Array:
    def run(self, values: numpy.ndarray, weights: Optional[NDArray[numpy.int64]] = None) -> numpy.ndarray:
        assert isinstance(values, numpy.ndarray)
        assert weights is None or weights.dtype == numpy.int64
        return values if weights is None else values * weights


class Arrays:
    def run(self, by_name: dict[str, numpy.ndarray], measured: Measured | None = None) -> dict[str, Any]:
        assert measured is None or (isinstance(measured, Measured) and measured.values.dtype == numpy.float32)
        return {"sums": {name: value.sum() for name, value in by_name.items()}, "measured": measured}


class Table:
    def run(self, rows: pandas.DataFrame) -> pandas.DataFrame:
        return rows.assign(total=rows["a"] + rows["b"])


class Others:
    def run(self, first: int, **others: Any) -> dict[str, Any]:
        return {"first": first, "others": others}


class Kept:
    def run(self, model_config: int, json: str, self_: int = 0, copy: bool = False, schema: str = "", field_0: int = 0, model_fields: int = 0):
        return [model_config, json, self_, copy, schema, field_0, model_fields]


class Untyped:
    def run(self, anything, more=None):
        return {"anything": anything, "more": more}


class Unresolved:
    def run(self, known: int, unknown: Unknown, also: "Missing[int]" = None):
        return [known + 1, unknown, also]


class Waits:
    async def run(self, value: int) -> int:
        return value + 1


class WaitsCall:
    async def __call__(self, value: int) -> int:
        return value + 2


def function(value: int) -> int:
    """A function."""
    return value + 3


class Nothing:
    def run(self) -> None:
        return None


class Wrong:
    def run(self) -> int:
        return "not a number"


class Needs:
    def run(self, entry_point, value: int = 1):
        return [entry_point.name, value]


class Position:
    def run(self, value, /):
        return value


class Any_:
    def run(self, what: str):
        return {
            "none": None, "nan": [float("nan"), float("inf")], "bytes": b"text", "raw": b"\\xff", "set": {1}, "tuple": (1, "a"),
            "decimal": decimal.Decimal("1.50"), "uuid": uuid.UUID(int=1), "date": datetime.date(2013, 1, 1), "enum": Carrier.DELTA,
            "scalar": numpy.float32(0.5), "array": {"a": numpy.arange(3)}, "table": [pandas.DataFrame({"a": [1]})],
            "series": pandas.Series([1, 2]), "model": [Flight(origin="JFK", hour=1)], "dataclass": {"p": Plane("N1")},
            "generator": (one for one in (1, 2)), "text": "ü", "bool": True, "object": object(),
        }[what]
'''
SERVED = {
    **{
        name.lower(): f"{name}()"
        for name in (
            "Model Dataclass Dict Choice Time Constrained Array Arrays Table Others Kept Untyped Unresolved Waits WaitsCall "
            "Nothing Wrong Needs"
        ).split()
    },
    "anything": "Any_()",
    "function": "function",
    "partial": "functools.partial(function, value=4)",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with serving(tmp_path_factory.mktemp("plain"), JOBS, SERVED) as served:
        yield served


@pytest.mark.parametrize(
    ("name", "arguments", "answer"),
    [
        ("model", {"flight": {"origin": "JFK", "hour": "7"}}, {"origin": "JFK", "hour": 7, "tags": ["Flight"]}),
        ("dataclass", {"plane": {"tail": "N1"}}, {"tail": "N1", "seats": 100, "built": None}),
        (
            "dataclass",
            {"plane": {"tail": "N1", "built": "1999-01-31"}, "others": [{"tail": "N2", "seats": 5}]},
            {"tail": "N1", "seats": 105, "built": "1999-01-31"},
        ),
        ("dict", {"weather": {"wind": 3}}, {"wind": 3.0}),
        ("choice", {"which": "fast", "carrier": "DL"}, ["fast", "DELTA", None]),
        ("choice", {"which": "exact", "carrier": "UA", "limit": 3}, ["exact", "UNITED", 3]),
        ("time", {"at": "2013-01-01T05:00:00Z"}, "2013-01-01T06:00:00Z"),
        ("time", {"at": "2013-01-01T05:00:00", "after": "PT30M"}, "2013-01-01T05:30:00"),
        ("constrained", {"share": 0.25}, 0.75),
        ("array", {"values": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ("array", {"values": [1.5, 2], "weights": [2, 3]}, [3.0, 6.0]),
        ("arrays", {"by_name": {"a": [1, 2], "b": []}}, {"sums": {"a": 3, "b": 0.0}, "measured": None}),
        (
            "arrays",
            {"by_name": {}, "measured": {"name": "x", "values": [1, 2]}},
            {"sums": {}, "measured": {"name": "x", "values": [1.0, 2.0]}},
        ),
        (
            "table",
            {"rows": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]},
            [{"a": 1, "b": 2, "total": 3}, {"a": 3, "b": 4, "total": 7}],
        ),
        ("table", {"rows": {"a": [1], "b": [2]}}, [{"a": 1, "b": 2, "total": 3}]),
        (
            "others",
            {"first": 1, "field_0": 2, "model_config": 3},
            {"first": 1, "others": {"field_0": 2, "model_config": 3}},
        ),
        ("kept", {"model_config": 1, "json": "x", "model_fields": 5}, [1, "x", 0, False, "", 0, 5]),
        ("untyped", {"anything": {"a": [1, None]}}, {"anything": {"a": [1, None]}, "more": None}),
        ("unresolved", {"known": 1, "unknown": {"a": 1}}, [2, {"a": 1}, None]),
        ("waits", {"value": 1}, 2),
        ("waitscall", {"value": 1}, 3),
        ("function", {"value": 1}, 4),
        ("partial", {}, 7),
        ("nothing", {}, None),
        ("wrong", {}, "not a number"),
        ("needs", {"value": 2}, ["needs", 2]),
    ],
)
def test_arguments_become_what_the_hints_say(server: ServedJobs, name: str, arguments: Any, answer: Any) -> None:
    given = server.ask(name, arguments)
    assert given.status_code == 200, given.text
    assert given.json() == answer
    assert given.headers["x-tg-version"] == "1.0.0"


@pytest.mark.parametrize(
    ("what", "answer"),
    [
        ("none", None),
        ("nan", [None, None]),
        ("bytes", "text"),
        ("set", [1]),
        ("tuple", [1, "a"]),
        ("decimal", "1.50"),
        ("uuid", "00000000-0000-0000-0000-000000000001"),
        ("date", "2013-01-01"),
        ("enum", "DL"),
        ("scalar", 0.5),
        ("array", {"a": [0, 1, 2]}),
        ("table", [[{"a": 1}]]),
        ("series", [1, 2]),
        ("model", [{"origin": "JFK", "hour": 1, "tags": []}]),
        ("dataclass", {"p": {"tail": "N1", "seats": 100, "built": None}}),
        ("generator", [1, 2]),
        ("text", "ü"),
        ("bool", True),
    ],
)
def test_answers_of_every_kind_are_json(server: ServedJobs, what: str, answer: Any) -> None:
    assert server.ask("anything", {"what": what}).json() == answer


@pytest.mark.parametrize("what", ["object", "raw"])
def test_an_answer_that_json_has_nothing_for_is_the_jobs_failure(server: ServedJobs, what: str) -> None:
    answer = server.ask("anything", {"what": what})
    assert answer.status_code == 500
    assert "the job" in answer.json()["error"]


@pytest.mark.parametrize(
    ("name", "arguments", "problems"),
    [
        ("model", {}, [(["flight"], "Field required")]),
        (
            "model",
            {"flight": {"hour": 24}},
            [
                (["flight", "origin"], "Field required"),
                (["flight", "hour"], "Input should be less than or equal to 23"),
            ],
        ),
        ("model", {"flight": {"origin": "JFK", "hour": 1}, "more": 1}, [(["more"], "Extra inputs are not permitted")]),
        (
            "dataclass",
            {"plane": {"tail": "N1"}, "others": [{"tail": "N2"}, {}]},
            [(["others", 1, "tail"], "Field required")],
        ),
        ("dict", {"weather": {"rain": True}}, [(["weather", "wind"], "Field required")]),
        ("choice", {"which": "slow", "carrier": "UA"}, [(["which"], "Input should be 'fast' or 'exact'")]),
        ("choice", {"which": "fast", "carrier": "XX"}, [(["carrier"], "Input should be 'UA' or 'DL'")]),
        ("constrained", {"share": 1}, [(["share"], "Input should be less than 1")]),
        ("array", {"values": [1], "weights": [1.5]}, [(["weights"], "not all of these are int64")]),
        ("array", {"values": [1], "weights": ["a"]}, [(["weights"], "these are no numbers, as int64 has")]),
        ("table", {"rows": 3}, [(["rows"], "DataFrame constructor not properly called!")]),
        ("kept", {"json": "x"}, [(["model_config"], "Field required")]),
        ("unresolved", {"known": "x", "unknown": 1}, [(["known"], "Input should be a valid integer")]),
    ],
)
def test_arguments_that_are_not_so_are_told_with_their_places(
    server: ServedJobs, name: str, arguments: Any, problems: list[tuple[list[Any], str]]
) -> None:
    answer = server.ask(name, arguments)
    assert answer.status_code == 422
    found = answer.json()["problems"]
    assert [one["place"] for one in found] == [place for place, _ in problems]
    for one, (_, begins) in zip(found, problems, strict=True):
        assert one["problem"].startswith(begins)
        assert one["problem"] in answer.json()["error"]


@pytest.mark.parametrize("body", [b"[1]", b"3", b"{", b"\xff"])
def test_a_body_that_is_no_object_is_refused(server: ServedJobs, body: bytes) -> None:
    answer = server.post("/untyped", body)
    assert answer.status_code == 422
    assert answer.json()["error"]


def test_an_empty_body_is_no_arguments(server: ServedJobs) -> None:
    assert server.post("/nothing").json() is None


def test_hints_that_cannot_be_resolved_are_told_when_the_job_is_deployed(server: ServedJobs) -> None:
    (file,) = packages_of(server.project, JOBS, {"unresolved_again": "Unresolved()"})
    lines = server.deploy(file).json()["lines"]
    assert any(line.startswith("the type hint 'Unknown' of unknown cannot be resolved") for line in lines)


def test_a_parameter_by_position_alone_cannot_be_served(server: ServedJobs) -> None:
    (file,) = packages_of(server.project, JOBS, {"position": "Position()"})
    answer = server.deploy(file)
    assert answer.status_code == 422
    assert "'value' can be given by position only. Take the `/` out of its signature" in answer.json()["error"]


def test_a_version_can_be_asked_for_in_the_address(server: ServedJobs) -> None:
    assert server.post("/waits/versions/1.0.0", b'{"value": 1}').json() == 2
    assert server.post("/waits/versions/2.0.0", b'{"value": 1}').status_code == 404


def test_a_name_that_is_not_served_is_told(server: ServedJobs) -> None:
    answer = server.ask("nobody")
    assert answer.status_code == 404
    assert answer.json() == {"error": "nothing is served under the name 'nobody'"}
