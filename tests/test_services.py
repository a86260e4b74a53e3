"""The engine, the ssh server and the registries that other tests stand on: each one answers, and a missing one is told."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
import services as services_module
from services import REQUIRED, SCRIPT, ImagesOfTests, Missing, SecuredRegistry, Services, SshServer, given
from waiting import until

WHOLE_REPORT = {
    "docker": {"socket": "/var/run/docker.sock"},
    "ssh": {"host": "127.0.0.1", "port": 22, "user": "root", "key": "/k", "config": "/c", "known_hosts": "/h"},
    "registry": {"plain": "127.0.0.1:1", "secured": "localhost:2", "user": "u", "password": "p", "ca": "/ca"},
    "base_image": "python:3.11-slim",
    "browser": "/usr/bin/chromium",
}


class Engine(http.client.HTTPConnection):
    """HTTP over the engine's socket, given as its URL."""

    def __init__(self, url: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = url.removeprefix("unix://")

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def status_of(connection: http.client.HTTPConnection, path: str, **headers: str) -> int:
    with closing(connection):
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status


def over_tls(registry: SecuredRegistry, ca: Path | None) -> http.client.HTTPSConnection:
    host, _, port = registry.address.partition(":")
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    return http.client.HTTPSConnection(host, int(port), timeout=30, context=context)


def test_the_engine_answers(docker_engine: str) -> None:
    assert status_of(Engine(docker_engine), "/_ping") == 200


def test_the_engine_has_the_base_image(docker_engine: str, base_image: str) -> None:
    assert status_of(Engine(docker_engine), f"/images/{base_image}/json") == 200


def test_the_server_runs_a_command(ssh_server: SshServer) -> None:
    command = ["ssh", "-F", str(ssh_server.config), ssh_server.alias, "cat && echo >&2 told && exit 3"]
    done = subprocess.run(command, input="one", capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr.strip(), done.returncode) == ("one", "told", 3)


def test_the_server_is_not_taken_for_another_one(ssh_server: SshServer, tmp_path: Path) -> None:
    command = ["ssh", "-F", str(ssh_server.config), "-o", f"UserKnownHostsFile={tmp_path / 'none'}"]
    done = subprocess.run([*command, ssh_server.alias, "true"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr


@pytest.fixture
def answering_socket(tmp_path: Path) -> Path:
    """A unix socket on which the first caller is told `here`."""
    path = tmp_path / "there.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen()
    listener.settimeout(60)

    def answer() -> None:
        with listener:
            caller, _ = listener.accept()
            with caller:
                caller.sendall(b"here")

    threading.Thread(target=answer, daemon=True).start()
    return path


def test_the_server_forwards_a_unix_socket(ssh_server: SshServer, answering_socket: Path) -> None:
    local = answering_socket.with_name("here.sock")
    tunnel = ["ssh", "-F", str(ssh_server.config), "-N", "-o", "ExitOnForwardFailure=yes"]
    with subprocess.Popen([*tunnel, "-L", f"{local}:{answering_socket}", ssh_server.alias]) as forwarding:
        try:
            until(lambda: local.exists() or forwarding.poll() is not None)
            assert forwarding.poll() is None, f"ssh ended with {forwarding.returncode}"
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
                caller.settimeout(60)
                until(lambda: caller.connect_ex(str(local)) == 0)  # the file is there a moment before it is listened at
                assert caller.recv(16) == b"here"
        finally:
            forwarding.terminate()


def test_the_plain_registry_answers(plain_registry: str) -> None:
    assert status_of(http.client.HTTPConnection(plain_registry, timeout=30), "/v2/") == 200


def test_the_secured_registry_wants_its_password(secured_registry: SecuredRegistry) -> None:
    def authorization(password: str) -> str:
        return "Basic " + base64.b64encode(f"{secured_registry.user}:{password}".encode()).decode()

    def status(**headers: str) -> int:
        return status_of(over_tls(secured_registry, secured_registry.ca), "/v2/", **headers)

    assert status() == 401
    assert status(Authorization=authorization("wrong")) == 401
    assert status(Authorization=authorization(secured_registry.password)) == 200


def test_the_secured_registry_is_trusted_by_its_ca_alone(secured_registry: SecuredRegistry) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        status_of(over_tls(secured_registry, None), "/v2/")


def test_the_engine_reaches_the_secured_registry(docker_engine: str, secured_registry: SecuredRegistry) -> None:
    login = {
        "serveraddress": secured_registry.address,
        "username": secured_registry.user,
        "password": secured_registry.password,
    }
    with closing(Engine(docker_engine)) as connection:
        connection.request("POST", "/auth", body=json.dumps(login), headers={"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            assert answer.status == 200, answer.read()


def test_starting_again_finds_what_runs(services: Services) -> None:
    again = subprocess.run([sys.executable, SCRIPT, "start"], capture_output=True, text=True, timeout=600, check=True)
    assert Services.parse(again.stdout) == services


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, SCRIPT, "start", "--state", tmp_path], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"{tmp_path} is not a folder of this user's alone" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_stopping_ends_what_was_started_and_only_that(ssh_server: SshServer, plain_registry: str) -> None:
    # In /tmp: pytest's own folders are too long a way for some tools, and everybody's to read on some machines.
    state = Path(f"/tmp/tg-services-test-{time.time_ns()}")
    try:
        call = [sys.executable, SCRIPT]
        done = subprocess.run(
            [*call, "start", "--state", state], capture_output=True, text=True, timeout=600, check=True
        )
        own = Services.parse(done.stdout)
        assert isinstance(own.ssh_server, SshServer)
        assert isinstance(own.plain_registry, str)
        assert own.ssh_server.port != ssh_server.port

        subprocess.run([*call, "stop", "--state", state], capture_output=True, timeout=600, check=True)

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", own.ssh_server.port), timeout=30)
        with pytest.raises(ConnectionRefusedError):
            status_of(http.client.HTTPConnection(own.plain_registry, timeout=30), "/v2/")
        assert status_of(http.client.HTTPConnection(plain_registry, timeout=30), "/v2/") == 200
    finally:
        subprocess.run([sys.executable, SCRIPT, "stop", "--state", state], capture_output=True, timeout=600)
        shutil.rmtree(state)


def test_a_report_is_read_whole() -> None:
    assert Services.parse(json.dumps(WHOLE_REPORT)) == Services(
        docker_engine="unix:///var/run/docker.sock",
        ssh_server=SshServer("127.0.0.1", 22, "root", Path("/k"), Path("/c"), Path("/h")),
        plain_registry="127.0.0.1:1",
        secured_registry=SecuredRegistry("localhost:2", "u", "p", Path("/ca")),
        base_image="python:3.11-slim",
        browser="/usr/bin/chromium",
    )


def test_a_missing_part_leaves_the_others() -> None:
    services = Services.parse(json.dumps({**WHOLE_REPORT, "registry": {"missing": "not installed"}}))
    assert services.plain_registry == services.secured_registry == Missing("not installed")
    assert services.docker_engine == "unix:///var/run/docker.sock"


def test_a_part_that_is_there_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    assert given("127.0.0.1:5000") == "127.0.0.1:5000"


@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_part_skips_the_test_with_its_reason(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    if value is not None:
        monkeypatch.setenv(REQUIRED, value)
    with pytest.raises(pytest.skip.Exception, match="sshd is not installed"):
        given(Missing("sshd is not installed"))


def test_a_missing_part_fails_the_test_where_services_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="sshd is not installed"):
        given(Missing("sshd is not installed"))


def test_the_last_session_of_several_removes_the_images_that_they_have_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"somebody's"}
    monkeypatch.setattr(services_module, "delivered_images", lambda: set(there))
    monkeypatch.setattr(services_module, "remove_images", there.difference_update)
    first, second = (ImagesOfTests(tmp_path / "lock") for _ in range(2))
    first.begin()
    there.add("of the first")
    second.begin()
    there.add("of the second")
    first.end()
    assert there == {"somebody's", "of the first", "of the second"}
    second.end()
    assert there == {"somebody's"}
