"""`tg`: its verbs, their arguments, and what they print. What it does is elsewhere; errors of delivery are one message, and 1."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..delivery.runtime.errors import DeliveryError
from ..locations import Loc

if TYPE_CHECKING:
    from ..delivery.trust.keys import SigningKey

__all__ = ["main"]

_DAY_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns its exit code: 0, 1 for what delivery refuses, 2 for what cannot be understood."""
    parsed = _parser().parse_args(arguments)
    call: Callable[[argparse.Namespace], int] = parsed.call
    try:
        return call(parsed)
    except DeliveryError as error:
        print(f"tg: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tg", description="Deliver objects together with the source they were written with."
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    inspect = verbs.add_parser("inspect", help="show what is in a package file, running nothing of it")
    inspect.add_argument("file", type=Path)
    inspect.add_argument("--json", action="store_true", help="for a program to read")
    inspect.set_defaults(call=_inspect)

    sign = verbs.add_parser("sign", help="sign a package file, in its place")
    sign.add_argument("file", type=Path)
    sign.add_argument("--key", type=Path, help=f"the private key; {_default_key()} unless given")
    sign.add_argument(
        "--expires", type=_duration, metavar="TIME", help="after which the signature holds no longer: 90d, 12h, 30m"
    )
    sign.add_argument(
        "--sequence", type=int, metavar="N", help="number that grows with each package of the name; made of the time"
    )
    sign.set_defaults(call=_sign)

    keys = verbs.add_parser("keys", help="keys to sign with")
    kinds = keys.add_subparsers(title="verbs", required=True, metavar="VERB")
    new = kinds.add_parser("new", help="make a key, in two files: FILE, to be kept, and FILE.pub, to be given away")
    new.add_argument("file", type=Path, nargs="?", help=f"{_default_key()} unless given")
    new.add_argument("--comment", default="", help="who you are, for those who see the public half")
    new.set_defaults(call=_new_key)
    show = kinds.add_parser("show", help="show the public half of a key, and its fingerprint")
    show.add_argument(
        "file", type=Path, nargs="?", help=f"{_default_key()} unless given; the private or the public file"
    )
    show.set_defaults(call=_show_key)
    return parser


def _inspect(arguments: argparse.Namespace) -> int:
    from ..delivery.delivery import inspect_package

    report = inspect_package(arguments.file)
    print(json.dumps(report.to_json(), indent=2) if arguments.json else report)
    return 0


def _sign(arguments: argparse.Namespace) -> int:
    from ..delivery.delivery.signing import sign_package

    key = _load(arguments.key or _default_key())
    manifest = sign_package(arguments.file, key, expires=arguments.expires, sequence=arguments.sequence)
    print(f"{manifest.module_name} is signed by {key.public.key_id}, sequence {manifest.sequence}")
    return 0


def _new_key(arguments: argparse.Namespace) -> int:
    from ..delivery.trust import SigningKey

    file = arguments.file or _default_key()
    key = SigningKey.new(file, comment=arguments.comment)
    print(
        f"{file} is the key; nobody else may read it.\n{file}.pub is for those who are to trust it:\n\n{key.public}\n\n{key.public.key_id}"
    )
    return 0


def _show_key(arguments: argparse.Namespace) -> int:
    from ..delivery.trust import PublicKey

    file = arguments.file or _default_key()
    public = PublicKey.load(file) if file.suffix == ".pub" else _load(file).public
    print(f"{public}\n{public.key_id}")
    return 0


def _load(file: Path) -> SigningKey:
    from ..delivery.trust import SigningKey

    return SigningKey.load(file, passphrase=lambda: getpass.getpass(f"Passphrase of {file}: "))


def _default_key() -> Path:
    return Loc.keys / "signing"


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=int(text[:-1]) * _DAY_SECONDS[text[-1:]])
    except (KeyError, ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90d, 12h or 30m") from None
