"""Workers: a process for each version, forked from a nursery; how many, how busy, and how they end."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from serving.servers import Packages, RunningServer, Start
from waiting import alive, children, is_running, until
from wheels import write_installed_wheel, write_wheel

from tg.common.delivery.serving.children import Nurseries


def test_each_version_has_a_process_that_the_nursery_has_forked(server: RunningServer, packages: Packages) -> None:
    for version in ("1", "2"):
        server.deployed(packages.make("forked", version, f"Process({version!r})"))
    first, second = (server.ask("forked", version=version).json() for version in ("1", "2"))
    assert first["process"] != second["process"]
    assert first["parent"] == second["parent"]
    assert first["parent"] in {number for number, _ in server.processes()}


def test_a_version_has_as_many_workers_as_the_server_is_told(start: Start, packages: Packages) -> None:
    server = start(workers=3)
    server.deployed(packages.make("many", "1", "Process('1')"))
    assert server.name("many")["versions"][0]["workers"] == 3
    with ThreadPoolExecutor(3) as pool:
        answers = pool.map(lambda _: server.ask("many", {"seconds": 2}).json(), range(3))
        assert len({answer["process"] for answer in answers}) == 3


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("exit", "the worker ended with status 3 meanwhile"),
        ("leave", "the worker ended with status 4 meanwhile"),  # what it has started has left its group, and lives on
        ("segfault", "the worker was ended by signal 11 meanwhile"),
        ("kill", "the worker was ended by signal 9 meanwhile"),  # as the kernel does when memory runs out
    ],
)
def test_a_worker_that_dies_is_replaced_and_its_requests_are_told(
    server: RunningServer, packages: Packages, end: str, how: str
) -> None:
    name = f"dies_by_{end}"
    server.deployed(packages.make(name, "1", "Process('1')"))
    before = server.ask(name).json()["process"]
    told = server.ask(name, {"end": end}, X_Request_Id=f"the last of {end}")
    assert (told.status_code, told.json()) == (502, {"error": how})
    assert told.headers["X-TG-Version"] == "1"
    assert server.logged(message=how, version="1", request_id=f"the last of {end}", status=502)
    after = server.ask(name)
    assert after.status_code == 200
    assert after.json()["process"] != before
    if end == "segfault":
        assert server.logged(message="Fatal Python error: Segmentation fault", model=name)


def test_a_worker_that_ends_right_after_it_was_ready_is_replaced_with_pauses(
    start: Start, packages: Packages, tmp_path: Path
) -> None:
    server = start()
    starts = tmp_path / "starts"
    server.deploy(packages.make("dying", "1", f"Dying({str(starts)!r})"))
    lines = until(lambda: lines if len(lines := starts.read_text().split()) > 4 else None)
    times = [float(line) for line in lines]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[2] > 1 + 0.4  # each lives for one second
    assert pauses[3] > 1 + 1.9


def test_what_a_worker_wrote_last_is_in_the_log(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("last_words", "1", "Process('1')"))
    server.ask("last_words", {"end": "exit"})
    assert server.logged(message="about to exit", model="last_words", version="1", logger="output")


def test_a_request_over_the_time_limit_is_given_up_and_its_worker_replaced(
    server: RunningServer, packages: Packages
) -> None:
    server.deployed(packages.make("slow", "1", "Process('1')"))
    before = server.ask("slow").json()["process"]
    late = server.ask("slow", {"seconds": 60})
    assert (late.status_code, late.json()["error"]) == (504, "it took longer than 3 s, and its worker was ended")
    assert server.ask("slow").json()["process"] != before
    until(lambda: not Path(f"/proc/{before}").exists())


def test_requests_beyond_the_queue_are_refused_at_once_with_when_to_come_again(
    start: Start, packages: Packages
) -> None:
    server = start(waiting=2)
    server.deployed(packages.make("full", "1", "Process('1')"))
    server.ask("full", {"seconds": 0.3})  # so it is known to take long, and gets no request ahead
    with ThreadPoolExecutor(8) as pool:
        long = pool.submit(server.ask, "full", {"seconds": 3})
        until(lambda: len(server.logged(message="at work", model="full")) == 2)
        answers = list(pool.map(lambda _: server.ask("full"), range(7)))
        assert long.result().status_code == 200
    refused = [answer for answer in answers if "2 requests wait already" in answer.text]
    assert len(refused) == 5  # one is at work, two wait
    assert [answer.status_code for answer in answers if answer not in refused] == [200, 200]
    assert {(answer.status_code, answer.headers["Retry-After"]) for answer in refused} == {(503, "1")}


def test_a_request_that_waits_too_long_is_refused(narrow: RunningServer, packages: Packages) -> None:
    server = narrow
    server.deployed(packages.make("waits", "1", "Process('1')"))
    server.ask("waits", {"seconds": 0.3})
    with ThreadPoolExecutor(2) as pool:
        long = pool.submit(server.ask, "waits", {"seconds": 3})
        until(lambda: len(server.logged(message="at work", model="waits")) == 2)  # that one first
        late = server.ask("waits")
        assert (late.status_code, late.json()["error"]) == (503, "no worker was free for 1 s")
        assert (late.headers["Retry-After"], late.headers["X-TG-Version"]) == ("1", "1")
        assert long.result().status_code == 200


def test_nothing_is_begun_for_clients_that_are_gone(start: Start, packages: Packages) -> None:
    server = start(access_log=True)
    server.deployed(packages.make("left", "1", "Process('1')"))
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(server.ask, "left", {"seconds": 2})
        until(lambda: server.logged(message="at work"))
        with pytest.raises(requests.Timeout):
            requests.post(f"{server.requests}/left", json={"end": "kill"}, timeout=0.2)
        until(lambda: server.logged(message="answered", model="left", status=499))
        process = long.result().json()["process"]
    assert server.ask("left").json()["process"] == process  # what its client has left would have ended it


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_server(start: Start, packages: Packages, number: signal.Signals) -> None:
    server = start(workers=2)
    server.deployed(packages.make("outlives", "1", "Process('1')"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "outlives", {"seconds": 2 if number != signal.SIGKILL else 600})
        until(lambda: server.logged(message="at work"))
        started = server.processes()
        assert len(started) == 4  # the nursery, an installer and two workers
        server.process.send_signal(number)
        server.process.wait()
        until(lambda: alive(started) == set(), seconds=10)
        if number == signal.SIGKILL:
            assert asked.exception() is not None
        else:
            assert asked.result().status_code == 200


def test_a_second_signal_ends_the_server_and_its_workers_at_once(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("impatient", "1", "Process('1')"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "impatient", {"seconds": 600})
        until(lambda: server.logged(message="at work"))
        started = server.processes()
        server.process.send_signal(signal.SIGINT)
        until(lambda: server.logged(signal="SIGINT"))
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait() == -signal.SIGINT
        until(lambda: alive(started) == set())
        assert asked.exception() is not None


def test_a_worker_that_is_stuck_is_killed_when_the_server_ends(start: Start, packages: Packages) -> None:
    server = start(stop_seconds=0.2)
    server.deployed(packages.make("stuck", "1", "Process('1')"))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "stuck", {"seconds": 600})
        until(lambda: server.logged(message="at work"))
        started = server.processes()
        assert server.stop() == 0
        assert alive(started) == set()
        assert asked.exception() is not None or asked.result().status_code >= 500


def test_workers_do_not_outlive_the_server_when_their_nursery_was_killed(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("orphans", "1", "Process('1')"))
    with ThreadPoolExecutor(1) as pool:
        pool.submit(server.ask, "orphans", {"seconds": 600})
        until(lambda: server.logged(message="at work"))
        started = server.processes()
        nursery = _nursery(server)
        os.kill(nursery, signal.SIGKILL)
        server.kill()
        until(lambda: alive(started) == set(), seconds=10)


def test_a_nursery_that_dies_is_replaced(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("nursed", "1", "Process('1')"))
    os.kill(_nursery(server), signal.SIGKILL)
    assert server.ask("nursed").status_code == 200
    assert server.ask("nursed", {"end": "exit"}).status_code == 502
    assert server.ask("nursed").status_code == 200
    server.deployed(packages.make("nursed", "2", "Process('2')"))


def test_a_nursery_that_dies_while_versions_are_compared_is_told(start: Start, packages: Packages) -> None:
    server = start()
    for version in ("1", "2"):
        server.deployed(packages.make("unequal", version, f"Process({version!r})"))
    for seconds in (1, 5, 25):  # by then it is asked to fork, unless this machine is very busy: then a new one does it
        nursery = _nursery(server)
        os.kill(nursery, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(server.manage, "GET", "/names/unequal/difference?before=1&after=2")
            time.sleep(seconds)
            os.kill(nursery, signal.SIGKILL)
        told = asked.result()
        if told.status_code != 200:
            break
    reason = "the process that starts workers has ended. Try again."
    assert (told.status_code, told.json()) == (503, {"error": reason})
    assert server.manage("GET", "/names/unequal/difference?before=1&after=2").status_code == 200


def test_what_is_preloaded_is_there_before_the_job_is(start: Start, packages: Packages) -> None:
    file = packages.make("preloaded", "1", "Modules()")
    for preload, there in (([], False), (["zipapp", "nowhere_to_be_found"], True)):
        server = start(folder=None, preload=preload)
        server.deployed(file)
        assert ("zipapp" in server.ask("preloaded").json()) == there
        assert server.stop() == 0


def test_versions_with_the_same_payload_have_it_in_memory_once(start: Start, packages: Packages) -> None:
    server = start()
    for version in ("1", "2", "3"):
        weights = "__import__('numpy').arange(2_000_000)"
        server.deployed(packages.make("weighted", version, f"Weighted({version!r}, {weights})"), mode="none")
    mapped = [line for process, _ in server.processes() for line in _mapped_resources(process)]
    assert len(mapped) == 3
    assert len(set(mapped)) == 1


def _mapped_resources(process: int) -> set[str]:
    """Device and inode of the resources that a process has mapped: what is one file is in memory once."""
    lines = Path(f"/proc/{process}/maps").read_text("utf-8").splitlines()
    return {" ".join(line.split()[3:5]) for line in lines if "/resources/" in line}


def test_a_nursery_that_nobody_waits_for_any_more_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sleepy.py").write_text("import time\ntime.sleep(60)\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def open_and_leave() -> None:
        before = children(os.getpid())
        opening = asyncio.create_task(Nurseries(["sleepy"]).open())
        while not (started := children(os.getpid()) - before):
            await asyncio.sleep(0.01)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        while any(map(is_running, started)):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(open_and_leave(), 20))


def test_a_nursery_that_has_died_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process closes its files before it has ended: whoever looks once, when it hears that, may be too early.
    monkeypatch.setattr(subprocess.Popen, "poll", lambda process: None)

    async def open_and_kill() -> None:
        before = children(os.getpid())
        nurseries = Nurseries([])
        await nurseries.open()
        (nursery,) = children(os.getpid()) - before
        os.kill(nursery, signal.SIGKILL)
        while Path(f"/proc/{nursery}").exists():  # no remains of it either
            await asyncio.sleep(0.01)
        nurseries.close()

    asyncio.run(asyncio.wait_for(open_and_kill(), 20))


def test_a_version_whose_requirements_conflict_has_an_environment_of_its_own(
    start: Start, packages: Packages, index: Path
) -> None:
    for name in ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"):
        write_installed_wheel(index, name)
    for version in ("1.0.0", "2.0.0"):
        write_wheel(index, "tg_needed", {"tg_needed.py": f"VERSION = {version!r}\n".encode()}, version=version)
    server = start()
    for version in ("1", "2"):
        file = packages.make("needing", version, "Needing()", requirements=[f"tg_needed=={version}.0.0"])
        told = server.deployed(file)
        assert f"an environment with tg_needed=={version}.0.0" in told["lines"]
    assert [server.ask("needing", version=version).json() for version in ("1", "2")] == ["1.0.0", "2.0.0"]
    assert server.ask("needing").headers["X-TG-Version"] == "2"
    # The server's nursery; for each environment another one, and a worker. Installers that have made one have ended.
    until(lambda: len(server.processes()) == 5)
    server.manage("PUT", "/names/needing/traffic", json={"weights": {}})
    for version in ("1", "2"):
        server.manage("POST", f"/names/needing/versions/{version}/unload")
    until(lambda: len(server.processes()) == 1)
    server.manage("POST", "/names/needing/versions/1/load")
    assert server.ask("needing").json() == "1.0.0"


def _nursery(server: RunningServer) -> int:
    """The process that the server itself has started."""
    (nursery,) = children(server.process.pid)
    return nursery


def test_what_threads_of_a_job_log_does_not_get_into_its_answers(start: Start, packages: Packages) -> None:
    server = start()  # of its own, since it is busy with that for as long as it lives
    server.deployed(packages.make("chatty", "1", "Chatty('1')"))
    for _ in range(5):
        answer = server.ask("chatty", {"size": 900_000})
        assert (answer.status_code, len(answer.text)) == (200, 900_002)


def test_a_validator_that_raises_fails_its_own_request_and_no_worker(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("strict", "1", "Strict('1')"))
    assert server.ask("strict", {"values": [1, 2]}).json() == 3
    before = server.processes()
    assert server.ask("strict", {"values": [1, 2, 3]}).json() == {"error": "the job raised KeyError: 2"}
    assert server.ask("strict", {"values": [1, 2]}).json() == 3
    assert server.processes() == before


def test_a_tensor_of_absurd_dimensions_is_refused(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("flat", "1", "Strict('1')"))
    tensor = {"name": "values", "datatype": "FP64", "shape": [1] * 2000, "data": [1]}
    refused = requests.post(f"{server.requests}/v2/models/flat/infer", json={"inputs": [tensor]})
    assert (refused.status_code, "32 are the most" in refused.text) == (400, True)


def test_more_workers_at_once_than_a_socket_takes_commands(start: Start, packages: Packages) -> None:
    server = start(workers=40)
    server.deployed(packages.make("crowd", "1", "Process('1')"))
    assert server.name("crowd")["versions"][0]["workers"] == 40
