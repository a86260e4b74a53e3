"""The verb `doctor`: what is here of all that delivery uses, and what to do about what is not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from ...delivery.runtime.errors import DeliveryError
from ...delivery.runtime.sizes import size_of
from ...locations import Loc
from ..deliverable import project_folder
from ..exit_codes import FOUND_WRONG
from ..signing_key import default_key
from ..terminal import coloured
from ..version import version

__all__ = ["VERBS", "Finding"]

_LITTLE_BYTES = 2 * 1024**3
_SECONDS = 10
_NO_ENGINE = "Docker or podman is what runs containers here; a server's serves as well: --in ssh://me@server"
_EXTRAS = {
    "serve": ("starlette", "a web server that takes new versions while it answers"),
    "ray": ("ray", "running on a Ray cluster"),
    "dask": ("distributed", "running on a Dask cluster"),
    "bill": ("cyclonedx", "bills of materials"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` is `good`, `missing` (something cannot be done without it) or `broken`."""

    what: str
    state: str
    found: str
    to_do: str = ""


def _doctor_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--engine", action="append", metavar="HOST", help="look at the engine of a server as well: ssh://me@server"
    )
    parser.add_argument(
        "--registry", action="append", metavar="HOST", help="look whether a registry answers: registry:5000"
    )
    parser.add_argument(
        "--server", action="append", metavar="URL", help="look whether `tg serve` answers there: http://host:8080"
    )
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.epilog = (
        f"The exit code is {FOUND_WRONG} when something is broken that has to work; what is only missing is not."
    )
    parser.set_defaults(call=_doctor)


def _doctor(options: Namespace) -> int:
    marks = {"good": ("✓", "green"), "missing": ("-", "yellow"), "broken": ("✗", "red")}
    found = []
    for finding in _findings(options):
        found.append(finding)
        if not options.json:
            sign, colour = marks[finding.state]
            print(f"{coloured(sign, colour)} {finding.what:<12} {finding.found}", flush=True)
            if finding.to_do:
                print(f"  {'':<12} {coloured('→ ' + finding.to_do, 'bold')}")
    if options.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
    return FOUND_WRONG if any(one.state == "broken" for one in found) else 0


def _findings(options: Namespace) -> Iterator[Finding]:
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("delivery", _delivery),
        ("project", _project),
        ("files", _files),
        ("uv", _uv),
        ("engine", lambda: _engine(None)),
        ("ssh", _ssh),
        *(("engine", lambda host=host: _engine(host)) for host in options.engine or ()),
        *(("registry", lambda host=host: _registry(host)) for host in options.registry or ()),
        *(("server", lambda url=url: _server(url)) for url in options.server or ()),
        ("trust", _trust),
        ("key", _key),
        *((f"[{extra}]", lambda extra=extra: _extra(extra)) for extra in _EXTRAS),
    ]
    for what, check in checks:
        try:
            yield check()
        except (DeliveryError, RuntimeError) as error:  # `Loc` has the latter for a home folder that nobody knows
            yield Finding(what, "broken", *_parts(error))
        except (OSError, subprocess.TimeoutExpired) as error:
            yield Finding(what, "broken", str(error), "look whether it works by itself, and is yours to use")


def _delivery() -> Finding:
    place = Path(__file__).parents[4]
    return Finding("delivery", "good", f"{version()} in {place}, Python {sys.version.split()[0]} in {sys.prefix}")


def _project() -> Finding:
    folder = project_folder()
    tree = folder / "tg"
    if not tree.is_dir():
        return Finding(
            "project",
            "missing",
            f"{folder} has no tg/, nor has a folder above",
            "tg init lays out a project here, tg init DIR in a folder",
        )
    if (tree / "__init__.py").exists():
        return Finding(
            "project",
            "broken",
            f"{tree} has an __init__.py, so Python finds no other part of tg, tg.common among them",
            f"remove {tree / '__init__.py'}: tg is a namespace package",
        )
    own = sorted(one.name for one in tree.iterdir() if one.is_dir() and any(one.glob("*.py")))
    return Finding("project", "good", f"{tree}: {', '.join(own) or 'nothing in it yet'}")


