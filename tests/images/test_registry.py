"""Registries: images pushed and read without an engine. Debian's docker-registry is what they are tried with."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import socket
import subprocess
import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from registries import OwnRegistry
from services import SecuredRegistry

from tg.common.delivery.images import registry_connection as registry_module
from tg.common.delivery.images.blob import INDEX, LAYER, MANIFEST, Blob, Layer, digest_of
from tg.common.delivery.images.credentials import Challenge, Credentials, stored_credentials
from tg.common.delivery.images.image import Image
from tg.common.delivery.images.pushing import RegistryPusher
from tg.common.delivery.images.reference import Reference
from tg.common.delivery.images.registry import Registry
from tg.common.delivery.images.secret import Secret
from tg.common.delivery.runtime.errors import ImageProblem, InvalidName, RegistryProblem

PASSWORD = "tr0ub4dor-and-3"
ADA = Credentials("ada", Secret(PASSWORD))


# What the tests are made of


def layer_of(data: bytes, origin: str | None = None) -> Layer:
    blob = Blob(digest_of(data), len(data), LAYER, lambda: io.BytesIO(data), origin)
    return Layer(blob, digest_of(b"unpacked " + data), f"COPY {len(data)}")


def image_of(*layers: Layer, architecture: str = "amd64") -> Image:
    config = {"os": "linux", "architecture": architecture, "created": "1980-01-01T00:00:00Z", "config": {}}
    return Image.of("example_job", "0.0.0", config, layers or (layer_of(os.urandom(300_000)), layer_of(os.urandom(10))))


def named(registry: str, repository: str | None = None, tag: str = "1") -> Reference:
    return Reference.parse(f"{registry}/{repository or f'team/{uuid.uuid4().hex}'}:{tag}")


def said(error: BaseException) -> str:
    """All that is shown of an error, its causes included."""
    return "".join(traceback.format_exception(error))


@dataclass
class Traffic:
    """What was sent: method, path, and length of the body."""

    sent: list[tuple[str, str, int]] = field(default_factory=list)
    authorizations: list[tuple[str, str | None]] = field(default_factory=list)

    def __call__(self, method: str) -> list[str]:
        return [path for one, path, _ in self.sent if one == method]

    @property
    def bytes(self) -> int:
        return sum(length for _, _, length in self.sent)

    def clear(self) -> None:
        self.sent.clear()


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    seen = Traffic()
    send = requests.adapters.HTTPAdapter.send

    def counted(self: Any, request: Any, **more: Any) -> Any:
        seen.sent.append((request.method, urlsplit(request.url).path, int(request.headers.get("Content-Length", 0))))
        seen.authorizations.append((urlsplit(request.url).netloc, request.headers.get("Authorization")))
        return send(self, request, **more)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", counted)
    return seen


@pytest.fixture(autouse=True)
def _nobody_has_signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the credentials, authorities and proxies of whoever runs it."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "user/.docker"))


@pytest.fixture
def sign_in(tmp_path: Path) -> Any:
    """Writes docker's `config.json`."""

    def write(**config: Any) -> None:
        folder = tmp_path / "user/.docker"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config))

    return write


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a credential helper, a shell script, on the PATH."""

    def write(script: str) -> None:
        folder = tmp_path / "helpers"
        folder.mkdir(exist_ok=True)
        program = folder / "docker-credential-test"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    return write


def unused_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@contextlib.contextmanager
def own_registry(folder: Path, **settings: Any) -> Iterator[OwnRegistry]:
    registry = OwnRegistry(folder, **settings)
    registry.start()
    try:
        yield registry
    finally:
        registry.kill()


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server of the test's own, for answers that a sound registry does not give."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Answering(BaseHTTPRequestHandler):
    """Answers with what `answer` gives: status, headers, body."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, headers, body = self.answer()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_POST = do_PUT = do_GET

    def log_message(self, *arguments: Any) -> None:
        pass


# Pushing


def test_what_is_pushed_is_what_is_read(plain_registry: str) -> None:
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        assert registry.push(image, reference) == image.digest
        found = registry.resolve(reference)
    assert str(found.reference) == f"{reference}@{image.digest}"
    assert found.manifest == json.loads(image.manifest.read())
    assert found.config == json.loads(image.config.read())
    assert found.layers == image.layers
    assert {layer.blob.origin for layer in found.layers} == {reference.name}


def test_layers_are_read_after_the_registry_was_closed(plain_registry: str) -> None:
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image, reference)
        found = registry.resolve(reference)
    assert [layer.blob.read() for layer in found.layers] == [layer.blob.read() for layer in image.layers]


