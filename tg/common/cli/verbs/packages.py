"""Verbs of packages: `package`, `check`, `lock`, `inspect`, `sign`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ...delivery.runtime.sizes import size_of
from ..bars import Bars
from ..deliverable import add_settings, packaging_of
from ..exit_codes import FOUND_WRONG
from ..log_handler import shown
from ..signing_key import add_key, signing_key
from ..terminal import coloured

if TYPE_CHECKING:
    from ...delivery.delivery.checking import CheckReport
    from ...delivery.delivery.packaging import Packaging
    from ...delivery.environments.lock import Lock

__all__ = ["VERBS"]

_UNIT_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_OBJECT = "module:object: a job, its class, a payload (a dict) or a Packaging"


def _package_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("object", help=_OBJECT)
    parser.add_argument("--to", metavar="DIR", default="dist", help="the folder for the file; %(default)s unless given")
    parser.add_argument(
        "--lock",
        action="append",
        nargs="?",
        const="",
        metavar="TARGET",
        help="lock what it needs, for 3.12@linux/arm64, 3.12 or linux/arm64; for this Python and machine unless named",
    )
    parser.add_argument("--sign", action="store_true", help="sign it")
    add_key(parser)
    parser.add_argument("--json", action="store_true", help="for a program to read")
    add_settings(parser)
    parser.set_defaults(call=_package)


def _package(options: Namespace) -> int:
    with shown(), Bars():
        packaging = packaging_of(options.object, options)
        packaging.silent = True
        for target in options.lock or ():
            _lock_for(packaging, target)
        packaging.make_package(options.to)
        file = packaging.package_location
        assert file is not None
        if options.sign:
            packaging.sign(signing_key(options.key))
    facts = packaging.package_properties or {}
    if options.json:
        from ...delivery.delivery import inspect_package

        told = inspect_package(file).to_json()
        print(json.dumps({name: told[name] for name in told if name != "files"}, indent=2))
    else:
        print(f"{facts['name']} {facts['version']} is in {_near(file)} ({size_of(file.stat().st_size)})")
    return 0


def _check_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("object", help=_OBJECT)
    parser.add_argument("--json", action="store_true", help="for a program to read")
    add_settings(parser)
    parser.epilog = f"The exit code is {FOUND_WRONG} when a package of it could not be made."
    parser.set_defaults(call=_check)


def _check(options: Namespace) -> int:
    with shown(), Bars():
        report: CheckReport = packaging_of(options.object, options).check()
    found = {"problem": report.problems, "warning": report.warnings, "note": report.notes}
    if options.json:
        print(json.dumps({f"{kind}s": list(texts) for kind, texts in found.items()}, indent=2))
    else:
        colours = {"problem": "red", "warning": "yellow", "note": "dim"}
        for kind, texts in found.items():
            for text in texts:
                print(f"{coloured(f'{kind}:', colours[kind])} {text}")
        if not report.problems:
            print(f"nothing is wrong with {options.object}" + (", as far as is known" if report.warnings else ""))
    return FOUND_WRONG if report.problems else 0


def _lock_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("object", help=_OBJECT)
    parser.add_argument(
        "--for", dest="target", default="", metavar="TARGET", help="3.12@linux/arm64, 3.12 or linux/arm64"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    add_settings(parser)
    parser.epilog = "What is printed is a requirements file. `tg package --lock` puts it into the package."
    parser.set_defaults(call=_lock)


def _lock(options: Namespace) -> int:
    with shown(), Bars():
        lock = _lock_for(packaging_of(options.object, options), options.target)
    if options.json:
        pins = [{"name": pin.name, "requirement": pin.requirement} for pin in lock.pins]
        print(
            json.dumps(
                {"python": lock.python, "platform": str(lock.platform), "digest": lock.digest, "pins": pins}, indent=2
            )
        )
    elif lock.text:
        print(lock.text, end="")
    else:
        print(f"{options.object} needs nothing besides Python", file=sys.stderr)
    return 0


def _lock_for(packaging: Packaging, target: str) -> Lock:
    first, _, second = target.partition("@")
    python, platform = (None, first) if "/" in first else (first or None, second or None)
    return packaging.lock(python, platform or None)


def _inspect_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.add_argument(
        "--html", type=Path, nargs="?", const=False, metavar="OUT", help="as a page; NAME-VERSION.html unless given"
    )
    parser.add_argument("--against", type=Path, metavar="OTHER", help="what differs from that package, the one before")
    parser.set_defaults(call=_inspect)


def _inspect(options: Namespace) -> int:
    if options.html is not None:
        from ...delivery.inspection.page import write_page

        print(write_page(options.file, options.html or None, against=options.against))
        return 0
    if options.against is not None:
        from ...delivery.inspection.comparison import compare_packages

        comparison = compare_packages(options.against, options.file)
        print(json.dumps(comparison.to_json(), indent=2) if options.json else comparison)
        return 0
    from ...delivery.delivery import inspect_package

    with Bars():
        report = inspect_package(options.file)
    print(json.dumps(report.to_json(), indent=2) if options.json else report)
    return 0


def _sign_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    add_key(parser)
    parser.add_argument(
        "--expires", type=_duration, metavar="TIME", help="after which the signature holds no longer: 90d, 12h, 30m"
    )
    parser.add_argument(
        "--sequence", type=int, metavar="N", help="number that grows with each package of the name; made of the time"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.set_defaults(call=_sign)


def _sign(options: Namespace) -> int:
    from ...delivery.delivery.signing import sign_package

    key = signing_key(options.key)
    manifest = sign_package(options.file, key, expires=options.expires, sequence=options.sequence)
    if options.json:
        signed = {"module_name": manifest.module_name, "key_id": key.public.key_id, "sequence": manifest.sequence}
        print(json.dumps({**signed, "signer": manifest.signer}, indent=2))
    else:
        print(f"{manifest.module_name} is signed by {key.public.key_id}, sequence {manifest.sequence}")
    return 0


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=int(text[:-1]) * _UNIT_SECONDS[text[-1:]])
    except (KeyError, ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is no time such as 90d, 12h or 30m") from None


def _near(file: Path) -> str:
    """A path as one would write it here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


VERBS = {
    "package": _package_arguments,
    "check": _check_arguments,
    "lock": _lock_arguments,
    "inspect": _inspect_arguments,
    "sign": _sign_arguments,
}
