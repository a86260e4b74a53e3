"""The signature of a job as clients see it: arguments by name, checked against its type hints; its answer as JSON.

A hint that pydantic knows is checked by pydantic. Arrays and tables of numpy and pandas are made of lists and records, and
written as such; a parameter without a hint takes what JSON has.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import pydantic_core
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model

from .type_hints import checkable, hints_of

__all__ = ["InvalidArguments", "JobSignature"]


class InvalidArguments(Exception):
    """The arguments of a request are not those of the job; `problems` has a place and a sentence for each."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(": ".join(filter(None, (_path(one["place"]), one["problem"]))) for one in problems))
        self.problems = problems

    @classmethod
    def at(cls, place: tuple[str | int, ...], problem: str) -> InvalidArguments:
        """A single problem."""
        return cls([{"place": list(place), "problem": problem}])


class JobSignature:
    """What a job takes and gives. Raises `TypeError` when there is a parameter that cannot be given by name."""

    def __init__(self, call: Callable[..., Any], *, given: frozenset[str] = frozenset()) -> None:
        """`given` are parameters that are none of the client's."""
        hints = hints_of(call)
        self.hints: dict[str, Any] = {}
        """Those of the parameters, `Any` where there is none."""
        self.answer_hint: Any = hints.get("return", Any)
        self.takes_others = False
        """Whether it takes arguments by any name besides."""
        fields: dict[str, Any] = {}
        for name, parameter in _parameters(call):
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_others = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(
                    f"its parameter {name!r} can be given by position only. Take the `/` out of its signature."
                )
            elif parameter.kind is not parameter.VAR_POSITIONAL and name not in given:
                self.hints[name] = hints.get(name, Any)
                default = ... if parameter.default is parameter.empty else parameter.default
                # The name of a parameter may be one that pydantic keeps for itself.
                fields[f"field_{len(fields)}"] = (checkable(self.hints[name]), Field(default, alias=name))
        self._names = {field: info[1].alias for field, info in fields.items()}
        self._model = create_model(
            "Arguments",
            __config__=ConfigDict(
                extra="allow" if self.takes_others else "forbid", arbitrary_types_allowed=True, protected_namespaces=()
            ),
            **fields,
        )
        answer = checkable(self.answer_hint)
        self._answer: TypeAdapter[Any] | None = None if answer is Any else TypeAdapter(answer)

    def arguments_of_json(self, body: bytes) -> dict[str, Any]:
        """The arguments that a JSON object says; an empty body says none. Raises `InvalidArguments`."""
        try:
            return self._named(self._model.__pydantic_validator__.validate_json(body or b"{}"))
        except ValidationError as error:
            raise _invalid(error) from None

    def arguments_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The same of Python's values."""
        try:
            return self._named(self._model.__pydantic_validator__.validate_python(dict(values)))
        except ValidationError as error:
            raise _invalid(error) from None

    def json_of(self, answer: Any) -> bytes:
        """An answer as JSON, what is no number there as null. Raises what pydantic raises for one that is none."""
        if self._answer is not None:
            try:
                return self._answer.serializer.to_json(answer, fallback=_plain, warnings="error")
            except pydantic_core.PydanticSerializationError:
                pass  # it is not what the hint says; it is written as it is
        return pydantic_core.to_json(answer, fallback=_plain, inf_nan_mode="null")

    def schema(self, prefix: str = "") -> dict[str, Any]:
        """JSON schemas of arguments and answer, as OpenAPI 3.1 wants them: `arguments`, `answer`, `definitions`.

        The names of the definitions begin with `prefix`: two jobs may both have a `Flight`.
        """
        adapters: list[Any] = [("arguments", "validation", TypeAdapter(self._model))]
        if self._answer is not None:
            adapters.append(("answer", "serialization", self._answer))
        template = f"#/components/schemas/{prefix}{{model}}"
        schemas, rest = TypeAdapter.json_schemas(adapters, by_alias=True, ref_template=template)
        definitions = rest.get("$defs", {})
        arguments = schemas["arguments", "validation"]
        if "$ref" in arguments:
            arguments = definitions.pop(arguments["$ref"].removeprefix(f"#/components/schemas/{prefix}"))
        return {
            "arguments": arguments,
            "answer": schemas.get(("answer", "serialization"), {}),
            "definitions": {prefix + name: definition for name, definition in definitions.items()},
        }

    def _named(self, checked: Any) -> dict[str, Any]:
        found = {name: getattr(checked, field) for field, name in self._names.items()}
        return {**found, **(checked.__pydantic_extra__ or {})} if self.takes_others else found


def _parameters(call: Callable[..., Any]) -> list[tuple[str, inspect.Parameter]]:
    try:
        return list(inspect.signature(call).parameters.items())
    except (TypeError, ValueError):  # built-in functions may have none
        return [("values", inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD))]


def _plain(value: Any) -> Any:
    """What JSON has, of an array or a table."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return value.to_dict("records")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(
        f"the job gives {type(value)}, which JSON has nothing for. Return plain values, a dataclass or an array."
    )


def _invalid(error: ValidationError) -> InvalidArguments:
    return InvalidArguments(
        [
            {"place": list(one["loc"]), "problem": one["msg"].removeprefix("Value error, ")}
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
    )


def _path(place: list[Any]) -> str:
    return ".".join(map(str, place))
