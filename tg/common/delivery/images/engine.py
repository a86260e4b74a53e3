"""The container engine, local or of a host behind ssh: found as the docker CLI finds it, asked through the Docker SDK.

Docker Engine with graph drivers or with containerd's store, and podman's compatible socket.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...progress import Work, working
from ..environments.platform import Platform
from ..runtime.errors import EngineProblem
from . import labels
from .image import Image
from .image_archive import archive_of, archive_size
from .tunnel import SshAddress, Tunnel

__all__ = ["Engine", "EngineAddress"]

_TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class EngineAddress:
    """Where an engine is: `unix:///var/run/docker.sock`, `ssh://me@server`, `tcp://host:2376`; and its TLS settings."""

    url: str
    tls: Any = None

    @classmethod
    def find(cls, host: str | None = None) -> EngineAddress:
        """The one named, or the one the docker CLI would use: DOCKER_HOST, the current context, the default socket."""
        from docker import ContextAPI
        from docker.context.config import get_current_context_name
        from docker.errors import TLSParameterError
        from docker.utils import kwargs_from_env

        if host is not None:
            if "://" not in host:
                raise EngineProblem(
                    f"{host} is no address of an engine. For the one of a server: ssh://{host}.", host=host
                )
            return cls(host)
        named = os.environ.get("DOCKER_HOST")
        if named:
            try:
                found = kwargs_from_env()
            except TLSParameterError as error:
                raise EngineProblem(
                    f"DOCKER_HOST is {named}, and what TLS takes is not there: {error.msg.rstrip('.')}. DOCKER_CERT_PATH names "
                    f"the folder of ca.pem, cert.pem and key.pem; with it and DOCKER_TLS_VERIFY unset, there is no TLS.",
                    host=named,
                ) from error
            # The SDK writes http for what is tcp without TLS; ssh and unix stay as they are.
            return cls(found.get("base_url", named), found.get("tls"))
        name = str(os.environ.get("DOCKER_CONTEXT") or get_current_context_name() or "default")
        advice = "`docker context ls` shows them; DOCKER_CONTEXT=default is the engine here."
        try:
            context = ContextAPI.get_context(name)
        except Exception as error:  # the SDK raises `Exception` itself for a file of a context that cannot be read
            raise EngineProblem(f"the docker context {name!r} cannot be read: {error}. {advice}", host=name) from error
        if context is None:
            raise EngineProblem(f"there is no docker context {name!r}. {advice}", host=name)
        return cls(context.Host or "unix:///var/run/docker.sock", context.TLSConfig)

    @property
    def is_local(self) -> bool:
        """Whether its files are those of this machine, so that folders can be mounted."""
        return self.url.startswith(("unix://", "http+unix://"))


class Engine:
    """A connection to an engine: a context manager. `api` is the SDK's client for what is not offered here.

    Raises `EngineProblem`, or `HostUnreachable` when ssh does not get through.
    """

    def __init__(self, host: str | None = None) -> None:
        self.address = EngineAddress.find(host)
        self._tunnel: Tunnel | None = None
        self.api: Any = None
        self._loaded: dict[str, list[str]] = {}
        """The layers of what was loaded through this connection, by what lies below the package."""
        try:
            self.api = self._connect()
        except BaseException:
            self.close()
            raise
        # Whoever forgets to close it: at the end of the object, or of the process.
        weakref.finalize(self, _close, self.api, self._tunnel)

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Can be called again."""
        _close(self.api, self._tunnel)

    def _connect(self) -> Any:
        import docker
        import requests

        url = self.address.url
        if url.startswith("ssh://"):
            self._tunnel = Tunnel(SshAddress.parse(url))
            url = f"unix://{self._tunnel.socket}"
        elif self.address.is_local:
            self._check_socket("/" + url.partition("://")[2].lstrip("/"))
        try:
            api = docker.APIClient(
                base_url=url, tls=self.address.tls or False, version="auto", timeout=_TIMEOUT_SECONDS
            )
        except (docker.errors.DockerException, requests.RequestException) as error:
            if self._tunnel is not None:
                socket_there = self._tunnel.address.socket
                raise self._tunnel.failed(
                    f"is connected to, but its engine does not answer on {socket_there} ({_reason(error)})",
                    ask="docker info",
                ) from error
            raise EngineProblem(
                f"the engine at {self.address.url} does not answer: {_reason(error)}. `docker info` shows it.",
                host=self.address.url,
            ) from error
        return api

    def _check_socket(self, path: str) -> None:
        """Connecting tells which of the ways of not working it is; the SDK has one error for all."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
        except FileNotFoundError as error:
            reason = (
                f"there is no {path}: no engine is installed, or it is not running. Start it (systemctl start docker)"
            )
            raise self._problem(f"{reason}; `docker info` shows whether it runs") from error
        except PermissionError as error:
            reason = f"you may not use {path}. Join its group (sudo usermod -aG docker $USER, and log in again)"
            raise self._problem(f"{reason}; `ls -l {path}` shows whose it is") from error
        except OSError as error:
            reason = f"nobody answers on {path} ({error.strerror or error}): the engine has stopped"
            raise self._problem(
                f"{reason}. Start it (systemctl start docker); `docker info` shows whether it runs"
            ) from error

    def _problem(self, reason: str) -> EngineProblem:
        return EngineProblem(f"{reason}.", host=self.address.url)

    @property
    def stands(self) -> bool:
        """Whether the connection is there; that of an engine here is made anew with each request."""
        return self._tunnel is None or self._tunnel.stands

    @property
    def name(self) -> str:
        """For people: the host, or the socket here."""
        return self._tunnel.address.login if self._tunnel is not None else self.address.url

    @contextlib.contextmanager
    def asked(self, what: str) -> Iterator[None]:
        """Whatever the SDK raises inside, said as ours: `what` was not done, and why."""
        import docker
        import requests
        import urllib3

        try:
            yield
        except docker.errors.APIError as error:
            raise self.refused(what, str(error.explanation or error)) from error
        except (
            docker.errors.DockerException,
            requests.RequestException,
            urllib3.exceptions.HTTPError,  # while a stream is read
            ConnectionError,
        ) as error:
            if self._tunnel is not None and not self._tunnel.stands:
                raise self._tunnel.failed(f"was lost while {what}") from error
            raise EngineProblem(
                f"{what} on {self.name} failed: {_reason(error)}.", host=self.address.url, connection_lost=True
            ) from error

    def refused(self, what: str, reason: str) -> EngineProblem:
        """The error for what an engine has said; a full disk is told from the rest."""
        advice = ""
        if "no space left on device" in reason:
            ssh = f"{self._tunnel.address.shown} " if self._tunnel is not None else ""
            advice = f" Its disk is full: `{ssh}docker system df` shows of what, `{ssh}docker system prune` makes room."
        return EngineProblem(
            f"{what} on {self.name} failed: {reason.strip().rstrip('.')}.{advice}", host=self.address.url
        )

    def platform(self) -> Platform:
        """What containers run on there."""
        return Platform.parse(f"{self._version['Os']}/{self._version['Arch']}")

    @property
    def is_podman(self) -> bool:
        """Whether it is podman, which has other log drivers."""
        return any("Podman" in one.get("Name", "") for one in self._version.get("Components") or ())

    @functools.cached_property
    def _version(self) -> dict[str, Any]:
        with self.asked("asking for its version"):
            return dict(self.api.version())

    def inspect_image(self, reference: str) -> dict[str, Any] | None:
        """What it says of an image; `None` when it has none of that name."""
        import docker

        with self.asked(f"looking for the image {reference}"):
            try:
                return dict(self.api.inspect_image(reference))
            except docker.errors.ImageNotFound:
                return None

    def save_image(self, reference: str) -> Iterator[bytes]:
        """An image as an archive, in pieces."""
        with self.asked(f"saving the image {reference}"), working(f"fetching {reference} from {self.name}") as work:
            yield from _told(self.api.get_image(reference), work)

    def load(self, image: Image) -> str:
        """See to it that the engine has the image under its name; return the ID to run it by.

        Only layers that it lacks are sent. Where it turns out to lack more, all are.
        """
        if image.platform != (own := str(self.platform())):
            raise self._problem(
                f"{image.reference} is for {image.platform}, and containers of {self.name} run on {own}: leave the platform "
                f"unset, and the image is made for that"
            )
        found = self.inspect_image(image.id)
        if found is not None:
            with self.asked(f"naming the image {image.reference}"):
                self.api.tag(image.id, image.name, image.tag, force=True)
            return str(found["Id"])
        known = self._known_layers(image)
        error = self._load(image, known)
        if error is not None and known:
            error = self._load(image, ())
        if error is not None:
            raise self.refused(f"loading the image {image.reference}", error)
        self._loaded[image.labels.get(labels.STACK, "")] = [layer.diff_id for layer in image.layers]
        for name in (image.id, image.digest, image.reference):
            found = self.inspect_image(name)
            if found is not None:
                return str(found["Id"])
        raise self.refused(f"loading the image {image.reference}", "it was taken, and is not there")

    def _known_layers(self, image: Image) -> Sequence[str]:
        """Diff IDs of the layers, from the lowest on, that images there stand on; those need not be sent."""
        ours = [layer.diff_id for layer in image.layers]
        loaded = _common(ours, self._loaded.get(image.labels.get(labels.STACK, ""), ()))
        if loaded >= len(ours) - 1:
            return ours[:loaded]
        with self.asked("listing its images"):
            alike = self.api.images(filters={"label": f"{labels.STACK}={image.labels.get(labels.STACK)}"}, quiet=True)
        candidates = [*alike[:1], image.reference, image.labels.get(labels.BASE_NAME, "")]
        most = 0
        for candidate in filter(None, candidates):
            theirs = ((self.inspect_image(candidate) or {}).get("RootFS") or {}).get("Layers") or []
            most = max(most, _common(ours, theirs))
            if most >= len(ours) - 1:
                break
        return ours[:most]

    def _load(self, image: Image, without: Sequence[str]) -> str | None:
        """Send the archive; what the engine said was wrong with it, with whatever status it said so."""
        import docker

        with self.asked(f"loading the image {image.reference}"):
            try:
                with working(f"sending {image.reference} to {self.name}", archive_size(image, without=without)) as work:
                    for said in self.api.load_image(_told(archive_of(image, without=without), work)):
                        if "error" in said:
                            return str(said["error"])
            except docker.errors.APIError as error:
                return str(error.explanation or error)
        return None


def _told(pieces: Iterator[bytes], work: Work) -> Iterator[bytes]:
    for piece in pieces:
        work.advance(len(piece))
        yield piece


def _close(api: Any, tunnel: Tunnel | None) -> None:
    if api is not None:
        api.close()
    if tunnel is not None:
        tunnel.close()


def _common(ours: Sequence[str], theirs: Sequence[str]) -> int:
    """How many layers, from the lowest on, two stacks share."""
    different = (number for number, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1])
    return next(different, min(len(ours), len(theirs)))


def _reason(error: BaseException) -> str:
    """The innermost words: requests and urllib3 wrap what the system said several times."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        following = inner or getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        seen = following if isinstance(following, BaseException) else None
    return str(error)
