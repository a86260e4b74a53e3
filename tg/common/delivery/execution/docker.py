"""The executor that runs packages in containers, on this machine or on a server behind ssh."""

from __future__ import annotations

import copy
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..delivery.built_package import read_built_package
from ..delivery.containering import Containering
from ..images.engine import Engine
from ..images.engine_pusher import EnginePusher
from ..images.image_paths import BOUNDED_RESULT, HOME, RESULT, USER, path_in_container
from ..images.labels import PREFIX
from ..images.layer_writer import LayerFile, tar_chunks
from ..runtime.errors import InvalidName, RunNotFound
from ..runtime.running import EXECUTOR_VARIABLE
from .container_run import ContainerRun, RunLabels
from .limits import Limits
from .package_file import package_file
from .values import Values

if TYPE_CHECKING:
    from ..delivery.packaging import Packaging
    from ..images.package_layer import BuiltPackage
    from ..trust.policy import Policy

__all__ = ["DockerExecutor"]

_LOG = {"Type": "local", "Config": {"max-size": "1000g", "max-file": "1", "compress": "false"}}
"""Docker's default keeps JSON, and so no bytes that are no UTF-8; and it is this one that throws nothing away."""

_PROCESSES = 4096


class DockerExecutor:
    """Runs the image of a package on an engine: the one the docker CLI would use, or that of `host` (`ssh://me@server`).

    - `propagate`: names of environment variables whose values the job gets. They are read when a run is started, and
      travel in the request that makes its container: no command line, image, package or log has them.
    - `inputs`, `outputs`: what the job finds in its working folder, by its name there, and which folders it leaves; both
      give files or folders here. On this machine they are mounted, on a server they are sent and brought back.
    - `cpus`, `memory` (`4g`), `time_seconds`: limits. A run that comes to one of them ends, and its error names it.
    - `processes`: processes and threads at a time; 4096 unless given.
    - `disk` (`1g`): what the working folder may hold, which is then in memory, and counts as such. Outputs that are not
      mounted have no place there.
    - `network`: whether the job gets at any.
    - `containering`: settings for the image, where the defaults do not fit.
    - `keep`: keep the containers of runs whose results were taken.
    - `policy`: which packages are trusted; the machine's by default.

    The connection is opened when it is needed first and kept; a context manager, and closed at the end in any case.
    """

    def __init__(
        self,
        *,
        host: str | None = None,
        propagate: Sequence[str] = (),
        inputs: Mapping[str, str | PathLike[str]] | None = None,
        outputs: Mapping[str, str | PathLike[str]] | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        time_seconds: float | None = None,
        processes: int = _PROCESSES,
        disk: str | int | None = None,
        network: bool = True,
        containering: Containering | None = None,
        keep: bool = False,
        policy: Policy | None = None,
    ) -> None:
        self.propagate = propagate
        self.inputs = dict(inputs or {})
        self.outputs = dict(outputs or {})
        self.limits = Limits(cpus, memory, time_seconds, processes, disk)
        self.network = network
        self.containering = containering
        self.keep = keep
        self.policy = policy
        self._pusher = EnginePusher(host)

    def __enter__(self) -> DockerExecutor:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; runs go on."""
        self._pusher.close()

    def start(self, package: Packaging | str | PathLike[str]) -> ContainerRun:
        """Make the image, bring it to the engine, and start the job of the package there.

        Raises `MissingVariables` and `InvalidName` before anything is made; what `Containering.compose` raises;
        `EngineProblem`.
        """
        values = Values.checked(propagate=self.propagate, inputs=self.inputs, outputs=self.outputs)
        file = package_file(package)
        built = read_built_package(file, policy=self.policy)
        engine = self._pusher.engine()
        mounted = engine.address.is_local
        if self.limits.disk is not None and not mounted and (values.inputs or values.outputs):
            raise InvalidName(
                f"disk={self.limits.disk!r} keeps the working folder in memory, where nothing can be sent to or brought back "
                f"from {engine.name}. Leave out the limit, or the inputs and outputs.",
                given=self.limits.disk,
            )
        if mounted and os.getuid() == 0:
            for path in values.outputs.values():
                _give_to_user(path)
        reference = engine.load(self._containering(built).compose_built(built))
        labels = RunLabels(
            built.module_name,
            built.requirements,
            {} if mounted else {name: str(folder) for name, folder in values.outputs.items()},
            str(self.limits),
            RESULT if self.limits.disk is None else BOUNDED_RESULT,
            built.roots,
        )
        name = f"tg-{built.module_name}-{secrets.token_hex(4)}"
        with engine.asked(f"starting {built.module_name}"):
            try:
                container = engine.api.create_container_from_config(
                    self._config(reference, labels, values, engine, mounted=mounted), name=name
                )["Id"]
                if not mounted and (values.inputs or values.outputs):
                    engine.api.put_archive(container, *_sent(values))
                engine.api.start(container)
            except BaseException:
                # By its name: where the connection broke, the answer with its id may be what was lost. And on a new one then.
                with suppress(Exception):  # the first error is the one to tell
                    self._pusher.engine().api.remove_container(name, force=True, v=True)
                raise
        return ContainerRun(container, labels, self._pusher.engine, keep=self.keep)

    def find(self, run_id: str) -> ContainerRun:
        """A run that was started before, from whatever process. Raises `RunNotFound`."""
        import docker

        engine = self._pusher.engine()
        with engine.asked(f"looking for the run {run_id}"):
            try:
                found = engine.api.inspect_container(run_id)
            except docker.errors.NotFound:
                found = {"Config": {"Labels": {}}}
        labels = RunLabels.of_labels(found["Config"].get("Labels") or {})
        if labels is None:
            raise RunNotFound(f"there is no run {run_id} on {engine.name}. `runs()` lists those that are there.")
        return ContainerRun(found["Id"], labels, self._pusher.engine, keep=self.keep)

    def runs(self) -> list[ContainerRun]:
        """All runs that the engine has containers of, the newest first: also those that a crash has left behind."""
        engine = self._pusher.engine()
        with engine.asked("listing the runs"):
            found = engine.api.containers(all=True, filters={"label": f"{PREFIX}.run"})
        labelled = [(one["Id"], RunLabels.of_labels(one["Labels"])) for one in found]
        return [ContainerRun(one, labels, self._pusher.engine, keep=self.keep) for one, labels in labelled if labels]

    def prune(self) -> list[str]:
        """Remove the containers of all runs that have ended, and of those whose starter ended before them; give their ids."""
        ended = [run for run in self.runs() if run.state != "running" or run.never_started]
        for run in ended:
            run.remove()
        return [run.id for run in ended]

    def _containering(self, built: BuiltPackage) -> Containering:
        settings = copy.copy(self.containering) if self.containering is not None else Containering.from_built(built)
        settings.pusher = self._pusher
        return settings

    def _config(
        self, image: str, labels: RunLabels, values: Values, engine: Engine, *, mounted: bool
    ) -> dict[str, Any]:
        """The request that makes the container ("ContainerCreate" of the engine's API). Secrets are in it, and only here."""
        arguments = ["--result", f"/{labels.result}"]
        if self.limits.time_seconds is not None:
            arguments += ["--time-limit-seconds", str(self.limits.time_seconds)]
        host: dict[str, Any] = {
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            # What is sent to a place outside of the working folder can only be written there.
            "ReadonlyRootfs": mounted or not values.outside,
            "PidsLimit": int(self.limits.processes or _PROCESSES),
        }
        volume = f"/{HOME}"
        if self.limits.disk_bytes is not None:
            host["Tmpfs"] = {volume: f"rw,exec,nosuid,nodev,mode=1777,size={self.limits.disk_bytes}"}
            host["Ulimits"] = [{"Name": "fsize", "Soft": self.limits.disk_bytes, "Hard": self.limits.disk_bytes}]
            volume = "/" + BOUNDED_RESULT.rpartition("/")[0]
        if not self.network:
            host["NetworkMode"] = "none"
        if not engine.is_podman:
            host["LogConfig"] = _LOG
        if self.limits.cpus is not None:
            host["NanoCpus"] = int(self.limits.cpus * 1e9)
        if self.limits.memory_bytes is not None:
            host["Memory"] = host["MemorySwap"] = self.limits.memory_bytes
        config = {
            "Image": image,
            "Cmd": arguments,
            "Env": [f"{EXECUTOR_VARIABLE}=docker"]
            + [f"{name}={value.reveal()}" for name, value in values.variables.items()],
            "Labels": labels.to_labels(),
            "Volumes": {volume: {}},
            "HostConfig": host,
        }
        if mounted and (values.inputs or values.outputs):
            host["Mounts"] = [_mount(name, path, read_only=True) for name, path in values.inputs.items()]
            host["Mounts"] += [_mount(name, path, read_only=False) for name, path in values.outputs.items()]
            if os.getuid() != 0:  # then what it writes is ours
                config["User"] = f"{os.getuid()}:{os.getgid()}"
        return config


def _give_to_user(folder: Path) -> None:
    """Root's containers do not run as root, so a folder of root's that they write to becomes theirs while it is empty."""
    found = folder.stat()
    if found.st_uid == USER or found.st_mode & 0o002:
        return
    if any(folder.iterdir()):
        raise InvalidName(
            f"the output folder {folder} cannot be written by the container's user, {USER}, and is not empty. Name another, "
            f"or give it to that user: chown {USER} {folder}",
            given=str(folder),
        )
    os.chown(folder, USER, USER)


def _mount(name: str, path: Path, *, read_only: bool) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(path), "Target": path_in_container(name), "ReadOnly": read_only}


def _sent(values: Values) -> tuple[str, Iterator[bytes | memoryview]]:
    """Inputs with all that is in them, and empty folders for the outputs, as a tar; and the folder that it is for.

    That is the working folder, the only one that can be written, unless a name leads out of it.
    """
    folder = "" if values.outside else f"/{HOME}"
    files = []

    def place(name: str) -> str:
        return path_in_container(name).removeprefix(folder).lstrip("/")

    for name, path in values.inputs.items():
        target = place(name)
        for one in [path, *sorted(path.rglob("*"))]:
            inside = f"{target}/{one.relative_to(path).as_posix()}" if one != path else target
            if one.is_symlink() and one != path:
                files.append(LayerFile(inside, link=os.readlink(one), owner=USER))
            elif one.is_dir():
                files.append(LayerFile(inside, owner=USER))
            elif one.is_file():  # and no socket or device
                files.append(LayerFile(inside, one, executable=os.access(one, os.X_OK), owner=USER))
    files += [LayerFile(place(name), mode=0o777, owner=USER) for name in values.outputs]
    if not folder:
        files.append(LayerFile(HOME, mode=0o1777, owner=USER))  # it is there: its mode stays as it was
    return folder or "/", tar_chunks(files)
