"""How a registry is shown who we are: passwords, or tokens that its authority gives for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from ..runtime.errors import RegistryProblem
from .credentials import Challenge, Credentials, stored_credentials
from .registry_address import is_here
from .registry_answers import json_of, reasons_in
from .secret import Secret

if TYPE_CHECKING:
    from requests import Response

__all__ = ["Authorization", "with_authorization"]


class Authorization:
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
        if authority.scheme != "https" and not is_here(authority.netloc):
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
            response = send(
                "GET", url, with_authorization(None, credentials.basic if credentials is not None else None)
            )
        answer = json_of(response)
        token = answer.get("token") or answer.get("access_token")
        if response.status_code != 200 or not isinstance(token, str):
            login = f"docker login{'' if self._host == 'docker.io' else ' ' + self._host}"
            said = self.redacted(reasons_in(response))
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


def with_authorization(headers: Mapping[str, str] | None, authorization: Secret | None) -> dict[str, str]:
    """Headers, and what is sent as `Authorization`."""
    return {**(headers or {}), **({"Authorization": authorization.reveal()} if authorization is not None else {})}
