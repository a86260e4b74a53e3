"""A registry, spoken to from here: images are read and pushed without an engine (distribution-spec 1.1).

Numbers of the specification's end points, such as end-4a, are in the comments.
"""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import io
import ipaddress
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import urlencode, urljoin, urlsplit

from ..runtime.errors import ImageProblem, InvalidName, RegistryProblem
from .blob import INDEX, LAYER, MANIFEST, Blob, Layer, digest_of
from .credentials import Challenge, Credentials, stored_credentials
from .image import Image
from .reference import Reference
from .secret import Secret

if TYPE_CHECKING:
    from requests import Response, Session

__all__ = ["Registry", "RemoteImage"]

_ACCEPTED = (
    MANIFEST,
    INDEX,
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_LAYER_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": LAYER,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
"""What docker calls layers, and OCI the same bytes: an image of ours has OCI's manifest, whatever its base has."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")

_AT_ONCE = 4
_PAUSES_SECONDS = (0.3, 1.0)
_LONGEST_PAUSE_SECONDS = 60.0
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_TIMEOUTS_SECONDS = (30.0, 300.0)
"""To connect, and between two pieces that are sent; to answer, which for a big blob is after it was hashed there again."""
_PROBE_SECONDS = 5.0
_MOST_REDIRECTS = 5
_CHUNK_BYTES = 1024 * 1024

_Body = Callable[[], Any]
"""Makes what is sent: bytes or a stream. Called again when it is sent again."""


@dataclass(frozen=True)
class RemoteImage:
    """An image as a registry has it: the name with its digest, the manifest and the config as they are there.

    Layers have OCI's media types, are fetched when their blobs are opened, and have the repository as their `origin`.
    """

    reference: Reference
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    layers: tuple[Layer, ...]


class Registry:
    """A registry by its `host:port`: a context manager, which connects with the first request and keeps connections.

    `credentials` are user and password; by default what `docker login` has stored, looked up when they are asked for.
    A registry on this machine may do without TLS, as with docker. Every method raises `RegistryProblem`.
    """

    def __init__(self, host: str, *, credentials: Credentials | None = None) -> None:
        self.host = host
        self._address = "registry-1.docker.io" if host in {"docker.io", "index.docker.io"} else host
        self._given = credentials
        self._session: Session | None = None
        self._scheme: str | None = None
        self._authorization = _Authorization(credentials, host)
        self._lock = threading.RLock()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Can be called again."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def resolve(
        self, reference: Reference, platform: tuple[str, str, str | None] = ("linux", "amd64", None)
    ) -> RemoteImage:
        """The image of a name for a platform: operating system, architecture, and variant or `None` for any.

        Raises `ImageProblem` with the platforms there are, if this one is not among them.
        """
        repository = self._repository(reference)
        content, digest = self._manifest(repository, reference.digest or reference.tag or "latest", reference)
        manifest = _parsed(content, reference)
        if "manifests" in manifest:
            digest = _choose(manifest, platform, reference)
            content, digest = self._manifest(repository, digest, reference)
            manifest = _parsed(content, reference)
            if "manifests" in manifest:
                raise ImageProblem(f"{reference.familiar} is an index of indexes. Name one of its images by digest.")
        described = manifest["config"]
        with self.open_blob(repository, described["digest"], described["size"]) as stream:
            config = _parsed(stream.read(), reference, what="config")
        found = (config.get("os"), config.get("architecture"))
        if found != platform[:2]:
            raise ImageProblem(
                f"{reference.familiar} has no image for {_shown(*platform)}. It has {_shown(*found, config.get('variant'))}."
            )
        layers = tuple(self._layers(repository, manifest, config, reference))
        return RemoteImage(replace(reference, digest=digest), manifest, config, layers)

    def push(self, image: Image, reference: Reference) -> str:
        """Push an image under a name, and return its digest as the registry has it. What is there is not sent again."""
        repository = self._repository(reference)
        name = reference.tag or image.digest
        if self._has_manifest(repository, name) == image.digest:
            return image.digest
        # The biggest first: none is left to be waited for alone at the end.
        blobs = sorted((blob for blob in image.blobs if blob != image.manifest), key=lambda blob: -blob.size)
        with ThreadPoolExecutor(_AT_ONCE, "tg-push") as pool:
            pushed = [pool.submit(self._push_blob, repository, blob) for blob in blobs]
            try:
                for one in pushed:
                    one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        headers = {"Content-Type": image.manifest.media_type}
        response = self._request(  # end-7
            "PUT",
            f"{repository}/manifests/{name}",
            scopes=_to_push(repository),
            headers=headers,
            body=image.manifest.read,
        )
        self._check(response, f"push {reference.familiar}", {200, 201, 202})
        digest = response.headers.get("Docker-Content-Digest") or self._manifest(repository, name, reference)[1]
        if digest != image.digest:
            raise RegistryProblem(
                f"{self.host} has kept {reference.familiar} as {digest}, and {image.digest} was pushed. Something between "
                f"here and there changes manifests, and the image would not be the one that was composed.",
                registry=self.host,
            )
        return digest

    def tags(self, repository: str) -> list[str]:
        """All tags of a repository, in the registry's order."""
        found: list[str] = []
        url: str | None = f"{repository}/tags/list"  # end-8a
        while url is not None:
            response = self._request("GET", url, scopes=_to_pull(repository))
            self._check(response, f"list the tags of {repository}", {200}, missing=f"no repository {repository}")
            found += _json_of(response).get("tags") or []
            following = response.links.get("next", {}).get("url")
            url = urljoin(response.url, following) if following else None
        return found

    def open_blob(self, repository: str, digest: str, size: int) -> BinaryIO:
        """A stream of a blob. It raises `RegistryProblem` before its last bytes are given, if they are not the right ones."""
        return self._opened(repository, digest, size, at_end=lambda: None)

    # Parts of resolving

    def _opened(self, repository: str, digest: str, size: int, *, at_end: Callable[[], None]) -> BinaryIO:
        response = self._request(  # end-2
            "GET",
            f"{repository}/blobs/{digest}",
            scopes=_to_pull(repository),
            headers={"Accept-Encoding": "identity"},
            stream=True,
        )
        try:
            self._check(response, f"read {digest} of {repository}", {200}, missing=f"no blob {digest} in {repository}")
        except BaseException:
            response.close()
            raise
        stream = _BlobStream(response, self.host, digest, size, at_end)
        return cast(BinaryIO, io.BufferedReader(stream, _CHUNK_BYTES))

    def _repository(self, reference: Reference) -> str:
        if reference.registry != self.host:
            raise InvalidName(f"{reference} is not a name in the registry {self.host}.", given=str(reference))
        return reference.repository

    def _manifest(self, repository: str, name: str, reference: Reference) -> tuple[bytes, str]:
        """A manifest or index by tag or digest, and its digest."""
        response = self._request(  # end-3
            "GET",
            f"{repository}/manifests/{name}",
            scopes=_to_pull(repository),
            headers={"Accept": ", ".join(_ACCEPTED)},
        )
        self._check(response, f"read {reference.familiar}", {200}, missing=f"no image {reference.familiar}")
        digest = digest_of(response.content)
        if name.startswith("sha256:") and digest != name:
            raise RegistryProblem(
                f"{self.host} has answered with another manifest ({digest}) than {repository}@{name}. It is not used.",
                registry=self.host,
            )
        return response.content, digest

    def _has_manifest(self, repository: str, name: str) -> str | None:
        """The digest that a tag stands for, if the registry tells it; `None` if there is no such tag."""
        response = self._request(
            "HEAD",
            f"{repository}/manifests/{name}",
            scopes=_to_push(repository),
            headers={"Accept": ", ".join(_ACCEPTED)},
        )
        self._check(response, f"push to {repository}", {200, 404})
        return response.headers.get("Docker-Content-Digest") if response.status_code == 200 else None

    def _layers(
        self, repository: str, manifest: Mapping[str, Any], config: Mapping[str, Any], reference: Reference
    ) -> Iterator[Layer]:
        diff_ids = config.get("rootfs", {}).get("diff_ids", [])
        if len(diff_ids) != len(manifest["layers"]):
            raise ImageProblem(
                f"{reference.familiar} has {len(manifest['layers'])} layers, and its config names {len(diff_ids)}."
            )
        history = [step.get("created_by", "") for step in config.get("history", []) if not step.get("empty_layer")]
        if len(history) != len(diff_ids):
            history = [""] * len(diff_ids)
        for described, diff_id, created_by in zip(manifest["layers"], diff_ids, history, strict=True):
            media_type = _LAYER_TYPES.get(described["mediaType"], described["mediaType"])
            digest, size = described["digest"], described["size"]
            opener = self._opener(repository, digest, size)
            blob = Blob(digest, size, media_type, opener, f"{self.host}/{repository}")
            yield Layer(blob, diff_id, created_by)

    def _opener(self, repository: str, digest: str, size: int) -> Callable[[], BinaryIO]:
        host, given = self.host, self._given

        def opened() -> BinaryIO:
            # A connection of its own: it can be opened when this registry was closed long ago.
            registry = Registry(host, credentials=given)
            try:
                return registry._opened(repository, digest, size, at_end=registry.close)
            except BaseException:
                registry.close()
                raise

        return opened

    # Parts of pushing

    def _push_blob(self, repository: str, blob: Blob) -> None:
        response = self._request("HEAD", f"{repository}/blobs/{blob.digest}", scopes=_to_push(repository))  # end-2
        self._check(response, f"push to {repository}", {200, 404})
        if response.status_code == 200:
            return
        registry, _, origin = (blob.origin or "").partition("/")
        location = None
        if registry == self.host and origin != repository:
            location = self._mount(repository, blob, origin)
            if location == "":
                return
        self._upload(repository, blob, location)

    def _mount(self, repository: str, blob: Blob, origin: str) -> str | None:
        """Have the registry take a blob over from another repository.

        `""` when it has done so, the address to upload to when it has not, `None` when it did not like to be asked.
        """
        query = urlencode({"mount": blob.digest, "from": origin})
        scopes = (*_to_push(repository), *_to_pull(origin))
        try:
            response = self._request("POST", f"{repository}/blobs/uploads/?{query}", scopes=scopes)  # end-11
        except RegistryProblem as problem:
            if problem.status not in {401, 403}:
                raise
            return None  # there is no token for both
        if response.status_code == 201:
            return ""
        # The registry may refuse because of `origin`, which this user need not be allowed to read.
        return _location(response) if response.status_code == 202 else None

    def _upload(self, repository: str, blob: Blob, location: str | None) -> None:
        """Upload a blob in one piece. When that fails it begins anew: what became of an upload cannot be known."""
        locations = [location]

        def upload() -> Response:
            target = locations.pop() if locations else None
            if target is None:
                begun = self._call("POST", f"{repository}/blobs/uploads/", scopes=_to_push(repository))  # end-4a
                if begun.status_code != 202:
                    return begun
                target = _location(begun)
            target += ("&" if "?" in target else "?") + urlencode({"digest": blob.digest})
            return self._call(  # end-6
                "PUT",
                target,
                scopes=_to_push(repository),
                headers={"Content-Type": "application/octet-stream"},
                body=lambda: _Upload(blob),
            )

        self._check(self._retried(upload), f"push {blob.digest} to {repository}", {201, 204})

    # Requests

    def _request(self, method: str, url: str, *, scopes: tuple[str, ...], **more: Any) -> Response:
        return self._retried(lambda: self._call(method, url, scopes=scopes, **more))

    def _retried(self, step: Callable[[], Response]) -> Response:
        """Do what can be done twice, and again when the network or the registry stumbles."""
        from requests import exceptions

        for pause in (*_PAUSES_SECONDS, None):
            try:
                response = step()
            except exceptions.RequestException as error:
                reason = _root(error)
                final = isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, exceptions.ConnectTimeout)
                if pause is None or final:
                    raise self._unreachable(error, reason) from (None if _is_of_requests(reason) else reason)
                time.sleep(pause)
            else:
                asked = _asked_to_wait(response)
                if response.status_code not in _TRANSIENT or pause is None or asked > _LONGEST_PAUSE_SECONDS:
                    return response
                response.close()
                time.sleep(max(pause, asked))
        raise AssertionError("the last try returns or raises")

    def _call(
        self,
        method: str,
        url: str,
        *,
        scopes: tuple[str, ...],
        headers: Mapping[str, str] | None = None,
        body: _Body | None = None,
        stream: bool = False,
    ) -> Response:
        """One request, with authorization; a second one with a new authorization where the registry asks for it."""
        url = self._absolute(url)
        ours = _same_host(url, self._base())
        used = self._authorization.header(scopes, self._ask) if ours else None
        response = self._send(method, url, _with(headers, used), body, stream)
        if response.status_code == 401 and ours:
            challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
            header = self._authorization.renewed(challenge, scopes, used, self._ask)
            if header is not None:
                response.close()
                response = self._send(method, url, _with(headers, header), body, stream)
        return response

    def _ask(self, *request: Any) -> Response:
        """A request to whoever gives tokens."""
        return self._retried(lambda: self._send(*request))

    def _absolute(self, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme:
            return urljoin(f"{self._base()}/v2/", url)
        if _same_host(url, self._base()):
            # A registry behind a proxy that ends TLS may think that it is plain. What is https here stays https.
            return parts._replace(scheme=self._base().partition(":")[0], netloc=self._address).geturl()
        return url

    def _base(self) -> str:
        """`https://host:port`."""
        with self._lock:
            if self._scheme is None:
                self._scheme = "https"
                if _is_here(self._address) and not self._speaks_tls():
                    self._scheme = "http"
            return f"{self._scheme}://{self._address}"

    def _speaks_tls(self) -> bool:
        """Whether a registry on this machine has TLS. Its certificate is checked later, with the requests."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        parts = urlsplit(f"https://{self._address}")
        try:
            with (
                socket.create_connection((parts.hostname, parts.port or 443), _PROBE_SECONDS) as connection,
                context.wrap_socket(connection, server_hostname=parts.hostname),
            ):
                return True
        except ssl.SSLError as error:
            return "ALERT" in (error.reason or "")  # an alert is TLS; what is plain answers in HTTP, or hangs up
        except OSError:
            # Without a port docker tries 443, and then 80; whoever does not listen is told of with the first request.
            return False

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: _Body | None = None, stream: bool = False
    ) -> Response:
        """One exchange, following redirects of what is only read. Authorization does not go to another host."""
        from requests.utils import get_environ_proxies

        for _ in range(_MOST_REDIRECTS):
            # As with docker, no proxy is used for this machine.
            proxies = {} if _is_here(urlsplit(url).netloc) else get_environ_proxies(url)
            with contextlib.ExitStack() as stack:
                data = body() if body is not None else None
                if isinstance(data, _Upload):
                    stack.enter_context(data)
                response = self._connected().request(
                    method,
                    url,
                    headers=dict(headers),
                    data=data,
                    stream=stream,
                    timeout=_TIMEOUTS_SECONDS,
                    allow_redirects=False,
                    proxies=proxies,
                )
            if method not in {"GET", "HEAD"} or not response.is_redirect:
                return response
            target = urljoin(url, response.headers["location"])
            response.close()
            if urlsplit(target)[:2] != urlsplit(url)[:2]:
                headers = {name: value for name, value in headers.items() if name != "Authorization"}
            url = target
        raise RegistryProblem(
            f"{self.host} redirects more than {_MOST_REDIRECTS} times, in a circle perhaps. Ask who runs it.",
            registry=self.host,
        )

    def _connected(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = _new_session(self._address)
            return self._session

    # What went wrong

    def _check(self, response: Response, what: str, expected: set[int], *, missing: str | None = None) -> None:
        """Raise what the status of a response says, if it is not among the expected. `what` was to be done."""
        status = response.status_code
        if status in expected:
            return
        said = self._authorization.redacted(_said(response))
        login = f"docker login{'' if self._address == 'registry-1.docker.io' else ' ' + self.host}"
        who = self._authorization.who
        if status == 401:
            begins = f"{self.host} does not let {who} {what}"
            advice = f"Sign in with the right user and password: {login}."
            if missing is not None:
                advice = f"There may be {missing}; if there is one, sign in: {login}."
        elif status == 403:
            begins = f"{self.host} does not allow {who} to {what}"
            advice = f"Ask its administrator for the right to it, or sign in as somebody who has it: {login}."
        elif status == 404 and missing is not None:
            begins = f"{self.host} has {missing}"
            advice = "Look at how it is written."
        elif status == 429:
            begins = f"{self.host} has had too many requests to {what}"
            advice = f"Wait, or sign in for a higher limit: {login}."
        else:
            begins = f"{self.host} has answered {status} {response.reason or ''}".rstrip() + f" when asked to {what}"
            advice = "Try again; if it stays so, its log tells more."
        raise RegistryProblem(f"{begins}{f' ({said})' if said else ''}. {advice}", registry=self.host, status=status)

    def _unreachable(self, error: BaseException, reason: BaseException) -> RegistryProblem:
        request = getattr(error, "request", None)
        # A blob may be elsewhere, and so may what gives tokens. Of the address only the host: the rest may be signed.
        host = urlsplit(request.url).netloc if request is not None and request.url else self._address
        where = self.host if host == self._address else f"{host}, to which {self.host} has referred,"
        if isinstance(reason, ssl.SSLCertVerificationError):
            text = (
                f"the certificate of {where} is not trusted: {reason.verify_message}. If an authority of your own has "
                f"signed it, name its file in SSL_CERT_FILE, or put it at /etc/docker/certs.d/{self.host}/ca.crt."
            )
        else:
            words = getattr(reason, "strerror", None) or ("" if _is_of_requests(reason) else str(reason))
            words = words or type(reason).__name__
            scheme = self._scheme or "https"
            text = (
                f"the registry {where} cannot be reached: {words}. Look whether it runs, and whether name and port are "
                f"right: curl -v {scheme}://{host}/v2/"
            )
        return RegistryProblem(text, registry=self.host)


class _Authorization:
    """What is sent as `Authorization`: nothing until the registry asks, then Basic, or a token for each set of scopes."""

    def __init__(self, given: Credentials | None, host: str) -> None:
        self._host = host
        self._credentials = given
        self._looked_up = given is not None
        self._challenge: Challenge | None = None
        self._tokens: dict[tuple[str, ...], tuple[Secret, float]] = {}
        self._lock = threading.RLock()

    @property
    def who(self) -> str:
        """The user, in words for a message."""
        if self._credentials is None:
            return "somebody who has not signed in"
        return f"the user {self._credentials.user}" if self._credentials.user else "this user"

    def header(self, scopes: tuple[str, ...], send: Callable[..., Response]) -> Secret | None:
        """The header for a request, as far as it is known what the registry asks for."""
        with self._lock:
            if self._challenge is None:
                return None
            if self._challenge.scheme == "basic":
                return self._credentials.basic if self._credentials is not None else None
            token, until = self._tokens.get(scopes, (None, 0.0))
            if token is None or time.monotonic() > until:
                # A token that has run out would be refused only after a big blob was sent with it.
                token = self._fetch(scopes, self._challenge, send)
            return Secret(f"Bearer {token.reveal()}")

    def renewed(
        self, challenge: Challenge | None, scopes: tuple[str, ...], used: Secret | None, send: Callable[..., Response]
    ) -> Secret | None:
        """The header to try after one was refused; `None` if there is no other."""
        if challenge is None:
            return None
        with self._lock:
            if not self._looked_up:
                self._credentials, self._looked_up = stored_credentials(self._host), True
            self._challenge = challenge
            token, _ = self._tokens.get(scopes, (None, 0.0))
            if token is not None and used == Secret(f"Bearer {token.reveal()}"):
                del self._tokens[scopes]  # otherwise another thread has renewed it by now
            header = self.header(scopes, send)
            return None if header == used else header

    def redacted(self, text: str) -> str:
        """The text without what is secret, in case that a registry repeats what it was sent."""
        with self._lock:
            secrets = [token for token, _ in self._tokens.values()]
            if self._credentials is not None:
                basic = Secret(self._credentials.basic.reveal().removeprefix("Basic "))
                secrets += [self._credentials.password, basic]
                if self._credentials.identity_token is not None:
                    secrets.append(self._credentials.identity_token)
        for secret in secrets:
            if secret.reveal():
                text = text.replace(secret.reveal(), str(secret))
        return text

    def _fetch(self, scopes: tuple[str, ...], challenge: Challenge, send: Callable[..., Response]) -> Secret:
        """A token of the registry's authority (distribution, spec/auth/token.md; with an identity token, oauth.md)."""
        authority = urlsplit(challenge.realm)
        if authority.scheme != "https" and not _is_here(authority.netloc):
            raise RegistryProblem(
                f"{self._host} wants its passwords sent to {authority.netloc} without TLS, which is not done. Ask who runs it.",
                registry=self._host,
            )
        credentials = self._credentials
        service = {"service": challenge.service} if challenge.service else {}
        if credentials is not None and credentials.identity_token is not None:
            form = urlencode(
                {
                    "grant_type": "refresh_token",
                    **service,
                    "client_id": "tg-delivery",
                    "scope": " ".join(scopes),
                    "refresh_token": credentials.identity_token.reveal(),
                }
            )
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            response = send("POST", challenge.realm, headers, form.encode)
        else:
            query = urlencode([*service.items(), *(("scope", scope) for scope in scopes)])
            url = f"{challenge.realm}{'&' if '?' in challenge.realm else '?'}{query}"
            response = send("GET", url, _with(None, credentials.basic if credentials is not None else None))
        answer = _json_of(response)
        token = answer.get("token") or answer.get("access_token")
        if response.status_code != 200 or not isinstance(token, str):
            login = f"docker login{'' if self._host == 'docker.io' else ' ' + self._host}"
            said = self.redacted(_said(response))
            raise RegistryProblem(
                f"{self._host} does not let {self.who} in: {authority.netloc} has answered {response.status_code}"
                f"{f' ({said})' if said else ''} instead of a token. Sign in with the right user and password: {login}.",
                registry=self._host,
                status=response.status_code,
            )
        lasts = answer.get("expires_in")
        seconds = lasts if isinstance(lasts, (int, float)) and lasts > 0 else 60
        self._tokens[scopes] = (Secret(token), time.monotonic() + 0.8 * seconds)
        return self._tokens[scopes][0]


class _Upload:
    """A blob as the body of a request: requests takes its length from `len`, and reads it."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._stream = blob.open()
        self._left = blob.size

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stream.close()

    def __len__(self) -> int:
        return self._blob.size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_CHUNK_BYTES), b"")

    def read(self, size: int = -1) -> bytes:
        """Not more than was promised, and an error if it is less: the registry would wait for the rest."""
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        if not data and self._left:
            raise ImageProblem(
                f"{self._blob.digest} has {self._left} bytes less than the {self._blob.size} that it should have. Something "
                f"has changed it while it was pushed; compose the image again."
            )
        self._left -= len(data)
        return data


class _BlobStream(io.RawIOBase):
    """The body of a response, which is checked while it is read."""

    def __init__(self, response: Response, host: str, digest: str, size: int, at_end: Callable[[], None]) -> None:
        self._response = response
        self._host, self._digest, self._size = host, digest, size
        self._sum = hashlib.new(digest.partition(":")[0])
        self._read = 0
        self._at_end = at_end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        from urllib3.exceptions import HTTPError

        try:
            data = self._response.raw.read(len(buffer), decode_content=False)
        except HTTPError as error:
            reason = _root(error)
            broken = self._problem(f"broke off after {self._read} of {self._size} bytes. Try again")
            raise broken from (None if _is_of_requests(reason) else reason)
        self._read += len(data)
        self._sum.update(data)
        if not data and self._read < self._size:
            raise self._problem(f"ended after {self._read} of {self._size} bytes. Try again")
        # With the last byte, not after it: whoever knows the size does not ask for more.
        if self._read > self._size or (
            self._read == self._size and self._sum.hexdigest() != self._digest.partition(":")[2]
        ):
            raise self._problem(
                "is not what its digest says. It is not used; the registry, or what lies between, is broken"
            )
        buffer[: len(data)] = data
        return len(data)

    def _problem(self, what: str) -> RegistryProblem:
        return RegistryProblem(f"the blob {self._digest} from {self._host} {what}.", registry=self._host)

    def close(self) -> None:
        if not self.closed:
            self._response.close()
            self._at_end()
        super().close()


def _new_session(address: str) -> Session:
    """A session that trusts the authorities this machine trusts, and those docker was told of for this registry."""
    from requests import Session
    from requests.adapters import HTTPAdapter
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    known = ssl.get_default_verify_paths()
    if known.cafile is None and known.capath is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # a Python that does not know where this machine has them
    for folder in (Path("/etc/docker/certs.d"), Path.home() / ".docker/certs.d"):
        for file in sorted((folder / address).glob("*.crt")):
            context.load_verify_locations(file)

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **more, ssl_context=context, blocksize=_CHUNK_BYTES)

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **more, ssl_context=context, blocksize=_CHUNK_BYTES)

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            conn.cert_reqs = "CERT_REQUIRED"  # and no authorities but those of the context

    session = Session()
    session.trust_env = False  # it would put the passwords of ~/.netrc in the place of ours
    session.headers["User-Agent"] = "tg-delivery"
    for prefix in ("https://", "http://"):
        session.mount(prefix, Adapter())
    return session


def _choose(index: Mapping[str, Any], platform: tuple[str, str, str | None], reference: Reference) -> str:
    """The digest of the image for a platform; without a variant asked for, one that has none comes first."""
    offered = [(entry.get("platform") or {}, entry["digest"]) for entry in index["manifests"]]
    system, architecture, variant = platform
    fitting = [
        (one.get("variant"), digest)
        for one, digest in offered
        if (one.get("os"), one.get("architecture")) == (system, architecture) and variant in (None, one.get("variant"))
    ]
    if not fitting:
        # What is "unknown" is no image: docker keeps attestations in an index.
        shown = {
            _shown(one.get("os"), one.get("architecture"), one.get("variant"))
            for one, _ in offered
            if one.get("os") not in (None, "unknown")
        }
        raise ImageProblem(
            f"{reference.familiar} has no image for {_shown(*platform)}. It has {', '.join(sorted(shown)) or 'none at all'}."
        )
    return cast(str, min(fitting, key=lambda one: one[0] is not None)[1])


def _shown(system: str | None, architecture: str | None, variant: str | None = None) -> str:
    return "/".join(part for part in (system, architecture, variant) if part)


def _parsed(content: bytes, reference: Reference, what: str = "manifest") -> dict[str, Any]:
    """A manifest, index or config. Raises `ImageProblem` when it is none that can be used."""
    try:
        value = json.loads(content)
    except ValueError as error:
        raise ImageProblem(f"the {what} of {reference.familiar} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ImageProblem(f"the {what} of {reference.familiar} is not an object of JSON.")
    # One or the other, lest two readers see two images in it (image-spec 1.1, manifest.md, on mediaType).
    if what == "manifest" and ("manifests" in value) == ("config" in value and "layers" in value):
        raise ImageProblem(
            f"{reference.familiar} has a manifest of {value.get('mediaType') or 'no known type'}, schema version "
            f"{value.get('schemaVersion')}, which is not an image of OCI or docker (v2, schema 2). Push it again with a newer tool."
        )
    if what == "manifest":
        named = value["manifests"] if "manifests" in value else [value["config"], *value["layers"]]
        for entry in named:
            # They become parts of addresses here, and of paths where blobs are kept.
            if not (
                isinstance(entry, dict)
                and _DIGEST.fullmatch(str(entry.get("digest")))
                and isinstance(entry.get("size"), int)
                and isinstance(entry.get("mediaType"), str)
            ):
                raise ImageProblem(
                    f"the manifest of {reference.familiar} names something without digest, size and type."
                )
    return value


def _to_pull(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull",)


def _to_push(repository: str) -> tuple[str, ...]:
    return (f"repository:{repository}:pull,push",)


def _with(headers: Mapping[str, str] | None, authorization: Secret | None) -> dict[str, str]:
    return {**(headers or {}), **({"Authorization": authorization.reveal()} if authorization is not None else {})}


def _location(response: Response) -> str:
    return urljoin(response.url, response.headers.get("Location", ""))


def _json_of(response: Response) -> Mapping[str, Any]:
    try:
        value = json.loads(response.content)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _said(response: Response) -> str:
    """What a registry gives as reasons (distribution-spec 1.1, error codes)."""
    errors = _json_of(response).get("errors")
    reasons = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return "; ".join(": ".join(str(one[key]) for key in ("code", "message") if one.get(key)) for one in reasons)[:500]


def _asked_to_wait(response: Response) -> float:
    """Seconds by the header `Retry-After`, which has them or a date (RFC 9110, 10.2.3)."""
    text = response.headers.get("Retry-After", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time()) if text else 0.0
    except ValueError:
        return 0.0


def _is_of_requests(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in {"requests", "urllib3"}


def _root(error: BaseException) -> BaseException:
    """What is below an error of requests and urllib3. Their texts have whole addresses, which may be signed ones."""
    while _is_of_requests(error):
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return error


def _same_host(url: str, base: str) -> bool:
    """Whether an address is of the registry itself; which of the two standard ports it has says nothing."""
    one, other = urlsplit(url), urlsplit(base)
    ports = [None if parts.port in {80, 443} else parts.port for parts in (one, other)]
    return one.hostname == other.hostname and ports[0] == ports[1]


def _is_here(address: str) -> bool:
    """Whether `host:port` is this machine, by its name alone."""
    host = urlsplit(f"//{address}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
