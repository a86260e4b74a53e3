"""Operations: what those who run a server see of it, who may do what, and how it ends."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families
from serving.servers import Packages, RunningServer, Start
from waiting import until

from tg.common.delivery.delivery.signing import sign_package
from tg.common.delivery.runtime.errors import ServerProblem
from tg.common.delivery.serving.access import Access, Role
from tg.common.delivery.serving.client import ServerClient
from tg.common.delivery.serving.settings import ServerSettings
from tg.common.delivery.trust import SigningKey

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(server: RunningServer) -> Samples:
    answer = server.manage("GET", "/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, metric: str, **labels: str) -> float | None:
    return samples.get((metric, frozenset(labels.items())))


def test_metrics_count_requests_by_version_and_status_and_their_latency(
    server: RunningServer, packages: Packages
) -> None:
    server.deployed(packages.make("counted", "1", "Versioned('1')"))
    for _ in range(3):
        server.ask("counted", {"seconds": 0.02})
    server.ask("counted", {"value": "no number"})
    samples = samples_of(server)
    of = {"name": "counted", "version": "1"}
    assert value(samples, "tg_requests_total", **of, status="200") == 3
    assert value(samples, "tg_requests_total", **of, status="422") == 1
    assert value(samples, "tg_request_seconds_count", **of) == 4
    assert value(samples, "tg_request_seconds_bucket", **of, le="+Inf") == 4
    assert (value(samples, "tg_request_seconds_bucket", **of, le="0.01") or 0) <= 1
    assert 0.06 < (value(samples, "tg_request_seconds_sum", **of) or 0) < 30
    assert 1e6 < (value(samples, "tg_memory_bytes", **of) or 0) < 1e9
    assert value(samples, "tg_workers", **of) == 1
    assert value(samples, "tg_waiting_requests", **of) == 0
    assert value(samples, "tg_deploys_total", name="counted", ended="ready") == 1


def test_versions_that_are_gone_are_gone_from_the_metrics(start: Start, packages: Packages) -> None:
    server = start(keep=1)
    for version in ("1", "2", "3", "4"):
        server.deployed(packages.make("going", version, f"Versioned({version!r})"))
        server.ask("going")
        samples_of(server)
    until(lambda: server.states("going") == {"2": "unloaded", "3": "ready", "4": "ready"})

    def figures() -> set[tuple[str, str]]:
        return {(metric, dict(labels)["version"]) for metric, labels in samples_of(server) if "version" in dict(labels)}

    until(lambda: {version for _, version in figures()} == {"2", "3", "4"})
    left = figures()
    assert ("tg_requests_total", "2") in left
    assert {metric for metric, version in left if version == "2"} & {"tg_memory_bytes", "tg_workers"} == set()

    until(lambda: server.stored("going") == {"going__2", "going__3", "going__4"})  # another program removes files


def test_the_log_is_json_and_names_the_request_in_the_worker_s_lines_as_well(
    server: RunningServer, packages: Packages
) -> None:
    server.deployed(packages.make("logging", "1", "Logging('1')"))
    answer = server.ask("logging", {"text": "tea"}, X_Request_Id="my request, no. 7")
    assert answer.headers["X-Request-Id"] == "my request, no. 7"
    (line,) = until(lambda: server.logged(message="asked for tea"))
    assert (line["level"], line["logger"]) == ("WARNING", "tg.jobs")
    assert (line["model"], line["version"], line["request_id"]) == ("logging", "1", "my request, no. 7")
    until(lambda: server.logged(message="printed tea", model="logging", version="1"))
    assert len(server.ask("logging", {"text": "tea"}).headers["X-Request-Id"]) > 10
    assert all(line.startswith("{") for line in server.raw_log.splitlines())


def test_every_request_has_a_line_where_that_is_wanted(start: Start, packages: Packages) -> None:
    server = start(access_log=True)
    server.deployed(packages.make("accessed", "1", "Versioned('1')"))
    server.ask("accessed", X_Request_Id="one of all")
    (line,) = until(lambda: server.logged(message="answered", request_id="one of all"))
    assert (line["model"], line["version"], line["status"]) == ("accessed", "1", 200)
    assert line["ms"] > 0
    assert server.ask("nobody").status_code == 404
    assert requests.get(f"{server.requests}/accessed", timeout=60).status_code == 405
    until(lambda: server.logged(message="answered", model="nobody", status=404))
    until(lambda: server.logged(message="answered", method="GET", path="/accessed", status=405))


def test_every_error_of_the_management_is_json(server: RunningServer) -> None:
    for method, path, status in (("GET", "/nothing/here", 404), ("DELETE", "/status", 405)):
        answer = server.manage(method, path)
        assert answer.status_code == status
        assert answer.json()["error"].startswith(f"{method} {path}: ")


def test_a_server_is_ready_while_it_takes_a_version_in(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("warming", "1", "Versioned('1')"))
    with ThreadPoolExecutor(1) as pool:
        deploying = pool.submit(server.deployed, packages.make("warming", "2", "Slow('2', 3)"))
        until(lambda: server.states("warming").get("2") == "warming")
        assert server.manage("GET", "/health/ready").status_code == 200
        assert deploying.result()["state"] == "ready"
    assert server.manage("GET", "/health/ready").status_code == 200


def test_the_trace_of_a_request_is_that_of_the_job(server: RunningServer, packages: Packages) -> None:
    server.deployed(packages.make("traced", "1", "Traced('1')"))
    trace = "0af7651916cd43dd8448eb211c80319c"
    told = server.ask(
        "traced",
        traceparent=f"00-{trace}-b7ad6b7169203331-01",
        tracestate="vendor=what it likes",
        baggage="customer=4711,plan=small",
    )
    assert told.json() == {
        "trace": trace,
        "state": "vendor=what it likes",
        "baggage": {"customer": "4711", "plan": "small"},
    }
    assert server.ask("traced").json() == {"trace": "0" * 32, "state": "", "baggage": {}}


def test_a_graceful_stop_answers_what_is_under_way(start: Start, packages: Packages) -> None:
    server = start()
    server.deployed(packages.make("stopped", "1", "Versioned('1')"))
    server.ask("stopped", {"seconds": 0.3})  # so it is known to take long, and gets no request ahead
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(server.ask, "stopped", {"value": number, "seconds": 1.0}) for number in range(4)]
        until(lambda: value(samples_of(server), "tg_waiting_requests", name="stopped", version="1") == 3)
        assert server.stop() == 0
        assert [one.result().json()["value"] for one in asked] == [0, 1, 2, 3]
    with pytest.raises(requests.ConnectionError):
        server.ask("stopped")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    files = tmp_path / "certificate.pem", tmp_path / "key.pem"
    write_certificate(*files, ec.generate_private_key(ec.SECP256R1()))
    return files


def write_certificate(chain: Path, private: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_both_ports_speak_tls_when_there_is_a_certificate(
    start: Start, packages: Packages, certificate: tuple[Path, Path]
) -> None:
    server = start(certificate=certificate[0], certificate_key=certificate[1])
    server.deployed(packages.make("secret", "1", "Versioned('1')"))
    assert server.requests.startswith("https:")
    assert server.ask("secret").json()["version"] == "1"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.requests + "/v2/health/live")
    with pytest.raises(requests.ConnectionError):
        requests.get(server.requests.replace("https:", "http:") + "/v2/health/live")


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificate_that_is_renewed_counts_within_a_second_or_two(
    start: Start, packages: Packages, certificate: tuple[Path, Path], kind: str
) -> None:
    server = start(certificate=certificate[0], certificate_key=certificate[1])
    server.deployed(packages.make("renewed", "1", "Versioned('1')"))
    ports = [int(address.rpartition(":")[2]) for address in (server.requests, server.management)]

    def shown() -> list[str]:
        return [ssl.get_server_certificate(("127.0.0.1", port)) for port in ports]

    first = certificate[0].read_text()
    assert shown() == [first, first]
    certificate[1].write_text("no key")
    until(lambda: any("certificate is that of before" in line["message"] for line in server.logged(logger="tg.server")))
    assert shown() == [first, first]
    other = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    write_certificate(*certificate, other)
    second = certificate[0].read_text()
    until(lambda: shown() == [second, second])
    assert second != first
    assert server.ask("renewed").json()["version"] == "1"


def test_a_certificate_that_is_none_is_told(packages: Packages, tmp_path: Path) -> None:
    for file in ("certificate.pem", "key.pem"):
        (tmp_path / file).write_text("none")
    printed = packages.project.run(
        f"""
        import sys
        from tg.common.cli.command import main
        files = ["--certificate", {str(tmp_path / "certificate.pem")!r}, "--certificate-key", {str(tmp_path / "key.pem")!r}]
        sys.exit(main(["serve", "--store", {str(tmp_path / "state")!r}, "--port", "0", "--management-port", "0", *files]))
        """,
        fails=True,
    )
    assert "are no certificate and key for TLS" in printed
    assert "Traceback" not in printed


@pytest.fixture
def tokens(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file of tokens, one for each role, and the tokens."""
    file = tmp_path / "private/tokens.json"
    return file, {role.name: Access.new_token(file, role.name.lower(), role) for role in Role}


