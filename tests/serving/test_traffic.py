"""Traffic: who answers, by weight, by key, by name of a version; and what happens to those that do not any more."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests
from serving.servers import Packages, RunningServer, Start
from waiting import children, is_running, until

from tg.common.delivery.serving.traffic import Traffic


def versioned(packages: Packages, name: str, version: str) -> Any:
    return packages.make(name, version, f"Versioned({version!r})")


def answering(server: RunningServer, name: str, *, times: int = 1, **given: Any) -> Counter[str]:
    """Which versions answer; each answer's header names the version that its body is from."""
    found: Counter[str] = Counter()
    for _ in range(times):
        answer = server.ask(name, **given)
        assert answer.status_code == 200, answer.text
        assert answer.json()["version"] == answer.headers["X-TG-Version"]
        found[answer.json()["version"]] += 1
    return found


def test_a_deployed_version_answers_all_requests(server: RunningServer, packages: Packages) -> None:
    for version in ("1", "2"):
        told = server.deployed(versioned(packages, "live", version))
        assert (told["name"], told["version"], told["state"]) == ("live", version, "ready")
        assert told["traffic"] == {"weights": {version: 100}, "shadow": None}
        assert answering(server, "live", times=5) == {version: 5}


def test_a_canary_gets_its_share(server: RunningServer, packages: Packages) -> None:
    server.deployed(versioned(packages, "canary", "1"))
    told = server.deployed(versioned(packages, "canary", "2"), mode="canary", share=25)
    assert told["traffic"]["weights"] == {"1": 75, "2": 25}
    found = answering(server, "canary", times=400)
    assert 50 <= found["2"] <= 150  # 25 %: less likely than once in a million otherwise
    third = server.deployed(versioned(packages, "canary", "3"), mode="canary", share=20)
    assert third["traffic"]["weights"] == {"1": 60, "2": 20, "3": 20}


def test_requests_with_a_key_stay_with_a_version(server: RunningServer, packages: Packages) -> None:
    server.deployed(versioned(packages, "sticky", "1"))
    server.deployed(versioned(packages, "sticky", "2"), mode="canary", share=50)
    chosen = {}
    for key in (f"user-{number}" for number in range(20)):
        (chosen[key],) = answering(server, "sticky", times=4, key=key)
    assert set(chosen.values()) == {"1", "2"}


def test_a_key_stays_with_its_version_when_another_server_takes_over() -> None:
    traffic = Traffic({"1": 50, "2": 50})
    assert "".join(str(traffic.choose(f"user-{number}")) for number in range(8)) == "11221122"


def test_weights_are_changed_in_one_step(server: RunningServer, packages: Packages) -> None:
    for version in ("1", "2"):
        server.deployed(versioned(packages, "weights", version))
    changed = server.manage("PUT", "/names/weights/traffic", json={"weights": {"1": 1, "2": 1}, "shadow": None})
    assert changed.json() == {"weights": {"1": 1, "2": 1}, "shadow": None}
    assert set(answering(server, "weights", times=50)) == {"1", "2"}
    for wrong in ({"weights": {"1": 0}}, {"weights": {"1": "much"}}, ["1"]):
        assert server.manage("PUT", "/names/weights/traffic", json=wrong).status_code == 422
    unknown = server.manage("PUT", "/names/weights/traffic", json={"weights": {"1": 1, "9": 1}})
    assert unknown.status_code == 404
    assert "no version 9 of weights; these are known: 1, 2" in unknown.json()["error"]
    assert server.name("weights")["traffic"]["weights"] == {"1": 1, "2": 1}


def test_a_shadow_is_asked_and_compared_and_never_returned(server: RunningServer, packages: Packages) -> None:
    server.deployed(versioned(packages, "shadowed", "1"))
    told = server.deployed(versioned(packages, "shadowed", "2"), mode="shadow")
    assert told["traffic"] == {"weights": {"1": 100}, "shadow": "2"}
    assert answering(server, "shadowed", times=5, X_Request_Id="of-a-shadow") == {"1": 5}
    lines = until(
        lambda: found if len(found := server.logged(logger="tg.server.shadow", model="shadowed")) == 5 else None
    )
    assert {(line["version"], line["request_id"]) for line in lines} == {("2", "of-a-shadow")}
    assert '{"version":"2","value":0} in place of {"version":"1","value":0}' in lines[0]["message"]
    text = server.manage("GET", "/metrics").text
    assert 'tg_shadow_answers_total{name="shadowed",same="no",version="2"} 5.0' in text


