"""Requests as they should not be, and crowds of them: each has its documented answer, and others are answered meanwhile."""

from __future__ import annotations

import gzip
import json
import resource
import select
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from services import Missing, given
from serving.servers import Packages, RunningServer, Start
from waiting import until

GIB = 1 << 30


@pytest.fixture(scope="module")
def odd(server: RunningServer, packages: Packages) -> RunningServer:
    """The shared server (bodies of 1 MB and 1 s at most), with a job named `odd`."""
    server.deployed(packages.make("odd", "1", "Versioned('1')"))
    return server


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answer_of(connection: socket.socket) -> tuple[int, dict[str, str]]:
    """The status and the body of the next answer, whose body is JSON."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        length = 0
        while (line := file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                length = int(value)
        return status, json.loads(file.read(length))


def head(path: str = "/odd", **headers: object) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: test",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"{", "JSON"), (b"\xff\xfe", "JSON"), (b"[1, 2]", ""), (b"3", ""), (b'{"value": "many"}', "")],
)
def test_a_body_that_is_not_what_the_job_takes(odd: RunningServer, body: bytes, reason: str) -> None:
    told = requests.post(odd.requests + "/odd", data=body)
    assert told.status_code == 422
    assert reason in told.json()["error"]


def test_an_unknown_name_version_and_path(odd: RunningServer) -> None:
    unknown = odd.ask("nobody")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "nothing is served under the name 'nobody'"})
    version = odd.ask("odd", version="7")
    assert version.status_code == 404
    assert version.json() == {"error": "version 7 of odd is not ready; these are: 1"}
    assert requests.get(odd.requests + "/odd/sub/path").status_code == 404
    assert requests.get(odd.requests + "/odd").status_code == 405


def test_a_body_of_two_gigabytes_is_refused_when_it_is_announced(odd: RunningServer) -> None:
    with connected(odd.requests) as connection:
        connection.sendall(head(Content_Length=2 * GIB))
        assert answer_of(connection) == (413, {"error": "a body may have 1000000 bytes here"})
    with connected(odd.management) as connection:
        bearer = f"Bearer {odd.token}"
        connection.sendall(head("/packages", Content_Length=2 * GIB, Authorization=bearer))
        assert answer_of(connection) == (413, {"error": "a body may have 50000000 bytes here"})
    assert not list((odd.folder / "uploads").glob("*"))


def test_a_body_that_does_not_say_how_long_it_is_is_refused_when_it_is_too_long(odd: RunningServer) -> None:
    with connected(odd.requests) as connection:
        connection.sendall(head(Transfer_Encoding="chunked"))
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        for _ in range(20):
            connection.sendall(chunk)
        assert answer_of(connection) == (413, {"error": "a body may have 1000000 bytes here"})


def test_a_package_that_does_not_say_how_long_it_is_is_refused_when_it_is_too_long(odd: RunningServer) -> None:
    def most_memory() -> int:
        lines = Path(f"/proc/{odd.process.pid}/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    before = most_memory()
    with connected(odd.management) as connection:
        connection.sendall(head("/packages", Transfer_Encoding="chunked", Authorization=f"Bearer {odd.token}"))
        chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        for _ in range(48):
            connection.sendall(chunk)
    until(lambda: not list((odd.folder / "uploads").glob("*")))
    assert most_memory() - before < 10_000  # kB: it goes to the disk as it comes
    with connected(odd.management) as connection:
        connection.sendall(head("/packages", Transfer_Encoding="chunked", Authorization=f"Bearer {odd.token}"))
        for _ in range(48):
            connection.sendall(chunk)
        assert answer_of(connection) == (413, {"error": "a body may have 50000000 bytes here"})
    assert not list((odd.folder / "uploads").glob("*"))


def test_a_small_body_that_unpacks_to_a_big_one_is_refused(odd: RunningServer) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    told = requests.post(odd.requests + "/odd", data=bomb, headers={"Content-Encoding": "gzip"})
    assert told.status_code == 413
    good = gzip.compress(b'{"value": 3}')
    assert requests.post(odd.requests + "/odd", data=good, headers={"Content-Encoding": "gzip"}).json()["value"] == 3
    assert requests.post(odd.requests + "/odd", data=good, headers={"Content-Encoding": "GZIP"}).json()["value"] == 3
    for other_than_one in (good[:-9], good + good, good + b"\0"):
        told = requests.post(odd.requests + "/odd", data=other_than_one, headers={"Content-Encoding": "gzip"})
        assert (told.status_code, told.json()) == (400, {"error": "the body is not one whole gzip"})
    other = requests.post(odd.requests + "/odd", data=good, headers={"Content-Encoding": "br"})
    assert other.status_code == 415


def test_a_body_that_does_not_come_whole_in_time_is_given_up(odd: RunningServer) -> None:
    with connected(odd.requests) as connection:
        connection.sendall(head(Content_Length=100) + b'{"value":')
        started = time.monotonic()
        assert answer_of(connection) == (408, {"error": "the body has not come whole in time"})
        assert time.monotonic() - started > 0.9
    with connected(odd.management) as connection:
        connection.sendall(head("/packages", Content_Length=100, Authorization=f"Bearer {odd.token}") + b"PK")
        assert answer_of(connection)[0] == 408
    assert not list((odd.folder / "uploads").glob("*"))
    with connected(odd.requests) as connection:  # a little now and then is not in time either
        connection.sendall(head(Content_Length=100))
        while not select.select([connection], [], [], 0.2)[0]:
            connection.sendall(b" ")
        assert answer_of(connection)[0] == 408


def test_the_time_of_a_body_does_not_begin_anew_with_what_comes_late(start: Start, packages: Packages) -> None:
    server = start(body_seconds=5)
    server.deployed(packages.make("odd", "1", "Versioned('1')"))
    with connected(server.requests) as connection:
        connection.sendall(head(Content_Length=100))
        time.sleep(3.5)
        connection.sendall(b" ")
        started = time.monotonic()
        assert answer_of(connection)[0] == 408
        assert time.monotonic() - started < 4


def test_a_client_that_says_no_more_in_the_middle_of_its_body_is_hung_up_on(odd: RunningServer) -> None:
    for address, path in ((odd.requests, "/odd"), (odd.management, "/packages")):
        with connected(address) as connection:
            connection.sendall(head(path, Content_Length=100, Authorization=f"Bearer {odd.token}") + b'{"value":')
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096) == b""
    assert odd.ask("odd").status_code == 200
    assert not list((odd.folder / "uploads").glob("*"))


def test_weights_have_the_limits_of_other_requests(odd: RunningServer) -> None:
    start = f"PUT /names/odd/traffic HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {odd.token}\r\nContent-Length: "
    for size, status in ((2 * GIB, 413), (100, 408)):
        with connected(odd.management) as connection:
            connection.sendall(f"{start}{size}\r\n\r\n".encode() + b'{"weights":')
            assert answer_of(connection)[0] == status


def test_numbers_that_nobody_means_are_answered_all_the_same(odd: RunningServer, packages: Packages) -> None:
    assert odd.manage("GET", "/status", params={"seconds": "1e20"}).status_code == 200
    for share in ("\u00b2", "0", "100", "9" * 5000, "-1"):
        told = odd.manage("POST", "/packages", params={"mode": "canary", "share": share}, data=b"PK")
        assert (told.status_code, told.json()["error"]) == (422, "share is a number of per cent from 1 to 99")


def test_a_client_that_goes_away_in_the_middle_of_its_body_harms_nobody(odd: RunningServer) -> None:
    for address, path in ((odd.requests, "/odd"), (odd.management, "/packages")):
        for _ in range(20):
            with connected(address) as connection:
                connection.sendall(head(path, Content_Length=1000, Authorization=f"Bearer {odd.token}") + b"half")
    assert odd.ask("odd").status_code == 200
    until(lambda: not list((odd.folder / "uploads").glob("*")))
    assert not odd.logged(level="ERROR", logger="uvicorn.error")


def test_what_is_not_http_is_refused(odd: RunningServer) -> None:
    with connected(odd.requests) as connection:
        connection.sendall(b"\x16\x03\x01 this is TLS, or anything\r\n\r\n")
        assert answer_of(connection) == (400, {"error": "Invalid HTTP request received."})
    assert odd.ask("odd").status_code == 200


def test_a_head_that_does_not_come_whole_in_time_is_given_up(start: Start, packages: Packages) -> None:
    """What else there is to heads is in `test_heads.py`."""
    server = start(head_seconds=3)
    server.deployed(packages.make("late", "1", "Versioned('1')"))
    with connected(server.requests) as silent, connected(server.requests) as slow:
        slow.sendall(b"POST /late HTTP/1.1\r\nHost: te")
        assert answer_of(slow) == (408, {"error": "the head of the request has not come whole in time"})
        assert silent.recv(1) == b""
    with connected(server.requests) as connection:
        connection.sendall(head("/late", Content_Length=2) + b"{}")
        assert answer_of(connection)[0] == 200


@pytest.fixture
def many_files() -> Iterator[None]:
    """This process may have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 10_500:
        given(Missing(f"a process may have {hard} files open here"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (10_500, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_requests_are_answered_beside_ten_thousand_connections_that_say_nothing(odd: RunningServer) -> None:
    host, _, port = odd.requests.removeprefix("http://").partition(":")
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for number in range(10_000):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            if number % 2:
                connection.sendall(b"POST /odd HTTP/1.1\r\nHost: te")  # and half of them stop in the middle of a word
            selector.register(connection, selectors.EVENT_READ)
        for value in range(50):
            assert odd.ask("odd", {"value": value}).json()["value"] == value
        assert selector.select(0) == []  # the server has hung up on none
    assert odd.ask("odd").status_code == 200


def test_many_requests_on_one_connection_are_answered_in_their_order(odd: RunningServer) -> None:
    with connected(odd.requests) as connection:
        for value in range(50):
            body = json.dumps({"value": value}).encode()
            connection.sendall(head(Content_Length=len(body)) + body)
        with connection.makefile("rb") as file:
            values = []
            for _ in range(50):
                length = 0
                assert file.readline().split()[1] == b"200"
                while (line := file.readline().strip()) != b"":
                    name, _, text = line.partition(b":")
                    length = int(text) if name.lower() == b"content-length" else length
                values.append(json.loads(file.read(length))["value"])
    assert values == list(range(50))