def test_a_second_push_sends_nothing(plain_registry: str, traffic: Traffic) -> None:
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image, reference)
        assert traffic.bytes == sum(blob.size for blob in image.blobs)
        traffic.clear()
        assert registry.push(image, reference) == image.digest
    assert traffic.sent == [("HEAD", f"/v2/{reference.repository}/manifests/1", 0)]


def test_another_tag_is_the_manifest_alone(plain_registry: str, traffic: Traffic) -> None:
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image, reference)
        traffic.clear()
        registry.push(image, named(plain_registry, reference.repository, "2"))
        assert traffic.bytes == image.manifest.size
        assert sorted(registry.tags(reference.repository)) == ["1", "2"]


def test_one_changed_layer_is_sent_alone(plain_registry: str, traffic: Traffic) -> None:
    kept, reference = layer_of(os.urandom(100_000)), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image_of(kept, layer_of(b"one")), reference)
        traffic.clear()
        changed = image_of(kept, layer_of(b"two"))
        registry.push(changed, reference)
    assert traffic.bytes == changed.manifest.size + changed.config.size + 3


def test_a_layer_of_another_repository_is_mounted_and_moves_no_bytes(plain_registry: str, traffic: Traffic) -> None:
    base, base_name, name = image_of(), named(plain_registry), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(base, base_name)
        traffic.clear()

        def never() -> Any:
            raise AssertionError("opened")

        mounted = [
            Layer(Blob(one.blob.digest, one.blob.size, LAYER, never, base_name.name), one.diff_id, one.created_by)
            for one in base.layers
        ]
        image = image_of(*mounted, layer_of(b"on top"))
        registry.push(image, name)
        assert traffic.bytes == image.manifest.size + image.config.size + len(b"on top")
        assert [layer.blob.read() for layer in registry.resolve(name).layers][:2] == [
            layer.blob.read() for layer in base.layers
        ]


def test_what_cannot_be_mounted_is_uploaded(plain_registry: str) -> None:
    image = image_of(layer_of(os.urandom(1000), origin=f"{plain_registry}/nobody/has/this"))
    reference = named(plain_registry)
    with Registry(plain_registry) as registry:
        assert registry.push(image, reference) == image.digest
        assert registry.resolve(reference).layers == image.layers


def test_a_layer_goes_from_one_registry_to_another_as_a_stream(plain_registry: str, tmp_path: Path) -> None:
    base, base_name = image_of(layer_of(os.urandom(3_000_000))), named(plain_registry)
    with own_registry(tmp_path / "other") as other:
        with Registry(plain_registry) as registry:
            registry.push(base, base_name)
            found = registry.resolve(base_name)
        with Registry(other.address) as registry:
            image = image_of(*found.layers)
            registry.push(image, named(other.address, "job"))
    assert other.file_of(base.layers[0].blob.digest).read_bytes() == base.layers[0].blob.read()


def test_a_pusher_puts_the_name_behind_its_prefix(plain_registry: str) -> None:
    image, team = image_of(), uuid.uuid4().hex
    assert RegistryPusher(f"{plain_registry}/{team}/").push(image) == f"{plain_registry}/{team}/example_job:0.0.0"
    with Registry(plain_registry) as registry:
        assert registry.tags(f"{team}/example_job") == ["0.0.0"]


def test_a_prefix_that_cannot_be_is_told_at_once() -> None:
    with pytest.raises(InvalidName):
        RegistryPusher("https://registry.example")


def test_a_name_in_another_registry_is_refused() -> None:
    with Registry("localhost:1") as registry, pytest.raises(InvalidName, match="is not a name in the registry"):
        registry.push(image_of(), named("localhost:2"))


def test_a_blob_that_was_cut_after_it_was_made_is_told(plain_registry: str) -> None:
    whole = layer_of(os.urandom(1000))
    cut = Blob(whole.blob.digest, 1000, LAYER, lambda: io.BytesIO(b"short"))
    with Registry(plain_registry) as registry, pytest.raises(ImageProblem, match="has 995 bytes less than the 1000"):
        registry.push(image_of(Layer(cut, whole.diff_id, "")), named(plain_registry))


def test_a_blob_that_was_changed_after_it_was_made_is_refused_by_the_registry(plain_registry: str) -> None:
    whole = layer_of(os.urandom(1000))
    other = Blob(whole.blob.digest, 1000, LAYER, lambda: io.BytesIO(bytes(1000)))
    with Registry(plain_registry) as registry, pytest.raises(RegistryProblem, match="DIGEST_INVALID") as caught:
        registry.push(image_of(Layer(other, whole.diff_id, "")), named(plain_registry))
    assert caught.value.status == 400


