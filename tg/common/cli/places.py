"""Places to run: what `--in` names, and the executor that runs packages there."""

from __future__ import annotations

import re
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from ..delivery.runtime.errors import InvalidName

if TYPE_CHECKING:
    from pathlib import Path

    from ..delivery.delivery.containering import Containering

__all__ = [
    "PLACES",
    "add_image_settings",
    "add_limits",
    "add_place",
    "add_policy",
    "containering_of",
    "executor_of",
    "place_of_run",
    "policy_of",
]

PLACES = "attached, process, docker, ssh://me@server, ray://host:10001, dask://host:8786"
_KINDS = {
    "attached": ("propagate",),
    "process": ("propagate", "input", "output", "cpus", "memory", "time_seconds"),
    "docker": (
        "propagate input output cpus memory time_seconds disk no_network keep base_image system_package from_source"
    ).split(),
    "cluster": ("environment",),
}
"""The options that each kind of place knows."""
_CONTAINER = re.compile(r"[0-9a-f]{12,64}")


def add_place(parser: ArgumentParser, *, default: str | None = "process") -> None:
    """`--in`."""
    parser.add_argument(
        "--in",
        dest="place",
        default=default,
        metavar="PLACE",
        help=f"where: {PLACES}; {default or 'found by the id'} unless given",
    )


def add_policy(parser: ArgumentParser) -> None:
    """`--policy`."""
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        help="whose packages are accepted: own, any, or a file; what holds on this machine unless given",
    )


def add_limits(parser: ArgumentParser) -> None:
    """What a run is given, and the limits that it has."""
    given = parser.add_argument_group("what the job is given, and leaves")
    given.add_argument(
        "--propagate", action="append", metavar="VARIABLE", help="of your environment, whose value it gets"
    )
    given.add_argument(
        "--input",
        action="append",
        type=_pair,
        metavar="NAME=PATH",
        help="a file or folder from here, and its name there",
    )
    given.add_argument(
        "--output", action="append", type=_pair, metavar="NAME=PATH", help="a folder of it, and where it comes to here"
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument("--cpus", type=float, metavar="N")
    limits.add_argument("--memory", metavar="SIZE", help="4g")
    limits.add_argument("--time-seconds", type=float, metavar="N")
    limits.add_argument("--disk", metavar="SIZE", help="of a container's working folder")
    limits.add_argument("--no-network", action="store_true", help="a container gets at none")
    parser.add_argument(
        "--environment",
        choices=("workers", "isolated"),
        help="of a cluster: that of its workers, which is meant unless given, or one of the package's own",
    )
    parser.add_argument("--keep", action="store_true", help="keep a container after its result was taken")


def add_image_settings(parser: ArgumentParser) -> None:
    """The settings of an image that packages need most."""
    image = parser.add_argument_group("settings of the image")
    image.add_argument("--base-image", metavar="IMAGE", help="python:X.Y-slim unless given")
    image.add_argument("--system-package", action="append", metavar="NAME", help="of Debian, that the image needs")
    image.add_argument("--from-source", action="append", metavar="NAME", help="a dependency that comes without a wheel")


def policy_of(named: str | None) -> Any:
    """The policy of that name, or in that file; `None` where nothing was named."""
    from ..delivery.trust import Policy

    if named in ("own", "any"):
        return Policy.own() if named == "own" else Policy.any()
    return None if named is None else Policy.of_file(named)


def executor_of(place: str, options: Namespace) -> Any:
    """The executor of a place; an `Executor`, but that those of clusters find maps as well. Raises `InvalidName` for a place that there is not, and for options that it does not know."""
    kind = _kind(place)
    values = {name: getattr(options, name, None) for name in {one for known in _KINDS.values() for one in known}}
    odd = [name for name, value in values.items() if value not in (None, False, []) and name not in _KINDS[kind]]
    if odd:
        named = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(odd))
        raise InvalidName(
            f"--in {place} does not know {named}. Leave that out, or run it in another place.", given=place
        )
    policy = policy_of(getattr(options, "policy", None))
    if kind == "attached":
        from ..delivery.execution.attached import AttachedExecutor

        return AttachedExecutor(propagate=values["propagate"] or (), policy=policy)
    if kind == "cluster":
        from ..delivery.cluster.addresses import executor_at

        return executor_at(place, policy=policy, environment=getattr(options, "environment", None) or "workers")
    common = {
        "propagate": values["propagate"] or (),
        "inputs": dict(values["input"] or ()),
        "outputs": dict(values["output"] or ()),
        "cpus": values["cpus"],
        "memory": values["memory"],
        "time_seconds": values["time_seconds"],
        "policy": policy,
    }
    if kind == "process":
        from ..delivery.execution.process import ProcessExecutor

        return ProcessExecutor(**common)
    from ..delivery.execution.docker import DockerExecutor

    return DockerExecutor(
        **common,
        host=None if place == "docker" else place,
        disk=values["disk"],
        network=not values["no_network"],
        keep=bool(values["keep"]),
    )


def containering_of(package: Path, options: Namespace) -> Containering | None:
    """The settings of the image of a package file, where options say some."""
    names = {"base_image": "base_image", "system_package": "system_packages", "from_source": "from_source"}
    given = {setting: value for option, setting in names.items() if (value := getattr(options, option, None))}
    if not given:
        return None
    from ..delivery.delivery.containering import Containering

    settings = Containering.from_package(package)
    for setting, value in given.items():
        setattr(settings, setting, value)
    return settings


def place_of_run(run_id: str) -> str:
    """Where a run of that id is, unless it is said: containers have ids of hexadecimal digits, processes the package's name."""
    return "docker" if _CONTAINER.fullmatch(run_id) else "process"


def _kind(place: str) -> str:
    if place in ("attached", "process", "docker"):
        return place
    scheme = place.partition("://")[0] if "://" in place else ""
    if scheme in ("ssh", "unix", "tcp", "npipe"):
        return "docker"
    if scheme in ("ray", "dask", "dask+tls"):
        return "cluster"
    hint = f" For a server: ssh://{place}." if "@" in place or "." in place else ""
    raise InvalidName(f"there is no place {place!r} to run. There are {PLACES}.{hint}", given=place)


def _pair(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        from argparse import ArgumentTypeError

        raise ArgumentTypeError(f"{text!r} is no NAME=PATH")
    return name, path
