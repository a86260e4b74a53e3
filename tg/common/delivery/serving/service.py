"""A service: a loaded job that answers requests, wherever it is loaded.

Of a job it uses, where they are there: `run`, or the object itself where it is callable; `warm_up()`, called once before it
gets requests; `run_batch(items)`, with `batch_size` and `batch_window_seconds`, for jobs that do many requests in about the
time of one; `input_tensors` and `output_tensors`, see `tensor_calls`. The payload's `samples` are answered before it gets traffic.

`run_batch` gets a list of arguments by name, a dict for each request, and returns as many answers in the same order; an
exception in place of an answer is that of this request alone. When it raises, each of the requests is given to it once more
by itself, so that a bad one takes no others with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from ..runtime.entry_point import EntryPoint
from ..runtime.errors import NotAJob
from .frames import TENSOR_CALL, Frame
from .samples import prove_samples
from .signature import InvalidArguments, JobSignature
from .tensor_calls import HEADER_LENGTH, TensorCalls, TensorRequest

__all__ = ["Answer", "Service", "request_facts"]

request_facts: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("request_facts", default={})  # noqa: B039
"""`request_id` and `trace_id` of what is being answered, for lines of the log; those of a batch with commas between them."""

_LOGGER = logging.getLogger("tg.serving")
_BATCH_SIZE = 32
_BATCH_WINDOW_SECONDS = 0.002


class Answer(NamedTuple):
    """What comes of a request: status and body; `facts` has `json_size` where tensors follow the JSON."""

    status: int
    body: bytes
    facts: Mapping[str, Any] | None = None


class _Call(NamedTuple):
    """A request that was understood; `tensors` says what of the answer is wanted where it is one by tensors."""

    arguments: Mapping[str, Any]
    tensors: TensorRequest | None


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
        self._tensors = TensorCalls(
            self.signature, inputs=getattr(job, "input_tensors", None), outputs=getattr(job, "output_tensors", None)
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._run_batch: Callable[..., Any] | None = getattr(job, "run_batch", None)
        self.batch_size, self.batch_window_seconds = _batching_of(job) if self._run_batch else (1, 0.0)

    def describe(self) -> dict[str, Any]:
        """What the server tells clients of it."""
        doc = inspect.getdoc(self._call) or inspect.getdoc(type(self._job)) or ""
        return {
            "schema": self.signature.schema(f"{self.name}."),
            **self._tensors.metadata(),
            "documentation": doc,
            "batch_size": self.batch_size,
        }

    def warm_up(self) -> None:
        """Do what the job wants to be done before the first request."""
        warm_up = getattr(self._job, "warm_up", None)
        if callable(warm_up):
            self._result(warm_up())

    def answer_samples(self) -> int:
        """Answer the recorded samples as requests are answered, and return how many there are. Raises `WrongSample`."""
        if "samples" not in self._entry_point.resources:
            return 0

        def answer(given: Mapping[str, Any]) -> Any:
            arguments = self.signature.arguments_of(given)
            if self._run_batch is None:
                return self._perform(arguments)
            (value,) = self._perform_batch([arguments])
            if isinstance(value, BaseException):
                raise value
            return value

        return prove_samples(self._entry_point.load_resource("samples"), answer, self.signature.json_of)

    def answer(self, frame: Frame) -> Answer:
        """Answer one request. Whatever the job raises is an answer as well."""
        facts = frame.known()
        with _about([facts]):
            try:
                call = self._read(frame, facts)
                return self._written(call, self._perform(call.arguments), facts)
            except InvalidArguments as error:
                return _refusal(error, frame)
            except Exception as error:  # noqa: BLE001 the edge of the job: whatever it raises is told
                return _failure(error)

    def answer_batch(self, frames: Sequence[Frame]) -> list[Answer]:
        """Answer several requests by one call of `run_batch`; those with wrong arguments do not get to it."""
        answers: dict[int, Answer] = {}
        calls: dict[int, _Call] = {}
        facts = [frame.known() for frame in frames]
        for place, frame in enumerate(frames):
            try:
                calls[place] = self._read(frame, facts[place])
            except InvalidArguments as error:
                answers[place] = _refusal(error, frame)
            except Exception as error:  # noqa: BLE001 as above: validators are code of the package
                answers[place] = _failure(error)
        values = self._values_of([facts[place] for place in calls], list(calls.values()))
        for (place, call), value in zip(calls.items(), values, strict=True):
            frame = frames[place]
            with _about([facts[place]]):
                try:
                    if isinstance(value, Exception):
                        raise value
                    answers[place] = self._written(call, value, facts[place])
                except InvalidArguments as error:
                    answers[place] = _refusal(error, frame)
                except Exception as error:  # noqa: BLE001 as above
                    answers[place] = _failure(error)
        return [answers[place] for place in range(len(frames))]

    def _values_of(self, facts: Sequence[Mapping[str, Any]], calls: Sequence[_Call]) -> list[Any]:
        """What `run_batch` gives for each call: a value, or the exception in its place."""
        if not calls:
            return []
        with _about(facts):
            try:
                return self._perform_batch([call.arguments for call in calls])
            except Exception as error:  # noqa: BLE001 as above
                if len(calls) == 1:
                    return [error]
                _LOGGER.warning(
                    f"run_batch raised {type(error).__name__} for {len(calls)} requests; each is asked alone"
                )
        return [value for one, call in zip(facts, calls, strict=True) for value in self._values_of([one], [call])]

    def _read(self, frame: Frame, facts: Mapping[str, Any]) -> _Call:
        if frame.kind == TENSOR_CALL:
            return _Call(*self._tensors.arguments_of(frame.body, facts.get(HEADER_LENGTH)))
        return _Call(self.signature.arguments_of_json(frame.body), None)

    def _written(self, call: _Call, value: Any, facts: Mapping[str, Any]) -> Answer:
        if call.tensors is None:
            return Answer(200, self.signature.json_of(value))
        body, json_size = self._tensors.body_of(
            value, call.tensors, self.name, facts.get("compared_with", self.version)
        )
        return Answer(200, body, {"json_size": json_size} if json_size is not None else None)

    def _perform(self, arguments: Mapping[str, Any]) -> Any:
        return self._result(self._call(**arguments, **self._given))

    def _perform_batch(self, items: list[Mapping[str, Any]]) -> list[Any]:
        assert self._run_batch is not None
        values = list(self._result(self._run_batch(items)))
        if len(values) != len(items):
            raise ValueError(f"run_batch has given {len(values)} answers for {len(items)} requests")
        return values

    def _result(self, value: Any) -> Any:
        """What a call gives, waited for where it is a coroutine."""
        if not inspect.iscoroutine(value):
            return value
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(value)


def _batching_of(job: Any) -> tuple[int, float]:
    size, seconds = getattr(job, "batch_size", _BATCH_SIZE), getattr(job, "batch_window_seconds", _BATCH_WINDOW_SECONDS)
    if type(size) is not int or size < 1:
        raise ValueError(f"batch_size of the job is {size!r}; it is a whole number, 1 at least")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or seconds < 0:
        raise ValueError(f"batch_window_seconds of the job is {seconds!r}; it is a number of seconds, 0 at least")
    return size, float(seconds)


def _refusal(error: InvalidArguments, frame: Frame) -> Answer:
    """The answer to a request whose arguments are not those of the job."""
    body = json.dumps({"error": str(error), "problems": error.problems}).encode()
    return Answer(400 if frame.kind == TENSOR_CALL else 422, body)


def _failure(error: Exception) -> Answer:
    """The answer to a request that the job has failed at; the traceback is in the log, not in the answer."""
    _LOGGER.error("the job raised", exc_info=error)
    return Answer(500, json.dumps({"error": f"the job raised {type(error).__name__}: {error}"}).encode())


def _wants_entry_point(call: Callable[..., Any]) -> bool:
    try:
        return "entry_point" in inspect.signature(call).parameters
    except (TypeError, ValueError):
        return False


@contextmanager
def _about(requests: Sequence[Mapping[str, Any]]) -> Iterator[None]:
    """The ids of requests for the log; and the trace of one, for what the job calls: a batch of several belongs to no single trace."""
    ids = {"request_id": ", ".join(facts.get("request_id", "") for facts in requests)}
    traces = [trace for facts in requests for trace in facts.get("traceparent", "").split("-")[1:2]]
    if traces:
        ids["trace_id"] = ", ".join(traces)
    token = request_facts.set(ids)
    try:
        if len(requests) == len(traces) == 1:
            with _trace(requests[0]):
                yield
        else:
            yield
    finally:
        request_facts.reset(token)


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
