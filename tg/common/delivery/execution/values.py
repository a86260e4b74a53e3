"""Values: what a run is given beside its package, and what it leaves. All checked before anything is made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..images.secret import Secret
from ..runtime.errors import InvalidName, MissingVariables

__all__ = ["Values"]


@dataclass(frozen=True)
class Values:
    """Variables of the environment, by name; files and folders here, by the name the run has for them.

    A name such as `data/flights.csv` is one in the run's working folder.
    """

    variables: Mapping[str, Secret]
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]

    @property
    def outside(self) -> list[str]:
        """The names of places outside of the working folder."""
        return [name for name in (*self.inputs, *self.outputs) if name.startswith("/")]

    @classmethod
    def checked(
        cls,
        *,
        propagate: Sequence[str] = (),
        inputs: Mapping[str, str | os.PathLike[str]] | None = None,
        outputs: Mapping[str, str | os.PathLike[str]] | None = None,
        absolute_names: bool = True,
    ) -> Values:
        """Read the variables, look for the inputs, and make the folders of the outputs if all of it is in order.

        `absolute_names`: whether a name may be that of a place outside of the working folder (`/data`), which only a
        container has for itself. Raises `MissingVariables` with all that are not set, `InvalidName` with everything
        that is wrong with inputs and outputs.
        """
        variables = _variables(propagate)
        given = _absolute(inputs or {})
        left = _absolute(outputs or {})
        problems = [
            *_name_problems([*given, *left], absolute_names=absolute_names),
            *(
                f"the input {name!r} is to be {path}, which is not there."
                for name, path in given.items()
                if not path.exists()
            ),
            *(
                f"the output {name!r} is to be the folder {path}, which is a file."
                for name, path in left.items()
                if path.exists() and not path.is_dir()
            ),
        ]
        if problems:
            text = (
                problems[0]
                if len(problems) == 1
                else "\n".join(["inputs and outputs:", *(f"- {one}" for one in problems)])
            )
            raise InvalidName(text, given={"inputs": dict(inputs or {}), "outputs": dict(outputs or {})})
        for path in left.values():
            path.mkdir(parents=True, exist_ok=True)
        return cls(variables, _canonical(given), _canonical(left))


def _variables(names: Sequence[str]) -> dict[str, Secret]:
    if isinstance(names, str):
        raise TypeError(f"propagate is one string, {names!r}. Put it into a list.")
    if isinstance(names, Mapping):
        raise TypeError("propagate is a mapping. Give names alone: their values are read from the environment.")
    missing = [name for name in names if name not in os.environ]
    if missing:
        raise MissingVariables(list(dict.fromkeys(missing)))
    return {name: Secret(os.environ[name]) for name in names}


def _absolute(paths: Mapping[str, str | os.PathLike[str]]) -> dict[str, Path]:
    return {name: Path(path).expanduser().absolute() for name, path in paths.items()}


def _canonical(paths: Mapping[str, Path]) -> dict[str, Path]:
    return {str(PurePosixPath(name)): path for name, path in paths.items()}


def _name_problems(names: Sequence[str], *, absolute_names: bool) -> Iterable[str]:
    """What is wrong with the names themselves, then which of them are in each other's way."""
    usable = []
    for name in names:
        path = PurePosixPath(name)
        if not path.name or ".." in path.parts or "\0" in name:
            yield f"{name!r} names no file or folder in the working folder. Write it as 'data' or 'data/flights.csv'."
        elif path.is_absolute() and not absolute_names:
            yield f"{name!r} is not in the working folder. Write it without the slash in front: {name.lstrip('/')!r}."
        else:
            usable.append(path)
    for index, path in enumerate(usable):
        for other in usable[index + 1 :]:
            if path == other or path in other.parents or other in path.parents:
                yield f"{str(path)!r} and {str(other)!r} are in each other's way. Give each a place of its own."
