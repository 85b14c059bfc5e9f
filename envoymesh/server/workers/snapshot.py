"""What a worker has counted, as plain data, and how the workers' figures become those of the whole.

Stats: counters and histograms add up; gauges add up, but what each worker sees for itself of one and the same thing
(members of a cluster, an open circuit breaker) is shown once, as the highest. What the parent alone is or does is the
parent's. It must not ask a worker anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from itertools import chain

from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus, MemoryUsage
from envoymesh.http.failed_requests import FailedRequest, latest
from envoymesh.http.recent_requests import NOTHING, Recent
from envoymesh.stats.image import StoreImage, blanked, lasting, merge, merging, without
from envoymesh.stats.recent_lookups import RecentLookups


@dataclass(frozen=True, slots=True)
class Lookups:
    """How many stats a process has looked up by name; `counts` are (how often, name) of those it remembers."""

    total: int = 0
    counts: Sequence[tuple[int, str]] = ()

    @classmethod
    def of(cls, recent: RecentLookups) -> Lookups:
        """A process's."""
        return cls(recent.total, tuple(recent.counts()))


_NO_MEMORY = MemoryUsage(0, 0, 0)


@dataclass(slots=True)
class Snapshot:
    """One worker's figures; `connections` are open downstream ones, `failures` and
    `recent` all that it remembers of requests.

    It is made and sent in parts, so that nobody waits for it who is served by that worker.
    """

    stats: StoreImage = field(default_factory=StoreImage)
    clusters: list[ClusterStatus] = field(default_factory=list)
    memory: MemoryUsage = _NO_MEMORY
    connections: int = 0
    lookups: Lookups = Lookups()
    failures: Sequence[FailedRequest] = ()
    recent: Recent = NOTHING

    def add(self, more: Snapshot) -> None:
        """Add a later part. What is not a list of many things is the later part's."""
        self.stats.add(more.stats)
        self.clusters += more.clusters
        self.memory, self.connections, self.lookups = more.memory, more.connections, more.lookups
        self.failures, self.recent = more.failures, more.recent


SENT_AT_ONCE = 256
"""Stats, or hosts, in one part of a snapshot: some tenths of a millisecond to write."""


def snapshot_parts(images: Iterable[StoreImage], clusters: Iterable[ClusterStatus]) -> Iterator[Snapshot | None]:
    """A worker's stats and clusters in parts that are worth sending; None is a step that made none."""
    part = Snapshot()
    for image in images:
        part.stats.add(image)
        full = len(part.stats) >= SENT_AT_ONCE
        yield part if full else None
        if full:
            part = Snapshot()
    hosts = 0
    for cluster in clusters:
        plain: list[HostStatus] = []
        for host in cluster.hosts:
            plain.append(host)
            yield None
        part.clusters.append(replace(cluster, hosts=plain))
        hosts += 1 + len(plain)
        if hosts >= SENT_AT_ONCE:
            yield part
            part, hosts = Snapshot(), 0
    yield part


# Names of the whole process, which only the parent knows.
_PARENTS = re.compile(
    r"(?:listener_manager|runtime|main_thread)\.|server\.(?!memory_|total_connections$|envoy_bug_failures$"
    r"|stats_recent_lookups$|worker_\d+\.)"
)
# What the parent alone does to clusters: it checks their hosts.
_CHECKS = r"cluster\..*\.health_check\.(?:attempt|degraded|failure|healthy|\w+_failure|success|verify_cluster)$"
# Names that the parent has, since it reads the same configuration, but whose values are the workers'; what its checks
# do beside being checks (TLS, HTTP/2) adds up.
_WORKERS = re.compile(
    rf"(?!{_CHECKS}|cluster\..*\.(?:ssl|http[12])\.)cluster\."
    r"|(?:listener|http)\.(?!admin\.)|workers\.|server\.worker_\d+\."
)
# Names of things of which there is one, though each worker counts it.
_HIGHEST = re.compile(
    r"cluster_manager\.|thread_local_cluster_manager\."
    r"|.*\.(?:membership_\w+|max_host_weight|lb_subsets_active|warming_state|version|update_time"
    r"|circuit_breakers\.\w+\.\w+_open|outlier_detection\.ejections_active"
    r"|expiration_unix_time_seconds)$"
)
_OF_A_WORKER = re.compile(r"((?:listener\..*|server|thread_local_cluster_manager)\.worker_)0\.")


