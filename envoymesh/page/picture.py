"""The snapshot of the mesh that browsers get: nodes, edges, weights, totals. Made of what is known; it asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from envoymesh.page.figures import Latencies
from envoymesh.page.runtime import FRONT_TIER, Place
from envoymesh.page.watch import HostSeen, Watch

CLIENTS = "clients"
EXTERNAL_TIER = 3
MOST_NODES = 60
"""Replicas of one service that are shown one by one; of more only the whole."""

_WORST = ("healthy", "starting", "stopped", "unreachable", "unhealthy")
_HEALTHS = ("healthy", "degraded", "unhealthy")

Json = dict[str, Any]


class Picture:
    """One snapshot in the making.

    Args:
        latencies: of nodes and edges, by id.
        groups: replica -> the group that is shown in its place.
    """

    def __init__(self, watches: Sequence[Watch], latencies: Mapping[str, Latencies], now: float) -> None:
        self._watches = watches
        self._latencies = latencies
        self._now = now
        self._by_address = {each.place.address: each.place for each in watches if each.place.tier != FRONT_TIER}
        self.groups = grouped(each.place for each in watches)
        self.edges = self._edges()
        self.nodes = self._nodes()

    def replica_at(self, address: str) -> Place | None:
        """The replica that a host's address is."""
        return self._by_address.get(address.rpartition(":")[0].strip("[]"))

    def _edges(self) -> list[Json]:
        found: dict[str, list[tuple[Watch, str, HostSeen]]] = {}
        for watch in self._watches:
            if watch.state == "stopped":
                continue
            for host in watch.hosts.values():
                target = self._target(watch, host.address)
                if target:
                    found.setdefault(f"{self._shown(watch.place)}>{target}", []).append((watch, target, host))
        fronts = [each for each in self._watches if each.place.tier == FRONT_TIER]
        return [*(self._from_clients(each) for each in fronts), *(self._edge(id_, same) for id_, same in found.items())]

    def _target(self, watch: Watch, address: str) -> str:
        """The node that a host is; empty for the service beside the proxy."""
        replica = self.replica_at(address)
        if replica is not None:
            return "" if replica is watch.place else self._shown(replica)
        return "" if watch.is_own(address) and watch.place.tier != FRONT_TIER else address

    def _shown(self, place: Place) -> str:
        return self.groups.get(place.name, place.name)

    def _edge(self, id_: str, same: Sequence[tuple[Watch, str, HostSeen]]) -> Json:
        rates = [host.rate.now() for _, _, host in same]
        flags = sorted({flag for _, _, host in same for flag in host.flags})
        return {
            "id": id_,
            "from": self._shown(same[0][0].place),
            "to": same[0][1],
            "cluster": ", ".join(dict.fromkeys(host.cluster for _, _, host in same)),
            **self._figures(id_, sum(rate[0] for rate in rates), sum(rate[1] for rate in rates)),
            "health": max((host.health for _, _, host in same), key=_HEALTHS.index),
            "flags": flags,
            "active": sum(host.active for _, _, host in same),
        }

    def _from_clients(self, watch: Watch) -> Json:
        name = watch.place.name
        figures = self._figures(name, *watch.rate.now())
        whole = {"health": "healthy", "flags": [], "active": sum(host.active for host in watch.hosts.values())}
        return {"id": f"{CLIENTS}>{name}", "from": CLIENTS, "to": name, "cluster": "", **figures, **whole}

    def _figures(self, id_: str, rps: float, errors: float) -> Json:
        known = self._latencies.get(id_)
        p50, p99 = (None, None) if known is None else known.percentiles(self._now)
        return {"rps": round(rps, 3), "errors": round(errors, 3), "p50": p50, "p99": p99}

    def _nodes(self) -> list[Json]:
        shown: dict[str, list[Watch]] = {}
        for watch in self._watches:
            shown.setdefault(self._shown(watch.place), []).append(watch)
        external = sorted({each["to"] for each in self.edges} - shown.keys())
        return [
            self._clients(),
            *(
                self._group(id_, same) if id_ in self.groups.values() else self._node(same[0])
                for id_, same in shown.items()
            ),
            *(self._external(address) for address in external),
        ]

    def _clients(self) -> Json:
        own = [each for each in self.edges if each["from"] == CLIENTS]
        rps, errors = sum(each["rps"] for each in own), sum(each["errors"] for each in own)
        return self._plain(CLIENTS, "client", CLIENTS, 0, "healthy", self._figures(CLIENTS, rps, errors))

    def _plain(self, id_: str, kind: str, service: str, tier: int, state: str, figures: Json) -> Json:
        about = {"id": id_, "kind": kind, "service": service, "tier": tier, "addresses": [], "state": state}
        return {**about, "since": None, **figures, "faults": None, "workers": 1}

    def _node(self, watch: Watch) -> Json:
        place = watch.place
        front = place.tier == FRONT_TIER
        figures = self._figures(place.name, *(watch.rate.now() if front else self._taken(place.name)))
        node = self._plain(place.name, "proxy" if front else "replica", place.service, place.tier, watch.state, figures)
        parts = [{"name": "sidecar", "admin": place.admin}, {"name": "app"}]
        more = {} if front else {"parts": parts}
        faults = None if front else watch.faults
        return {**node, "addresses": list(place.listens), "since": watch.since, "faults": faults, **more}

    def _taken(self, id_: str) -> tuple[float, float]:
        """What its callers send a replica: its own health checks are not part of it."""
        own = [each for each in self.edges if each["to"] == id_]
        return sum(each["rps"] for each in own), sum(each["errors"] for each in own)

    def _group(self, id_: str, same: Sequence[Watch]) -> Json:
        state = max((each.state for each in same), key=lambda word: _WORST.index(word) if word in _WORST else 0)
        figures = self._figures(id_, *self._taken(id_))
        first = same[0].place
        return {**self._plain(id_, "group", first.service, first.tier, state, figures), "count": len(same)}

    def _external(self, address: str) -> Json:
        figures = self._figures(address, *self._taken(address))
        node = self._plain(address, "external", address, EXTERNAL_TIER, "healthy", figures)
        return {**node, "addresses": [address]}

    def weights(self) -> list[Json]:
        """The weights that are runtime keys, as they are now."""
        return [
            {
                "proxy": watch.place.name,
                "key": each.key,
                "cluster": each.cluster,
                "weight": _number(watch.runtime.get(each.key), each.weight),
            }
            for watch in self._watches
            if watch.configuration is not None
            for each in watch.configuration.weights
        ]

    def totals(self) -> Json:
        """The figures of all."""
        clients = self.nodes[0]
        replicas = sum(1 for each in self._watches if each.place.tier != FRONT_TIER and each.state != "stopped")
        return {**{name: clients[name] for name in ("rps", "errors", "p50", "p99")}, "replicas": replicas}


def grouped(places: Iterable[Place]) -> dict[str, str]:
    """Replica -> its service's name, for services with more than MOST_NODES."""
    services: dict[str, list[str]] = {}
    for place in places:
        if place.tier != FRONT_TIER:
            services.setdefault(place.service, []).append(place.name)
    return {name: service for service, names in services.items() if len(names) > MOST_NODES for name in names}


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else otherwise
