"""Metrics of a server, in the words of Prometheus, and the last minutes of them for its page."""

from __future__ import annotations

import asyncio
import itertools
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "MemoryMeter", "Metrics", "Second", "VersionMetrics", "memory_of"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LABELS = ("name", "version")
_SECONDS = 300
_MEMORY_SECONDS = 5
_SAMPLES = 2000
"""Of the latencies of a second so many are kept: quantiles of the first 2,000 are those of all, near enough."""


class Second(NamedTuple):
    """One second of a version: when it ended, requests, errors, and quantiles of the latency in milliseconds."""

    at: float
    requests: int
    errors: int
    p50: float
    p99: float


class VersionMetrics:
    """The figures of one version. `answered` is called for every request: it adds to plain numbers, a tenth of what the
    library's own counters take, and the library is given them when somebody asks."""

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        """How many requests were answered with each status."""
        self.latencies = [0] * (len(_BUCKETS) + 1)
        """How many took no longer than each bucket's bound, and longer than the one's before it; the last is for the rest."""
        self.latency_sum = 0.0
        self._seconds: deque[Second] = deque(maxlen=_SECONDS)
        self._count = 0
        self._errors = 0
        self._samples: list[float] = []

    def answered(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.latencies[bisect_left(_BUCKETS, seconds)] += 1
        self.latency_sum += seconds
        self._count += 1
        self._errors += status >= 500
        if len(self._samples) < _SAMPLES:
            self._samples.append(seconds)

    def end_second(self, at: float) -> None:
        """Close the figures of the second that ends now, and begin those of the next."""
        samples = sorted(self._samples)
        p50, p99 = (1000 * samples[int(share * len(samples))] if samples else 0.0 for share in (0.5, 0.99))
        self._seconds.append(Second(at, self._count, self._errors, p50, p99))
        self._count = self._errors = 0
        self._samples = []

    def last(self, seconds: int, since: float = 0.0) -> list[Second]:
        """Of the seconds that ended last, so many and after `since`, the newest at the end."""
        ended = itertools.islice(reversed(self._seconds), min(seconds, _SECONDS))
        return list(itertools.takewhile(lambda second: second.at > since, ended))[::-1]


class Metrics(Collector):
    """All figures of a server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.shadow = Counter(
            "tg_shadow_answers",
            "Answers of shadow versions, compared with those that were returned.",
            (*_LABELS, "same"),
            registry=self._registry,
        )
        self.deploys = Counter("tg_deploys", "Deploys, by how they ended.", ("name", "ended"), registry=self._registry)
        self.memory = Gauge(
            "tg_memory_bytes",
            "Memory of a version's workers; what they share is divided among them.",
            _LABELS,
            registry=self._registry,
        )
        self.waiting = Gauge("tg_waiting_requests", "Requests without a worker yet.", _LABELS, registry=self._registry)
        self.workers = Gauge("tg_workers", "Workers that serve.", _LABELS, registry=self._registry)
        self._versions: dict[tuple[str, str], VersionMetrics] = {}
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Requests and their latencies, as the library's registry asks for them."""
        requests = CounterMetricFamily("tg_requests", "Requests answered.", labels=(*_LABELS, "status"))
        latency = HistogramMetricFamily(
            "tg_request_seconds", "From the whole request to the whole answer.", labels=_LABELS
        )
        for labels, version in self._versions.items():
            for status, count in version.statuses.items():
                requests.add_metric((*labels, str(status)), count)
            below = map(float, itertools.accumulate(version.latencies))
            bounds = (*(str(float(bound)) for bound in _BUCKETS), "+Inf")
            buckets = list(zip(bounds, below, strict=True))
            latency.add_metric(labels, buckets, version.latency_sum)
        yield requests
        yield latency

    def of(self, name: str, version: str) -> VersionMetrics:
        """The figures of a version."""
        found = self._versions.get((name, version))
        if found is None:
            found = self._versions[name, version] = VersionMetrics()
        return found

    def all(self) -> Iterable[tuple[tuple[str, str], VersionMetrics]]:
        """Those of all versions."""
        return list(self._versions.items())

    def end_second(self) -> None:
        """Close the figures of this second, of all versions; they have the same end."""
        now = time.time()
        for version in self._versions.values():
            version.end_second(now)

    def unloaded(self, name: str, version: str) -> None:
        """A version has no workers any more; what it has answered stays counted."""
        for metric in (self.memory, self.waiting, self.workers):
            metric.remove_by_labels({"name": name, "version": version})

    def forget(self, name: str, version: str) -> None:
        """Drop the figures of a version that is gone for good: a server that is deployed to for years must not grow."""
        self._versions.pop((name, version), None)
        labels = {"name": name, "version": version}
        for metric in (self.shadow, self.memory, self.waiting, self.workers):
            metric.remove_by_labels(labels)

    def shadow_answers(self, name: str, version: str) -> dict[str, int]:
        """How many answers of a shadow version were the `same` as what was returned, and how many `different`."""
        counted = {"yes": 0, "no": 0}
        for family in self.shadow.collect():
            for sample in family.samples:
                labels = sample.labels
                if sample.name.endswith("_total") and (labels["name"], labels["version"]) == (name, version):
                    counted[labels["same"]] += int(sample.value)
        return {"same": counted["yes"], "different": counted["no"]}

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class MemoryMeter:
    """The memory of versions, measured in a thread, and not oftener than every few seconds: the system walks their pages."""

    def __init__(self) -> None:
        self._processes: Mapping[tuple[str, str], list[int]] = {}
        self._bytes: Mapping[tuple[str, str], int] = {}
        self._at = 0.0

    async def of(self, processes: Mapping[tuple[str, str], list[int]]) -> Mapping[tuple[str, str], int]:
        """Bytes of each version, given the processes of each; while somebody else measures, those of the last time."""
        now = time.monotonic()
        if processes != self._processes or now - self._at > _MEMORY_SECONDS:
            self._processes, self._at = processes, now
            self._bytes = await asyncio.to_thread(_memory_of_all, processes)
        return self._bytes


def _memory_of_all(processes: Mapping[tuple[str, str], list[int]]) -> dict[tuple[str, str], int]:
    return {key: memory_of(process_ids) for key, process_ids in processes.items()}


def memory_of(process_ids: Iterable[int]) -> int:
    """Bytes that processes take, each page divided by the number of those who have it; 0 where the system does not tell."""
    total = 0
    for process_id in process_ids:
        try:
            with open(f"/proc/{process_id}/smaps_rollup", encoding="ascii") as file:
                total += sum(1024 * int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return total
