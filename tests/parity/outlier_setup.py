"""What the cases of outlier detection run against: clusters by name, each with a detector of its own.

Requests name their cluster in `x-to`, and the path says what a host answers. Three kinds of clusters take chance out:
a `pair` has one host, and a spare one that is asked when the first is ejected; a `ring` has hosts that requests choose
by `x-key`; `whole` ones are given as they are. This file must not know cases.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.integration.exchanges import get, sends, sends_and_closes, sends_and_resets
from tests.integration.harness import Answer, Peer, Request, Until, catch_all, http_listener, to_cluster
from tests.parity.cases.assigned import cluster_of, host, hosts_of
from tests.parity.frames import headers, rst
from tests.parity.setup import Json, MakeUpstream, Places, Setup, bootstrap_of, says, tcp_listener
from tests.parity.steps import Answers, CaseStep, Do
from tests.parity.upstreams import Http2Peer, Http2Recorder, Recorder, Refusing, TcpRecorder

if TYPE_CHECKING:
    from tests.parity.client import Client

EVENTS = "events.log"
KEYS = {1: 0, 2: 1, 3: 7, 4: 3}
"""Keys that a ring of four hosts has at each of them; of a ring of two, 0 and 2 are at the first and the second."""
HTTP2 = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}
REST: Json = {"base_ejection_time": "60s", "interval": "60s", "max_ejection_percent": 100}
"""Who is ejected stays so."""
AT_ONCE: Json = {"common_lb_config": {"update_merge_window": "0s"}}
"""Else Envoy may hold the second of two ejections back for a second."""


def answers(name: str) -> dict[str, Answer]:
    """What a host answers, by path."""
    return {
        "/": says(name),
        **{f"/{status}": _status(status) for status in (404, 500, 502, 503, 504)},
        "/close": sends_and_closes(b""),
        "/reset": sends_and_resets(b""),
        "/cut": sends_and_closes(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"),
        "/slow": _slow,
        "/unavailable": sends(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 14\r\n"
                              b"content-length: 0\r\n\r\n"),
        "/not-found": sends(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 5\r\n"
                            b"content-length: 0\r\n\r\n"),
    }  # fmt: skip


def _status(status: int) -> Answer:
    return sends(b"HTTP/1.1 %d Answer\r\ncontent-length: 0\r\n\r\n" % status)


def _slow(peer: Peer, request: Request) -> None:
    time.sleep(0.5)
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")


def _http2(status: bytes) -> Callable[[Http2Peer, int], None]:
    return lambda peer, stream: peer.send(headers([(b":status", status)], stream))


UPSTREAMS: dict[str, MakeUpstream] = {
    "bad": partial(Recorder, answers("bad-1")),
    "spare": lambda: Recorder({"/": says("spare-1")}),
    **{f"h-{number}": partial(Recorder, answers(f"h-{number}")) for number in KEYS},
    "dead": Refusing,
    "speaks": lambda: TcpRecorder(b"hello\n", Until(b"bye")),
    "second": lambda: Http2Recorder(
        {"/": _http2(b"200"), "/500": _http2(b"500"), "/reset": lambda peer, stream: peer.send(rst(2, stream))}
    ),
    "second-spare": lambda: Http2Recorder({"/": _http2(b"204")}),
}


class Table:
    """Clusters and the routes to them, in the order in which they are added."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._made: list[Callable[[Places], Json]] = []
        self._routes: list[Json] = []
        self._listeners: list[str] = []

    def whole(self, name: str, make: Callable[[Places], Json], **route: Any) -> str:
        """A cluster as it is made."""
        self._made.append(make)
        match = {"prefix": "/", "headers": [{"name": "x-to", "string_match": {"exact": name}}]}
        self._routes.append({**to_cluster(name, **route), "match": match})
        return name

    def pair(self, name: str, first: str = "bad", spare: str = "spare", **fields: Any) -> str:
        """One host, and one that is asked when there is no other; `cluster` and `route` are options of theirs."""
        cluster, route = fields.pop("cluster", AT_ONCE), fields.pop("route", {})
        detection = {**REST, **fields}

        def make(places: Places) -> Json:
            one, two = hosts_of(host(places[first])), hosts_of(host(places[spare]), priority=1)
            return cluster_of(name, one, two, outlier_detection=detection, **cluster)

        return self.whole(name, make, **route)

    def ring(self, name: str, *members: str, **fields: Any) -> str:
        """Hosts that requests choose by a key."""
        detection = {**REST, **fields}

        def make(places: Places) -> Json:
            placed = [
                host(places[member], metadata={"filter_metadata": {"envoy.lb": {"hash_key": f"key-{number}"}}})
                for number, member in enumerate(members, 1)
            ]
            made = cluster_of(name, hosts_of(*placed), outlier_detection=detection, lb_policy="RING_HASH")
            return {**made, "common_lb_config": {"healthy_panic_threshold": {"value": 0}, "update_merge_window": "0s"}}

        return self.whole(name, make, hash_policy=[{"header": {"header_name": "x-key"}}])

    def tcp(self, name: str) -> str:
        """A listener of bytes to a cluster."""
        self._listeners.append(name)
        return name

    def setup(self, runtime: Json | None = None) -> Setup:
        """All of it, on one pair of proxies."""
        return Setup(self.name, partial(self._configuration, runtime), UPSTREAMS)

    def _configuration(self, runtime: Json | None, places: Places) -> Json:
        listeners = [http_listener("main", catch_all(*self._routes)), *(tcp_listener(n, n) for n in self._listeners)]
        path = str(places.log.parent / EVENTS)
        manager = {"outlier_detection": {"event_log_path": path}}
        layers: list[Json] = [{"name": "static", "static_layer": runtime or {}}, {"name": "admin", "admin_layer": {}}]
        clusters = [make(places) for make in self._made]
        return bootstrap_of(listeners, clusters, cluster_manager=manager, layered_runtime={"layers": layers})


