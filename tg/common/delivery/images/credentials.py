"""Credentials: who the user is for a registry, as `docker login` has stored it, and what a registry asks for.

Docker's own SDK reads the same file. It is not used here: importing it takes longer than a push of what is there already,
a helper that is missing is a warning there, and what a helper says when it fails goes past us to the terminal.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import RegistryProblem
from .secret import Secret

__all__ = ["Challenge", "Credentials", "stored_credentials"]

_HUB = ("https://index.docker.io/v1/", "docker.io", "index.docker.io", "registry-1.docker.io")
"""What Docker Hub is called in `config.json`; the first is what docker writes."""

_NOT_FOUND = "credentials not found"
"""How every helper says that it has none (docker-credential-helpers, credentials/error.go)."""

_PARAMETER = re.compile(
    r'(?:(?P<scheme>[A-Za-z][\w-]*)\s+)?(?P<key>[\w-]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s,"]+))'
)


@dataclass(frozen=True)
class Credentials:
    """User and password of a registry. An identity token, where docker has stored one, stands in for both."""

    user: str
    password: Secret
    identity_token: Secret | None = None

    @property
    def basic(self) -> Secret:
        """The header `Authorization` of basic authentication (RFC 7617)."""
        pair = f"{self.user}:{self.password.reveal()}".encode()
        return Secret(f"Basic {base64.b64encode(pair).decode('ascii')}")


@dataclass(frozen=True)
class Challenge:
    """How a registry wants to be answered: its header `WWW-Authenticate` (RFC 9110, 11.6.1)."""

    scheme: str
    realm: str
    service: str | None = None

    @classmethod
    def parse(cls, header: str) -> Challenge | None:
        """The way that is taken of those offered: `Bearer`, or else `Basic`. `None` if there is neither."""
        offered: dict[str, dict[str, str]] = {}
        scheme = ""
        for match in _PARAMETER.finditer(header):
            scheme = (match["scheme"] or scheme).lower()
            text = match["plain"] if match["quoted"] is None else re.sub(r"\\(.)", r"\1", match["quoted"])
            offered.setdefault(scheme, {})[match["key"].lower()] = text
        if "realm" in offered.get("bearer", {}):
            return cls("bearer", offered["bearer"]["realm"], offered["bearer"].get("service"))
        if "basic" in offered:
            return cls("basic", offered["basic"].get("realm", ""))
        return None


def stored_credentials(registry: str) -> Credentials | None:
    """What `docker login REGISTRY` has stored: in a helper of `credHelpers` or `credsStore`, or in `auths`.

    Raises `RegistryProblem` if the file cannot be read, or the helper fails.
    """
    folder = os.environ.get("DOCKER_CONFIG")
    file = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    config = _read(file, registry)
    names = _HUB if registry in _HUB else (registry,)
    helpers = _table(config.get("credHelpers"))
    helper = next((helpers[name] for name in names if name in helpers), config.get("credsStore"))
    if isinstance(helper, str) and helper and (found := _ask(helper, names[0], registry)) is not None:
        return found
    for key, entry in _table(config.get("auths")).items():
        # Logins of long ago are stored by URL.
        if key in names or re.sub(r"^https?://", "", key).partition("/")[0] in names:
            found = _from_entry(_table(entry), file, registry)
            if found is not None:
                return found
    return None


def _read(file: Path, registry: str) -> Mapping[str, Any]:
    try:
        return _table(json.loads(file.read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        # A decoding error has the document, and so every password in it.
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise RegistryProblem(
            f"the credentials for {registry} cannot be read from {file}: {reason}. Mend the file, or name the folder of "
            f"another one in DOCKER_CONFIG.",
            registry=registry,
        ) from None


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _from_entry(entry: Mapping[str, Any], file: Path, registry: str) -> Credentials | None:
    user, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        try:
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (ValueError, TypeError):
            raise RegistryProblem(
                f"the credentials for {registry} in {file} are not base64. Store them again: docker login {registry}.",
                registry=registry,
            ) from None
        password = password.rstrip("\0")  # as docker reads it; old versions padded it
    token = entry.get("identitytoken")
    if not (token or user):
        return None
    return Credentials(user, Secret(password), Secret(token) if token else None)


def _ask(helper: str, key: str, registry: str) -> Credentials | None:
    """Ask `docker-credential-HELPER`; `None` if it has none (docker-credential-helpers, README)."""
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run([program, "get"], input=key.encode(), capture_output=True, check=False)
    except OSError as error:
        raise RegistryProblem(
            f"docker's settings name {program} for the credentials of {registry}, and it cannot be run: {error.strerror}. "
            f"Put it on the PATH, or take it out of config.json.",
            registry=registry,
        ) from error
    out, err = (text.decode("utf-8", "replace").strip() for text in (done.stdout, done.stderr))
    if done.returncode != 0:
        if _NOT_FOUND in out.lower() or _NOT_FOUND in err.lower():
            return None
        # They write errors to stdout, where credentials would be otherwise: nothing that could be those is shown.
        said = err or ("" if "{" in out else out)
        raise RegistryProblem(
            f"{program} has failed to give the credentials of {registry} (status {done.returncode}): {said or 'it says nothing'}",
            registry=registry,
        )
    try:
        answer = _table(json.loads(out))
    except ValueError:
        answer = {}
    user, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise RegistryProblem(
            f"{program} has answered something else than the credentials of {registry}. Try it: echo {key} | {program} get",
            registry=registry,
        )
    if user == "<token>":
        return Credentials("", Secret(""), Secret(secret))
    return Credentials(user, Secret(secret)) if user or secret else None
