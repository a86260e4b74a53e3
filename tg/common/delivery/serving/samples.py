"""Samples: requests whose answers are known, in a package. A version that answers them otherwise gets no traffic.

They are the payload's resource `samples`, a list of `{"arguments": {...}, "answer": ...}`; one without `answer` need only be answered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pydantic_core

__all__ = ["WrongSample", "prove_samples"]

_RELATIVE, _ABSOLUTE = 1e-6, 1e-9


class WrongSample(Exception):
    """A recorded sample was answered otherwise than it was recorded, or is none."""


def prove_samples(samples: Any, answer: Callable[[Mapping[str, Any]], Any], json_of: Callable[[Any], bytes]) -> int:
    """Have samples answered, and return how many there are. Raises `WrongSample` for the first that is wrong.

    Answers are compared as clients see them, as JSON; numbers within a millionth, as machines differ in the last digits.
    """
    if not isinstance(samples, Sequence):
        raise WrongSample(
            f"the resource 'samples' is of {type(samples)}; it is a list of {{'arguments': …, 'answer': …}}"
        )
    for number, sample in enumerate(samples, 1):
        which = f"sample {number} of {len(samples)}"
        if not isinstance(sample, Mapping) or not sample.keys() <= {"arguments", "answer"}:
            raise WrongSample(f"{which} is {_short(sample)}; it is to be {{'arguments': …, 'answer': …}}")
        try:
            given = json_of(answer(sample.get("arguments", {})))
        except Exception as error:
            raise WrongSample(f"{which} fails with {type(error).__name__}: {error}") from error
        if "answer" in sample:
            recorded = json_of(sample["answer"])
            if not _is_same(pydantic_core.from_json(given), pydantic_core.from_json(recorded)):
                raise WrongSample(
                    f"{which} is answered with {_short(given.decode())}, and {_short(recorded.decode())} was recorded"
                )
    return len(samples)


def _is_same(answer: Any, recorded: Any) -> bool:
    if isinstance(recorded, float) or isinstance(answer, float):
        return (
            isinstance(recorded, (int, float))
            and isinstance(answer, (int, float))
            and math.isclose(answer, recorded, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
        )
    if isinstance(recorded, list) and isinstance(answer, list):
        return len(recorded) == len(answer) and all(map(_is_same, answer, recorded))
    if isinstance(recorded, dict) and isinstance(answer, dict):
        return recorded.keys() == answer.keys() and all(_is_same(answer[key], recorded[key]) for key in recorded)
    return bool(answer == recorded)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
