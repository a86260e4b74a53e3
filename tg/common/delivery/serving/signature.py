"""The signature of a job as clients see it: arguments by name, checked against its type hints; its answer as JSON.

A hint that pydantic knows is checked by pydantic. Arrays and tables of numpy and pandas are made of lists and records, and
written as such; a parameter without a hint takes what JSON has.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import pydantic_core
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WithJsonSchema, create_model
from pydantic.errors import PydanticInvalidForJsonSchema

__all__ = ["InvalidArguments", "JobSignature", "is_array", "is_scalar"]

_SCALARS = (bool, int, float, str, bytes)
_KEEPS_NAMES = "#/components/schemas/{model}"


class InvalidArguments(Exception):
    """The arguments of a request are not those of the job; `problems` has a place and a sentence for each."""

    def __init__(self, problems: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, one['place']))}: {one['problem']}" for one in problems))
        self.problems = problems


class JobSignature:
    """What a job takes and gives. Raises `TypeError` when there is a parameter that cannot be given by name."""

    def __init__(self, call: Callable[..., Any], *, given: frozenset[str] = frozenset()) -> None:
        """`given` are parameters that are none of the client's."""
        hints = _hints(call)
        self.hints: dict[str, Any] = {}
        fields: dict[str, Any] = {}
        others = False
        for name, parameter in _parameters(call):
            if parameter.kind is parameter.VAR_KEYWORD:
                others = True
            elif parameter.kind is parameter.POSITIONAL_ONLY:
                raise TypeError(
                    f"its parameter {name!r} can be given by position only. Take the `/` out of its signature."
                )
            elif parameter.kind is not parameter.VAR_POSITIONAL and name not in given:
                self.hints[name] = hints.get(name, Any)
                default = ... if parameter.default is parameter.empty else parameter.default
                # The name of a parameter may be one that pydantic keeps for itself.
                fields[f"field_{len(fields)}"] = (_checked(self.hints[name]), Field(default, alias=name))
        self._names = {field: info[1].alias for field, info in fields.items()}
        self._takes_others = others
        self._model = create_model(
            "Arguments",
            __config__=ConfigDict(
                extra="allow" if others else "forbid", arbitrary_types_allowed=True, protected_namespaces=()
            ),
            **fields,
        )
        self._answer = _adapter(hints.get("return", Any))

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
        """An answer as JSON. Raises what pydantic raises for one that is none."""
        if self._answer is not None:
            try:
                return self._answer.dump_json(answer, fallback=_plain, warnings="error")
            except pydantic_core.PydanticSerializationError:
                pass  # it is not what the hint says; it is written as it is
        return pydantic_core.to_json(answer, fallback=_plain)

    def schema(self) -> dict[str, Any]:
        """JSON schemas of arguments and answer, as OpenAPI 3.1 wants them: `arguments`, `answer`, `definitions`."""
        arguments = self._model.model_json_schema(ref_template=_KEEPS_NAMES, by_alias=True)
        try:
            answer = self._answer.json_schema(mode="serialization", ref_template=_KEEPS_NAMES) if self._answer else {}
        except PydanticInvalidForJsonSchema:
            answer = {}
        definitions = {**arguments.pop("$defs", {}), **answer.pop("$defs", {})}
        return {"arguments": arguments, "answer": answer, "definitions": definitions}

    def _named(self, checked: Any) -> dict[str, Any]:
        found = {name: getattr(checked, field) for field, name in self._names.items()}
        return {**found, **(checked.__pydantic_extra__ or {})} if self._takes_others else found


def is_scalar(hint: Any) -> bool:
    """Whether a parameter takes one value and no array of them."""
    return hint in _SCALARS


def is_array(hint: Any) -> bool:
    """Whether a parameter takes an array of numpy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and (hint is numpy.ndarray or typing.get_origin(hint) is numpy.ndarray)


def _parameters(call: Callable[..., Any]) -> list[tuple[str, inspect.Parameter]]:
    try:
        return list(inspect.signature(call).parameters.items())
    except (TypeError, ValueError):  # built-in functions may have none
        return [("values", inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD))]


def _hints(call: Callable[..., Any]) -> dict[str, Any]:
    target = call if inspect.ismethod(call) or inspect.isfunction(call) else type(call).__call__
    try:
        return typing.get_type_hints(target, include_extras=True)
    except Exception:  # noqa: BLE001 hints can name anything, and what only a type checker imports
        return {}


def _checked(hint: Any) -> Any:
    """A hint that pydantic can check: arrays and tables are made of what JSON has."""
    if is_array(hint):
        return Annotated[Any, BeforeValidator(sys.modules["numpy"].asarray), WithJsonSchema({"type": "array"})]
    pandas = sys.modules.get("pandas")
    if pandas is not None and hint is pandas.DataFrame:
        schema = WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]})
        return Annotated[Any, BeforeValidator(pandas.DataFrame), schema]
    try:
        TypeAdapter(hint).json_schema()
    except Exception:  # noqa: BLE001 classes may raise what they like when they are asked for a schema
        return Any
    return hint


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    checked = Any if hint is Any else _checked(hint)
    return None if checked is Any or typing.get_origin(checked) is Annotated else TypeAdapter(checked)


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
            {"place": list(one["loc"]), "problem": one["msg"]}
            for one in error.errors(include_url=False, include_input=False)
        ]
    )