# Reading


def test_an_index_gives_the_image_of_the_platform(plain_registry: str) -> None:
    reference = named(plain_registry)
    images = {architecture: image_of(architecture=architecture) for architecture in ("amd64", "arm64")}
    with Registry(plain_registry) as registry:
        for architecture, image in images.items():
            registry.push(image, named(plain_registry, reference.repository, architecture))
        put_index(
            reference,
            [
                ({"os": "unknown", "architecture": "unknown"}, images["amd64"]),
                ({"os": "linux", "architecture": "arm64", "variant": "v8"}, images["arm64"]),
                ({"os": "linux", "architecture": "amd64"}, images["amd64"]),
            ],
        )
        assert registry.resolve(reference).reference.digest == images["amd64"].digest
        assert registry.resolve(reference, ("linux", "arm64", None)).layers == images["arm64"].layers
        assert registry.resolve(reference, ("linux", "arm64", "v8")).layers == images["arm64"].layers
        with pytest.raises(ImageProblem, match=r"no image for linux/riscv64\. It has linux/amd64, linux/arm64/v8\.$"):
            registry.resolve(reference, ("linux", "riscv64", None))
        with pytest.raises(ImageProblem, match=r"no image for linux/arm64/v9"):
            registry.resolve(reference, ("linux", "arm64", "v9"))


def put_index(reference: Reference, offered: list[tuple[dict[str, str], Image]]) -> None:
    manifests = [{**image.manifest.descriptor, "platform": platform} for platform, image in offered]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    requests.put(
        f"http://{reference.registry}/v2/{reference.repository}/manifests/{reference.tag}",
        data=json.dumps(index),
        headers={"Content-Type": INDEX},
        timeout=10,
    ).raise_for_status()


def test_an_image_of_one_platform_is_not_given_for_another(plain_registry: str) -> None:
    reference = named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image_of(architecture="arm64"), reference)
        with pytest.raises(ImageProblem, match=r"has no image for linux/amd64\. It has linux/arm64\.$"):
            registry.resolve(reference)


def test_an_image_that_docker_pushed_gives_layers_of_oci(plain_registry: str) -> None:
    docker = "application/vnd.docker."
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        registry.push(image, reference)
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{docker}distribution.manifest.v2+json",
            "config": {**image.config.descriptor, "mediaType": f"{docker}container.image.v1+json"},
            "layers": [
                {**layer.blob.descriptor, "mediaType": f"{docker}image.rootfs.diff.tar.gzip"} for layer in image.layers
            ],
        }
        requests.put(
            f"http://{plain_registry}/v2/{reference.repository}/manifests/docker",
            data=json.dumps(manifest),
            headers={"Content-Type": manifest["mediaType"]},
            timeout=10,
        ).raise_for_status()
        assert registry.resolve(named(plain_registry, reference.repository, "docker")).layers == image.layers


def test_what_is_not_there_is_named(plain_registry: str) -> None:
    with Registry(plain_registry) as registry:
        with pytest.raises(RegistryProblem, match=f"{plain_registry} has no image .*MANIFEST_UNKNOWN") as caught:
            registry.resolve(named(plain_registry))
        assert (caught.value.status, caught.value.registry) == (404, plain_registry)
        with pytest.raises(RegistryProblem, match="has no repository no/body"):
            registry.tags("no/body")


def test_an_altered_blob_is_refused_before_its_end(tmp_path: Path) -> None:
    image = image_of()
    blob = image.layers[0].blob
    with own_registry(tmp_path / "registry") as own, Registry(own.address) as registry:
        reference = named(own.address)
        registry.push(image, reference)
        data = bytearray(own.file_of(blob.digest).read_bytes())
        data[1000] ^= 1
        own.file_of(blob.digest).write_bytes(data)
        read: list[bytes] = []
        problem = f"{blob.digest} from {own.address} is not what its digest says"
        with (
            registry.open_blob(reference.repository, blob.digest, blob.size) as stream,
            pytest.raises(RegistryProblem, match=problem),
        ):
            read.extend(iter(lambda: stream.read(1000), b""))
        assert sum(map(len, read)) < blob.size

        own.file_of(blob.digest).write_bytes(data[:1000])
        with (
            registry.resolve(reference).layers[0].blob.open() as stream,
            pytest.raises(RegistryProblem, match="ended after"),
        ):
            stream.read()