def _files() -> Finding:
    try:
        home = Loc.home
    except RuntimeError as error:
        return Finding("files", "broken", str(error), "export TG_HOME=…")
    there = next(one for one in (home, *home.parents) if one.exists())
    if not os.access(there, os.W_OK):
        return Finding(
            "files", "broken", f"{home} cannot be written by this user", "export TG_HOME=… names another place"
        )
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("files", "broken", f"{there}: {error.strerror}", "export TG_HOME=… names another place")
    used = f"{home}, {size_of(free)} free"
    if free < _LITTLE_BYTES:
        return Finding(
            "files",
            "broken",
            f"{used}: too little for images and environments",
            "tg prune, or export TG_HOME=… names another disk",
        )
    return Finding("files", "good", used)


def _uv() -> Finding:
    from ...delivery.environments.uv import find_uv

    uv = find_uv()
    if uv is None:
        return Finding(
            "uv", "broken", "is not installed: no environments, no locks, no images with dependencies", "pip install uv"
        )
    return Finding("uv", "good", f"{_said(uv, '--version')} ({uv})")


def _engine(host: str | None) -> Finding:
    from ...delivery.images.engine import Engine

    what = "engine"
    try:
        with Engine(host) as engine:
            platform = engine.platform()
            kind = "podman" if engine.is_podman else "Docker"
            return Finding(what, "good", f"{kind} at {engine.name}, {platform}")
    except DeliveryError as error:
        said, to_do = _parts(error)
        if host is not None:
            return Finding(what, "broken", said, to_do)
        return Finding(what, "missing", said, f"{to_do} {_NO_ENGINE}".strip())


def _ssh() -> Finding:
    ssh = shutil.which("ssh")
    if ssh is None:
        return Finding(
            "ssh",
            "missing",
            "is not on the PATH: nothing runs on servers",
            "install OpenSSH's client (apt install openssh-client)",
        )
    return Finding("ssh", "good", f"{_said(ssh, '-V')} ({ssh})")


def _registry(host: str) -> Finding:
    from ...delivery.images.credentials import stored_credentials
    from ...delivery.images.registry import Registry

    with Registry(host) as registry:
        registry.check_access()
    stored = stored_credentials(host)
    return Finding(
        "registry",
        "good",
        f"{host} answers; {'credentials are stored' if stored else 'no credentials are stored for it'}",
    )


def _server(url: str) -> Finding:
    from ...delivery.serving.client import ServerClient

    status = ServerClient(url).status()
    return Finding("server", "good", f"{url} serves {', '.join(status['names']) or 'nothing yet'}")


def _trust() -> Finding:
    from ...delivery.trust import Policy

    policy = Policy.configured()
    if policy is None:
        return Finding("trust", "good", "no policy: what you make on this machine is accepted, and nothing else")
    named = os.environ.get("TG_POLICY") or str(Loc.trust / "policy.json")
    return Finding("trust", "good", f"the policy {named} holds")


def _key() -> Finding:
    file = default_key()
    if not file.exists():
        return Finding("key", "missing", f"there is none at {file}: packages are not signed", "tg keys new")
    return Finding("key", "good", str(file))


def _extra(extra: str) -> Finding:
    module, what = _EXTRAS[extra]
    if find_spec(module) is None:
        return Finding(f"[{extra}]", "missing", f"for {what}", f"pip install 'training-grounds-delivery[{extra}]'")
    return Finding(f"[{extra}]", "good", f"is installed: {what}")


def _parts(error: Exception) -> tuple[str, str]:
    """What happened, and what to do about it: the first sentence, and the others."""
    said, *rest = re.split(r"\.\s+|\n", str(error), maxsplit=1)
    return said.rstrip("."), " ".join(" ".join(rest).split())


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    return (done.stdout or done.stderr).strip().split("\n")[0]


VERBS = {"doctor": _doctor_arguments}
