"""A run in a container: here or on a server, found again by its id as long as the engine has the container."""

from __future__ import annotations

import contextlib
import json
import signal
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from ...logger import Logger
from ..images.engine import Engine
from ..images.image_paths import BOUNDED_RESULT, RESULT, path_in_container
from ..images.labels import PREFIX
from ..runtime.errors import EngineProblem, HostUnreachable, RunNotFound
from ..runtime.kinds import of_kind
from .container_logs import ContainerLogs
from .outcome import Outcome
from .run_card import run_card

if TYPE_CHECKING:
    from ..runtime.kinds import Kind

__all__ = ["ContainerRun", "RunLabels"]

_PAUSES_SECONDS = (0.1, 0.5, 1, 2, 4, 8, 15)
"""How long to wait before the connection is tried again, once it broke."""

_CANCELLED = "-cancelled"
_STARTING_SECONDS = 600
"""After which a container that was made and not started belongs to nobody: sending its inputs can take a while."""
_STOP_SECONDS = 10
_OUT_OF_MEMORY_SECONDS = 1
_CHUNK_BYTES = 1024 * 1024

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RunLabels:
    """What a container says of its run, so that whoever finds it can read its result.

    `outputs` are the folders to bring back, by their names in the working folder; none where they are mounted. `result` is
    the file that the result is in.
    """

    module_name: str
    requirements: tuple[str, ...]
    outputs: Mapping[str, str]
    limits: str = ""
    result: str = RESULT
    roots: tuple[str, ...] = ("tg",)

    def to_labels(self) -> dict[str, str]:
        """As labels of a container."""
        return {
            f"{PREFIX}.run": self.module_name,
            f"{PREFIX}.requirements": json.dumps(self.requirements),
            f"{PREFIX}.outputs": json.dumps(dict(self.outputs)),
            f"{PREFIX}.limits": self.limits,
            f"{PREFIX}.result": self.result,
            f"{PREFIX}.roots": json.dumps(self.roots),
        }

    @classmethod
    def of_labels(cls, labels: Mapping[str, str]) -> RunLabels | None:
        """Read them back; `None` for a container that is none of ours."""
        try:
            return cls(
                labels[f"{PREFIX}.run"],
                tuple(json.loads(labels[f"{PREFIX}.requirements"])),
                json.loads(labels[f"{PREFIX}.outputs"]),
                labels[f"{PREFIX}.limits"],
                labels.get(f"{PREFIX}.result", BOUNDED_RESULT),  # where all were before there was this label
                tuple(json.loads(labels.get(f"{PREFIX}.roots", '["tg"]'))),
            )
        except KeyError:
            return None


