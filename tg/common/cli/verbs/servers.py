"""Verbs of serving: `serve`, `deploy`, `traffic`, `rollback`, `status`, `token`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...delivery.runtime.errors import DeliveryError
from ...delivery.runtime.sizes import size_of
from ...locations import Loc
from ..terminal import columns

__all__ = ["VERBS"]

_LIMITS: tuple[tuple[str, type, str], ...] = (
    ("waiting", int, "so many requests wait for a worker of a version; what comes then is answered with 503"),
    ("waiting-seconds", float, "so long does one wait; then 503"),
    ("request-seconds", float, "so long may one take; then its worker is ended, and it is answered with 504"),
    (
        "head-seconds",
        float,
        "so long may the head of a request take to come; then 408, or the end of a connection that says nothing",
    ),
    ("body-bytes", int, "a bigger body of a request is answered with 413"),
    ("body-seconds", float, "one that takes longer to come is answered with 408"),
    ("package-bytes", int, "the same for a package file"),
    ("installing-seconds", float, "so long may installing take, an environment of its own included"),
    ("loading-seconds", float, "so long may loading and warming up take"),
    ("stop-seconds", float, "so long does the server wait for what is under way when it ends"),
    ("keep", int, "so many versions of a name that are loaded no more stay known"),
)


def _serve_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, metavar="DIR", help=f"what it keeps; {Loc.server} unless given")
    parser.add_argument("--host", default="127.0.0.1", help="where requests are answered; %(default)s unless given")
    parser.add_argument("--port", type=int, default=8000, help="%(default)s unless given")
    parser.add_argument(
        "--management-host", default="127.0.0.1", metavar="HOST", help="where deploys go; %(default)s unless given"
    )
    parser.add_argument("--management-port", type=int, default=8080, metavar="PORT", help="%(default)s unless given")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes of each version; %(default)s unless given"
    )
    parser.add_argument("--in-process", action="store_true", help="load packages into the server's own process")
    parser.add_argument(
        "--policy", type=Path, help="whose packages are accepted; the policy of this machine unless given"
    )
    parser.add_argument("--tokens", type=Path, help="who may do what; `tg token` writes it")
    parser.add_argument("--certificate", type=Path, help="for TLS, a chain in PEM")
    parser.add_argument("--certificate-key", type=Path, help="its private key, in PEM")
    parser.add_argument("--access-log", action="store_true", help="a line for every request")
    parser.add_argument(
        "--preload",
        action="append",
        metavar="MODULE",
        help="imported once, before workers are forked; numpy and pandas unless given",
    )
    limits = parser.add_argument_group("limits")
    for name, kind, what in _LIMITS:
        limits.add_argument(f"--{name}", type=kind, metavar=name.rpartition("-")[2].upper(), help=what)
    parser.epilog = "What it logs are JSON objects, one a line, on the standard error."
    parser.set_defaults(call=_serve)


def _serve(options: Namespace) -> int:
    try:
        from ...delivery.serving.server import Server
        from ...delivery.serving.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise DeliveryError(
            f"the server needs {error.name}, which is not installed. Install it with what else it needs: "
            f"pip install 'training-grounds-delivery[serve]'."
        ) from error
    given = {
        name: value
        for name, value in vars(options).items()
        if name not in ("call", "store", "traceback") and value is not None
    }
    try:
        settings = ServerSettings(**given, **({"folder": options.store.absolute()} if options.store else {}))
    except ValueError as error:
        raise DeliveryError(str(error)) from error
    Server(settings).run()
    return 0


def _add_server(parser: ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="URL", help="the server's management port, http://host:8080")
    parser.add_argument("--token", help="TG_TOKEN, or that of a server on this machine, unless given")
    parser.add_argument("--json", action="store_true", help="for a program to read")


def _deploy_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--mode", choices=("live", "canary", "shadow", "none"), default="live", help="which requests it gets"
    )
    parser.add_argument(
        "--share", type=int, default=10, metavar="PERCENT", help="of a canary; %(default)s unless given"
    )
    _add_server(parser)
    parser.set_defaults(call=_deploy)


def _deploy(options: Namespace) -> int:
    from ...delivery.serving.client import ServerClient
    from ..bars import Bars

    client = ServerClient(options.to, token=options.token)
    with Bars():
        done = client.deploy(options.file, mode=options.mode, share=options.share)
    if options.json:
        print(json.dumps(done, indent=2))
    else:
        print(
            f"{done['name']} {done['version']} is ready after {1000 * done['seconds']['in all']:.0f} ms; "
            f"requests go to {_shares(done['traffic'])}"
        )
    return 0


def _traffic_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument(
        "weights",
        nargs="+",
        metavar="VERSION[=WEIGHT]",
        help="which versions get the requests, each with its share; 1.0.0 alone gets all of them",
    )
    parser.add_argument(
        "--shadow", metavar="VERSION", help="gets each request as well, and is compared, never returned"
    )
    _add_server(parser)
    parser.set_defaults(call=_direct)


def _direct(options: Namespace) -> int:
    from ...delivery.serving.client import ServerClient

    weights: dict[str, int] = {}
    for given in options.weights:
        version, _, weight = given.partition("=")
        if version in weights:
            raise DeliveryError(f"version {version} is given twice.")
        if weight and not weight.isdecimal():
            raise DeliveryError(f"{given!r} is not VERSION=WEIGHT with a whole number, as in 1.0.0=90 1.1.0=10.")
        if not weight and len(options.weights) > 1:
            raise DeliveryError(f"{given!r} has no weight, and there are several versions: 1.0.0=90 1.1.0=10.")
        weights[version] = int(weight or 100)
    traffic = ServerClient(options.to, token=options.token).direct(options.name, weights, options.shadow)
    if options.json:
        print(json.dumps(traffic, indent=2))
    else:
        shadow = f", and to {traffic['shadow']} as a shadow" if traffic["shadow"] else ""
        print(f"requests for {options.name} go to {_shares(traffic)}{shadow}")
    return 0


def _shares(traffic: Mapping[str, Any]) -> str:
    return ", ".join(f"{version} {_share(traffic, version)}" for version in traffic["weights"]) or "none"


def _share(traffic: Mapping[str, Any], version: str) -> str:
    weights = traffic["weights"]
    return f"{round(100 * weights[version] / sum(weights.values()))} %"


def _rollback_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    _add_server(parser)
    parser.set_defaults(call=_roll_back)


def _roll_back(options: Namespace) -> int:
    from ...delivery.serving.client import ServerClient

    done = ServerClient(options.to, token=options.token).roll_back(options.name)
    if options.json:
        print(json.dumps(done, indent=2))
    else:
        print(f"requests for {options.name} go to {_shares(done)}")
    return 0


def _status_arguments(parser: ArgumentParser) -> None:
    _add_server(parser)
    parser.set_defaults(call=_status)


def _status(options: Namespace) -> int:
    from ...delivery.serving.client import ServerClient

    status = ServerClient(options.to, token=options.token).status()
    if options.json:
        print(json.dumps(status, indent=2))
        return 0
    rows = []
    for name, served in status["names"].items():
        traffic = served["traffic"]
        for one in served["versions"]:
            version = one["version"]
            is_shadow = version == traffic["shadow"]
            share = _share(traffic, version) if version in traffic["weights"] else "shadow" if is_shadow else ""
            memory = size_of(one["memory_bytes"]) if one["memory_bytes"] else ""
            rows.append((name, version, str(one["state"]), share, str(one["workers"] or ""), memory))
    if rows:
        print(columns(("name", "version", "state", "requests", "workers", "memory"), rows))
    else:
        print(
            f"{options.to} serves nothing yet. `tg deploy FILE --to {options.to}` gives it a package.", file=sys.stderr
        )
    return 0


def _token_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="who gets it")
    parser.add_argument("--role", choices=("read", "infer", "deploy"), required=True)
    parser.add_argument("--tokens", type=Path, help=f"the file; {Loc.server / 'tokens.json'} unless given")
    parser.set_defaults(call=_new_token)


def _new_token(options: Namespace) -> int:
    from ...delivery.serving.access import Access, Role

    file = options.tokens or Loc.server / "tokens.json"
    print(Access.new_token(file, options.name, Role[options.role.upper()]))
    return 0


VERBS = {
    "serve": _serve_arguments,
    "deploy": _deploy_arguments,
    "traffic": _traffic_arguments,
    "rollback": _rollback_arguments,
    "status": _status_arguments,
    "token": _token_arguments,
}
