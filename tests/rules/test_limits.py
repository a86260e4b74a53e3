"""Limits: amounts as people write them, and clear words about what is none."""

from __future__ import annotations

from typing import Any

import pytest

from tg.common.delivery.execution.limits import Limits


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        *[("512m", 512 * 1024**2), ("4g", 4 * 1024**3), ("4G", 4 * 1024**3), ("1.5g", 3 * 1024**3 // 2)],
        *[("64k", 65536), ("1t", 1024**4), ("100b", 100), ("100", 100), (100, 100), (" 2 GB ", 2 * 1024**3)],
        *[("2gib", 2 * 1024**3), (None, None)],
    ],
)
def test_memory_is_read_as_docker_reads_it(memory: str | int | None, expected: int | None) -> None:
    assert Limits(memory=memory).memory_bytes == expected


@pytest.mark.parametrize("memory", ["", "much", "4x", "-4g", "4gg", "g", "1,5g", "nan", "0", 0, -1, "0.1b"])
def test_what_is_no_amount_of_memory_is_refused(memory: str | int) -> None:
    with pytest.raises(ValueError, match=r"memory=.*'512m'"):
        Limits(memory=memory)


@pytest.mark.parametrize("memory", [1.5, True, b"4g", [1]])
def test_memory_of_another_kind_is_refused(memory: Any) -> None:
    with pytest.raises(TypeError, match="memory="):
        Limits(memory=memory)


@pytest.mark.parametrize("name", ["cpus", "time_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_number_that_is_no_limit_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}=.*above 0"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["cpus", "time_seconds"])
@pytest.mark.parametrize("value", ["2", True, [2]])
def test_a_number_of_another_kind_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name}="):
        Limits(**{name: value})


def test_limits_say_what_is_limited() -> None:
    assert str(Limits(cpus=0.5, memory="4g", time_seconds=60)) == "cpus 0.5, memory 4g, time 60 s"
    assert str(Limits(memory=1024)) == "memory 1024 bytes"
    assert str(Limits()) == ""
