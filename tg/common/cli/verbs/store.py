"""Verbs of what is installed: `install`, `list`, `uninstall`, `prune`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from ...locations import Loc
from ..places import add_policy, policy_of
from ..terminal import columns, moment

if TYPE_CHECKING:
    from ...delivery.delivery.store import InstalledPackage

__all__ = ["VERBS"]

_SEAL_SHOWN = 12


def _install_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", help="package files")
    parser.add_argument(
        "--no-dependencies", action="store_true", help="refuse it when something that it needs is missing here"
    )
    add_policy(parser)
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.set_defaults(call=_install)


def _install(options: Namespace) -> int:
    from ...delivery.delivery.installing import install_package_and_get_loader
    from ..bars import Bars
    from ..log_handler import shown

    policy = policy_of(options.policy)
    told = []
    for file in options.file:
        with shown(), Bars():
            entry_point = install_package_and_get_loader(
                file, silent=True, install_dependencies=not options.no_dependencies, policy=policy
            )
        folder = entry_point.resources_location.parent
        told.append(
            {
                "name": entry_point.name,
                "version": entry_point.version,
                "module_name": entry_point.module_name,
                "folder": str(folder),
            }
        )
        if not options.json:
            print(f"{entry_point.name} {entry_point.version} is installed as {entry_point.module_name}")
    if options.json:
        print(json.dumps(told, indent=2))
    return 0


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="only packages of that name")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.set_defaults(call=_list)


def _list(options: Namespace) -> int:
    if Loc.store.is_dir():
        from ...delivery.delivery.store import list_installed

        found = [one for one in list_installed() if options.name in (None, one.name)]
    else:
        found = []
    if options.json:
        print(json.dumps([_facts(one) for one in found], indent=2))
    elif found:
        rows = [
            (one.name, one.version, moment(one.installed_at), one.seal[:_SEAL_SHOWN], one.module_name) for one in found
        ]
        print(columns(("name", "version", "installed", "digest", "module"), rows))
    else:
        what = f"no package {options.name}" if options.name else "no package"
        print(f"{what} is installed in {Loc.store}. `tg install FILE` installs one.", file=sys.stderr)
    return 0


def _uninstall_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="of the package, or its module")
    parser.add_argument("version", nargs="?", help="where there are several")
    parser.set_defaults(call=_uninstall)


def _uninstall(options: Namespace) -> int:
    from ...delivery.delivery.installing import uninstall

    uninstall(options.name, options.version)
    print(f"{options.name}{f' {options.version}' if options.version else ''} is uninstalled")
    return 0


def _prune_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--keep", type=int, default=3, metavar="N", help="of each name; %(default)s unless given")
    parser.add_argument("--json", action="store_true", help="for a program to read")
    parser.epilog = "For a time when nothing runs that uses them."
    parser.set_defaults(call=_prune)


def _prune(options: Namespace) -> int:
    from ...delivery.delivery.store import prune

    removed = prune(keep=options.keep)
    if options.json:
        print(json.dumps([_facts(one) for one in removed], indent=2))
    else:
        for one in removed:
            print(f"{one.name} {one.version} is removed")
        if not removed:
            print("there was nothing to remove", file=sys.stderr)
    return 0


def _facts(package: InstalledPackage) -> dict[str, object]:
    return {
        "name": package.name,
        "version": package.version,
        "module_name": package.module_name,
        "installed_at": package.installed_at,
        "digest": f"sha256:{package.seal}",
        "folder": str(package.folder),
        "requirements": list(package.facts.requirements()),
    }


VERBS = {
    "install": _install_arguments,
    "list": _list_arguments,
    "uninstall": _uninstall_arguments,
    "prune": _prune_arguments,
}
