"""What is to be delivered, as it is named on the command line: a package file, or an object as `module:object`."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..delivery.runtime.errors import InvalidName, UndeliverablePayload
from ..progress import working

if TYPE_CHECKING:
    from ..delivery.delivery.packaging import Packaging

__all__ = ["add_settings", "let_project_be_imported", "object_of", "package_file_of", "packaging_of", "project_folder"]

_OBJECT = re.compile(r"(\w+(?:\.\w+)*):(\w+(?:\.\w+)*)")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SHOWN = 12
_SETTINGS = ("name", "version", "needs", "root", "python", "description", "allow_credentials", "no_check")
"""The options below: what is made already takes none of them."""


def add_settings(parser: ArgumentParser) -> None:
    """The options by which a package of an object is made; they are the settings of `Packaging`."""
    settings = parser.add_argument_group("settings of the package")
    settings.add_argument("--name", help="of the package; that of the object's class unless given")
    settings.add_argument("--version", help="made from the content unless given: equal content, equal version")
    settings.add_argument(
        "--needs",
        action="append",
        metavar="REQUIREMENT",
        help="as for pip, once for each; `auto`, which is meant where none is given, finds what is imported; `nothing`",
    )
    settings.add_argument(
        "--root",
        action="append",
        metavar="PACKAGE",
        help="travels besides tg; found by the object's class unless given",
    )
    settings.add_argument("--python", metavar="VERSIONS", help="the Pythons that it is for: '>=3.10' unless given")
    settings.add_argument("--description", help="one line about it")
    settings.add_argument(
        "--allow-credentials",
        action="append",
        metavar="FILE",
        help="below tg/, that may travel although it looks like a key",
    )
    settings.add_argument(
        "--no-check", action="store_true", help="do not load it in a fresh interpreter before it is written"
    )


def project_folder(start: Path | None = None) -> Path:
    """The folder with `tg/` in it: this one, or the nearest above; this one where there is none."""
    here = (start or Path.cwd()).absolute()
    return next((folder for folder in (here, *here.parents) if (folder / "tg").is_dir()), here)


def let_project_be_imported() -> str:
    """Objects and results are of the project's own classes, wherever in it this was started. Returns its folder."""
    folder = str(project_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return folder


def object_of(text: str) -> Any:
    """The object that `module:object` names, imported from the project that this folder is in.

    Raises `UndeliverablePayload` where there is none, and for whatever importing it raises.
    """
    match = _OBJECT.fullmatch(text)
    if match is None:
        raise _refused(
            f"{text!r} is no file here, and no module:object. Name an object by its module, as you would import it: "
            f"tg.mylibrary.job:Job"
        )
    module_name, path = match.groups()
    folder = let_project_be_imported()
    with working(f"importing {module_name}"):
        found: Any = _imported(module_name, folder)
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            raise _refused(f"{module_name} has no {path}. {_what_is_in(found, name)}") from error
    return found


def packaging_of(text: str, options: Namespace) -> Packaging:
    """The settings by which a package of an object is made: `module:object` names a job, its class, a payload or a `Packaging`.

    A class is called without arguments. A dict with the key `job` is a whole payload. Options that were given come before
    what a `Packaging` says.
    """
    from ..delivery.delivery.dependencies import DependencyList
    from ..delivery.delivery.packaging import Packaging

    given = object_of(text)
    packaging = given if isinstance(given, Packaging) else _packaging(text, given)
    if options.needs:
        written = [one for one in options.needs if one not in ("auto", "nothing")]
        packaging.dependencies = (
            DependencyList("min"),
            *([DependencyList("needs", written)] if written else []),
            *([DependencyList.inferred()] if "auto" in options.needs else []),
        )
    for setting, value in (
        ("name", options.name),
        ("version", options.version),
        ("roots", options.root),
        ("requires_python", options.python),
        ("description", options.description),
        ("allow_credentials", options.allow_credentials),
        ("checked", False if options.no_check else None),
    ):
        if value is not None:
            setattr(packaging, setting, value)
    return packaging


def package_file_of(text: str, options: Namespace) -> Path:
    """The package file of that name, or one that is made of `module:object` now."""
    from ..delivery.execution.package_file import package_file

    if text.endswith(".whl") or os.sep in text or Path(text).is_file():
        odd = [f"--{option.replace('_', '-')}" for option in _SETTINGS if getattr(options, option)]
        if odd:
            raise InvalidName(
                f"{text} is made already, and takes no {', '.join(odd)}. Leave that out, or name the object: module:object.",
                given=text,
            )
        return Path(text).absolute()
    packaging = packaging_of(text, options)
    packaging.silent = True
    return package_file(packaging)


def _packaging(text: str, given: Any) -> Packaging:
    from ..delivery.delivery.packaging import Packaging

    if isinstance(given, Mapping):
        payload, job = dict(given), given.get("job")
        if job is None:
            raise _refused(f"{text} is a dict without a job. The one that is to be run has the key 'job'.")
    else:
        job = _made(text, given) if isinstance(given, type) else given
        payload = {"job": job}
    if not callable(job) and not callable(getattr(job, "run", None)):
        raise _refused(
            f"{text} is of {type(job)}, which can neither be called nor has a method `run`. A job has one of them."
        )
    named = job.__name__ if hasattr(job, "__name__") else type(job).__name__
    return Packaging(_HUMP.sub("_", named).lower().strip("_"), None, payload, "auto")


def _made(text: str, kind: type) -> Any:
    try:
        with working(f"making an object of {text}"):
            return kind()
    except TypeError as error:
        if _was_raised_inside(error):
            raise _refused(f"{text} cannot be called: {_told(error)}") from error
        module, _, name = text.partition(":")
        raise _refused(
            f"{text} wants arguments: {error}. Make the object in its module, `job = {name}(…)`, and name that: {module}:job"
        ) from error
    except Exception as error:
        raise _refused(f"{text} cannot be called: {_told(error)}") from error


def _was_raised_inside(error: TypeError) -> bool:
    """Whether the class was called, and something in it went wrong."""
    return traceback.extract_tb(error.__traceback__)[-1].filename != __file__


def _imported(module: str, folder: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module == missing or module.startswith(f"{missing}."):
            raise _refused(
                f"there is no module {missing} in {folder}, nor is one installed. Run tg in the project's folder, the one with tg/ "
                f"in it, and name the module as you would import it: tg.mylibrary.job:Job"
            ) from error
        top = missing.partition(".")[0]
        raise _refused(
            f"{module} cannot be imported: {_told(error)}\nInstall what is missing (pip install {top}), or correct the import."
        ) from error
    except SystemExit as error:
        raise _refused(
            f"{module} ends the program when it is imported: put what it does under `if __name__ == '__main__':`."
        ) from error
    except Exception as error:
        raise _refused(
            f"{module} cannot be imported: {_told(error)}\nCorrect it, and try `python -c 'import {module}'`."
        ) from error


def _told(error: BaseException) -> str:
    """What was raised, and where in the project."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}\n  at {error.filename}:{error.lineno}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if not one.filename.startswith("<frozen")]
    where = f"\n  at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _what_is_in(found: Any, name: str) -> str:
    from difflib import get_close_matches

    there = [
        one
        for one, value in getattr(found, "__dict__", {}).items()
        if not one.startswith("_") and _is_own(value, found)
    ]
    near = get_close_matches(name, there, 1)
    if near:
        return f"Is it {near[0]}?"
    return f"It has {', '.join(there[:_SHOWN]) or 'nothing of its own'}{', …' if len(there) > _SHOWN else ''}."


def _is_own(value: Any, module: Any) -> bool:
    return getattr(value, "__module__", None) == getattr(module, "__name__", None) or not hasattr(value, "__module__")


def _refused(problem: str) -> UndeliverablePayload:
    return UndeliverablePayload("it cannot be delivered", [problem])
