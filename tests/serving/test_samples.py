"""Samples: recorded answers are compared as clients see them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy
import pytest

from tg.common.delivery.serving.samples import WrongSample, prove_samples
from tg.common.delivery.serving.signature import JobSignature


@dataclasses.dataclass
class Point:
    x: float


def prove(answer: Any, recorded: Any) -> int:
    samples = [{"arguments": {"value": 1}, "answer": recorded}]
    return prove_samples(samples, lambda arguments: answer, JobSignature(lambda value: None).json_of)


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (1, 1),
        (1, 1.0),
        (0.1 + 0.2, 0.3),
        (numpy.array([1.0, 2.0]), [1, 2]),
        (numpy.float32(0.5), 0.5),
        ({"a": (1, 2)}, {"a": [1, 2]}),
        (Point(1.0), {"x": 1.0}),
        (Point(1.0), Point(1.0 + 1e-9)),
        ([float("nan")], [None]),
        (None, None),
    ],
)
def test_the_same_answer_in_another_form_is_the_same(answer: Any, recorded: Any) -> None:
    assert prove(answer, recorded) == 1


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (1, 2),
        (1.0, 1.001),
        (1.0, None),
        ("1", 1),
        ([1], [1, 2]),
        ({"a": 1}, {"a": 1, "b": 2}),
        (True, False),
        (Point(1.0), Point(2.0)),
    ],
)
def test_another_answer_is_told_beside_what_was_recorded(answer: Any, recorded: Any) -> None:
    with pytest.raises(WrongSample, match=r"sample 1 of 1 is answered with .+, and .+ was recorded"):
        prove(answer, recorded)


def test_a_sample_without_an_answer_need_only_be_answered() -> None:
    asked = []
    assert prove_samples([{"arguments": {"value": 1}}, {}], asked.append, JobSignature(print).json_of) == 2
    assert asked == [{"value": 1}, {}]
    with pytest.raises(WrongSample, match="sample 1 of 1 fails with KeyError: 'value'"):
        prove_samples([{}], lambda arguments: arguments["value"], JobSignature(print).json_of)