def test_tokens_may_do_what_their_roles_say(
    start: Start, packages: Packages, tokens: tuple[Path, dict[str, str]]
) -> None:
    file, secrets = tokens
    server = start(tokens=file)
    assert not any(secret in file.read_text("utf-8") for secret in secrets.values())
    package = packages.make("guarded", "1", "Versioned('1')")

    def statuses(token: str) -> list[int]:
        asked = server.ask("guarded", Authorization=f"Bearer {token}")
        looked = server.manage("GET", "/status", token=token)
        deployed = server.deploy(package, token=token)
        index = requests.post(server.requests + "/v2/repository/index", headers={"Authorization": f"Bearer {token}"})
        return [asked.status_code, looked.status_code, deployed.status_code, index.status_code]

    assert server.deploy(package, token=secrets["DEPLOY"]).status_code == 200
    assert statuses(secrets["DEPLOY"]) == [200, 200, 200, 200]
    assert statuses(secrets["INFER"]) == [200, 200, 403, 200]
    assert statuses(secrets["READ"]) == [403, 200, 403, 200]
    assert statuses("guessed") == [401, 401, 401, 401]
    nobody = requests.post(server.requests + "/guarded", json={})
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert server.deploy(package, token=secrets["READ"]).json() == {
        "error": "a token with the role deploy is needed, and read has read"
    }
    assert requests.get(server.management + "/health/ready").status_code == 200
    assert {one["by"] for one in server.manage("GET", "/deployments", token=secrets["READ"]).json()} == {"deploy"}


