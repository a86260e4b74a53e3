"""The registry on the disk: whatever ends a server, the next one in its folder serves exactly what was live."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from serving.servers import Packages, RunningServer, Start
from waiting import until


def test_what_was_live_is_live_again_after_a_kill_under_load(start: Start, packages: Packages) -> None:
    server = start()
    for version in ("1", "2", "3"):
        server.deployed(packages.make("killed", version, f"Versioned({version!r})"))
    server.deployed(packages.make("killed", "4", "Versioned('4')"), mode="canary", share=30)
    server.deployed(packages.make("killed", "5", "Versioned('5')"), mode="shadow")
    server.deployed(packages.make("killed", "6", "Versioned('6')"), mode="none")
    server.deployed(packages.make("other", "1", "Versioned('1')"))
    until(lambda: server.states("killed")["1"] == "unloaded")
    before, other = server.name("killed"), server.name("other")
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.ask, "killed", {"seconds": 0.05}) for _ in range(40)]
        time.sleep(0.2)
        server.kill()
        ends = [one.exception() for one in asked]
    assert any(isinstance(end, requests.ConnectionError) for end in ends)
    again = start(folder=server.folder)
    for name, known in (("killed", before), ("other", other)):
        now = again.name(name)
        for version in (*now["versions"], *known["versions"]):
            version["seconds"] = []
        assert now == known
    assert before["traffic"] == {"weights": {"3": 70, "4": 30}, "shadow": "5"}
    assert again.states("killed") == {
        "1": "unloaded",
        "2": "ready",
        "3": "ready",
        "4": "ready",
        "5": "ready",
        "6": "ready",
    }
    assert {again.ask("killed").json()["version"] for _ in range(40)} == {"3", "4"}
    assert again.manage("POST", "/names/killed/rollback").json()["weights"] == {"2": 100}


def test_a_deploy_that_the_kill_came_upon_has_changed_nothing(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("halfway", "1", "Versioned('1')"))
    with ThreadPoolExecutor(2) as pool:
        deploy = pool.submit(server.deploy, packages.make("halfway", "2", "Failing('2', 'hang')"))
        until(lambda: server.states("halfway").get("2") == "warming")
        until(lambda: '"2"' in (server.folder / "registry.json").read_text("utf-8"))
        upload = pool.submit(
            requests.post, server.management + "/packages", data=_slowly(server), headers=_bearer(server)
        )
        until(lambda: list((server.folder / "uploads").iterdir()))
        server.kill()
        assert deploy.exception() is not None
        assert upload.exception() is not None
    again = start(folder=server.folder)
    assert again.states("halfway") == {"1": "ready", "2": "failed"}
    failed = next(one for one in again.name("halfway")["versions"] if one["version"] == "2")
    assert failed["reason"] == "the server ended meanwhile"
    assert again.name("halfway")["traffic"]["weights"] == {"1": 100}
    assert again.ask("halfway").json()["version"] == "1"
    assert not (server.folder / "uploads").exists()
    again.deployed(packages.make("halfway", "2", "Versioned('2')"))  # with other content: the former never was one


def test_what_a_killed_server_has_left_in_its_store_is_swept(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("stored", "1", "Versioned('1')"))
    server.kill()
    store = server.folder / "store"
    seal = next(folder.name for folder in store.iterdir() if len(folder.name) == 64)
    half = store / "tmp-half"
    half.mkdir()
    (half / ".lock").write_text("\n")
    (half / "package").mkdir()
    (server.folder / ".unfinished-registry").write_text("{")
    whole = store / ("f" * 64)  # installed, and the server was killed before it could note it
    shutil.copytree(store / seal, whole)
    again = start(folder=server.folder)
    until(lambda: {folder.name for folder in store.iterdir() if folder.is_dir()} == {seal, "names"})
    assert not (server.folder / ".unfinished-registry").exists()
    assert again.ask("stored").json()["version"] == "1"


def test_kills_at_any_moment_of_deploys_leave_a_server_that_serves(start: Start, packages: Packages) -> None:
    """What was told to be live before the kill is live, or what was being deployed at that moment."""
    files = [packages.make("swapping", str(number), f"Versioned('{number}')") for number in range(6)]
    server = start()
    server.deployed(files[0])
    for pause in (0.02, 0.06, 0.12):
        told = [server.name("swapping")["traffic"]["weights"]]

        def swap(server: RunningServer = server, told: list[dict[str, int]] = told) -> None:
            try:
                while True:
                    for file in files:
                        told.append({file.name.split("-")[1].split("__")[0]: 100})
                        server.deployed(file)
            except requests.RequestException:
                pass

        swapping = threading.Thread(target=swap)
        swapping.start()
        time.sleep(0.3 + pause)
        server.kill()
        swapping.join()
        server = start(folder=server.folder)
        weights = server.name("swapping")["traffic"]["weights"]
        assert weights in told[-2:]
        (live,) = weights
        assert {server.ask("swapping").json()["version"] for _ in range(5)} == {live}


def test_the_server_says_when_it_is_ready_and_lives_before(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("slow_start", "1", "Slow('1', 3)"))
    server.kill()
    again = start(folder=server.folder, ready=False)
    for address in (again.requests + "/v2", again.management):
        assert requests.get(address + "/health/live").status_code == 200
        not_ready = requests.get(address + "/health/ready")
        assert (not_ready.status_code, not_ready.json()) == (503, {"ready": False})
    early = again.ask("slow_start")
    assert early.status_code == 503
    assert "Retry-After" in early.headers
    again.wait_until_ready()
    assert requests.get(again.requests + "/v2/health/ready").status_code == 200
    assert again.ask("slow_start").json()["version"] == "1"


def test_a_version_that_cannot_be_loaded_again_is_told_and_the_others_are_served(
    start: Start, packages: Packages
) -> None:
    server = start()
    server.deployed(packages.make("whole", "1", "Versioned('1')"))
    server.deployed(packages.make("broken", "1", "Versioned('1')"))
    (folder,) = server.folder.glob("store/*/broken__1")
    server.kill()
    (folder / "resources/job").chmod(0o600)
    (folder / "resources/job").write_bytes(b"no pickle")
    again = start(folder=server.folder, ready=False)
    until(lambda: again.ask("whole").status_code == 200)
    until(lambda: again.states("broken") == {"1": "failed"})
    assert again.logged(model="broken", level="ERROR")
    assert requests.get(again.management + "/health/ready").status_code == 503
    again.manage("POST", "/names/broken/versions/1/unload")


def test_a_registry_that_cannot_be_read_is_told_and_left_as_it_is(packages: Packages, tmp_path: Path) -> None:
    file = tmp_path / "state/registry.json"
    file.parent.mkdir()
    file.write_text("{")
    printed = packages.project.run(
        f"""
        import sys
        from tg.common.cli.command import main
        sys.exit(main(["serve", "--store", {str(file.parent)!r}, "--port", "0", "--management-port", "0"]))
        """,
        fails=True,
    )
    assert "registry.json cannot be read" in printed
    assert "Traceback" not in printed
    assert file.read_text("utf-8") == "{"


def test_a_folder_that_cannot_be_written_is_told(packages: Packages) -> None:
    printed = packages.project.run(
        """
        import sys
        from tg.common.cli.command import main
        sys.exit(main(["serve", "--store", "/dev/null/state", "--port", "0", "--management-port", "0"]))
        """,
        fails=True,
    )
    assert "what is served cannot be kept in /dev/null/state" in printed
    assert "Traceback" not in printed


def test_two_servers_do_not_share_a_folder(start: Start, packages: Packages) -> None:
    server = start()
    printed = packages.project.run(
        f"""
        import sys
        from tg.common.cli.command import main
        sys.exit(main(["serve", "--store", {str(server.folder)!r}, "--port", "0", "--management-port", "0"]))
        """,
        fails=True,
    )
    assert "another server keeps its versions in" in printed


def test_a_port_that_is_taken_is_told(start: Start, packages: Packages) -> None:
    server = start()
    port = server.requests.rpartition(":")[2]
    printed = packages.project.run(
        f"""
        import sys
        from tg.common.cli.command import main
        sys.exit(main(["serve", "--port", {port!r}, "--management-port", "0"]))
        """,
        fails=True,
    )
    assert f"127.0.0.1:{port} cannot be listened at: Address already in use" in printed
    assert "Traceback" not in printed


def _slowly(server: RunningServer) -> Iterator[bytes]:
    while server.process.poll() is None:
        yield b"PK"
        time.sleep(0.1)
    for _ in range(100):  # somebody must notice that nobody is there any more
        yield bytes(100_000)


def _bearer(server: RunningServer) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def test_a_folder_that_was_moved_is_served_as_it_was(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("moved", "1", "Versioned('1')"))
    server.stop()
    folder = server.folder.rename(server.folder.with_name("elsewhere"))
    assert start(folder=folder).ask("moved").json()["version"] == "1"


def test_a_deploy_stays_ready_when_a_worker_is_replaced(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("replaced", "1", "Process('1')"))
    server.ask("replaced", {"end": "exit"})
    until(lambda: server.ask("replaced").status_code == 200)
    deployments = server.manage("GET", "/deployments").json()
    assert {one["state"] for one in deployments if one["name"] == "replaced"} == {"ready"}