def test_an_altered_manifest_is_refused(tmp_path: Path) -> None:
    image = image_of()
    with own_registry(tmp_path / "registry") as own, Registry(own.address) as registry:
        reference = named(own.address)
        registry.push(image, reference)
        own.file_of(image.digest).write_bytes(image.manifest.read() + b" ")
        with pytest.raises(RegistryProblem):
            registry.resolve(Reference.parse(f"{reference.name}@{image.digest}"))


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (b"<html>", "is not JSON"),
        (b"[]", "is not an object"),
        (b'{"schemaVersion": 1}', "schema version 1"),
        (b'{"schemaVersion": 2, "manifests": [], "config": {}, "layers": []}', "which is not an image of OCI"),
        (b'{"schemaVersion": 2, "config": {"digest": "sha256:../../x", "size": 1, "mediaType": "x"}, "layers": []}', "names something without digest"),
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(manifest: bytes, problem: str) -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 200, {"Content-Type": MANIFEST}, manifest

    with serving(Handler) as address, Registry(address) as registry, pytest.raises(ImageProblem, match=problem):
        registry.resolve(named(address))


# Passwords


def test_the_right_password_is_let_in(secured_registry: SecuredRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured_registry.ca))
    image, reference = image_of(), named(secured_registry.address)
    credentials = Credentials(secured_registry.user, Secret(secured_registry.password))
    with Registry(secured_registry.address, credentials=credentials) as registry:
        assert registry.push(image, reference) == image.digest
        assert [layer.blob.read() for layer in registry.resolve(reference).layers] == [
            layer.blob.read() for layer in image.layers
        ]


def test_a_wrong_password_is_told_and_not_shown(
    secured_registry: SecuredRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured_registry.ca))
    with Registry(secured_registry.address, credentials=ADA) as registry, pytest.raises(RegistryProblem) as caught:
        registry.push(image_of(), named(secured_registry.address))
    assert "does not let the user ada push to" in str(caught.value)
    assert str(caught.value).endswith(f"docker login {secured_registry.address}.")
    assert caught.value.status == 401
    assert PASSWORD not in said(caught.value)
    assert ADA.basic.reveal() not in said(caught.value)


def test_nobody_is_told_to_sign_in(secured_registry: SecuredRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured_registry.ca))
    with Registry(secured_registry.address) as registry, pytest.raises(RegistryProblem, match="has not signed in read"):
        registry.resolve(named(secured_registry.address))


def test_what_docker_login_stored_is_used(
    secured_registry: SecuredRegistry, monkeypatch: pytest.MonkeyPatch, sign_in: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured_registry.ca))
    pair = f"{secured_registry.user}:{secured_registry.password}".encode()
    sign_in(auths={secured_registry.address: {"auth": base64.b64encode(pair).decode()}})
    (tmp_path / "user/.netrc").write_text("machine localhost login ada password wrong\n")  # not to be used
    image = image_of()
    reference = RegistryPusher(f"{secured_registry.address}/{uuid.uuid4().hex}").push(image)
    with Registry(secured_registry.address) as registry:
        assert registry.resolve(Reference.parse(reference)).reference.digest == image.digest


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_credential_helper_is_asked(
    secured_registry: SecuredRegistry, monkeypatch: pytest.MonkeyPatch, sign_in: Any, helper: Any, setting: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(secured_registry.ca))
    answer = json.dumps({"Username": secured_registry.user, "Secret": secured_registry.password})
    helper(f'[ "$1" = get ] && [ "$(cat)" = {secured_registry.address} ] && echo \'{answer}\'')
    sign_in(**{setting: "test" if setting == "credsStore" else {secured_registry.address: "test"}})
    with Registry(secured_registry.address) as registry, pytest.raises(RegistryProblem) as caught:
        registry.tags("no/body")
    assert caught.value.status == 404


def test_an_unknown_authority_is_told_with_what_to_set(secured_registry: SecuredRegistry) -> None:
    credentials = Credentials(secured_registry.user, Secret(secured_registry.password))
    with (
        Registry(secured_registry.address, credentials=credentials) as registry,
        pytest.raises(
            RegistryProblem, match=r"certificate of .* is not trusted: .* in SSL_CERT_FILE, or put it at"
        ) as caught,
    ):
        registry.tags("no/body")
    assert secured_registry.password not in said(caught.value)


