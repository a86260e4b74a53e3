"""A service: a loaded job that answers requests, wherever it is loaded.

Of a job it uses, where they are there: `run`, or the object itself where it is callable; `warm_up()`, called once before it
gets requests; `run_batch(items)`, with `batch_size` and `batch_window_seconds`, for jobs that do many requests in about the
time of one. The payload's resource `samples` is a list of `{"arguments": {...}, "answer": ...}`: requests whose answers are known.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..runtime.entry_point import EntryPoint
from ..runtime.errors import NotAJob
from .frames import TENSOR_CALL, Frame
from .signature import InvalidArguments, JobSignature
from .tensors import HEADER_LENGTH, arguments_of, outputs_of, tensors_of_signature

__all__ = ["Answer", "Service", "WrongSample", "request_id"]

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")
"""The id of the request that is being answered, for lines of the log."""

_LOGGER = logging.getLogger("tg.serving")
_BATCH_SIZE = 32
_BATCH_WINDOW_SECONDS = 0.002


class Answer(NamedTuple):
    """What comes of a request: status and body; `facts` has `json_size` where tensors follow the JSON."""

    status: int
    body: bytes
    facts: Mapping[str, Any] | None = None


class WrongSample(Exception):
    """A recorded sample was answered otherwise than it was recorded."""


class Service:
    """The job of a package, ready to answer. Raises `NotAJob`, and whatever loading raises."""

    def __init__(self, entry_point: EntryPoint) -> None:
        self.name = entry_point.name
        self.version = entry_point.version
        self._entry_point = entry_point
        self._job = job = entry_point.load_resource("job")
        self._call: Callable[..., Any] = getattr(job, "run", job)
        if not callable(self._call):
            raise NotAJob(f"the resource 'job' is of {type(job)}, which can neither be called nor has a method `run`.")
        self._given = {"entry_point": entry_point} if _wants_entry_point(self._call) else {}
        self.signature = JobSignature(self._call, given=frozenset(self._given))
        self._is_async = inspect.iscoroutinefunction(self._call)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run_batch: Callable[..., Any] | None = getattr(job, "run_batch", None)
        self.batch_size = int(getattr(job, "batch_size", _BATCH_SIZE)) if self._run_batch else 1
        self.batch_window_seconds = float(getattr(job, "batch_window_seconds", _BATCH_WINDOW_SECONDS))

    def describe(self) -> dict[str, Any]:
        """What the server tells clients of it."""
        doc = inspect.getdoc(self._call) or inspect.getdoc(type(self._job)) or ""
        return {
            "schema": self.signature.schema(),
            "inputs": tensors_of_signature(self.signature),
            "documentation": doc,
            "batch_size": self.batch_size,
        }

    def warm_up(self) -> None:
        """Do what the job wants to be done before the first request."""
        warm_up = getattr(self._job, "warm_up", None)
        if callable(warm_up):
            warm_up()

    def answer_samples(self) -> int:
        """Answer the recorded samples, and return how many there are. Raises `WrongSample` for the first that is wrong."""
        if "samples" not in self._entry_point.resources:
            return 0
        samples = self._entry_point.load_resource("samples")
        for number, sample in enumerate(samples, 1):
            answer = self._perform(sample.get("arguments", {}))
            if "answer" in sample and not _is_same(answer, sample["answer"]):
                raise WrongSample(
                    f"sample {number} of {len(samples)} is answered with {_short(answer)}, and {_short(sample['answer'])} was recorded"
                )
        return len(samples)

    def answer(self, frame: Frame) -> Answer:
        """Answer one request. Whatever the job raises is an answer as well."""
        facts = frame.known()
        with _within(facts):
            try:
                if frame.kind == TENSOR_CALL:
                    arguments, request = arguments_of(frame.body, facts.get(HEADER_LENGTH), self.signature)
                    body, json_size = outputs_of(self._perform(arguments), request, self.name, self.version)
                    return Answer(200, body, {"json_size": json_size} if json_size else None)
                return Answer(200, self.signature.json_of(self._perform(self.signature.arguments_of_json(frame.body))))
            except InvalidArguments as error:
                return refusal_of(error, 400 if frame.kind == TENSOR_CALL else 422)
            except Exception as error:  # noqa: BLE001 the edge of the job: whatever it raises is told
                return failure_of(error)

    def answer_batch(self, frames: Sequence[Frame]) -> list[Answer]:
        """Answer several requests by one call of `run_batch`; those with wrong arguments do not get to it."""
        assert self._run_batch is not None
        answers: list[Answer | None] = [None] * len(frames)
        items: list[dict[str, Any]] = []
        asked: list[tuple[int, dict[str, Any]]] = []
        for place, frame in enumerate(frames):
            try:
                if frame.kind == TENSOR_CALL:
                    arguments, request = arguments_of(frame.body, frame.known().get(HEADER_LENGTH), self.signature)
                else:
                    arguments, request = self.signature.arguments_of_json(frame.body), {}
            except InvalidArguments as error:
                answers[place] = refusal_of(error, 400 if frame.kind == TENSOR_CALL else 422)
                continue
            items.append(arguments)
            asked.append((place, request))
        if items:
            try:
                values = list(self._run_batch(items))
                if len(values) != len(items):
                    raise ValueError(f"run_batch has given {len(values)} answers for {len(items)} requests")
            except Exception as error:  # noqa: BLE001 as above
                told = failure_of(error)
                answers = [told if answer is None else answer for answer in answers]
            else:
                for (place, request), value in zip(asked, values, strict=True):
                    answers[place] = self._batched(frames[place], request, value)
        return [answer for answer in answers if answer is not None]

    def _batched(self, frame: Frame, request: Mapping[str, Any], value: Any) -> Answer:
        try:
            if frame.kind == TENSOR_CALL:
                body, json_size = outputs_of(value, request, self.name, self.version)
                return Answer(200, body, {"json_size": json_size} if json_size else None)
            return Answer(200, self.signature.json_of(value))
        except InvalidArguments as error:
            return refusal_of(error, 400)
        except Exception as error:  # noqa: BLE001 as above
            return failure_of(error)

    def _perform(self, arguments: Mapping[str, Any]) -> Any:
        value = self._call(**arguments, **self._given)
        if self._is_async:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            return self._loop.run_until_complete(value)
        return value


def refusal_of(error: InvalidArguments, status: int) -> Answer:
    """The answer to a request whose arguments are not those of the job."""
    return Answer(status, json.dumps({"error": str(error), "problems": error.problems}).encode())


def failure_of(error: Exception) -> Answer:
    """The answer to a request that the job has failed at; the traceback is in the log, not in the answer."""
    _LOGGER.error("the job raised", exc_info=error)
    return Answer(500, json.dumps({"error": f"the job raised {type(error).__name__}: {error}"}).encode())


def _wants_entry_point(call: Callable[..., Any]) -> bool:
    try:
        return "entry_point" in inspect.signature(call).parameters
    except (TypeError, ValueError):
        return False


@contextmanager
def _within(facts: Mapping[str, Any]) -> Iterator[None]:
    """The request's id for the log, and its trace for what the job calls."""
    token = request_id.set(facts.get("request_id", ""))
    try:
        if "traceparent" not in facts:
            yield
            return
        with _trace(facts):
            yield
    finally:
        request_id.reset(token)


@contextmanager
def _trace(facts: Mapping[str, Any]) -> Iterator[None]:
    try:
        from opentelemetry import context, propagate
    except ImportError:  # the job has no use for it then
        yield
        return
    token = context.attach(propagate.extract(facts))
    try:
        yield
    finally:
        context.detach(token)


def _is_same(answer: Any, recorded: Any) -> bool:
    """Equal; numbers and arrays of them within 1e-6 of their size, as machines differ in the last digits."""
    if hasattr(recorded, "tolist"):
        recorded = recorded.tolist()
    if hasattr(answer, "tolist"):
        answer = answer.tolist()
    if isinstance(recorded, float) and isinstance(answer, (int, float)):
        return math.isclose(answer, recorded, rel_tol=1e-6, abs_tol=1e-9) or (
            math.isnan(answer) and math.isnan(recorded)
        )
    if isinstance(recorded, (list, tuple)) and isinstance(answer, (list, tuple)):
        return len(recorded) == len(answer) and all(map(_is_same, answer, recorded))
    if isinstance(recorded, dict) and isinstance(answer, dict):
        return recorded.keys() == answer.keys() and all(_is_same(answer[key], recorded[key]) for key in recorded)
    return bool(answer == recorded)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
