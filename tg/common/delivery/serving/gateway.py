"""The gateway: the way of a request to a version and back. What is live is one mapping, put in the other's place in one step."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from ..runtime.errors import WorkerEnded
from .frames import Frame
from .metrics import Metrics, VersionMetrics
from .pool import Overloaded, Pool, TookTooLong
from .replica import Request
from .traffic import Traffic

__all__ = ["ClientLeft", "Gateway", "NotServed", "Route", "Served"]

_LOGGER = logging.getLogger("tg.server.shadow")
_SHADOWED_AT_ONCE = 100


class NotServed(Exception):
    """Nobody answers for this name or version; `known` tells whether it is only not ready."""

    def __init__(self, message: str, *, known: bool) -> None:
        super().__init__(message)
        self.known = known


class Served(NamedTuple):
    """A version that is ready."""

    pool: Pool
    metrics: VersionMetrics


class Route(NamedTuple):
    """A name: who gets its requests, and all of its versions that are ready."""

    traffic: Traffic
    served: Mapping[str, Served]


class ClientLeft(Exception):
    """Nobody waits for the answer any more."""


class Gateway:
    """Has requests answered by the version whose turn it is, and counts."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._routes: Mapping[str, Route] = {}
        self._shadowed: set[asyncio.Task[None]] = set()

    @property
    def routes(self) -> Mapping[str, Route]:
        """What is live; it never changes, another takes its place."""
        return self._routes

    def change(self, name: str, route: Route | None) -> None:
        """Let a name have another route from the next request on, or none."""
        routes = {other: known for other, known in self._routes.items() if other != name}
        self._routes = {**routes, name: route} if route is not None else routes

    def served(self, name: str, version: str | None = None, key: str = "") -> tuple[str, Served]:
        """The version that is to answer a request, and what it has to do so. Raises `NotServed`."""
        route = self._routes.get(name)
        if route is None:
            raise NotServed(f"nothing is served under the name {name!r}", known=False)
        chosen = version or route.traffic.choose(key)
        if chosen is None:
            raise NotServed(f"no version of {name} gets requests; name one of those that are ready", known=True)
        served = route.served.get(chosen)
        if served is None:
            ready = ", ".join(route.served) or "none"
            raise NotServed(
                f"version {chosen} of {name} is not ready; these are: {ready}", known=chosen in route.traffic.versions
            )
        return chosen, served

    async def answer(
        self,
        name: str,
        version: str,
        served: Served,
        request: Request,
        *,
        left: Callable[[], Awaitable[Any]] | None = None,
    ) -> Frame:
        """The answer of a version that `served` has just chosen: nothing may be waited for between the two.

        `left` waits until the client is gone: nothing is begun then for a request that waits still. Raises `Overloaded`,
        `TookTooLong`, `WorkerEnded` and `ClientLeft`.
        """
        pool = served.pool
        started = time.perf_counter()
        status = 500
        pool.users += 1  # before anything is waited for: so it is not unloaded meanwhile
        watch: asyncio.Task[Any] | None = None
        try:
            coming = pool.ask(request)
            if left is not None and pool.waiting:  # not for each: a task takes as long as half of all the rest
                watch = asyncio.ensure_future(left())
                watch.add_done_callback(lambda _: coming.cancel())
            frame = await coming
            status = frame.status
        except asyncio.CancelledError:
            if watch is None or not watch.done():
                raise
            status = 499  # as nginx calls it
            pool.drop_those_left()
            raise ClientLeft("its client was gone before its turn came") from None
        except Overloaded:
            status = 503
            raise
        except TookTooLong:
            status = 504
            raise
        except WorkerEnded:
            status = 502
            raise
        finally:
            if watch is not None:
                watch.cancel()
            pool.users -= 1
            served.metrics.answered(status, time.perf_counter() - started)
        route = self._routes.get(name)
        shadow = route.traffic.shadow if route is not None else None
        if (
            route is not None
            and shadow is not None
            and shadow != version
            and shadow in route.served
            and len(self._shadowed) < _SHADOWED_AT_ONCE
        ):
            pool = route.served[shadow].pool
            pool.users += 1
            # Bodies of the inference protocol name the version; that alone is no difference.
            asked = request._replace(facts={**request.facts, "compared_with": version})
            task = asyncio.get_running_loop().create_task(self._compare(name, shadow, pool, asked, frame))
            self._shadowed.add(task)
            task.add_done_callback(self._shadowed.discard)
        return frame

    async def _compare(self, name: str, shadow: str, pool: Pool, request: Request, returned: Frame) -> None:
        """Ask the shadow version as well, and note whether it says the same."""
        try:
            frame = await pool.ask(request)
        except (Overloaded, TookTooLong, WorkerEnded) as error:
            same, said = False, str(error)
        else:
            same, said = (frame.status, frame.body) == (returned.status, returned.body), _short(frame.body)
        finally:
            pool.users -= 1
        self._metrics.shadow.labels(name, shadow, "yes" if same else "no").inc()
        if not same:
            facts = {"model": name, "version": shadow, "request_id": request.facts.get("request_id", "")}
            _LOGGER.warning(f"answers otherwise: {said} in place of {_short(returned.body)}", extra={"facts": facts})


def _short(body: bytes) -> str:
    text = body[:200].decode(errors="replace")
    return text if len(body) <= 200 else f"{text}…"