def test_an_authority_that_docker_was_told_of_is_trusted(secured_registry: SecuredRegistry, tmp_path: Path) -> None:
    folder = tmp_path / "user/.docker/certs.d" / secured_registry.address
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(secured_registry.ca.read_bytes())
    with Registry(secured_registry.address) as registry, pytest.raises(RegistryProblem) as caught:
        registry.tags("no/body")
    assert caught.value.status == 401


# What is stored


def encoded(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("registry", "auths", "user"),
    [
        ("registry.example", {"registry.example": encoded("me:a:b")}, "me"),
        ("registry.example:5000", {"https://registry.example:5000/v2/": encoded("me:a:b")}, "me"),
        ("docker.io", {"https://index.docker.io/v1/": encoded("me:a:b")}, "me"),
        ("docker.io", {"docker.io": encoded("me:a:b")}, "me"),
        ("registry.example", {"other.example": encoded("me:a:b"), "registry.example": {}}, None),
        ("registry.example", {"registry.example:5000": encoded("me:a:b")}, None),
    ],
)
def test_stored_credentials_are_found_by_the_registry(
    sign_in: Any, registry: str, auths: dict[str, Any], user: str | None
) -> None:
    sign_in(auths=auths)
    found = stored_credentials(registry)
    assert (found and found.user) == user
    assert found is None or found.password == Secret("a:b")


def test_without_a_file_nobody_is_signed_in() -> None:
    assert stored_credentials("registry.example") is None


def test_an_identity_token_is_found(sign_in: Any, helper: Any) -> None:
    sign_in(auths={"one.example": {**encoded("<id>:"), "identitytoken": "it"}}, credHelpers={"two.example": "test"})
    helper("""echo '{"Username": "<token>", "Secret": "it"}'""")
    for registry in ("one.example", "two.example"):
        found = stored_credentials(registry)
        assert found is not None
        assert found.identity_token == Secret("it")


def test_a_helper_without_an_entry_leaves_the_file(sign_in: Any, helper: Any) -> None:
    helper("echo credentials not found in native keychain; exit 1")
    sign_in(credsStore="test", auths={"registry.example": encoded("me:x")})
    found = stored_credentials("registry.example")
    assert found is not None
    assert found.user == "me"
    assert stored_credentials("other.example") is None


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo the keychain is locked; exit 1", "test has failed .*the keychain is locked"),
        (f'echo \'{{"Secret": "{PASSWORD}"\'; exit 1', "it says nothing"),
        (f"echo {PASSWORD}", "has answered something else"),
    ],
)
def test_a_helper_that_fails_is_told(sign_in: Any, helper: Any, script: str, problem: str) -> None:
    helper(script)
    sign_in(credsStore="test")
    with pytest.raises(RegistryProblem, match=problem) as caught:
        stored_credentials("registry.example")
    assert PASSWORD not in said(caught.value)


def test_a_helper_that_is_missing_is_told(sign_in: Any) -> None:
    sign_in(credsStore="nowhere")
    with pytest.raises(RegistryProblem, match=r"docker-credential-nowhere .* cannot be run: No such file"):
        stored_credentials("registry.example")


def test_a_broken_file_is_told_without_what_is_in_it(tmp_path: Path) -> None:
    file = tmp_path / "user/.docker/config.json"
    file.parent.mkdir(parents=True)
    file.write_text(f'{{"auths": {PASSWORD}')
    with pytest.raises(RegistryProblem, match=r"cannot be read from .*: it is not JSON") as caught:
        stored_credentials("registry.example")
    assert PASSWORD not in said(caught.value)


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ('Basic realm="x"', Challenge("basic", "x")),
        ('Bearer realm="https://a/t?x=1,2",service="s",scope="a:b:pull,push"', Challenge("bearer", "https://a/t?x=1,2", "s")),
        ('Basic realm="x", bearer realm="https://a", error="a \\"b\\""', Challenge("bearer", "https://a")),
        ("Bearer realm=https://a", Challenge("bearer", "https://a")),
        ("Negotiate", None),
        ("", None),
    ],
)  # fmt: skip
def test_challenges_are_read(header: str, challenge: Challenge | None) -> None:
    assert Challenge.parse(header) == challenge


# Tokens


