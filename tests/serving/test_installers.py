"""Installers: processes that are kept for the next package, as many as there are packages at once, and that can be lost."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from serving.servers import Packages
from waiting import Process, alive, descendants

from tg.common.delivery.serving.children import Nurseries
from tg.common.delivery.serving.installers import Installers
from tg.common.delivery.serving.replica import FailedToStart
from tg.common.delivery.serving.settings import ServerSettings


@pytest.fixture
def settings(tmp_path: Path) -> ServerSettings:
    policy = tmp_path / "policy.json"
    policy.write_text('{"anything": true}', encoding="utf-8")
    policy.chmod(0o600)
    return ServerSettings(folder=tmp_path / "state", policy=policy, installing_seconds=60)


Processes = Callable[[], set[Process]]


def _run(settings: ServerSettings, work: Callable[[Installers, Processes], Awaitable[None]]) -> None:
    """`work` is given installers, and what tells their processes."""

    async def main() -> None:
        before = descendants(os.getpid())
        nurseries = Nurseries(())
        await nurseries.open()
        ((nursery, _),) = descendants(os.getpid()) - before
        installers = Installers(nurseries, settings)
        try:
            await work(installers, lambda: alive(descendants(nursery)))
        finally:
            await installers.close()
            nurseries.close()

    asyncio.run(asyncio.wait_for(main(), 120))


def test_one_process_installs_one_package_after_the_other_and_removes_them(
    settings: ServerSettings, packages: Packages
) -> None:
    files = [packages.make("installed", version, f"Versioned({version!r})") for version in ("1", "2")]

    async def work(installers: Installers, processes: Processes) -> None:
        first = await installers.install(files[0], lambda facts: None)
        (process,) = processes()
        second = await installers.install(files[1], lambda facts: None)
        assert (first["version"], second["version"]) == ("1", "2")
        assert (Path(first["folder"]) / "package.json").is_file()
        assert (Path(second["folder"]) / "package.json").is_file()
        await installers.remove(Path(first["folder"]).parent)
        assert not Path(first["folder"]).parent.exists()
        assert processes() == {process}

    _run(settings, work)


def test_what_goes_wrong_with_one_package_is_told_of_that_alone(
    settings: ServerSettings, packages: Packages, tmp_path: Path
) -> None:
    good = packages.make("right", "1", "Versioned('1')")
    broken = tmp_path / "broken.whl"
    broken.write_bytes(good.read_bytes()[:-1000])

    async def work(installers: Installers, processes: Processes) -> None:
        with pytest.raises(FailedToStart, match=r"^the package ") as raised:
            await installers.install(broken, lambda facts: None)
        assert raised.value.kind == "PackageRejected"
        (process,) = processes()
        assert (await installers.install(good, lambda facts: None))["name"] == "right"
        assert processes() == {process}

    _run(settings, work)


def test_packages_at_once_have_a_process_each_and_two_are_kept(settings: ServerSettings, packages: Packages) -> None:
    files = [packages.make("at_once", version, f"Versioned({version!r})") for version in ("1", "2", "3", "4")]

    async def work(installers: Installers, processes: Processes) -> None:
        found = await asyncio.gather(*(installers.install(file, lambda facts: None) for file in files))
        assert [one["version"] for one in found] == ["1", "2", "3", "4"]
        while len(processes()) > 2:
            await asyncio.sleep(0.01)
        assert len(processes()) == 2

    _run(settings, work)


def test_an_installer_that_is_lost_is_told_and_the_next_package_has_another(
    settings: ServerSettings, packages: Packages
) -> None:
    first, second, third = (packages.make("lost", version, f"Versioned({version!r})") for version in ("1", "2", "3"))

    async def work(installers: Installers, processes: Processes) -> None:
        await installers.install(first, lambda facts: None)
        ((process, _),) = processes()
        os.kill(process, signal.SIGSTOP)  # so that it is at it for sure
        installing = asyncio.create_task(installers.install(second, lambda facts: None))
        await asyncio.sleep(0.1)
        os.kill(process, signal.SIGKILL)
        with pytest.raises(FailedToStart, match=r"^installing it has failed: the worker was ended by signal 9"):
            await installing
        await installers.install(third, lambda facts: None)
        another = processes()
        assert process not in dict(another)
        os.kill(next(iter(dict(another))), signal.SIGKILL)  # while it has nothing to do
        while alive(another):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # and its end has been seen
        assert (await installers.install(second, lambda facts: None))["version"] == "2"

    _run(settings, work)


def test_an_installer_that_takes_too_long_is_ended(tmp_path: Path, settings: ServerSettings) -> None:
    empty = tmp_path / "empty.whl"
    empty.write_bytes(b"")
    settings = dataclasses.replace(settings, installing_seconds=3)

    async def work(installers: Installers, processes: Processes) -> None:
        with pytest.raises(FailedToStart):
            await installers.install(empty, lambda facts: None)
        ((process, _),) = processes()
        os.kill(process, signal.SIGSTOP)
        reason = r"^installing it has not ended after 3 s, and was given up$"
        with pytest.raises(FailedToStart, match=reason):
            await installers.install(empty, lambda facts: None)
        assert not processes()

    _run(settings, work)