def test_a_version_can_be_asked_for(server: RunningServer, packages: Packages) -> None:
    for version in ("1", "2"):
        server.deployed(versioned(packages, "pinned", version))
    server.deployed(versioned(packages, "pinned", "3"), mode="none")
    for version in ("1", "2", "3"):
        assert answering(server, "pinned", version=version) == {version: 1}
        assert answering(server, f"pinned/versions/{version}") == {version: 1}
    assert answering(server, "pinned", times=5) == {"2": 5}


def test_rollback_is_one_step_and_takes_no_loading(server: RunningServer, packages: Packages) -> None:
    for version in ("1", "2"):
        server.deployed(versioned(packages, "back", version))
    before = server.processes()
    assert server.manage("POST", "/names/back/rollback").json()["weights"] == {"1": 100}
    assert answering(server, "back", times=5) == {"1": 5}
    assert server.manage("POST", "/names/back/rollback").json()["weights"] == {"2": 100}
    assert answering(server, "back", times=5) == {"2": 5}
    assert server.processes() == before
    server.deployed(versioned(packages, "back_once", "1"))
    nothing = server.manage("POST", "/names/back_once/rollback")
    assert (nothing.status_code, nothing.json()["error"]) == (
        409,
        "there is no version of back_once to go back to",
    )
    assert server.manage("POST", "/names/never-heard-of/rollback").status_code == 404


def test_a_version_that_is_pushed_out_is_unloaded_and_can_be_loaded_again(
    server: RunningServer, packages: Packages
) -> None:
    server.deployed(packages.make("pushed", "1", "Process('1')"))
    worker = server.ask("pushed").json()["process"]
    server.deployed(versioned(packages, "pushed", "2"))
    assert server.states("pushed") == {"1": "ready", "2": "ready"}
    assert is_running(worker)
    server.deployed(versioned(packages, "pushed", "3"))
    until(lambda: server.states("pushed") == {"1": "unloaded", "2": "ready", "3": "ready"})
    assert not is_running(worker)
    gone = server.ask("pushed", version="1")
    assert gone.status_code == 404
    assert "version 1 of pushed is not ready; these are: 2, 3" in gone.json()["error"]
    assert server.manage("POST", "/names/pushed/versions/1/load").status_code == 200
    assert answering(server, "pushed", times=5) == {"1": 5}
    refused = server.manage("POST", "/names/pushed/versions/1/unload")
    assert (refused.status_code, "gets requests" in refused.json()["error"]) == (409, True)


def test_what_is_loaded_again_is_the_version_that_was_live_last(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("live_last", "1", "Versioned('1')"))
    server.deployed(packages.make("live_last", "2", "Versioned('2')"), mode="none")
    headers = {"Authorization": f"Bearer {server.token}"}
    for verb in ("unload", "load"):
        address = f"{server.requests}/v2/repository/models/live_last/{verb}"
        assert requests.post(address, headers=headers, timeout=60).status_code == 200
    assert server.ask("live_last").json()["version"] == "1"


def test_traffic_that_cannot_be_leaves_nothing_loaded_for_it(server: RunningServer, packages: Packages) -> None:
    for version in "123456":
        server.deployed(packages.make("half", version, f"Versioned({version!r})"))
    (broken,) = server.folder.glob("store/*/half__4/resources/job")
    broken.unlink()
    until(lambda: list(server.states("half").values()).count("unloaded") == 4)
    wanted = {"weights": dict.fromkeys("1234", 25), "shadow": None}
    answer = server.manage("PUT", "/names/half/traffic", json=wanted)
    assert answer.status_code == 422
    until(lambda: list(server.states("half").values()).count("unloaded") == 3)
    assert server.states("half")["4"] == "failed"
    assert server.ask("half").json()["version"] == "6"