_PLACES = [
    ("management", "GET", "/status", Role.READ),
    ("management", "GET", "/metrics", Role.READ),
    ("management", "GET", "/deployments", Role.READ),
    ("management", "GET", "/names/places/difference?before=1&after=1", Role.READ),
    ("management", "POST", "/packages", Role.DEPLOY),
    ("management", "PUT", "/names/places/traffic", Role.DEPLOY),
    ("management", "POST", "/names/places/rollback", Role.DEPLOY),
    ("management", "POST", "/names/places/versions/1/load", Role.DEPLOY),
    ("management", "POST", "/names/places/versions/1/unload", Role.DEPLOY),
    ("requests", "POST", "/places", Role.INFER),
    ("requests", "POST", "/places/versions/1", Role.INFER),
    ("requests", "POST", "/v2/models/places/infer", Role.INFER),
    ("requests", "POST", "/v2/models/places/versions/1/infer", Role.INFER),
    ("requests", "GET", "/v2/models/places", Role.READ),
    ("requests", "GET", "/v2/models/places/versions/1", Role.READ),
    ("requests", "POST", "/v2/repository/index", Role.READ),
    ("requests", "POST", "/v2/repository/models/places/load", Role.DEPLOY),
    ("requests", "POST", "/v2/repository/models/places/unload", Role.DEPLOY),
]


def test_each_place_asks_for_its_role(start: Start, packages: Packages, tokens: tuple[Path, dict[str, str]]) -> None:
    file, secrets = tokens
    server = start(tokens=file)
    assert server.deploy(packages.make("places", "1", "Versioned('1')"), token=secrets["DEPLOY"]).status_code == 200
    for port, method, path, wanted in _PLACES:
        address = getattr(server, port) + path

        def status(address: str = address, method: str = method, **headers: str) -> int:
            return requests.request(method, address, headers=headers, data=b"{", timeout=60).status_code

        assert status() == 401, path
        assert status(Authorization="Bearer guessed") == 401, path
        for role in Role:
            told = status(Authorization=f"Bearer {secrets[role.name]}")
            assert (told == 403) == (role < wanted), (path, role, told)
            assert told != 401, (path, role)


