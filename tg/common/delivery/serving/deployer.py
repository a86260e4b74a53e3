"""The deployer: brings versions in, moves traffic between them, and takes them out again. One change of a name at a time."""

from __future__ import annotations

import asyncio
import itertools
import logging
import sys
import time
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..delivery.store import Store
from ..runtime.entry_point import EntryPoint
from ..runtime.errors import DeliveryError, StorageProblem, WorkerEnded
from ..runtime.whole_files import sweep_unfinished
from .children import Nurseries
from .gateway import Gateway, Route, Served
from .installers import Installers
from .local_replica import LocalReplica
from .metrics import Metrics
from .pool import AnyReplica, Pool
from .registry import Name, Registry, State, Version
from .replica import FailedToStart, Replica, Tell, within
from .settings import ServerSettings
from .traffic import Traffic

__all__ = ["Deployer", "Deployment", "Refused"]

_LOGGER = logging.getLogger("tg.server.deploy")
_REMEMBERED = 50
_LINES = 1000
_STATUS = {"StorageProblem": 507, "UntrustedPackage": 403, "WorkerEnded": 503}
"""What a deploy is answered with that fails for that reason; 422 for any other."""
_WORKER = "tg.common.delivery.serving.worker"
_DIFFERENCE = "tg.common.delivery.serving.difference"


class Refused(Exception):
    """What was asked for is not done; `status` is that of HTTP, `deployment` the account of a deploy that came to nothing."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
        self.deployment: Deployment | None = None


class Deployment(msgspec.Struct, kw_only=True):
    """One deploy, as it is told: what it came to, its log, and how long each part took in seconds."""

    number: int
    by: str
    at: float
    name: str = ""
    version: str = ""
    state: State = State.INSTALLING
    reason: str = ""
    traffic: Traffic = Traffic()
    seconds: dict[str, float] = {}
    lines: list[str] = []

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended yet, well or badly."""
        return self.state not in (State.READY, State.FAILED)

    def say(self, text: str) -> None:
        """Add to its log, of which the last 1,000 lines are kept."""
        self.lines += text.splitlines()
        del self.lines[:-_LINES]