def test_a_request_ends_on_the_version_that_it_began_with(start: Start, packages: Packages, tmp_path: Path) -> None:
    server = start()  # of its own, which gives requests more time than the shared one
    server.deployed(packages.make("flight", "1", "Waiting('1')"))
    landed = tmp_path / "landed"
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(server.ask, "flight", {"file": str(landed)})
        until(lambda: server.logged(message="waiting", version="1"))
        for version in ("2", "3"):  # the first is pushed out meanwhile
            server.deployed(packages.make("flight", version, f"Waiting({version!r})"))
        assert server.states("flight")["1"] == "draining"
        assert server.ask("flight").json() == "3"
        landed.touch()
        assert asked.result().json() == "1"
    until(lambda: server.states("flight")["1"] == "unloaded")


def test_no_request_fails_or_is_answered_by_another_version_while_versions_are_exchanged(
    server: RunningServer, packages: Packages
) -> None:
    files = [versioned(packages, "swapped", str(number)) for number in range(20)]
    server.deployed(files[0])
    told: list[tuple[int, str, str]] = []
    wrong: list[str] = []
    done = threading.Event()
    live = [0]  # as far as whoever deploys knows

    def ask() -> None:
        while not done.is_set():
            earliest = live[0]
            answer = server.ask("swapped", {"value": 7})
            if answer.status_code != 200:
                wrong.append(f"{answer.status_code} {answer.text}")
                continue
            version, value = answer.json()["version"], answer.json()["value"]
            told.append((answer.status_code, version, answer.headers["X-TG-Version"]))
            if value != 7 or version != answer.headers["X-TG-Version"] or int(version) < earliest:
                wrong.append(answer.text)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        for number, file in enumerate(files):
            server.deployed(file)
            live[0] = number
    finally:
        done.set()
        for client in clients:
            client.join()
    assert wrong == []
    assert len({version for _, version, _ in told}) > 10


def test_versions_that_come_and_go_leave_no_process_and_no_open_file(start: Start, packages: Packages) -> None:
    server = start()
    have_both_installers(server, packages)

    def held() -> tuple[int, int]:
        return len(server.processes()), len(os.listdir(f"/proc/{server.process.pid}/fd"))

    def deploy(number: int) -> None:
        server.deployed(versioned(packages, "coming", str(number)))
        assert server.deploy(packages.make("coming", f"{number}.1", f"Failing('{number}', 'exit')")).status_code == 422
        server.ask("coming")

    for number in range(2):
        deploy(number)
    seen = [held()]
    until(lambda: seen.append(held()) or seen[-1] == seen[-2])  # others have left by then
    for number in range(2, 8):
        deploy(number)
    until(lambda: all(now <= before for now, before in zip(held(), seen[-1], strict=True)))


def have_both_installers(server: RunningServer, packages: Packages) -> None:
    """Deploy two packages at the same time for sure: the installers that are kept are there from then on."""
    server.deployed(packages.make("installers", "1", "Process('1')"))
    (nursery,) = children(server.process.pid)
    (installer,) = children(nursery) - {server.ask("installers").json()["process"]}
    first, second = (versioned(packages, f"installers_{number}", "1") for number in (1, 2))
    os.kill(installer, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(server.deployed, first)
        until(lambda: any(one["state"] == "installing" for one in server.manage("GET", "/deployments").json()))
        server.deployed(second)
        os.kill(installer, signal.SIGCONT)
        waiting.result()


def test_a_shadow_that_gives_the_same_tensors_is_the_same(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("twin_tensors", "1", "Doubled('1')"))
    server.deployed(packages.make("twin_tensors", "2", "Doubled('2')"), mode="shadow")
    tensor = {"name": "value", "datatype": "INT64", "shape": [1], "data": [2]}
    answer = requests.post(f"{server.requests}/v2/models/twin_tensors/infer", json={"inputs": [tensor]})
    assert answer.json()["model_version"] == "1", answer.text

    def counted() -> object:
        return server.name("twin_tensors")["shadow_answers"]

    until(lambda: counted() != {"same": 0, "different": 0})
    assert counted() == {"same": 1, "different": 0}


def test_a_canary_leaves_the_shadow_where_it_is(server: RunningServer, packages: Packages) -> None:
    for version, mode in (("1", "live"), ("2", "shadow"), ("3", "canary")):
        told = server.deployed(packages.make("shaded", version, f"Versioned('{version}')"), mode=mode)
    assert told["traffic"] == {"weights": {"1": 90, "3": 10}, "shadow": "2"}
