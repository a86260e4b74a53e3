"""Deploys that come to nothing: the new version gets no request, the old one is untouched, and why is told with the log."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving.servers import Packages, RunningServer, Start
from waiting import until

FAILURES = {
    "import": (
        "Unimportable()",
        {},
        "ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        "nowhere_to_be_found",
    ),
    "unpickle": ("Failing('2', 'unpickle')", {}, "RuntimeError: its state is of another time", "__setstate__"),
    "warm_up": ("Failing('2', 'warm_up')", {}, "RuntimeError: no weights", "warming up"),
    "hang": (
        "Failing('2', 'hang')",
        {},
        "loading and warming up has not ended after 5 s, and was given up",
        "waiting for a device",
    ),
    "exit": ("Failing('2', 'exit')", {}, "the worker ended with status 7 before it could answer", "going down"),
    "samples": (
        "Versioned('2')",
        {"samples": "[{'arguments': {'value': 3}, 'answer': {'version': '1', 'value': 3}}]"},
        'WrongSample: sample 1 of 1 is answered with {"version":"2","value":3}, and {"version":"1","value":3} was recorded',
        "WrongSample",
    ),
    "no job": ("42", {}, "can neither be called nor has a method `run`", "NotAJob"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_version_that_goes_wrong_never_gets_a_request(server: RunningServer, packages: Packages, kind: str) -> None:
    job, resources, reason, logged = FAILURES[kind]
    name = f"wrong_{kind.replace(' ', '_')}"
    server.deployed(packages.make(name, "1", "Versioned('1')"))
    worker = server.name(name)["versions"][0]
    processes = server.processes()
    told = server.deploy(packages.make(name, "2", job, **resources))
    assert told.status_code == 422
    assert reason in told.json()["error"]
    deployment = told.json()["deployment"]
    assert (deployment["name"], deployment["version"], deployment["state"]) == (name, "2", "failed")
    assert reason in deployment["reason"]
    assert logged in "\n".join(deployment["lines"])
    assert deployment in server.manage("GET", "/deployments").json()
    now = server.name(name)
    assert now["traffic"]["weights"] == {"1": 100}
    assert {one["version"]: one["state"] for one in now["versions"]} == {"1": "ready", "2": "failed"}
    assert reason in next(one["reason"] for one in now["versions"] if one["version"] == "2")
    assert {server.ask(name).json()["version"] for _ in range(5)} == {"1"}
    assert server.ask(name, version="2").status_code == 404
    assert {**worker, "seconds": []} == {**next(one for one in now["versions"] if one["version"] == "1"), "seconds": []}
    until(lambda: server.processes() <= processes)
    server.deployed(packages.make(name, "2", "Versioned('2')"))  # put right: what failed was never that version
    assert server.ask(name).json()["version"] == "2"


def test_samples_that_are_answered_as_recorded_are_told(server: RunningServer, packages: Packages) -> None:
    samples = "[{'arguments': {'value': n}, 'answer': {'version': '1', 'value': n}} for n in range(3)]"
    told = server.deployed(packages.make("proved", "1", "Versioned('1')", samples=samples))
    assert "3 recorded samples are answered as recorded" in told["lines"]


def test_what_is_no_package_is_refused_with_the_reason(
    server: RunningServer, packages: Packages, tmp_path: Path
) -> None:
    good = packages.make("altered", "1", "Versioned('1')")
    data = good.read_bytes()
    for number, bad in enumerate((b"", b"no zip file", data[:-100], data.replace(b"Versioned", b"Versioner"))):
        file = tmp_path / f"bad-{number}.whl"
        file.write_bytes(bad)
        told = server.deploy(file)
        assert told.status_code == 422, told.text
        assert told.json()["deployment"]["state"] == "failed"
    assert server.name("altered") == {}
    assert not list((server.folder / "uploads").iterdir())


def test_a_version_with_other_content_is_refused_and_the_same_file_is_taken_again(
    server: RunningServer, packages: Packages
) -> None:
    file = packages.make("equal", "1", "Versioned('1')")
    kept = file.with_name("kept.whl")
    shutil.copy(file, kept)
    server.deployed(file)
    other = server.deploy(packages.make("equal", "1", "Versioned('one')"))
    assert other.status_code == 409
    assert "version 1 of equal is known with other content" in other.json()["error"]
    assert server.ask("equal").json()["version"] == "1"
    until(lambda: len(list((server.folder / "store").glob("*/equal__1"))) == 1)  # what was refused is removed meanwhile
    processes = server.processes()
    again = server.deployed(kept)
    assert "it is loaded already" in again["lines"]
    until(lambda: server.processes() <= processes)
    assert server.name("equal")["previous"] is None
    server.deployed(packages.make("equal", "2", "Versioned('2')"))
    server.deployed(kept)  # an older one that is deployed again is live again
    assert server.ask("equal").json()["version"] == "1"
    assert server.name("equal")["previous"] == "2"


def test_two_deploys_of_a_name_at_once_come_one_after_the_other_and_both_are_told(
    server: RunningServer, packages: Packages
) -> None:
    files = [packages.make("race", str(number), f"Slow('{number}')") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(server.deployed, files))
    assert [one["state"] for one in told] == ["ready"] * 4
    assert [one["traffic"]["weights"] for one in told] == [{str(number): 100} for number in range(4)]
    name = server.name("race")
    (live,) = name["traffic"]["weights"]
    assert server.ask("race").json()["version"] == live
    ready = lambda: sorted(version for version, state in server.states("race").items() if state == "ready")  # noqa: E731
    until(lambda: ready() == sorted([live, name["previous"]]))


def test_the_same_file_twice_at_once_is_one_version(server: RunningServer, packages: Packages) -> None:
    file = packages.make("twins", "1", "Slow('1')")
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(server.deployed, [file, file]))
    assert [one["state"] for one in told] == ["ready", "ready"]
    assert server.name("twins")["versions"][0]["workers"] == 1


def test_what_is_asked_of_a_deploy_must_be_something(server: RunningServer, packages: Packages) -> None:
    file = packages.make("modes", "1", "Versioned('1')")
    for parameters in ({"mode": "sideways"}, {"mode": "canary", "share": "100"}, {"mode": "canary", "share": "half"}):
        assert server.deploy(file, **parameters).status_code == 422
    assert server.name("modes") == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> tuple[Path, list[str]]:
    """A folder, and the command in front of one that has a small disk there, which is gone when that ends."""
    if not shutil.which("unshare"):
        pytest.skip("mounting needs Linux and `unshare`")
    folder = tmp_path / "disk"
    folder.mkdir()
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return folder, [*unshare, "sh", "-c", f'mount -t tmpfs -o size=16m disk {folder} && exec "$@"', "sh"]


def test_on_a_full_disk_the_old_version_is_served_on(
    start: Start, packages: Packages, small_disk: tuple[Path, list[str]]
) -> None:
    folder, within = small_disk
    server = start(folder=folder / "state", within=within)
    disk = Path(f"/proc/{server.process.pid}/root{folder}")
    first = packages.make("full_disk", "1", "Versioned('1')")
    second = packages.make("full_disk", "2", "Versioned('2')", data="b'x' * 1_000_000")
    server.deployed(first)
    filler = disk / "filler"
    for left in (0, second.stat().st_size + 300_000):  # no room for the upload; room for little more
        _fill(filler, leaving=left)
        told = server.deploy(second)
        assert told.status_code == 507, told.text
        assert "there is no room left on the disk" in told.json()["error"]
        assert server.ask("full_disk").json()["version"] == "1"
        assert server.name("full_disk")["traffic"]["weights"] == {"1": 100}
        filler.unlink()
    _fill(filler, leaving=0)
    switched = server.manage("PUT", "/names/full_disk/traffic", json={"weights": {"1": 50}})
    assert switched.status_code == 507
    assert server.name("full_disk")["traffic"]["weights"] == {"1": 100}
    assert json.loads((disk / "state/registry.json").read_text("utf-8"))["full_disk"]["traffic"]["weights"] == {
        "1": 100
    }
    filler.unlink()
    server.deployed(second)
    assert server.ask("full_disk").json()["version"] == "2"


def _fill(file: Path, *, leaving: int) -> None:
    with file.open("wb", buffering=0) as opened:
        for size in (64 * 1024, 4096, 1):
            try:
                while opened.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
        opened.truncate(max(0, opened.tell() - leaving))


def test_deploys_that_go_wrong_do_not_pile_up(start: Start, packages: Packages) -> None:
    server = start(keep=2)
    server.deployed(packages.make("piling", "1", "Versioned('1')"))
    for version in ("2", "3", "4", "5"):
        assert server.deploy(packages.make("piling", version, f"Failing({version!r}, 'warm_up')")).status_code == 422
    assert server.states("piling") == {"1": "ready", "4": "failed", "5": "failed"}
    until(lambda: server.stored("piling") == {"piling__1", "piling__4", "piling__5"})