def test_no_token_begins_as_an_option_does(tmp_path: Path) -> None:
    """`--token TOKEN` would be no token with one."""
    made = [Access.new_token(tmp_path / "tokens.json", "one", Role.READ) for _ in range(300)]
    assert not any(token.startswith("-") for token in made)


def test_without_tokens_of_that_role_anybody_may_ask_and_nobody_but_the_owner_may_deploy(
    server: RunningServer, packages: Packages
) -> None:
    package = packages.make("unguarded", "1", "Versioned('1')")
    for method, path in (("GET", "/status"), ("GET", "/metrics"), ("GET", "/deployments"), ("POST", "/packages")):
        assert requests.request(method, server.management + path).status_code == 401
    server.deployed(package)
    assert server.ask("unguarded").status_code == 200
    assert (server.folder / "token").stat().st_mode & 0o777 == 0o600


def test_tokens_that_are_made_or_withdrawn_count_within_a_second_or_two(server: RunningServer) -> None:
    file = server.folder / "tokens.json"
    before = file.read_bytes()
    late = Access.new_token(file, "late", Role.READ)
    until(lambda: server.manage("GET", "/status", token=late).status_code == 200)
    file.write_bytes(b"[")
    until(
        lambda: any("has no tokens that can be read" in line["message"] for line in server.logged(logger="tg.server"))
    )
    assert server.manage("GET", "/status", token=late).status_code == 200
    file.write_bytes(before)
    until(lambda: server.manage("GET", "/status", token=late).status_code == 401)
    assert server.manage("GET", "/status").status_code == 200


@pytest.fixture
def signing(tmp_path: Path) -> tuple[SigningKey, Path]:
    """A key, and the file of a policy that trusts it alone."""
    key = SigningKey.new(tmp_path / "keys/ours", comment="ours")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"signers": {"signed": [str(key.public)]}}), encoding="utf-8")
    policy.chmod(0o600)
    return key, policy


def test_deploys_are_under_the_trust_policy(
    start: Start, packages: Packages, signing: tuple[SigningKey, Path], tmp_path: Path
) -> None:
    key, policy = signing
    server = start(policy=policy)
    file = packages.make("signed", "1", "Versioned('1')")
    unsigned = server.deploy(file)
    assert unsigned.status_code == 403
    assert "is not trusted" in unsigned.json()["error"]
    sign_package(file, SigningKey.new(tmp_path / "keys/other", comment="somebody else"))
    by_somebody = server.deploy(file)
    assert by_somebody.status_code == 403
    assert "who is none of those that may sign packages named signed" in by_somebody.json()["error"]
    assert server.name("signed") == {}
    assert not list((server.folder / "store").glob("*/signed__1"))
    signed = packages.make("signed", "2", "Versioned('2')")
    sign_package(signed, key)
    server.deployed(signed)
    assert server.ask("signed").json()["version"] == "2"


@pytest.fixture
def command(packages: Packages) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tg.common.cli", *map(str, arguments)],
            env={**packages.project.environment(), **environment},
            cwd=packages.project.elsewhere,
            capture_output=True,
            text=True,
        )

    return command


