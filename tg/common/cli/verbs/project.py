"""The verb `init`: a project is laid out."""

from __future__ import annotations

import json
import keyword
import os
import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ...delivery.runtime.errors import InvalidName, StorageProblem
from ..layout import files_of
from ..terminal import bold, coloured

__all__ = ["VERBS"]


def _init_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="for the project; this one unless given")
    parser.add_argument(
        "--library", default="mylibrary", metavar="NAME", help="the package below tg/; %(default)s unless given"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.epilog = "Files that are there already stay as they are."
    parser.set_defaults(call=_init)


def _init(options: Namespace) -> int:
    library = options.library
    if not library.isidentifier() or keyword.iskeyword(library) or library == "common":
        raise InvalidName(
            f"{library!r} cannot be a package below tg/{', where tg.common is delivery' if library == 'common' else ''}. Give a name "
            f"of lower case letters, digits and underscores: --library mylibrary",
            given=library,
        )
    folder = options.folder.absolute()
    regular = folder / "tg" / "__init__.py"
    if regular.exists():
        raise InvalidName(
            f"{regular} makes tg a package of its own, in which Python finds no tg.common. Remove it, or lay the project out elsewhere.",
            given=str(folder),
        )
    written, kept = [], []
    try:
        for path, text in files_of(library, folder.name).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with file.open("x", encoding="utf-8") as opened:
                    opened.write(text)
                written.append(path)
            except FileExistsError:
                kept.append(path)
    except OSError as error:
        raise StorageProblem(
            f"{error.filename}: {error.strerror}. Name a folder that is yours to write.", path=folder
        ) from error
    if options.json:
        print(json.dumps({"folder": str(folder), "written": written, "kept": kept}, indent=2))
        return 0
    print(f"{folder} is laid out" if written else f"{folder} was laid out before")
    for path in written:
        print(f"  {path}")
    for path in kept:
        print(coloured(f"  {path} was there, and stays as it is", "yellow"))
    print(f"\n{bold('next')}")
    if folder != Path.cwd():
        print(f"  cd {shlex.quote(os.path.relpath(folder))}")
    print(f"  python -m pytest\n  tg run tg.{library}.job:job\n  tg package tg.{library}.job:job")
    return 0


VERBS = {"init": _init_arguments}
