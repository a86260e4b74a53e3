"""Processes that are killed, or that get in each other's way, while they make, install, remove and prune packages.

    python victims.py kill ROUNDS SEED          kill -9 at a random moment, then look whether all is whole
    python victims.py crowd PROCESSES SEED      many processes at once

Run in a project with `tg/`, with TG_HOME set. The last line printed is JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tg.common.delivery.delivery import (
    Packaging,
    get_loader_from_installed_package,
    install_package_and_get_loader,
    list_installed,
    prune,
    uninstall,
)
from tg.common.delivery.delivery import store as store_module
from tg.common.delivery.delivery.store import Store
from tg.common.delivery.runtime import whole_files
from tg.common.delivery.runtime.errors import PackageNotFound
from tg.common.delivery.trust import Policy
from tg.common.locations import Loc

KINDS = ("make", "install", "uninstall", "prune")


def make(version: str) -> Path:
    from tg.my.job import Job  # type: ignore[import-not-found]  # of the project

    packaging = Packaging("soaked", version, {"job": Job(version), "data": bytearray(200_000)})
    packaging.silent = True
    location = packaging.make_package().package_location
    assert location is not None
    return location


def look(files: list[Path]) -> None:
    """Whoever comes after a crash: what is listed is whole and loads, what comes next succeeds, nothing lies about."""
    whole_files._NO_LOCK_YET_SECONDS = 0  # nobody else is at work now
    store = Store()
    for package in list_installed():
        store.check(package, policy=Policy.any())
        assert get_loader_from_installed_package(package.module_name).load_resource("job").run() == package.version
    for path in Loc.packages.rglob("*.whl"):
        store.install(path)
    entry_point = install_package_and_get_loader(files[0], silent=True)
    assert entry_point.load_resource("job").run() == entry_point.version
    make("9.9.9")
    left = [
        str(path)
        for path in Loc.home.rglob("*")
        if path.name.startswith((".unfinished-", "tmp-")) and path.name != ".lock"
    ]
    assert left == [], left


def in_a_child(call: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        except BaseException:  # noqa: BLE001  the edge of the process
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return child


def kill(rounds: int, seed: int) -> dict[str, object]:
    chance = random.Random(seed)
    files = [make(f"1.0.{number}") for number in range(4)]
    done: Counter[str] = Counter()
    for number in range(rounds):
        kind = KINDS[number % len(KINDS)]
        if kind in ("uninstall", "prune"):
            for file in files:
                Store().install(file)

        def at_work(kind: str = kind, number: int = number) -> None:
            once = 0
            while True:
                if kind == "make":
                    make(f"2.{number}.{once}")
                elif kind == "install":
                    for file in files:
                        Store().install(file)
                    for package in list_installed():
                        Store().remove(package)
                elif kind == "uninstall":
                    for package in list_installed():
                        uninstall(package)
                    for file in files:
                        Store().install(file)
                else:
                    prune(keep=once % 2)
                    for file in files:
                        Store().install(file)
                once += 1

        child = in_a_child(at_work)
        time.sleep(chance.uniform(0.001, 0.12))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"{kind} ended by itself"
        _, status = os.waitpid(in_a_child(lambda: look(files)), 0)
        assert status == 0, f"after a kill in round {number}, while it did: {kind}"
        done[kind] += 1
        for path in Loc.packages.rglob("*.whl"):
            if path not in files:
                path.unlink()
    return {"killed": done}


def crowd(processes: int, seed: int) -> dict[str, object]:
    """First all install the same two contents; then each does what it likes with five."""
    files = [make(f"1.0.{number}") for number in range(5)]
    log = os.open(Loc.home / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    make_folders, rename = store_module._make_folders, store_module._rename_if_there

    def unpacks(root: Path, members: dict[str, object]) -> None:
        os.write(log, f"unpacks {next(iter(members)).partition('/')[0]}\n".encode())
        make_folders(root, members)

    def removes(folder: Path, to: Path) -> None:
        rename(folder, to)
        for path in to.glob("*/package.json"):  # nobody else has it now
            os.write(log, f"removes {path.parent.name}\n".encode())

    store_module._make_folders = unpacks
    store_module._rename_if_there = removes

    def same(number: int) -> None:
        file = files[number % 2]
        entry_point = install_package_and_get_loader(file, silent=True)
        assert entry_point.load_resource("job").run() == entry_point.version

    def likes(number: int) -> None:
        chance = random.Random(seed * 1000 + number)
        for _ in range(6):
            doing = chance.choice(["install", "install", "install", "load", "uninstall", "prune"])
            file = chance.choice(files)
            version = file.name.split("-")[1]
            try:
                if doing == "install":
                    entry_point = install_package_and_get_loader(file, silent=True)
                    assert entry_point.load_resource("job").run() == version
                elif doing == "load":
                    loader = get_loader_from_installed_package("soaked", version)
                    assert loader.load_resource("job").run() == version
                elif doing == "uninstall":
                    uninstall("soaked", version)
                else:
                    prune(keep=2)
                seen = doing
            except PackageNotFound:
                seen = "not installed"
            os.write(log, f"did {seen}\n".encode())

    together(same, processes)
    lines = Counter((Loc.home / "log").read_text().splitlines())
    assert lines == {"unpacks soaked__1_0_0": 1, "unpacks soaked__1_0_1": 1}, lines
    together(likes, processes)
    lines = Counter((Loc.home / "log").read_text().splitlines())
    for number in range(5):
        unpacked, removed = lines[f"unpacks soaked__1_0_{number}"], lines[f"removes soaked__1_0_{number}"]
        assert unpacked <= removed + 1, (number, lines)
    _, status = os.waitpid(in_a_child(lambda: look(files)), 0)
    assert status == 0
    return {"did": {name.removeprefix("did "): count for name, count in lines.items() if name.startswith("did ")}}


def together(call: Callable[[int], None], processes: int) -> None:
    """Start them behind a gate, open it, and wait for all."""
    behind, gate = os.pipe()

    def waits(number: int) -> None:
        os.close(gate)
        os.read(behind, 1)
        call(number)

    children = [in_a_child(lambda number=number: waits(number)) for number in range(processes)]  # type: ignore[misc]
    os.close(behind)
    os.close(gate)
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    assert not failed, f"{len(failed)} of {processes} processes failed"


if __name__ == "__main__":
    print(json.dumps({"kill": kill, "crowd": crowd}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))))