@dataclass
class TokenServer:
    """Gives tokens as Docker Hub does: Ada may write in `team`, read in `base`; everybody may read in `public`."""

    folder: Path
    asked: list[dict[str, list[str]]] = field(default_factory=list)
    runs_out: bool = False
    all_or_nothing: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir()
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=tokens", "-days", "2"]
        subprocess.run(
            [*command, "-keyout", "key.pem", "-out", "cert.pem"], cwd=self.folder, check=True, capture_output=True
        )

    def granted(self, user: str | None, scopes: list[str]) -> list[dict[str, Any]]:
        granted = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            rights = {"public": {"pull"}}
            if user == "ada":
                rights |= {"team": {"pull", "push"}, "base": {"pull"}}
            allowed = sorted(set(actions.split(",")) & rights.get(name.partition("/")[0], set()))
            granted.append({"type": kind, "name": name, "actions": allowed})
        return granted

    def token(self, user: str | None, scopes: list[str]) -> str:
        def part(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        certificate = "".join((self.folder / "cert.pem").read_text().splitlines()[1:-1])
        now = int(time.time()) - (1000 if self.runs_out else 0)
        self.runs_out = False
        claims = {
            "iss": "tests",
            "aud": "registry",
            "sub": user or "",
            "jti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
            "access": self.granted(user, scopes),
        }
        header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.folder / "key.pem")]
        signature = subprocess.run(command, input=signed.encode(), check=True, capture_output=True).stdout
        return f"{signed}.{part(signature)}"

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(Answering):
            def answer(self) -> tuple[int, dict[str, str], bytes]:
                if self.command == "POST":
                    asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                    scopes = asked["scope"][0].split()
                    if asked["refresh_token"] != ["identity"] or asked["grant_type"] != ["refresh_token"]:
                        return 401, {}, b"{}"
                    user: str | None = "ada"
                else:
                    asked = parse_qs(urlsplit(self.path).query)
                    scopes = asked.get("scope", [])
                    user = None
                    if (given := self.headers.get("Authorization")) is not None:
                        if given != ADA.basic.reveal():
                            answer = {"errors": [{"code": "UNAUTHORIZED", "message": f"not {given}"}]}
                            return 401, {}, json.dumps(answer).encode()
                        user = "ada"
                granted = server.granted(user, scopes)
                if server.all_or_nothing and not all(access["actions"] for access in granted):
                    return 403, {}, b"{}"
                server.asked.append(asked)
                name = "access_token" if self.command == "POST" else "token"
                return 200, {}, json.dumps({name: server.token(user, scopes), "expires_in": 300}).encode()

        return Handler


@dataclass
class TokenRegistry:
    address: str
    tokens: TokenServer


@pytest.fixture
def token_registry(tmp_path: Path) -> Iterator[TokenRegistry]:
    tokens = TokenServer(tmp_path / "tokens")
    with serving(tokens.handler()) as realm:
        auth = {
            "realm": f"http://{realm}/token",
            "service": "registry",
            "issuer": "tests",
            "rootcertbundle": str(tmp_path / "tokens/cert.pem"),
        }
        with own_registry(tmp_path / "registry", auth={"token": auth}) as own:
            yield TokenRegistry(own.address, tokens)


def test_a_token_is_fetched_once_for_each_scope(token_registry: TokenRegistry) -> None:
    address, tokens = token_registry.address, token_registry.tokens
    image = image_of(*(layer_of(os.urandom(20)) for _ in range(6)))
    with Registry(address, credentials=ADA) as registry:
        registry.push(image, named(address, "team/job"))
        assert [asked["scope"] for asked in tokens.asked] == [["repository:team/job:pull,push"]]
        assert tokens.asked[0]["service"] == ["registry"]
        assert registry.resolve(named(address, "team/job")).layers == image.layers
        assert [asked["scope"] for asked in tokens.asked][1:] == [["repository:team/job:pull"]]


def test_a_mount_asks_for_a_token_of_both_repositories(token_registry: TokenRegistry, traffic: Traffic) -> None:
    address, tokens = token_registry.address, token_registry.tokens
    base = layer_of(os.urandom(50_000), origin=f"{address}/team/base")
    with Registry(address, credentials=ADA) as registry:
        registry.push(image_of(base), named(address, "team/base"))
        traffic.clear()
        image = image_of(base, layer_of(b"on top"))
        registry.push(image, named(address, "team/job"))
    assert traffic.bytes == image.manifest.size + image.config.size + len(b"on top")
    assert ["repository:team/job:pull,push", "repository:team/base:pull"] in [asked["scope"] for asked in tokens.asked]


@pytest.mark.parametrize("all_or_nothing", [False, True])
def test_a_mount_from_what_may_not_be_read_becomes_an_upload(
    token_registry: TokenRegistry, all_or_nothing: bool
) -> None:
    token_registry.tokens.all_or_nothing = all_or_nothing
    image = image_of(layer_of(os.urandom(1000), origin=f"{token_registry.address}/secret/base"))
    with Registry(token_registry.address, credentials=ADA) as registry:
        assert registry.push(image, named(token_registry.address, "team/job")) == image.digest


