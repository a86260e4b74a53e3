"""Requests to a registry: TLS or not, tries, redirects, and errors that show nothing secret."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from ..runtime.errors import RegistryProblem
from .blob_stream import BlobUpload
from .credentials import Challenge, Credentials
from .http_errors import is_of_requests, root_cause
from .registry_address import is_here, same_host
from .registry_answers import reasons_in, seconds_to_wait
from .registry_authorization import Authorization, with_authorization

if TYPE_CHECKING:
    from requests import Response, Session
    from requests.adapters import HTTPAdapter

__all__ = ["RegistryConnection"]

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


class RegistryConnection:
    """Requests to one registry, over connections that are kept. `credentials` are as in `Registry`."""

    def __init__(self, host: str, credentials: Credentials | None) -> None:
        self.host = host
        self._address = "registry-1.docker.io" if host in {"docker.io", "index.docker.io"} else host
        self._session: Session | None = None
        self._scheme: str | None = None
        self._authorization = Authorization(credentials, host)
        self._lock = threading.RLock()

    def close(self) -> None:
        """Close the connections. Can be called again."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def request(self, method: str, url: str, *, scopes: tuple[str, ...], **more: Any) -> Response:
        """A request that can be made twice; see `call` for what it takes."""
        return self.retried(lambda: self.call(method, url, scopes=scopes, **more))

    def retried(self, step: Callable[[], Response]) -> Response:
        """Do what can be done twice, and again when the network or the registry stumbles."""
        from requests import exceptions

        for pause in (*_PAUSES_SECONDS, None):
            try:
                response = step()
            except exceptions.RequestException as error:
                reason = root_cause(error)
                final = isinstance(reason, ssl.SSLCertVerificationError) or isinstance(error, exceptions.ConnectTimeout)
                if pause is None or final:
                    raise self._unreachable(error, reason) from (None if is_of_requests(reason) else reason)
                time.sleep(pause)
            else:
                asked = seconds_to_wait(response)
                if response.status_code not in _TRANSIENT or pause is None or asked > _LONGEST_PAUSE_SECONDS:
                    return response
                response.close()
                time.sleep(max(pause, asked))
        raise AssertionError("the last try returns or raises")

    def call(
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
        ours = same_host(url, self._base())
        used = self._authorization.header(scopes, self._ask) if ours else None
        response = self._send(method, url, with_authorization(headers, used), body, stream)
        if response.status_code == 401 and ours:
            challenge = Challenge.parse(response.headers.get("WWW-Authenticate", ""))
            header = self._authorization.renewed(challenge, scopes, used, self._ask)
            if header is not None:
                response.close()
                response = self._send(method, url, with_authorization(headers, header), body, stream)
        return response

    def _ask(self, *request: Any) -> Response:
        """A request to whoever gives tokens."""
        return self.retried(lambda: self._send(*request))

    def _absolute(self, url: str) -> str:
        parts = urlsplit(url)
        if not parts.scheme:
            return urljoin(f"{self._base()}/v2/", url)
        if same_host(url, self._base()):
            # A registry behind a proxy that ends TLS may think that it is plain. What is https here stays https.
            return parts._replace(scheme=self._base().partition(":")[0], netloc=self._address).geturl()
        return url

    def _base(self) -> str:
        """`https://host:port`."""
        with self._lock:
            if self._scheme is None:
                self._scheme = "https"
                if is_here(self._address) and not self._speaks_tls():
                    self._scheme = "http"
            return f"{self._scheme}://{self._address}"

    def _speaks_tls(self) -> bool:
        """Whether a registry on this machine has TLS. Its certificate is checked later, with the requests."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without authorities, which take long to read
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
            proxies = {} if is_here(urlsplit(url).netloc) else get_environ_proxies(url)
            with contextlib.ExitStack() as stack:
                data = body() if body is not None else None
                if isinstance(data, BlobUpload):
                    stack.enter_context(data)
                response = self._connected(url).request(
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

    def _connected(self, url: str) -> Session:
        with self._lock:
            if self._session is None:
                self._session = _new_session()
            if url.startswith("https://") and "https://" not in self._session.adapters:
                self._session.mount("https://", _adapter(_trusting(self._address)))
            return self._session

    def check(self, response: Response, what: str, expected: set[int], *, missing: str | None = None) -> None:
        """Raise what the status of a response says, if it is not among the expected. `what` was to be done."""
        status = response.status_code
        if status in expected:
            return
        said = self._authorization.redacted(reasons_in(response))
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
            words = getattr(reason, "strerror", None) or ("" if is_of_requests(reason) else str(reason))
            words = words or type(reason).__name__
            scheme = self._scheme or "https"
            text = (
                f"the registry {where} cannot be reached: {words}. Look whether it runs, and whether name and port are "
                f"right: curl -v {scheme}://{host}/v2/"
            )
        return RegistryProblem(text, registry=self.host)


def _new_session() -> Session:
    """A session without TLS as yet: for a registry without it the authorities need not be read."""
    from requests import Session

    session = Session()
    session.trust_env = False  # it would put the passwords of ~/.netrc in the place of ours
    session.headers["User-Agent"] = "tg-delivery"
    session.adapters.clear()
    session.mount("http://", _adapter())
    return session


def _trusting(address: str) -> ssl.SSLContext:
    """TLS that trusts the authorities this machine trusts, and those docker was told of for this registry."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    known = ssl.get_default_verify_paths()
    if known.cafile is None and known.capath is None:
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)  # a Python that does not know where this machine has them
    for folder in (Path("/etc/docker/certs.d"), Path.home() / ".docker/certs.d"):
        for file in sorted((folder / address).glob("*.crt")):
            context.load_verify_locations(file)
    return context


def _adapter(context: ssl.SSLContext | None = None) -> HTTPAdapter:
    """Sends big pieces; with a context, over TLS that trusts nobody else."""
    from requests.adapters import HTTPAdapter

    settings: dict[str, Any] = {"blocksize": _CHUNK_BYTES, **({} if context is None else {"ssl_context": context})}

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
            super().init_poolmanager(*arguments, **(more | settings))

        def proxy_manager_for(self, proxy: str, **more: Any) -> Any:
            return super().proxy_manager_for(proxy, **(more | settings))

        def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
            conn.cert_reqs = "CERT_REQUIRED"  # and no authorities but those of the context

    return Adapter()
