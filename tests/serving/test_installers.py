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
from waiting import Process, alive, children, descendants

from tg.common.delivery.runtime.errors import WorkerEnded
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


def _quiet(facts: object) -> None:
    """Nobody listens."""


def _run(settings: ServerSettings, work: Callable[[Installers, Processes], Awaitable[None]]) -> None:
    """`work` is given installers, and what tells their processes; nothing of them may be left at the end."""

    async def main() -> None:
        before = children(os.getpid())
        nurseries = Nurseries(())
        await nurseries.open()
        (nursery,) = children(os.getpid()) - before
        installers = Installers(nurseries, settings, _quiet)
        try:
            await work(installers, lambda: alive(descendants(nursery)))
        finally:
            await installers.close()
            assert not alive(descendants(nursery))
            nurseries.close()
        installers.remove(settings.store_folder)  # a server that ends begins with nothing more
        with pytest.raises(WorkerEnded, match="the server is ending"):
            await installers.install(settings.store_folder, _quiet)
        with pytest.raises(WorkerEnded, match="the server is ending"):
            await nurseries.open()

    asyncio.run(asyncio.wait_for(main(), 120))


async def _seen(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.01)


def test_one_process_installs_one_package_after_the_other_and_removes_them(
    settings: ServerSettings, packages: Packages
) -> None:
    files = [packages.make("installed", version, f"Versioned({version!r})") for version in ("1", "2")]

    async def work(installers: Installers, processes: Processes) -> None:
        first = await installers.install(files[0], _quiet)
        (process,) = processes()
        second = await installers.install(files[1], _quiet)
        assert (first["version"], second["version"]) == ("1", "2")
        assert (Path(first["folder"]) / "package.json").is_file()
        assert (Path(second["folder"]) / "package.json").is_file()
        installers.remove(Path(first["folder"]).parent)
        await _seen(lambda: not Path(first["folder"]).parent.exists())
        assert processes() == {process}

    _run(settings, work)


def test_what_is_removed_when_the_server_ends_is_removed_to_the_end(
    settings: ServerSettings, packages: Packages
) -> None:
    files = [packages.make("ending", version, f"Versioned({version!r})") for version in ("1", "2", "3")]
    folders = []

    async def work(installers: Installers, processes: Processes) -> None:
        folders.extend([Path((await installers.install(file, _quiet))["folder"]).parent for file in files])
        for folder in folders:
            installers.remove(folder)
        await asyncio.sleep(0)
        assert len(processes()) == 1  # one after the other

    _run(settings, work)
    assert not any(folder.exists() for folder in folders)


def test_what_goes_wrong_with_one_package_is_told_of_that_alone(
    settings: ServerSettings, packages: Packages, tmp_path: Path
) -> None:
    good = packages.make("right", "1", "Versioned('1')")
    broken = tmp_path / "broken.whl"
    broken.write_bytes(good.read_bytes()[:-1000])
    assert settings.policy is not None

    async def failing(installers: Installers, file: Path) -> str:
        with pytest.raises(FailedToStart) as raised:
            await installers.install(file, _quiet)
        return raised.value.kind

    async def work(installers: Installers, processes: Processes) -> None:
        assert await failing(installers, broken) == "PackageRejected"
        (process,) = processes()
        anything = settings.policy.read_text("utf-8")
        settings.policy.write_text("{}", encoding="utf-8")  # it is read for each package
        assert await failing(installers, good) == "UntrustedPackage"
        settings.policy.write_text(anything, encoding="utf-8")
        assert (await installers.install(good, _quiet))["name"] == "right"
        assert processes() == {process}

    _run(settings, work)


def test_packages_at_once_have_a_process_each_and_two_are_kept(settings: ServerSettings, packages: Packages) -> None:
    files = [packages.make("at_once", version, f"Versioned({version!r})") for version in ("1", "2", "3", "4")]

    async def work(installers: Installers, processes: Processes) -> None:
        found = await asyncio.gather(*(installers.install(file, _quiet) for file in files))
        assert [one["version"] for one in found] == ["1", "2", "3", "4"]
        await _seen(lambda: len(processes()) <= 2)
        kept = processes()
        assert len(kept) == 2
        await asyncio.gather(*(installers.install(file, _quiet) for file in files[:2]))
        assert processes() == kept

    _run(settings, work)


def test_an_installer_that_ends_at_its_first_package_is_told(settings: ServerSettings, packages: Packages) -> None:
    file = packages.make("lost", "1", "Versioned('1')")
    policy = settings.policy
    assert policy is not None
    anything = policy.read_text("utf-8")
    policy.unlink()
    os.mkfifo(policy, 0o600)  # whoever reads it waits for who writes it: so the package is not installed for sure

    async def work(installers: Installers, processes: Processes) -> None:
        installing = asyncio.create_task(installers.install(file, _quiet))
        await _seen(lambda: bool(processes()))
        ((process, _),) = processes()
        os.kill(process, signal.SIGKILL)
        with pytest.raises(
            FailedToStart, match=r"^installing it has failed: the worker (was ended by signal 9|has ended)"
        ):
            await installing
        policy.unlink()
        policy.write_text(anything, encoding="utf-8")
        policy.chmod(0o600)
        assert (await installers.install(file, _quiet))["version"] == "1"

    _run(settings, work)


@pytest.mark.parametrize("busy", [True, False])
def test_an_installer_that_has_ended_since_its_last_package_is_not_told_of_the_next(
    settings: ServerSettings, packages: Packages, busy: bool
) -> None:
    first, second = (packages.make("innocent", version, f"Versioned({version!r})") for version in ("1", "2"))

    async def work(installers: Installers, processes: Processes) -> None:
        await installers.install(first, _quiet)
        ((process, _),) = processes()
        if busy:  # it is asked, and gone before it answers
            os.kill(process, signal.SIGSTOP)
        else:
            os.kill(process, signal.SIGKILL)
        installing = asyncio.create_task(installers.install(second, _quiet))
        await asyncio.sleep(0.1)
        if busy:
            os.kill(process, signal.SIGKILL)
        assert (await installing)["version"] == "2"
        assert process not in dict(processes())

    _run(settings, work)


def test_an_installation_that_nobody_waits_for_any_more_is_ended(settings: ServerSettings, packages: Packages) -> None:
    first, second = (packages.make("left", version, f"Versioned({version!r})") for version in ("1", "2"))

    async def work(installers: Installers, processes: Processes) -> None:
        await installers.install(first, _quiet)
        ((process, _),) = processes()
        os.kill(process, signal.SIGSTOP)
        installing = asyncio.create_task(installers.install(second, _quiet))
        await asyncio.sleep(0.1)
        installing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await installing
        await _seen(lambda: not processes())
        assert (await installers.install(second, _quiet))["version"] == "2"

    _run(settings, work)


def test_an_installer_that_takes_too_long_is_ended(settings: ServerSettings, packages: Packages) -> None:
    file = packages.make("stuck", "1", "Versioned('1')")

    async def work(installers: Installers, processes: Processes) -> None:
        await installers.install(file, _quiet)
        ((process, _),) = processes()
        os.kill(process, signal.SIGSTOP)
        with pytest.raises(FailedToStart, match=r"^installing it has not ended after 5 s, and was given up$"):
            await installers.install(file, _quiet)
        assert not processes()

    _run(dataclasses.replace(settings, installing_seconds=5), work)