def test_an_identity_token_gives_tokens(token_registry: TokenRegistry) -> None:
    credentials = Credentials("", Secret(""), Secret("identity"))
    with Registry(token_registry.address, credentials=credentials) as registry:
        registry.push(image_of(), named(token_registry.address, "team/job"))
    assert token_registry.tokens.asked[0]["scope"] == ["repository:team/job:pull,push"]


def test_a_token_that_is_refused_is_renewed_once(token_registry: TokenRegistry) -> None:
    with Registry(token_registry.address, credentials=ADA) as registry:
        registry.push(image_of(), named(token_registry.address, "team/job"))
        token_registry.tokens.asked.clear()
        token_registry.tokens.runs_out = True
        registry.tags("team/job")
        assert registry.tags("team/job") == ["1"]
    assert len(token_registry.tokens.asked) == 2


def test_whoever_has_not_signed_in_gets_a_token_too(token_registry: TokenRegistry) -> None:
    with Registry(token_registry.address) as registry, pytest.raises(RegistryProblem) as caught:
        registry.resolve(named(token_registry.address, "public/job"))
    assert caught.value.status == 404


def test_a_repository_of_somebody_else_is_told(token_registry: TokenRegistry) -> None:
    with Registry(token_registry.address, credentials=ADA) as registry, pytest.raises(RegistryProblem) as caught:
        registry.push(image_of(), named(token_registry.address, "base/job"))
    assert caught.value.status == 401
    assert "does not let the user ada push " in str(caught.value)


def test_a_wrong_password_of_a_token_is_told_and_not_shown(token_registry: TokenRegistry) -> None:
    wrong = Credentials("ada", Secret("incorrect-horse"))
    with Registry(token_registry.address, credentials=wrong) as registry, pytest.raises(RegistryProblem) as caught:
        registry.push(image_of(), named(token_registry.address, "team/job"))
    assert "instead of a token. Sign in with the right user and password" in str(caught.value)
    # The server has repeated the header.
    assert "not Basic [REDACTED]" in str(caught.value)
    assert wrong.basic.reveal().split()[1] not in said(caught.value)
    assert wrong.password.reveal() not in said(caught.value)


def test_no_password_goes_where_there_is_no_tls() -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 401, {"WWW-Authenticate": 'Bearer realm="http://tokens.example/token",service="x"'}, b""

    with (
        serving(Handler) as address,
        Registry(address, credentials=ADA) as registry,
        pytest.raises(RegistryProblem, match=r"wants its passwords sent to tokens\.example without TLS"),
    ):
        registry.tags("job")


# The network


def test_a_registry_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_PAUSES_SECONDS", (0.0, 0.0))
    address = f"localhost:{unused_port()}"
    with Registry(address, credentials=ADA) as registry, pytest.raises(RegistryProblem) as caught:
        registry.push(image_of(), named(address))
    assert str(caught.value).startswith(f"the registry {address} cannot be reached: Connection refused. Look whether")
    assert caught.value.status is None
    assert PASSWORD not in said(caught.value)


def test_what_stumbles_is_asked_again(traffic: Traffic) -> None:
    answers = [(503, {}, b""), (429, {"Retry-After": "0"}, b""), (200, {}, b'{"tags": ["1"]}')]

    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return answers.pop(0)

    with serving(Handler) as address, Registry(address) as registry:
        assert registry.tags("job") == ["1"]
    assert len(traffic.sent) == 3


def test_after_three_times_it_is_told(monkeypatch: pytest.MonkeyPatch, traffic: Traffic) -> None:
    monkeypatch.setattr(registry_module, "_PAUSES_SECONDS", (0.0, 0.0))

    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 503, {}, b""

    with (
        serving(Handler) as address,
        Registry(address) as registry,
        pytest.raises(RegistryProblem, match=r"has answered 503 Service Unavailable when asked to list the tags"),
    ):
        registry.tags("job")
    assert len(traffic.sent) == 3


def test_who_is_asked_to_wait_for_long_is_told_at_once(traffic: Traffic) -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 429, {"Retry-After": "3600"}, b""

    with (
        serving(Handler) as address,
        Registry(address) as registry,
        pytest.raises(RegistryProblem, match=r"has had too many requests to list the tags of job\. Wait, or sign in"),
    ):
        registry.tags("job")
    assert len(traffic.sent) == 1