@lru_cache(maxsize=1 << 17)
def takes_highest(name: str) -> bool:
    """Whether a stat of several workers is the highest of theirs rather than the sum."""
    return _HIGHEST.match(name) is not None


def is_parents(name: str) -> bool:
    """Whether the parent alone gives this stat."""
    return _PARENTS.match(name) is not None


def renamed_for(index: int) -> Callable[[str], str]:
    """A worker's names as the whole's: every worker counts as ``worker_0`` for itself."""
    if not index:
        return str
    return lambda name: _OF_A_WORKER.sub(rf"\g<1>{index}.", name, count=1) if ".worker_0." in name else name


def whole_stats(parent: StoreImage, workers: Iterable[StoreImage]) -> Generator[None, None, StoreImage]:
    """The parent's and the workers' stats as the one set that is shown, one of them added at each step."""
    whole = StoreImage()
    idle = blanked(parent, lambda name: _WORKERS.match(name) is not None)
    yield
    yield from merging(whole, chain([idle], (without(each, is_parents) for each in workers)), takes_highest)
    return whole


def whole_memory(parts: Iterable[MemoryUsage]) -> MemoryUsage:
    """The processes' memory, added up (pages that they share count more than once)."""
    each = list(parts)
    return MemoryUsage(**{field.name: sum(getattr(part, field.name) for part in each) for field in fields(MemoryUsage)})


def whole_clusters(
    workers: Iterable[Sequence[ClusterStatus]], ended: Sequence[ClusterStatus]
) -> Iterator[ClusterStatus]:
    """The clusters with the hosts of all workers; their counts add up, with what ended workers counted for them.
    Each is made when iteration reaches it."""
    by_name: dict[str, list[ClusterStatus]] = {}
    for clusters in workers:
        for cluster in clusters:
            by_name.setdefault(cluster.name, []).append(cluster)
    past = {cluster.name: cluster.hosts for cluster in ended}
    for name, same in by_name.items():
        yield replace(same[0], hosts=_whole_hosts([cluster.hosts for cluster in same], past.get(name, ())))


def _whole_hosts(workers: Sequence[Collection[HostStatus]], ended: Collection[HostStatus]) -> list[HostStatus]:
    merged: dict[str, HostStatus] = {}
    for host in (host for hosts in workers for host in hosts):
        known = merged.get(str(host.address))
        merged[str(host.address)] = host if known is None else _with(known, host)
    for host in ended:
        known = merged.get(str(host.address))
        if known is not None:
            merged[str(host.address)] = _with(known, host)
    return list(merged.values())


def _with(host: HostStatus, more: HostStatus) -> HostStatus:
    return replace(
        host,
        counters=_sums(host.counters, more.counters),
        gauges=_sums(host.gauges, more.gauges),
        health=_whole_health(host.health, more.health),
        # What is unknown is -1.
        success_rate=max(host.success_rate, more.success_rate),
        local_origin_success_rate=max(host.local_origin_success_rate, more.local_origin_success_rate),
    )


def _whole_health(health: HealthFlags, more: HealthFlags) -> HealthFlags:
    """Each worker detects outliers by itself: a host is shown as ejected as long as it is one of them's."""
    ejected = more.failed_outlier_check and not health.failed_outlier_check
    return replace(health, failed_outlier_check=True) if ejected else health


def _sums(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


class Ended:
    """What workers counted that are no more: the whole's counters must not fall when a worker dies."""

    def __init__(self) -> None:
        self.stats = StoreImage()
        self.clusters: list[ClusterStatus] = []
        self.failures: Sequence[FailedRequest] = ()

    def add(self, last: Snapshot) -> None:
        """A worker has ended; these are the last figures it sent."""
        self.failures = latest([self.failures, last.failures])
        self.stats = merge([self.stats, lasting(last.stats)], takes_highest)
        counted = [replace(each, hosts=[replace(host, gauges={}) for host in each.hosts]) for each in last.clusters]
        self.clusters = list(whole_clusters([self.clusters, counted], ()))

    def count(self, name: str) -> None:
        """Count one for a worker that has ended, which could not count it itself."""
        self.stats.counters[name] = self.stats.counters.get(name, 0) + 1
        self.stats.used.add(name)

    def reset_counters(self) -> None:
        """``/reset_counters``; hosts' counters are not the store's and stay, as they do in a worker."""
        self.stats.counters = dict.fromkeys(self.stats.counters, 0)
