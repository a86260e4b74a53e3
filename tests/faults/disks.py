"""Disks that refuse: run in a mount namespace of its own (`unshare --mount`), so that nothing stays mounted.

    python disks.py KIND FOLDER OLD NEW

mounts a disk of that kind on FOLDER, installs OLD there, lets the disk refuse, tries to install NEW and to make a package,
and lets it take things again. Run in a project with `tg/`. The last line printed is JSON: what was said.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tg.common.delivery.delivery import (
    Packaging,
    get_loader_from_installed_package,
    install_package_and_get_loader,
    list_installed,
)
from tg.common.delivery.runtime.errors import StorageProblem
from tg.common.locations import Loc

MIB = 1024 * 1024


def run(*command: object) -> None:
    subprocess.run([str(one) for one in command], check=True, stdout=subprocess.DEVNULL)


def mount(kind: str, folder: Path) -> None:
    if kind == "quota":
        image = folder.with_name("image")
        with image.open("wb") as file:
            file.truncate(256 * MIB)
        run("mkfs.btrfs", "-q", image)
        run("mount", "-o", "loop", image, folder)
        image.unlink()
        run("btrfs", "quota", "enable", folder)
        run("btrfs", "subvolume", "create", folder / "home")
        run("btrfs", "qgroup", "limit", "16M", folder / "home")
    else:
        run("mount", "-t", "tmpfs", "-o", f"size=16m,nr_inodes={1500 if kind == 'inodes' else 20_000}", "disk", folder)


def fill(folder: Path) -> Callable[[], None]:
    """Take all room, and give it back."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (64 * 1024, 4096):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return filler.unlink


def fill_inodes(folder: Path) -> Callable[[], None]:
    fillers = []
    with suppress(OSError):
        while True:
            fillers.append(folder / f"filler-{len(fillers)}")
            fillers[-1].touch()
    fillers.pop()
    return lambda: [one.unlink() for one in fillers] and None


def let_refuse(kind: str, folder: Path) -> Callable[[], None]:
    if kind == "read-only":
        run("mount", "-o", "remount,ro", folder)
        return lambda: run("mount", "-o", "remount,rw", folder)
    return fill_inodes(folder) if kind == "inodes" else fill(folder / "home")


def make() -> None:
    packaging = Packaging("made_here", None, {"data": bytearray(2 * MIB)})
    packaging.silent = True
    packaging.make_package()


def main(kind: str, folder: Path, old: Path, new: Path) -> dict[str, str]:
    mount(kind, folder)
    os.environ["TG_HOME"] = str(folder / "home")
    install_package_and_get_loader(old, silent=True)
    before = sorted(path for path in Loc.home.rglob("*"))
    put_right = let_refuse(kind, folder)
    said = {}
    attempts: dict[str, Callable[[], object]] = {
        "install": lambda: install_package_and_get_loader(new, silent=True),
        "make": make,
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except StorageProblem as error:
            said[name] = str(error)
        assert name in said, f"{name} worked on a disk that refuses"
    after = sorted(path for path in Loc.home.rglob("*"))
    left = {path for path in set(after) - set(before) if not path.is_dir() and path.name != "filler"}
    assert not left, left
    assert [one.version for one in list_installed()] == ["1.0.0"]
    loader = get_loader_from_installed_package("my_job")
    assert loader.load_resource("job").run() == "one"
    put_right()
    assert install_package_and_get_loader(new, silent=True).load_resource("job").run() == "two"
    make()
    return said


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(Path, sys.argv[2:]))))