def test_an_upload_that_breaks_off_begins_anew(plain_registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_PAUSES_SECONDS", (0.0, 0.0))
    send, failures = requests.adapters.HTTPAdapter.send, [2]

    def failing(self: Any, request: Any, **more: Any) -> Any:
        if request.method == "PUT" and "/blobs/" in request.url and failures[0]:
            failures[0] -= 1
            request.body.read(10)
            raise requests.ConnectionError("broken off")
        return send(self, request, **more)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", failing)
    image, reference = image_of(), named(plain_registry)
    with Registry(plain_registry) as registry:
        assert registry.push(image, reference) == image.digest
        assert registry.resolve(reference).layers == image.layers


def test_a_download_that_breaks_off_is_told() -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            self.close_connection = True
            return 200, {"Content-Length": "1000"}, b"short"

    with (
        serving(Handler) as address,
        Registry(address) as registry,
        registry.open_blob("job", digest_of(b"x"), 1000) as stream,
        pytest.raises(RegistryProblem, match=r"broke off after \d+ of 1000 bytes\. Try again\.$"),
    ):
        stream.read()


def test_what_a_registry_repeats_of_secrets_is_not_shown() -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            if "Authorization" not in self.headers:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            message = f"{PASSWORD} {self.headers['Authorization']}"
            return 403, {}, json.dumps({"errors": [{"code": "DENIED", "message": message}]}).encode()

    with (
        serving(Handler) as address,
        Registry(address, credentials=ADA) as registry,
        pytest.raises(RegistryProblem, match="does not allow the user ada to list") as caught,
    ):
        registry.tags("job")
    assert "DENIED: [REDACTED] Basic [REDACTED]" in str(caught.value)


def test_authorization_does_not_follow_to_another_host(traffic: Traffic) -> None:
    data = b"from elsewhere"

    class Elsewhere(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 200, {}, data

    with serving(Elsewhere) as elsewhere:

        class Handler(Answering):
            def answer(self) -> tuple[int, dict[str, str], bytes]:
                if "Authorization" not in self.headers:
                    return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
                return 307, {"Location": f"http://{elsewhere}/data?signature=1"}, b""

        with (
            serving(Handler) as address,
            Registry(address, credentials=ADA) as registry,
            registry.open_blob("job", digest_of(data), len(data)) as stream,
        ):
            assert stream.read() == data
        assert traffic.authorizations == [(address, None), (address, ADA.basic.reveal()), (elsewhere, None)]


def test_a_signed_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_PAUSES_SECONDS", (0.0, 0.0))
    nobody = f"127.0.0.1:{unused_port()}"

    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            return 307, {"Location": f"http://{nobody}/data?signature=abcdef"}, b""

    with (
        serving(Handler) as address,
        Registry(address) as registry,
        pytest.raises(RegistryProblem, match=f"{nobody}, to which {address} has referred, cannot be") as caught,
    ):
        registry.open_blob("job", digest_of(b""), 0)
    assert "abcdef" not in said(caught.value)


def test_tags_that_come_in_pages_are_all_there() -> None:
    class Handler(Answering):
        def answer(self) -> tuple[int, dict[str, str], bytes]:
            if "last" in self.path:
                return 200, {}, b'{"tags": ["2"]}'
            return 200, {"Link": '</v2/job/tags/list?last=1>; rel="next"'}, b'{"tags": ["1"]}'

    with serving(Handler) as address, Registry(address) as registry:
        assert registry.tags("job") == ["1", "2"]


def test_big_layers_are_streamed(tmp_path: Path) -> None:
    """A layer bigger than what may be held: the file is read in pieces, in both directions."""
    file, size = tmp_path / "layer", 64 * 1024 * 1024
    with file.open("wb") as sparse:
        sparse.truncate(size)
    digest = digest_of(bytes(size))
    longest = [0]

    class Watched(io.FileIO):
        def read(self, size: int | None = -1, /) -> bytes:
            longest[0] = max(longest[0], 1 << 60 if size is None or size < 0 else size)
            return super().read(size) or b""

    blob = Blob(digest, size, LAYER, lambda: Watched(file))  # type: ignore[arg-type, return-value]
    with own_registry(tmp_path / "registry") as own, Registry(own.address) as registry:
        registry.push(image_of(Layer(blob, digest, "zeros")), named(own.address, "job"))
        with registry.open_blob("job", digest, size) as stream:
            while stream.read(100_000):
                pass
    assert longest[0] <= 1024 * 1024
