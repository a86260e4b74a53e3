"""Versions in threads of the server's own process: the same answers, without a process for each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving.servers import Packages, RunningServer, Start
from waiting import until
from wheels import write_installed_wheel, write_wheel


@pytest.fixture(scope="module")
def inside(packages: Packages, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that loads versions into its own process."""
    folder = tmp_path_factory.mktemp("inside") / "state"
    started = RunningServer(
        folder, packages.project.home, in_process=True, workers=2, request_seconds=2, loading_seconds=3, keep=1
    )
    yield started.wait_until_ready()
    assert started.stop() == 0


def test_a_version_answers_in_the_process_of_the_server(inside: RunningServer, packages: Packages) -> None:
    inside.deployed(packages.make("within", "1", "Process('1')"))
    assert inside.ask("within").json()["process"] == inside.process.pid
    assert inside.name("within")["versions"][0]["workers"] == 2


def test_versions_in_one_process_have_their_own_modules(inside: RunningServer, packages: Packages) -> None:
    for version in ("1", "2", "3"):
        inside.deployed(packages.make("side", version, "Counting()"))
    assert inside.ask("side", version="2").json() == ["side__2.tg.served.jobs", 1]
    assert inside.ask("side").json() == ["side__3.tg.served.jobs", 1]
    assert inside.manage("POST", "/names/side/rollback").status_code == 200
    assert inside.ask("side").headers["X-TG-Version"] == "2"


def test_workers_answer_side_by_side(inside: RunningServer, packages: Packages) -> None:
    inside.deployed(packages.make("abreast", "1", "Meeting()"))
    with ThreadPoolExecutor(2) as pool:  # each waits for the other
        assert [one.json() for one in pool.map(lambda _: inside.ask("abreast"), range(2))] == ["met", "met"]


def test_a_version_that_is_pushed_out_leaves_the_process(inside: RunningServer, packages: Packages) -> None:
    for version in ("1", "2", "3"):
        inside.deployed(packages.make("leaving", version, "Modules()"))
    until(lambda: inside.states("leaving")["1"] == "unloaded")
    loaded = inside.ask("leaving").json()
    assert {name.partition(".")[0] for name in loaded if name.startswith("leaving__")} == {
        "leaving__2",
        "leaving__3",
    }
    inside.manage("POST", "/names/leaving/versions/1/load")
    assert inside.ask("leaving").headers["X-TG-Version"] == "1"


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("unpickle", "RuntimeError: its state is of another time"),
        ("warm_up", "RuntimeError: no weights"),
        ("hang", "loading and warming up has not ended after 3 s, and was given up"),
    ],
)
def test_a_version_that_goes_wrong_never_gets_requests(
    inside: RunningServer, packages: Packages, step: str, reason: str
) -> None:
    name = f"inside_{step}"
    inside.deployed(packages.make(name, "1", "Versioned('1')"))
    told = inside.deploy(packages.make(name, "2", f"Failing('2', {step!r})"))
    assert (told.status_code, told.json()["error"]) == (422, reason)
    assert ("warming up" in told.json()["deployment"]["lines"]) == (step != "unpickle")
    assert inside.ask(name).json()["version"] == "1"


def test_a_request_over_the_time_limit_is_given_up_and_others_are_answered(
    inside: RunningServer, packages: Packages
) -> None:
    inside.deployed(packages.make("stuck", "1", "Versioned('1')"))
    for _ in range(3):
        late = inside.ask("stuck", {"seconds": 20})
        assert late.status_code == 504
        assert inside.ask("stuck").status_code == 200


def test_a_thread_that_was_given_up_begins_with_nothing_more(start: Start, packages: Packages, tmp_path: Path) -> None:
    inside = start(in_process=True, request_seconds=3)
    inside.deployed(packages.make("given_up", "1", "Noting()"))
    notes = tmp_path / "notes"
    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(inside.ask, "given_up", {"file": str(notes), "value": 1, "seconds": 6})
        until(lambda: notes.exists() and notes.read_text() == "begun 1\n")
        behind = pool.submit(inside.ask, "given_up", {"file": str(notes), "value": 2})
        assert (stuck.result().status_code, behind.result().status_code) == (504, 502)
    until(lambda: "done 1" in notes.read_text())
    time.sleep(0.3)
    assert notes.read_text() == "begun 1\ndone 1\n"


def test_lines_of_the_log_have_their_request(inside: RunningServer, packages: Packages) -> None:
    inside.deployed(packages.make("speaking", "1", "Logging('1')"))
    inside.ask("speaking", {"text": "tea"}, X_Request_Id="inside-7")
    (line,) = until(lambda: inside.logged(message="asked for tea"))
    assert (line["model"], line["version"], line["request_id"]) == ("speaking", "1", "inside-7")


def test_lines_of_batches_have_their_request_and_its_trace(inside: RunningServer, packages: Packages) -> None:
    inside.deployed(packages.make("speaking_in_batches", "1", "LoggingInBatches('1')"))
    trace = "0af7651916cd43dd8448eb211c80319c"
    given = {"X_Request_Id": "inside-8", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    inside.ask("speaking_in_batches", {"text": "milk"}, **given)
    (line,) = until(lambda: inside.logged(message="asked for milk"))
    assert (line["model"], line["request_id"], line["trace_id"]) == ("speaking_in_batches", "inside-8", trace)


def test_requests_are_batched_as_the_job_wants(inside: RunningServer, packages: Packages) -> None:
    inside.deployed(packages.make("batching", "1", "Batching()"))
    with ThreadPoolExecutor(8) as pool:
        answers = [
            answer.json() for answer in pool.map(lambda number: inside.ask("batching", {"value": number}), range(8))
        ]
    assert [answer["value"] for answer in answers] == list(range(8))
    assert max(answer["together"] for answer in answers) > 1


def test_the_memory_of_a_thread_is_not_told_for_there_is_none_of_its_own(
    inside: RunningServer, packages: Packages
) -> None:
    inside.deployed(packages.make("weightless", "1", "Versioned('1')"))
    metrics = {
        sample.name: sample.value
        for family in text_string_to_metric_families(inside.manage("GET", "/metrics").text)
        for sample in family.samples
        if sample.labels.get("name") == "weightless"
    }
    assert metrics["tg_workers"] == 2
    assert "tg_memory_bytes" not in metrics


def test_a_version_that_needs_another_environment_has_a_process_after_all(
    start: Start, packages: Packages, index: Path
) -> None:
    for name in ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"):
        write_installed_wheel(index, name)
    write_wheel(index, "tg_needed", {"tg_needed.py": b"VERSION = '1.0.0'\n"})
    server = start(in_process=True)
    server.deployed(packages.make("needing", "1", "Needing()", requirements=["tg_needed==1.0.0"]))
    assert server.ask("needing").json() == "1.0.0"
