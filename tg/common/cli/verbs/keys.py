"""Verbs of keys: `keys new`, `keys show`."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from ..signing_key import default_key, signing_key

__all__ = ["VERBS"]


def _keys_arguments(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    new = kinds.add_parser("new", help="make a key, in two files: FILE, to be kept, and FILE.pub, to be given away")
    new.add_argument("file", type=Path, nargs="?", help=f"{default_key()} unless given")
    new.add_argument("--comment", default="", help="who you are, for those who see the public half")
    new.set_defaults(call=_new)
    show = kinds.add_parser("show", help="show the public half of a key, and its fingerprint")
    show.add_argument(
        "file", type=Path, nargs="?", help=f"{default_key()} unless given; the private or the public file"
    )
    show.set_defaults(call=_show)
    for one in (new, show):
        one.add_argument("--json", action="store_true", help="for a program to read")


def _new(options: Namespace) -> int:
    from ...delivery.trust import SigningKey

    file = options.file or default_key()
    public = SigningKey.new(file, comment=options.comment).public
    if options.json:
        print(json.dumps({"file": str(file), "public": str(public), "key_id": public.key_id}, indent=2))
    else:
        print(f"{file} is the key; nobody else may read it.")
        print(f"{file}.pub is for those who are to trust it:\n\n{public}\n\n{public.key_id}")
    return 0


def _show(options: Namespace) -> int:
    from ...delivery.trust import PublicKey

    file = options.file or default_key()
    public = PublicKey.load(file) if file.suffix == ".pub" else signing_key(file).public
    if options.json:
        print(json.dumps({"file": str(file), "public": str(public), "key_id": public.key_id}, indent=2))
    else:
        print(f"{public}\n{public.key_id}")
    return 0


VERBS = {"keys": _keys_arguments}
