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

_LIMITS: tuple[tuple[str, type, str], ...] = (
    ("waiting", int, "so many requests wait for a worker of a version; what comes then is answered with 503"),
    ("waiting-seconds", float, "so long does one wait; then 503"),
    ("request-seconds", float, "so long may one take; then its worker is ended, and it is answered with 504"),
    ("body-bytes", int, "a bigger body of a request is answered with 413"),
    ("body-seconds", float, "one that takes longer to come is answered with 408"),
    ("package-bytes", int, "the same for a package file"),
    ("installing-seconds", float, "so long may installing take, an environment of its own included"),
    ("loading-seconds", float, "so long may loading and warming up take"),
    ("stop-seconds", float, "so long does the server wait for what is under way when it ends"),
    ("keep", int, "so many versions of a name that are loaded no more stay known"),
)
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
    inspect.add_argument(
        "--html", type=Path, nargs="?", const=False, metavar="OUT", help="as a page; NAME-VERSION.html unless given"
    )
    inspect.add_argument("--against", type=Path, metavar="OTHER", help="with --html: what differs from that package")
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

    serve = verbs.add_parser("serve", help="serve packages over HTTP, and take new versions while it does")
    serve.add_argument("--store", type=Path, metavar="DIR", help=f"what it keeps; {Loc.server} unless given")
    serve.add_argument("--host", default="127.0.0.1", help="where requests are answered; %(default)s unless given")
    serve.add_argument("--port", type=int, default=8000, help="%(default)s unless given")
    serve.add_argument(
        "--management-host", default="127.0.0.1", metavar="HOST", help="where deploys go; %(default)s unless given"
    )
    serve.add_argument("--management-port", type=int, default=8080, metavar="PORT", help="%(default)s unless given")
    serve.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes of each version; %(default)s unless given"
    )
    serve.add_argument("--in-process", action="store_true", help="load packages into the server's own process")
    serve.add_argument(
        "--policy", type=Path, help="whose packages are accepted; the policy of this machine unless given"
    )
    serve.add_argument("--tokens", type=Path, help="who may do what; `tg token` writes it")
    serve.add_argument("--certificate", type=Path, help="for TLS, a chain in PEM")
    serve.add_argument("--certificate-key", type=Path, help="its private key, in PEM")
    serve.add_argument("--access-log", action="store_true", help="a line for every request")
    serve.add_argument(
        "--preload",
        action="append",
        metavar="MODULE",
        help="imported once, before workers are forked; numpy and pandas unless given",
    )
    limits = serve.add_argument_group("limits")
    for name, kind, what in _LIMITS:
        limits.add_argument(f"--{name}", type=kind, metavar=name.rpartition("-")[2].upper(), help=what)
    serve.set_defaults(call=_serve)

    deploy = verbs.add_parser("deploy", help="give a package file to a server")
    deploy.add_argument("file", type=Path)
    deploy.add_argument(
        "--mode", choices=("live", "canary", "shadow", "none"), default="live", help="which requests it gets"
    )
    deploy.add_argument(
        "--share", type=int, default=10, metavar="PERCENT", help="of a canary; %(default)s unless given"
    )
    deploy.set_defaults(call=_deploy)

    rollback = verbs.add_parser("rollback", help="let a server go back to the version before")
    rollback.add_argument("name")
    rollback.set_defaults(call=_roll_back)
    for verb in (deploy, rollback):
        verb.add_argument("--to", required=True, metavar="URL", help="the server's management port, http://host:8080")
        verb.add_argument("--token", help="TG_TOKEN, or that of a server on this machine, unless given")

    token = verbs.add_parser("token", help="make a token for a server; it is shown once")
    token.add_argument("name", help="who gets it")
    token.add_argument("--role", choices=("read", "infer", "deploy"), required=True)
    token.add_argument("--tokens", type=Path, help=f"the file; {Loc.server / 'tokens.json'} unless given")
    token.set_defaults(call=_new_token)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from ..delivery.serving.server import Server
        from ..delivery.serving.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise DeliveryError(
            f"the server needs {error.name}, which is not installed. Install it with what else it needs: "
            f"pip install 'training-grounds-delivery[serve]'."
        ) from error
    given = {
        name: value for name, value in vars(arguments).items() if name not in ("call", "store") and value is not None
    }
    try:
        settings = ServerSettings(**given, **({"folder": arguments.store.absolute()} if arguments.store else {}))
    except ValueError as error:
        raise DeliveryError(str(error)) from error
    Server(settings).run()
    return 0


def _deploy(arguments: argparse.Namespace) -> int:
    from ..delivery.serving.client import ServerClient

    done = ServerClient(arguments.to, token=arguments.token).deploy(
        arguments.file, mode=arguments.mode, share=arguments.share
    )
    weights = ", ".join(f"{version} {weight} %" for version, weight in done["traffic"]["weights"].items())
    print(
        f"{done['name']} {done['version']} is ready after {1000 * done['seconds']['in all']:.0f} ms; requests go to {weights or 'none'}"
    )
    return 0


def _roll_back(arguments: argparse.Namespace) -> int:
    from ..delivery.serving.client import ServerClient

    done = ServerClient(arguments.to, token=arguments.token).roll_back(arguments.name)
    print(f"requests for {arguments.name} go to {', '.join(done['weights'])}")
    return 0


def _new_token(arguments: argparse.Namespace) -> int:
    from ..delivery.serving.access import Access, Role

    file = arguments.tokens or Loc.server / "tokens.json"
    print(Access.new_token(file, arguments.name, Role[arguments.role.upper()]))
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    if arguments.html is not None:
        from ..delivery.inspection.page import write_page

        print(write_page(arguments.file, arguments.html or None, against=arguments.against))
        return 0
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
