"""The client of a server's management port: what `tg deploy` and its like do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from ...locations import Loc
from ...progress import working
from ..runtime.errors import ServerProblem

__all__ = ["ServerClient"]

_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 3600
_LOG_LINES = 50
_CHUNK_BYTES = 1024 * 1024


class ServerClient:
    """Talks to one server. Raises `ServerProblem` for whatever it refuses, and when it cannot be reached."""

    def __init__(self, address: str, *, token: str | None = None) -> None:
        """`address` is like `http://host:8080`. Without a `token` it is that of `TG_TOKEN`, or of a server on this machine."""
        self._address = address.rstrip("/") if "://" in address else f"http://{address.rstrip('/')}"
        self._token = token or os.environ.get("TG_TOKEN") or _token_here(self._address)

    def deploy(self, file: Path, *, mode: str = "live", share: int = 10) -> dict[str, Any]:
        """Deploy a package file; see `Deployer.deploy`. What the server answers: its version, its log, how long it took."""
        try:
            with open(file, "rb") as opened, _Upload(opened, self._address) as upload:
                return self._ask("POST", "/packages", data=upload, params={"mode": mode, "share": share})
        except OSError as error:
            raise ServerProblem(f"{file} cannot be read: {error.strerror}.", server=self._address) from error

    def roll_back(self, name: str) -> dict[str, Any]:
        """Give the requests of a name back to the version that had them before. The traffic that is then."""
        return self._ask("POST", f"/names/{name}/rollback")

    def direct(self, name: str, weights: Mapping[str, int], shadow: str | None = None) -> dict[str, Any]:
        """Give the requests of a name to versions by weight. The traffic that is then."""
        return self._ask("PUT", f"/names/{name}/traffic", json={"weights": dict(weights), "shadow": shadow})

    def status(self) -> dict[str, Any]:
        """What is served."""
        return self._ask("GET", "/status")

    def _ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        import requests

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        timeout = (_CONNECT_SECONDS, _ANSWER_SECONDS)
        try:
            answer = requests.request(method, self._address + path, headers=headers, timeout=timeout, **given)
        except requests.RequestException as error:
            raise ServerProblem(
                f"{self._address} does not answer. Is `tg serve` running there, and is this its management port?",
                server=self._address,
            ) from error
        if answer.ok:
            try:
                return dict(answer.json())
            except (ValueError, TypeError) as error:  # the page of something else, where one logs in perhaps
                raise ServerProblem(
                    f"{self._address} answers, but not as `tg serve` does. Is this its management port?",
                    server=self._address,
                    status=answer.status_code,
                ) from error
        try:
            told = answer.json()
            log = (told.get("deployment") or {}).get("lines", [])
            reason = "\n    ".join([told["error"], *log[-_LOG_LINES:]])
        except (ValueError, KeyError, AttributeError):
            reason = answer.text[:500]
        raise ServerProblem(f"{self._address} refuses it: {reason}", server=self._address, status=answer.status_code)


class _Upload:
    """A package file as the body of a request: requests takes its length from `len`, and reads it. Its progress is told."""

    def __init__(self, file: BinaryIO, address: str) -> None:
        self._file = file
        self._address = address
        self._size = os.fstat(file.fileno()).st_size
        self._sent = 0
        self._stages = ExitStack()
        self._work = self._stages.enter_context(working(f"sending {Path(file.name).name} to {address}", self._size))

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stages.close()

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_CHUNK_BYTES), b"")

    def read(self, size: int = -1) -> bytes:
        """The next bytes. With the last ones, the work is the server's."""
        data = self._file.read(size)
        self._work.advance(len(data))
        self._sent += len(data)
        if data and self._sent == self._size:
            self._stages.close()
            self._stages.enter_context(working(f"{self._address} installs it, loads it and tries it"))
        return data


def _token_here(address: str) -> str | None:
    """The token that a server of this user has made on this machine: for that alone, it is sent nowhere else."""
    if urlsplit(address).hostname not in ("localhost", "127.0.0.1", "::1"):
        return None
    try:
        return (Loc.server / "token").read_text(encoding="ascii").strip()
    except OSError:
        return None
