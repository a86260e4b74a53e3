"""Batching by arrival window, an option of the job: `run_batch`, `batch_size`, `batch_window_seconds`."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from serving.protocol_server import ServedJobs, packages_of, serving

from tg.common.delivery.serving.frames import ANSWER, JSON_CALL, Frame, FrameReader, pack

JOBS = '''
import logging

log = logging.getLogger("tg.served")


class Batched:
    """Answers with the size of the batch that a request was in."""

    def __init__(self, size, window):
        self.batch_size = size
        self.batch_window_seconds = window

    def run(self, value: int) -> list[int]:
        raise AssertionError("requests are answered by run_batch")

    def run_batch(self, items):
        log.warning(f"{len(items)} requests")
        return [[item["value"], len(items)] for item in items]


class Awaited(Batched):
    async def run_batch(self, items):
        return [[item["value"], len(items)] for item in items]


class Picky(Batched):
    def run_batch(self, items):
        if any(item["value"] < 0 for item in items):
            raise ValueError("no negative ones")
        return [KeyError(item["value"]) if item["value"] == 0 else [item["value"], len(items)] for item in items]


class Short(Batched):
    def run_batch(self, items):
        return [[1, 1]]
'''
SERVED = {
    "full": "Batched(4, 50.0)",  # who waits for the window here, waits longer than the tests do
    "windowed": "Batched(100, 0.5)",
    "awaited": "Awaited(3, 50.0)",
    "picky": "Picky(3, 50.0)",
    "short": "Short(2, 50.0)",
    "sampled": "{'job': Batched(8, 0.0), 'samples': [{'arguments': {'value': 3}, 'answer': [3, 1]}]}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedJobs]:
    with serving(tmp_path_factory.mktemp("batched"), JOBS, SERVED) as served:
        yield served


def at_once(server: ServedJobs, name: str, all_arguments: list[Any], **headers: str) -> list[requests.Response]:
    with ThreadPoolExecutor(len(all_arguments)) as threads:
        asked = [
            threads.submit(server.ask, name, arguments, x_request_id=f"request-{place}", **headers)
            for place, arguments in enumerate(all_arguments)
        ]
        return [one.result() for one in asked]


def test_requests_that_come_at_once_are_answered_by_one_call_which_full_waits_no_longer(server: ServedJobs) -> None:
    answers = at_once(server, "full", [{"value": value} for value in range(4)])
    assert [answer.json() for answer in answers] == [[value, 4] for value in range(4)]


@pytest.fixture
def worker(server: ServedJobs, tmp_path: Path) -> Iterator[socket.socket]:
    """The server's end of a worker of a job that does two requests at a time, and waits an hour for the second."""
    (file,) = packages_of(server.project, JOBS, {"patient": "Batched(2, 3600.0)"})
    with zipfile.ZipFile(file) as package:
        package.extractall(tmp_path)
    ours, theirs = socket.socketpair()
    code = f"""
import socket
from tg.common.delivery.serving.worker import main
main(socket.socket(fileno={theirs.fileno()}), folder={str(tmp_path / "patient__1_0_0")!r})
"""
    environment = server.project.environment(with_project=False)
    with ours, subprocess.Popen([sys.executable, "-c", code], env=environment, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        ours.settimeout(60)
        yield ours
        ours.close()
        assert process.wait() == 0


def test_answers_do_not_wait_for_the_window_of_the_next_batch(worker: socket.socket) -> None:
    reader = FrameReader()
    answers: list[Frame] = []

    def receive(number: int) -> set[int]:
        while len(answers) < number:
            answers.extend(frame for frame in reader.frames_of(worker.recv(1 << 16)) if frame.kind == ANSWER)
        return {frame.number for frame in answers}

    frames = [pack(JSON_CALL, number, b'{"value": 1}') for number in range(4)]
    worker.sendall(b"".join(frames[:3]))
    assert receive(2) == {0, 1}
    worker.sendall(frames[3])
    assert receive(4) == {0, 1, 2, 3}


def test_a_single_request_waits_as_long_as_the_window_is_and_no_longer(server: ServedJobs) -> None:
    started = time.monotonic()
    assert server.ask("windowed", {"value": 7}).json() == [7, 1]
    assert 0.5 <= time.monotonic() - started < 50


def test_what_comes_within_the_window_is_one_batch(server: ServedJobs) -> None:
    answers = [answer.json() for answer in at_once(server, "windowed", [{"value": value} for value in range(5)])]
    assert [value for value, _ in answers] == list(range(5))
    assert max(size for _, size in answers) > 1


def test_a_batch_can_be_answered_by_a_coroutine(server: ServedJobs) -> None:
    answers = at_once(server, "awaited", [{"value": value} for value in (1, 2, 3)])
    assert [answer.json() for answer in answers] == [[1, 3], [2, 3], [3, 3]]


def test_wrong_arguments_never_get_to_the_job(server: ServedJobs) -> None:
    answers = at_once(server, "full", [{"value": 1}, {"value": "x"}, {}, {"value": 4}])
    assert [answer.status_code for answer in answers] == [200, 422, 422, 200]
    assert answers[0].json() == [1, 2]
    assert answers[1].json()["problems"][0]["place"] == ["value"]


def test_an_exception_in_place_of_an_answer_is_that_of_one_request(server: ServedJobs) -> None:
    answers = at_once(server, "picky", [{"value": 1}, {"value": 0}, {"value": 3}])
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert answers[1].json() == {"error": "the job raised KeyError: 0"}
    assert answers[2].json() == [3, 3]


def test_a_request_that_makes_the_batch_fail_takes_no_others_with_it(server: ServedJobs) -> None:
    answers = at_once(server, "picky", [{"value": 1}, {"value": -1}, {"value": 3}])
    assert [answer.status_code for answer in answers] == [200, 500, 200]
    assert answers[1].json() == {"error": "the job raised ValueError: no negative ones"}
    assert [answers[0].json(), answers[2].json()] == [[1, 1], [3, 1]]  # each was asked again alone


def test_too_few_answers_are_the_jobs_failure(server: ServedJobs) -> None:
    answers = at_once(server, "short", [{"value": 1}, {"value": 2}])
    assert [answer.json() for answer in answers] == [[1, 1], [1, 1]]
    said = [line["message"] for line in server.log() if line.get("model") == "short"]
    assert any("run_batch raised ValueError for 2 requests; each is asked alone" in line for line in said)


def test_tensors_and_plain_json_share_a_batch(server: ServedJobs) -> None:
    tensor = {"name": "value", "shape": [1], "datatype": "INT64", "data": [5]}
    with ThreadPoolExecutor(4) as threads:
        plain = [threads.submit(server.ask, "full", {"value": value}) for value in (1, 2)]
        others = [threads.submit(server.infer, "full", inputs=[tensor], id="a") for _ in range(2)]
    assert [one.result().json() for one in plain] == [[1, 4], [2, 4]]
    for one in others:
        assert one.result().json()["id"] == "a"
        assert one.result().json()["outputs"] == [{"name": "output", "datatype": "INT64", "shape": [2], "data": [5, 4]}]


def test_the_log_of_a_batch_has_the_ids_of_all_its_requests_and_traces(server: ServedJobs) -> None:
    traces = [f"{place}" * 32 for place in (1, 2, 3, 4)]
    with ThreadPoolExecutor(4) as threads:
        for place, trace in enumerate(traces):
            headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01", "x_request_id": f"traced-{place}"}
            threads.submit(server.ask, "full", {"value": place}, **headers)
    (line,) = [line for line in server.log() if "traced-0" in line.get("request_id", "")]
    assert line["message"] == "4 requests"
    assert set(line["request_id"].split(", ")) == {f"traced-{place}" for place in range(4)}
    assert set(line["trace_id"].split(", ")) == set(traces)


def test_samples_are_answered_as_requests_are(server: ServedJobs) -> None:
    assert server.ask("sampled", {"value": 3}).json() == [3, 1]
    deployments = requests.get(f"{server.management}/deployments", headers=server.headers, timeout=60).json()
    (lines,) = [one["lines"] for one in deployments if one["name"] == "sampled"]
    assert "1 recorded samples are answered as recorded" in json.dumps(lines)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ("Batched(0, 0.1)", "batch_size of the job is 0; it is a whole number, 1 at least"),
        ("Batched(2, -1)", "batch_window_seconds of the job is -1; it is a number of seconds, 0 at least"),
        (
            "{'job': Batched(8, 0.0), 'samples': [{'arguments': {'value': 3}, 'answer': [3, 2]}]}",
            "sample 1 of 1 is answered with [3,1], and [3,2] was recorded",
        ),
        (
            "{'job': Batched(8, 0.0), 'samples': [{'arguments': {}}]}",
            "sample 1 of 1 fails with InvalidArguments: value:",
        ),
        ("{'job': Batched(8, 0.0), 'samples': [3]}", "sample 1 of 1 is 3; it is to be"),
        ("{'job': Batched(8, 0.0), 'samples': 3}", "the resource 'samples' is of <class 'int'>"),
    ],
)
def test_what_cannot_be_a_batching_job_or_its_samples_is_not_deployed(
    server: ServedJobs, job: str, reason: str
) -> None:
    (file,) = packages_of(server.project, JOBS, {"refused": job})
    answer = server.deploy(file)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]