def test_the_command_deploys_and_rolls_back(
    server: RunningServer, packages: Packages, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for version in ("1", "2"):
        file = packages.make("commanded", version, f"Versioned({version!r})")
        done = command("deploy", file, "--to", server.management, TG_TOKEN=server.token)
        assert done.returncode == 0, done.stderr
        assert f"commanded {version} is ready after " in done.stdout
        assert f"requests go to {version} 100 %" in done.stdout
    back = command("rollback", "commanded", "--to", server.management, "--token", server.token)
    assert back.stdout == "requests for commanded go to 1 100 %\n"
    refused = command("deploy", file, "--to", server.management, TG_TOKEN="guessed")
    assert refused.returncode != 0
    assert "a token with the role deploy is needed" in refused.stderr
    broken = packages.make("commanded", "3", "Failing('3', 'warm_up')")
    failed = command("deploy", broken, "--to", server.management, TG_TOKEN=server.token)
    assert failed.returncode != 0
    assert "RuntimeError: no weights" in failed.stderr
    assert "warming up" in failed.stderr  # what it has logged


def test_the_command_gives_requests_to_versions_by_weight(
    server: RunningServer, packages: Packages, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for version in ("1", "2", "3"):
        server.deployed(packages.make("weighed", version, f"Versioned({version!r})"))
    to = ("--to", server.management, "--token", server.token)
    assert command("traffic", "weighed", "1=3", "2=1", "--shadow", "3", *to).stdout == (
        "requests for weighed go to 1 75 %, 2 25 %, and to 3 as a shadow\n"
    )
    assert server.name("weighed")["traffic"] == {"weights": {"1": 3, "2": 1}, "shadow": "3"}
    status = command("status", *to).stdout
    assert sorted(line.split()[1:4] for line in status.splitlines() if line.startswith("weighed")) == [
        ["1", "ready", "75"],
        ["2", "ready", "25"],
        ["3", "ready", "shadow"],
    ]
    assert command("traffic", "weighed", "2", *to).stdout == "requests for weighed go to 2 100 %\n"
    for wrong, reason in (
        (["1=a", "2=1"], "'1=a' is not VERSION=WEIGHT with a whole number"),
        (["1", "2"], "'1' has no weight, and there are several versions"),
        (["1=1", "1=2"], "version 1 is given twice"),
        (["1=0", "2=1"], "a weight is 1 at least"),
        (["4"], "4"),
    ):
        refused = command("traffic", "weighed", *wrong, *to)
        assert refused.returncode == 1
        assert reason in refused.stderr
    assert server.name("weighed")["traffic"] == {"weights": {"2": 100}, "shadow": None}


def test_what_answers_but_is_no_server_of_packages_is_told(tmp_path: Path) -> None:
    class Login(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p>Who are you?")

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    file = tmp_path / "job-1-py3-none-any.whl"
    file.write_bytes(b"PK")
    with ThreadingHTTPServer(("127.0.0.1", 0), Login) as other, ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        pool.submit(other.serve_forever, 0.05)
        stack.callback(other.shutdown)
        client = ServerClient(f"127.0.0.1:{other.server_port}", token="secret")
        for ask in (lambda: client.deploy(file), lambda: client.roll_back("job")):
            with pytest.raises(ServerProblem, match="answers, but not as `tg serve` does") as told:
                ask()
            assert told.value.status == 200


def test_tokens_that_are_gone_or_cannot_be_found_open_nothing(
    start: Start, packages: Packages, tokens: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    file, _ = tokens
    own = tmp_path / "own.json"
    own.write_text(file.read_text("utf-8").replace('"infer"', '"INFER"'), "utf-8")
    own.chmod(0o600)
    server = start(tokens=own)
    assert server.ask("anything").status_code == 401
    own.unlink()
    until(lambda: "is gone" in server.raw_log)
    assert server.ask("anything").status_code == 401
    with pytest.raises(ValueError, match="cannot be read"):
        ServerSettings(tokens=tmp_path / "typo.json")


def test_the_source_of_two_versions_is_compared_by_a_process_of_its_own(
    server: RunningServer, packages: Packages
) -> None:
    server.deployed(packages.make("compared", "1", "Versioned('1')"))
    module = packages.project.folder / "tg/served/compared.py"
    module.write_text("ANSWER = 42\n", encoding="utf-8")
    server.deployed(packages.make("compared", "2", "Versioned('2')"))
    module.unlink()
    before = server.processes()
    answer = server.manage("GET", "/names/compared/difference?before=1&after=2")
    assert answer.json()["difference"].splitlines()[-2:] == ["@@ -0,0 +1 @@", "+ANSWER = 42"]
    assert server.manage("GET", "/names/compared/difference?before=2&after=2").json() == {"difference": ""}
    until(lambda: server.processes() <= before)
    unknown = server.manage("GET", "/names/compared/difference?before=1&after=3")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "there is no version '3' of compared")