class Deployer:
    """Everything that changes what a server serves."""

    def __init__(
        self, settings: ServerSettings, registry: Registry, gateway: Gateway, metrics: Metrics, nurseries: Nurseries
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._gateway = gateway
        self._metrics = metrics
        self._nurseries = nurseries
        self._installers = Installers(nurseries, settings, self._teller(None))
        self._pools: dict[tuple[str, str], Pool] = {}
        self._draining: set[Pool] = set()
        self._locks: dict[str, asyncio.Lock] = {}
        self._saving = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self.deployments: deque[Deployment] = deque(maxlen=_REMEMBERED)
        self.is_restoring = True

    def pools(self) -> Mapping[tuple[str, str], Pool]:
        """The workers of all versions that have any."""
        return self._pools

    @property
    def is_ready(self) -> bool:
        """Whether everything that should answer does."""
        return not self.is_restoring and all(
            version in route.served for route in self._gateway.routes.values() for version in route.traffic.weights
        )

    def take_over(self) -> None:
        """Begin where the last server has ended: what it was about to bring in has failed, and its store is swept.

        Those who ask for a name that was served are told to come again until it is restored.
        """
        for _name, version in self._registry.all():
            if version.seal:  # the folder of this server may have been moved, or be another path to the same
                version.folder = str(self._settings.store_folder / version.seal / version.module_name)
            if version.state in (State.INSTALLING, State.LOADING, State.WARMING):
                version.state, version.reason = State.FAILED, "the server ended meanwhile"
        for name in self._registry.names:
            self._publish(name)
        self._sweep()

    def _sweep(self) -> None:
        """Remove halves of packages from the store, and those that nothing is known of."""
        store = Store(self._settings.store_folder)
        try:
            sweep_unfinished(store.root)
            used = {one.seal for _, one in self._registry.all()}
            for package in store.packages():
                if package.seal not in used:
                    store.remove(package)
        except (DeliveryError, OSError) as error:
            _LOGGER.warning(f"the store cannot be swept: {error}")

    async def restore(self) -> None:
        """Serve again what the last server did."""
        try:
            await self._nurseries.open()
            await asyncio.gather(*(self._restore(name) for name in list(self._registry.names)))
        finally:
            self.is_restoring = False
            await self._try_to_save()

    async def deploy(self, file: Path, *, by: str, mode: str, share: int = 10) -> Deployment:
        """Bring a package file in: verified, installed, loaded, warmed up, its samples answered; then it gets its traffic.

        `mode` is `live` (all of it), `canary` (`share` per cent), `shadow` or `none`. Raises `Refused`; what was served before is
        served on then. The deployment's own account is in `deployments` either way.
        """
        started = time.perf_counter()
        deployment = Deployment(number=next(self._numbers), by=by, at=time.time(), seconds={}, lines=[])
        self.deployments.append(deployment)
        try:
            facts = await self._install(file, deployment)
            deployment.name, deployment.version = name, version = facts["name"], facts["version"]
            async with self._lock_of(name):
                if not Path(facts["folder"]).is_dir():  # it was forgotten, and removed, since it was found to be there
                    facts = await self._install(file, deployment)
                try:
                    await self._bring_in(deployment, facts)
                    moved = time.perf_counter()
                    await self._direct(
                        name, self._traffic(name, version, mode, share), hold=version if mode == "none" else None
                    )
                except BaseException:
                    await self._give_up(name, version, facts["folder"])
                    raise
                deployment.traffic = self._registry.names[name].traffic
                deployment.seconds["moving traffic"] = time.perf_counter() - moved
        except BaseException as error:
            self._note_failure(deployment, error)
            refused = _refusal_of(error)
            if refused is None:
                raise
            refused.deployment = deployment
            raise refused from error
        deployment.state = State.READY
        deployment.seconds["in all"] = time.perf_counter() - started
        deployment.say(f"ready after {1000 * deployment.seconds['in all']:.0f} ms")
        self._metrics.deploys.labels(name, "ready").inc()
        _LOGGER.info("deployed", extra={"facts": {"model": name, "version": version, "by": by}})
        return deployment

    async def direct(self, name: str, traffic: Traffic) -> None:
        """Give the requests of a name to others of its versions; those that are not loaded are loaded first. Raises `Refused`."""
        self._known(name)
        async with self._lock_of(name):
            try:
                for version in traffic.versions:
                    await self._load(name, version)
                await self._direct(name, traffic)
            except BaseException:
                self._unload_all_but(name, self._registry.names[name].kept)  # those that were loaded for it alone
                raise

    async def roll_back(self, name: str) -> Traffic:
        """Give all requests of a name to the version that had them before. Raises `Refused` when there is none."""
        previous = self._known(name).previous
        if previous is None:
            raise Refused(f"there is no version of {name} to go back to", status=409)
        await self.direct(name, Traffic.all_to(previous))
        return self._registry.names[name].traffic

    async def load(self, name: str, version: str | None = None) -> str:
        """Serve a version with all requests of the name: unless one is named, the one that got most of them last. Raises `Refused`.

        Where none ever got any, or it is known no more, it is the newest that has not failed.
        """
        known = self._known(name)
        if version is None:
            candidates = {
                one.version: one.deployed_at for one in known.versions.values() if one.state is not State.FAILED
            }
            if not candidates:
                raise Refused(f"no version of {name} can be loaded", status=409)
            newest = max(candidates, key=lambda one: candidates[one])
            version = known.traffic.live or (known.last_live if known.last_live in candidates else newest)
        if version != known.traffic.live or (name, version) not in self._pools:
            await self.direct(name, Traffic.all_to(version))
        return version

    async def unload(self, name: str, version: str | None = None) -> None:
        """Unload a version, or all of them when none is named: then nobody answers for the name. Raises `Refused`."""
        known = self._known(name)
        async with self._lock_of(name):
            if version is None:
                await self._change(name, traffic=Traffic(), previous=None, held=())
                return
            if self._registry.find(name, version) is None:
                raise Refused(f"there is no version {version} of {name}", status=404)
            if version in known.traffic.versions:
                raise Refused(f"version {version} of {name} gets requests. Give them to another one first.", status=409)
            previous = None if known.previous == version else known.previous
            await self._change(name, previous=previous, held=tuple(one for one in known.held if one != version))

    async def difference(self, name: str, before: str, after: str) -> str:
        """What is different in the source of two versions, as a unified diff. Raises `Refused`."""
        found = [self._registry.find(name, version) for version in (before, after)]
        for version, record in zip((before, after), found, strict=True):
            if record is None:
                raise Refused(f"there is no version {version!r} of {name}", status=404)
        arguments = {side: record.folder for side, record in zip(("before", "after"), found, strict=True) if record}
        try:
            replica = await Replica.of(await self._nurseries.start(_DIFFERENCE, arguments), _nothing)
            facts = await within(replica.ready, replica, self._settings.request_seconds, "comparing them")
        except FailedToStart as error:
            raise Refused(str(error), status=409) from error
        except WorkerEnded as error:
            raise Refused(str(error), status=503) from error
        return str(facts["difference"])

    async def close(self) -> None:
        """End everything, after what is under way."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        pools, self._pools = self._pools, {}
        await asyncio.gather(
            self._installers.close(),
            *(pool.drain(self._settings.stop_seconds) for pool in pools.values()),
            *(pool.close() for pool in self._draining),
        )

    async def _install(self, file: Path, deployment: Deployment) -> Mapping[str, Any]:
        facts = await self._installers.install(file, self._teller(deployment))
        deployment.seconds.update(facts["seconds"])
        return facts

    async def _bring_in(self, deployment: Deployment, facts: Mapping[str, Any]) -> None:
        """Have a version that was installed ready to answer."""
        name, version = facts["name"], facts["version"]
        known = self._registry.find(name, version)
        if known is not None and known.seal != facts["seal"] and known.state is not State.FAILED:
            raise Refused(
                f"version {version} of {name} is known with other content. Give it another version, or none, and one is made "
                f"from its content.",
                status=409,
            )
        if (name, version) in self._pools:
            deployment.say("it is loaded already")
            return
        record = Version(
            version=version,
            module_name=facts["module_name"],
            seal=facts["seal"],
            source=facts["source_digest"],
            folder=facts["folder"],
            python=facts["python"],
            deployed_by=deployment.by,
        )
        self._registry.note(name, record)
        self._keep(self._try_to_save())  # whoever comes after a crash knows that it was about to be loaded
        await self._open(name, record, deployment)

    async def _open(self, name: str, record: Version, deployment: Deployment | None = None) -> None:
        """Start the workers of a version. Raises `FailedToStart`, and notes it."""
        record.state, record.reason = State.LOADING, ""
        tell = self._teller(deployment, name, record)

        async def start() -> AnyReplica:
            replica: AnyReplica
            if self._settings.in_process and not record.python:
                replica = LocalReplica(Path(record.folder), {"model": name, "version": record.version}, tell)
                await within(replica.ready, replica, self._settings.loading_seconds, "loading and warming up")
                return replica
            child = await self._nurseries.start(
                _WORKER, {"folder": record.folder}, python=record.python or sys.executable
            )
            replica = await Replica.of(child, tell)
            await within(replica.ready, replica, self._settings.loading_seconds, "loading and warming up")
            return replica

        pool = Pool(start, self._settings.workers, self._settings.limits)
        try:
            await pool.open()
        except BaseException as error:
            record.state, record.reason = State.FAILED, str(error) or type(error).__name__
            raise
        record.state = State.READY
        if deployment is not None:
            deployment.seconds.update(pool.description["seconds"])
            samples = pool.description["samples"]
            deployment.say(
                f"{samples} recorded samples are answered as recorded" if samples else "it has no recorded samples"
            )
        self._pools[name, record.version] = pool

    async def _load(self, name: str, version: str) -> None:
        """See to it that a known version is loaded. Raises `Refused`."""
        record = self._registry.find(name, version)
        if record is None:
            known = ", ".join(self._registry.names[name].versions)
            raise Refused(f"there is no version {version} of {name}; these are known: {known}", status=404)
        if (name, version) not in self._pools:
            try:
                await self._open(name, record)
            except (FailedToStart, DeliveryError) as error:
                await self._try_to_save()
                raise Refused(f"version {version} of {name} cannot be loaded: {error}", status=422) from error

    def _traffic(self, name: str, version: str, mode: str, share: int) -> Traffic:
        """What the traffic of a name is to be when a version comes in."""
        now = self._registry.names[name].traffic
        if mode == "none":
            return now
        if mode == "shadow":
            return msgspec.structs.replace(now, shadow=version)
        others = {other: weight for other, weight in now.weights.items() if other != version}
        if mode == "live" or not others:
            return Traffic.all_to(version)
        total = sum(others.values())
        weights = {other: max(1, round((100 - share) * weight / total)) for other, weight in others.items()}
        return Traffic({**weights, version: share}, now.shadow if now.shadow != version else None)

    async def _direct(self, name: str, traffic: Traffic, *, hold: str | None = None) -> None:
        """Let the traffic of a name be that. What was live until then is kept ready, and so is a version to `hold`."""
        known = self._registry.names[name]
        live, previous = known.traffic.live, known.previous
        if live is not None and traffic.live not in (None, live):
            previous = live
        held = dict.fromkeys((*known.held, *((hold,) if hold else ())))
        await self._change(
            name,
            traffic=traffic,
            previous=previous,
            last_live=traffic.live or known.last_live,
            held=tuple(version for version in held if version not in traffic.versions),
        )

    async def _change(self, name: str, **changes: Any) -> None:
        """Note changes of a name, then let them be so, and unload what has no part in it any more."""
        known = self._registry.names[name]
        before = {field: getattr(known, field) for field in changes}
        for field, value in changes.items():
            setattr(known, field, value)
        try:
            await self._save()
        except BaseException:
            for field, value in before.items():
                setattr(known, field, value)
            raise
        self._publish(name)
        self._unload_all_but(name, known.kept)

    def _publish(self, name: str) -> None:
        """Let the next request find what is known of a name."""
        known = self._registry.names[name]
        served = {
            version: Served(pool, self._metrics.of(name, version))
            for (other, version), pool in self._pools.items()
            if other == name and version in known.kept
        }
        is_known = bool(served or known.traffic.versions)
        self._gateway.change(name, Route(known.traffic, served) if is_known else None)

    def _unload_all_but(self, name: str, kept: Collection[str]) -> None:
        for version in [version for other, version in self._pools if other == name and version not in kept]:
            record = self._registry.names[name].versions[version]
            record.state = State.DRAINING
            pool = self._pools.pop((name, version))
            self._draining.add(pool)
            self._keep(self._unload(name, record, pool))

    async def _unload(self, name: str, record: Version, pool: Pool) -> None:
        """Let a pool that gets no requests any more finish, and end it."""
        await pool.drain(self._settings.waiting_seconds + self._settings.request_seconds)
        self._draining.discard(pool)
        async with self._lock_of(name):
            if (name, record.version) not in self._pools and record.state is State.DRAINING:
                record.state = State.UNLOADED
                self._metrics.unloaded(name, record.version)
                await self._unload_modules(record.folder)
            await self._forget(name)

    async def _give_up(self, name: str, version: str, folder: str) -> None:
        """Leave nothing of a deploy that came to nothing, but that it failed."""
        if name in self._registry.names:
            self._unload_all_but(name, self._registry.names[name].kept)
            if (name, version) not in self._pools:
                await self._unload_modules(folder)
            await self._forget(name)
        if folder not in {one.folder for _, one in self._registry.all()}:
            self._remove(folder)

    async def _forget(self, name: str) -> None:
        """Drop what is loaded no more, all but the last versions, with their files and figures."""
        gone = self._registry.forget(name, keep=self._settings.keep)
        await self._try_to_save()
        used = {one.folder for _, one in self._registry.all()}
        for one in gone:
            self._metrics.forget(name, one.version)
            if one.folder not in used:
                self._remove(one.folder)
        self._nurseries.let_go(
            {one.python for _, one in self._registry.all() if one.state not in (State.UNLOADED, State.FAILED)}
        )

    async def _unload_modules(self, folder: str) -> None:
        """Take a version out of this process, where it was loaded here."""
        if self._settings.in_process and Path(folder).is_dir():
            await asyncio.to_thread(EntryPoint.of_folder(Path(folder)).unload)

    def _remove(self, folder: str) -> None:
        """Remove a package's files: here from the sight of others, by an installer from the disk."""
        try:
            away = Store(self._settings.store_folder).put_away(Path(folder))
        except (DeliveryError, OSError) as error:  # the next server tries it again
            _LOGGER.warning(f"{folder} cannot be removed: {error}")
        else:
            if away is not None:
                self._installers.remove(away)

    async def _restore(self, name: str) -> None:
        """Load what is to be ready of a name, first what gets its requests."""
        async with self._lock_of(name):
            known = self._registry.names[name]
            for version, record in known.versions.items():
                if version not in known.kept and record.state is not State.FAILED:
                    record.state = State.UNLOADED
            for version in sorted(known.kept, key=lambda one: -known.traffic.weights.get(one, 0)):
                if (name, version) in self._pools or version not in known.versions:
                    continue
                try:
                    await self._open(name, known.versions[version])
                except (FailedToStart, DeliveryError, OSError) as error:
                    facts = {"model": name, "version": version}
                    _LOGGER.error(f"cannot be served again: {error}", extra={"facts": facts})
                else:
                    self._publish(name)

    def _lock_of(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    async def _try_to_save(self) -> None:
        """Note what nobody waits for; what matters to somebody is saved by `_change`."""
        try:
            await self._save()
        except StorageProblem as error:
            _LOGGER.error(str(error))

    async def _save(self) -> None:
        async with self._saving:
            await asyncio.to_thread(self._registry.save, self._registry.text())

    def _known(self, name: str) -> Name:
        known = self._registry.names.get(name)
        if known is None:
            raise Refused(f"nothing is known under the name {name!r}", status=404)
        return known

    def _note_failure(self, deployment: Deployment, error: BaseException) -> None:
        deployment.state = State.FAILED
        deployment.reason = str(error) or type(error).__name__
        deployment.say(deployment.reason)
        if isinstance(error, FailedToStart) and error.log:
            deployment.say(error.log)
        self._metrics.deploys.labels(deployment.name, "failed").inc()
        facts = {"model": deployment.name, "version": deployment.version, "by": deployment.by}
        _LOGGER.error(f"deploy failed: {deployment.reason}", extra={"facts": facts})

    def _teller(self, deployment: Deployment | None, name: str = "", record: Version | None = None) -> Tell:
        """What is done with the lines of a worker: they go to the server's log, and to the deployment's as long as it lasts."""
        about = {"model": name, "version": record.version if record else ""}

        def tell(facts: Mapping[str, Any]) -> None:
            if "state" in facts:
                if record is not None and record.state in (State.LOADING, State.WARMING):
                    record.state = State(facts["state"])
                if deployment is not None and deployment.is_under_way:
                    deployment.state = State(facts["state"])
                    deployment.say(facts.get("message", facts["state"]))
                return
            if deployment is not None and deployment.is_under_way:
                deployment.say(facts["message"])
            if facts.get("is_logged"):
                return
            level = getattr(logging, facts["level"], logging.INFO)
            ids = {name: facts[name] for name in ("request_id", "trace_id") if name in facts}
            logging.getLogger(facts["logger"]).log(level, facts["message"], extra={"facts": {**about, **ids}})

        return tell

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _nothing(facts: Mapping[str, Any]) -> None:
    """What is done with the lines of a program that has none."""


def _refusal_of(error: BaseException) -> Refused | None:
    """What somebody who deploys is told; nothing for what is no fault of theirs, nor of the machine's."""
    if isinstance(error, Refused):
        return error
    if not isinstance(error, (FailedToStart, DeliveryError)):
        return None
    kind = error.kind if isinstance(error, FailedToStart) else type(error).__name__
    return Refused(str(error), status=_STATUS.get(kind, 422))