class ContainerRun:
    """A container that runs, or has run, the job of a package. See `Run` for what is common to all runs.

    The container stays until its result has been taken, or `remove` is called; that of a run that failed stays, to be
    looked at. When the connection breaks, what is waited for is waited for on a new one.
    """

    def __init__(self, container: str, labels: RunLabels, engine: Callable[[], Engine], *, keep: bool) -> None:
        self.id = container[:12]
        self._labels = labels
        self._engine = engine
        self._keep = keep
        self._ended: dict[str, Any] | None = None
        self._seen_killed: float | None = None
        """When it was first seen to have been killed; of `time.monotonic`."""
        self._collected = False
        self._result: Any = None
        self._has_result = False

    def __repr__(self) -> str:
        return f"<ContainerRun {self.id}: {self._labels.module_name}>"

    def _repr_html_(self) -> str:
        return run_card(self)

    def _shown(self) -> list[tuple[str, object]]:
        """What a notebook shows of it."""
        return [("runs", self._labels.module_name), ("limits", self._labels.limits)]

    def __enter__(self) -> ContainerRun:
        return self

    def __exit__(self, *exception: object) -> None:
        """The container goes on; the connection is the executor's."""

    @property
    def module_name(self) -> str:
        """The UID of the package that it runs."""
        return self._labels.module_name

    @property
    def started_at(self) -> float:
        """When its container was made, in seconds since 1970."""
        made = (self._ended or self._inspected())["Created"]
        return datetime.strptime(made[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()

    @property
    def state(self) -> str:
        """`running`, `succeeded`, `failed` or `cancelled`, as it is now."""
        return self._outcome().state

    @property
    def exit_code(self) -> int | None:
        """The exit status, 128 + n where signal n ended it; `None` while it runs."""
        return self._outcome().exit_code

    @property
    def never_started(self) -> bool:
        """Whether whoever made the container was gone before starting it: for minutes it is there and has not begun."""
        found = self._ended or self._inspected()
        if found["State"]["Status"] not in ("created", "configured"):
            return False
        return time.time() - self.started_at > _STARTING_SECONDS

    def logs(self) -> Iterator[str]:
        """All lines from the first on, live; see `Run.logs`. Goes on after a lost connection, where it was."""
        logs = ContainerLogs(self.id, pieces_are_full=not self._engine().is_podman)
        tries = iter(_PAUSES_SECONDS)
        while True:
            try:
                engine = self._engine()
                with self._asked(engine, f"reading the log of the run {self.id}"):
                    # What has come last is sometimes kept after the stream ended: then it is read once more.
                    for line in logs.read(engine.api, follow=self._ended is None):
                        tries = iter(_PAUSES_SECONDS)
                        yield line
                if self._ended is not None:
                    yield from logs.rest()
                    return
                self._inspected()
                if self._ended is None:
                    time.sleep(0.02)  # the stream was cut, or the engine has not yet written down the end
            except EngineProblem as error:
                self._pause(tries, error)

    def wait(self) -> int:
        """Wait for the end, bring the outputs back, and return the exit status."""
        if self._ended is None:
            self._again(lambda engine: engine.api.wait(self.id, timeout=None))
        while self._ended is None:
            self._inspected()
            if self._ended is None:
                time.sleep(0.02)  # the engine has not yet written down the end, or the reason for it
        self._collect_outputs()
        code: int = self._ended["State"]["ExitCode"]
        return code

    def result(self, kind: type[Kind] | None = None) -> Kind:
        """What the job returned, in classes of the local `tg`; waits for it. See `Run.result`. Raises `RunFailed` when there is none.

        A container that succeeded is removed then, unless the executor keeps them; asking again gives the same object.
        """
        if not self._has_result:
            self.wait()
            outcome = self._outcome()
            with tempfile.TemporaryDirectory(prefix="tg-result-") as name:
                folder = Path(name)
                self._fetch(f"/{self._labels.result}", folder / "result.pickle")
                self._fetch(f"/{self._labels.result}.failure", folder / "result.pickle.failure")
                self._result = outcome.result(
                    folder / "result.pickle", self._labels.module_name, self._labels.requirements, self._labels.roots
                )
            self._has_result = True
            if not self._keep:
                self.remove()
        return of_kind(self._result, kind, f"the result of {self._labels.module_name}")

    def cancel(self) -> None:
        """End it: SIGTERM, and a few seconds later SIGKILL. Does nothing to one that has ended."""
        if self._outcome().exit_code is not None:
            return
        name = self._again(self._mark_cancelled)
        if self._outcome().exit_code is not None and name is not None:  # by itself, just now
            self._again(lambda engine: engine.api.rename(self.id, name))
            self._ended = None  # what was seen has the other name
            return
        self._again(lambda engine: engine.api.stop(self.id, timeout=_STOP_SECONDS))

    def _mark_cancelled(self, engine: Engine) -> str | None:
        """The name it had; `None` where it was marked already: by another process, or the answer was lost on the way.

        The name tells every process that looks at the container; labels cannot be changed.
        """
        name: str = engine.api.inspect_container(self.id)["Name"].lstrip("/")
        if name.endswith(_CANCELLED):
            return None
        engine.api.rename(self.id, name + _CANCELLED)
        return name

    def remove(self) -> None:
        """Take the container away; one that runs is killed. What has been read of it stays."""
        import docker

        engine = self._engine()
        with engine.asked(f"removing the run {self.id}"), contextlib.suppress(docker.errors.NotFound):
            try:
                engine.api.remove_container(self.id, force=True, v=True)
            except docker.errors.APIError as error:
                # A client that gave up waiting under load asks again, and the engine is still at it.
                if error.status_code != 409 or "already in progress" not in str(error):
                    raise

    def _outcome(self) -> Outcome:
        found = self._ended or self._inspected()
        state = found["State"]
        ended = state["Status"] in ("exited", "dead")
        return Outcome(
            run_id=self.id,
            where=f"`docker {'' if self._engine().address.is_local else f'-H {self._engine().address.url} '}logs {self.id}`",
            exit_code=state["ExitCode"] if ended else None,
            cancelled=found["Name"].endswith(_CANCELLED),
            out_of_memory=bool(state.get("OOMKilled")),
            limits=self._labels.limits,
            error=state.get("Error") or "",
        )

    def _inspected(self) -> dict[str, Any]:
        found: dict[str, Any] = self._again(lambda engine: engine.api.inspect_container(self.id))
        if found["State"]["Status"] in ("exited", "dead") and not self._may_yet_be_out_of_memory(found):
            self._ended = found
        return found

    def _may_yet_be_out_of_memory(self, found: Mapping[str, Any]) -> bool:
        """Whether it has just been killed, and the reason may come: an engine that is busy notes it after the end."""
        state = found["State"]
        if (
            state["ExitCode"] != 128 + signal.SIGKILL
            or state.get("OOMKilled")
            or "memory" not in self._labels.limits
            or found["Name"].endswith(_CANCELLED)
        ):
            return False
        now = time.monotonic()
        if self._seen_killed is None:
            self._seen_killed = now
        return now - self._seen_killed < _OUT_OF_MEMORY_SECONDS

    def _again(self, ask: Callable[[Engine], Answer]) -> Answer:
        """Ask, on a new connection if the old one is lost."""
        tries = iter(_PAUSES_SECONDS)
        while True:
            try:
                engine = self._engine()
                with self._asked(engine, f"asking for the run {self.id}"):
                    return ask(engine)
            except EngineProblem as error:
                self._pause(tries, error)

    @contextlib.contextmanager
    def _asked(self, engine: Engine, what: str) -> Iterator[None]:
        """As `Engine.asked`, for what is asked of the container: that there is none is said as ours too."""
        import docker

        with engine.asked(what):
            try:
                yield
            except docker.errors.NotFound as error:
                raise RunNotFound(
                    f"there is no run {self.id} on {engine.name}: it was removed, or its result was taken."
                ) from error

    def _pause(self, tries: Iterator[float], error: EngineProblem) -> None:
        """Wait a little before the next try; raise when it was the last, or when it was no matter of the connection."""
        pause = next(tries, None)
        lost = isinstance(error, HostUnreachable) or error.connection_lost
        if pause is None or not lost:
            raise error
        time.sleep(pause)

    def _collect_outputs(self) -> None:
        """Bring the output folders back where they were not mounted."""
        if self._collected:
            return
        for name, folder in self._labels.outputs.items():
            self._again(lambda engine, name=name, folder=folder: _extract(engine, self.id, name, Path(folder)))  # type: ignore[misc]
        self._collected = True

    def _fetch(self, path: str, to: Path) -> None:
        """Copy a file out of the container; if it has one, that is."""
        import docker

        def copy(engine: Engine) -> None:
            try:
                chunks, _ = engine.api.get_archive(self.id, path)
            except docker.errors.NotFound:
                engine.api.inspect_container(self.id)  # raises it again where it is the container that is not there
                return
            with _Stream(chunks) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    opened = archive.extractfile(member) if member.isfile() else None
                    if opened is not None:
                        with to.open("wb") as file:
                            while chunk := opened.read(_CHUNK_BYTES):
                                file.write(chunk)

        self._again(copy)


def _extract(engine: Engine, container: str, name: str, folder: Path) -> None:
    """Unpack a folder of the container here, but for what in it would lead out of the folder (PEP 706)."""
    import docker

    tarfile = _filtering_tarfile()
    try:
        chunks, _ = engine.api.get_archive(container, path_in_container(name))
    except docker.errors.NotFound:
        engine.api.inspect_container(container)  # raises it again where it is the container that is not there
        Logger.warning(f"the run {container} has left no output {name}: the job has removed its folder.")
        return
    folder.mkdir(parents=True, exist_ok=True)
    with _Stream(chunks) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            member.name = member.name.partition("/")[2]
            if member.islnk():
                member.linkname = member.linkname.partition("/")[2]
            if member.name:
                try:
                    archive.extract(member, folder, filter="data")
                except tarfile.FilterError as error:
                    Logger.warning(f"{member.name} of the output {name} stays in the container: {error}")


def _filtering_tarfile() -> Any:
    """`tarfile` with the filters of PEP 706, which 3.10 and 3.11 have from some patch on: Debian 12's 3.11.2 does not."""
    if hasattr(tarfile, "data_filter"):
        return tarfile
    from backports import tarfile as backported

    return backported


class _Stream:
    """The pieces of an archive as a file that can be read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._waiting = bytearray()

    def __enter__(self) -> IO[bytes]:
        return self  # type: ignore[return-value]  # all that tarfile asks of a stream is `read`

    def __exit__(self, *exception: object) -> None:
        for _ in self._chunks:  # to its end, so that the connection can be used again
            pass

    def read(self, size: int) -> bytes:
        while len(self._waiting) < size and (chunk := next(self._chunks, b"")):
            self._waiting += chunk
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data