def asks(cluster: str, *paths: str, begin: int = 0, key: int | None = None, grpc: bool = False) -> list[CaseStep]:
    """Requests to a cluster, each after the answer to the one before; `begin` came before on the connection."""
    more = [f"x-to: {cluster}"]
    more += [] if key is None else [f"x-key: {key}"]
    more += ["content-type: application/grpc", "te: trailers"] if grpc else []
    steps: list[CaseStep] = []
    for number, path in enumerate(paths, begin + 1):
        steps += [get(path, *more), Answers(number)]
    return steps


@dataclass(frozen=True)
class Events(Do):
    """Show what the event log has of a cluster, once it has so many lines, without times."""

    cluster: str
    count: int

    def take(self, client: Client) -> None:
        path = client.side.folder / EVENTS
        found: list[str] = []

        def enough() -> bool:
            lines = path.read_text().splitlines() if path.exists() else []
            found[:] = [line for line in lines if json.loads(line)["cluster_name"] == self.cluster]
            return len(found) >= self.count

        client.read_until(enough, 3.0)
        for line in found:
            shown = re.sub(r'"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z"', '"timestamp":"NOW"', line)
            client.note(re.sub(r'"secs_since_last_action":"\d+"', '"secs_since_last_action":"SECONDS"', shown))


@dataclass(frozen=True)
class Shown(Do):
    """Show what the admin says of a cluster's outliers."""

    cluster: str

    def take(self, client: Client) -> None:
        _, text = client.side.admin_ask("GET", f"/clusters?filter=^{self.cluster}$")
        lines = [line for line in text.splitlines() if re.search(r"::outlier::|health_flags|success_rate|rq_e", line)]
        client.note("\n".join(lines))


@dataclass(frozen=True)
class ShownAsJson(Do):
    """The same of JSON."""

    cluster: str

    def take(self, client: Client) -> None:
        _, text = client.side.admin_ask("GET", f"/clusters?format=json&filter=^{self.cluster}$")
        (found,) = json.loads(text)["cluster_statuses"]
        for each in found.pop("host_statuses"):
            port = each["address"]["socket_address"]["port_value"]
            shown = {key: value for key, value in each.items() if key not in ("address", "stats")}
            client.note(f"127.0.0.1:{port} {json.dumps(shown)}")
        client.note(json.dumps(found))
