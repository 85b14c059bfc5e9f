"""From a dry run to its explanation: plain data with a place in the configuration for everything that it says.

The shape is docs/explain.md's, `SCHEMA` its version. What matched and what did not, matchers say themselves; this
module must not decide anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from envoymesh.explain.places import Places
from envoymesh.explain.run import Run
from envoymesh.explain.trace import Fields, fields_of
from envoymesh.explain.why import explain as reason_of
from envoymesh.explain.wire import DryRequest
from envoymesh.filters.http.explanation import FILTER, PER_ROUTE, ROUTE, FilterCase, Saying
from envoymesh.filters.http.registry import FILTERS
from envoymesh.filters.http.router.explain import hash_of, retries_of, timeouts_of
from envoymesh.filters.network.registry import CONNECTION_MANAGER
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.api import Address
from envoymesh.network.listener.filter_chain_match import ChainMismatch, ConnectionFacts, chain_mismatches
from envoymesh.network.settings import FilterChainMatch
from envoymesh.router.match.mismatch import Mismatch
from envoymesh.router.table import (
    ClusterAction,
    DirectResponseAction,
    Route,
    RouteTable,
    VirtualHost,
    without_port,
)
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.host import (
    ACTIVE_HC_TIMEOUT,
    DEGRADED_ACTIVE_HC,
    DEGRADED_EDS_HEALTH,
    DEGRADED_OUTLIER,
    EDS_STATUS_DRAINING,
    EXCLUDED_VIA_IMMEDIATE_HC_FAIL,
    FAILED_ACTIVE_HC,
    FAILED_EDS_HEALTH,
    FAILED_OUTLIER_CHECK,
    PENDING_ACTIVE_HC,
    PENDING_DYNAMIC_REMOVAL,
    UNHEALTHY_FLAGS,
    Host,
)

SCHEMA: Final = 1
_HOSTS_SHOWN: Final = 20
_ROUTES_SHOWN: Final = 50
_PATHS: Final = ("prefix", "path_separated_prefix", "path", "safe_regex", "path_match_policy")
_BODY_SHOWN: Final = 2000
ROUTER: Final = "envoy.extensions.filters.http.router.v3.Router"

Json = dict[str, Any]


def explanation(run: Run, world: World) -> Json:
    """Everything there is to say of a run."""
    question = run.question
    found: Json = {"schema": SCHEMA, "request": _request(run), "problem": run.problem, "notes": list(world.notes)}
    found["listener"] = _listener(run, world)
    found["filter_chain"] = _chain(run, world)
    found["network_filters"] = _network_filters(run, world) if run.chain is not None else []
    if run.manager is None or run.client is None:
        return found
    told = _Http(run, world)
    found |= told.all()
    found["access_log"] = [{"file": path, "line": line} for path, line in run.log_lines]
    found["request"]["scheme"] = "https" if run.tls else "http"
    found["request"]["chance"] = question.chance
    return found


class World:
    """What an explanation refers to beside the run.

    Args:
        cluster: gives a cluster by its name.
        cluster_paths: the paths of clusters' messages by their names.
        host_name: how a host is called for people, given its address and hostname.
        notes: what holds for the whole explanation.
        state: what is known of a cluster on a running proxy, by its name.
        since: when its hosts or their health changed last, UNIX seconds; 0 where that is not known.
    """

    def __init__(
        self,
        places: Places,
        cluster: Callable[[str], Cluster | None],
        cluster_paths: Mapping[str, str],
        host_name: Callable[[Address, str], str],
        notes: Sequence[str] = (),
        state: Callable[[str], Sequence[str]] = lambda name: (),
        since: Callable[[str], float] = lambda name: 0.0,
    ) -> None:
        self.places = places
        self.cluster = cluster
        self.cluster_paths = cluster_paths
        self.host_name = host_name
        self.notes = notes
        self.state = state
        self.since = since


def _request(run: Run) -> Json:
    question = run.question
    headers = [(":method", question.method), (":authority", question.authority), (":path", question.path)]
    return {
        "method": question.method,
        "authority": question.authority,
        "path": question.path,
        "headers": [list(each) for each in question.headers],
        "sent": [list(each) for each in (*headers, *question.headers)],
        "body_bytes": len(question.body),
        "from": question.source or "127.0.0.1",
        "sni": question.server_name if run.tls else "",
    }


# The connection


def _listener(run: Run, world: World) -> Json:
    chosen = run.listener
    others = [each for each in run.listeners if each is not chosen]
    return {
        "name": chosen.settings.name,
        "address": str(chosen.settings.address),
        "why": run.why,
        "place": world.places.at(chosen.path),
        "others": [
            {"name": each.settings.name, "address": str(each.settings.address), "place": world.places.at(each.path)}
            for each in others
        ],
    }


def _chain(run: Run, world: World) -> Json:
    chain, listener, places = run.chain, run.listener, world.places
    assert run.facts is not None
    out = [each for each in chain_mismatches(listener.filled.filter_chains, run.facts) if each.chain is not chain]
    return {
        "name": None if chain is None else chain.name,
        "is_default": chain is not None and listener.index_of(chain) < 0,
        "tls": run.tls,
        "place": None if chain is None else places.at(listener.path_of(chain)),
        "others": [
            {
                "name": each.chain.name,
                "place": places.at(f"{listener.path_of(each.chain)}.filter_chain_match.{each.field}"),
                "field": each.field,
                "why": why_not_chain(each, run.facts),
            }
            for each in out
        ],
    }


def why_not_chain(each: ChainMismatch, facts: ConnectionFacts) -> str:
    """Why a connection does not get a filter chain."""
    wanted = _shown_match(each.chain.match, each.field)
    if each.beaten:
        unset = wanted in ("", "anything")
        return f"another chain matches {each.field} more exactly" + ("" if unset else f" than {wanted}")
    has = {
        "destination_port": facts.local.port,
        "prefix_ranges": facts.local.host,
        "server_names": facts.server_name or "no server name (is there a tls_inspector?)",
        "transport_protocol": f"{facts.transport_protocol} (tls is found by a tls_inspector alone)",
        "application_protocols": ", ".join(facts.application_protocols) or "none",
        "source_ports": facts.remote.port,
    }.get(each.field, facts.remote.host)
    return f"it wants {each.field} {wanted}, and the connection has {has}"


def _shown_match(match: FilterChainMatch, field: str) -> str:
    value = getattr(match, field)
    if isinstance(value, tuple):
        return ", ".join(f"{each[0]}/{each[1]}" if isinstance(each, tuple) else str(each) for each in value)
    return "" if value is None else str(value)


def _network_filters(run: Run, world: World) -> list[Json]:
    chain = run.chain
    assert chain is not None
    found = []
    for place, (name, reader) in enumerate(chain.filters):
        path = f"{run.listener.path_of(chain)}.filters[{place}]"
        entry: Json = {"name": name, "type": reader.type_name, "place": world.places.at(path)}
        if reader.type_name != CONNECTION_MANAGER:
            entry["settings"] = world.places.json(f"{path}.typed_config")
        found.append(entry)
    return found


# HTTP


def changes_of(before: Fields, after: Fields) -> list[Json]:
    """What became of each header: `before` and `after` are all of its values, None where it is not there."""
    names = dict.fromkeys(name for name, _ in (*before, *after))
    found = []
    for name in names:
        old, new = [value for key, value in before if key == name], [value for key, value in after if key == name]
        # HTTP/1 has no word for the scheme.
        if old != new and (name != ":scheme" or (old and new)):
            found.append({"name": name, "before": old or None, "after": new or None})
    return found


class _Http:
    """The part of an explanation that is about HTTP."""

    def __init__(self, run: Run, world: World) -> None:
        assert run.manager is not None
        assert run.chain is not None
        assert run.client is not None
        self.run = run
        self.world = world
        self.places = world.places
        self.manager = run.manager
        self.client = run.client
        last = len(run.chain.filters) - 1
        self.path = f"{run.listener.path_of(run.chain)}.filters[{last}].typed_config"
        self.trace = run.trace
        self.route = run.trace.route
        # Every second filter is a spy.
        self.filters = list(run.manager.filters.filters[1::2])
        self.table: RouteTable | None = None
        self.route_path = self.host_path = self.table_path = ""
        self.matched: Route | None = None

    def all(self) -> Json:
        found: Json = {"connection_manager": self._manager()}
        headers = self.trace.first
        if headers is None:
            found |= {"route_table": None, "virtual_host": None, "routes": [], "filters": [], "action": None}
        else:
            found |= self._routing(headers)
            if self.matched is not None and not self.trace.at and not self.matched.chooses_cluster:
                self.route = self.matched  # no filter has asked for it
            found["filters"] = [self._filter(place) for place in range(len(self.filters))]
            found["action"] = self._action()
        found["upstream"] = self._upstream()
        found["answer"] = self._answer()
        return found

    def _manager(self) -> Json:
        asked, now = self.run.question.path, self.trace.first
        sent = fields_of(self.run.question.request_headers())
        changes = [] if now is None else changes_of(sent, self.trace.requests.get(0) or fields_of(now))
        return {
            "stat_prefix": self.manager.stat_prefix,
            "place": self.places.at(self.path),
            "path": {"asked": asked, "normalised": asked if now is None else now.path.decode("latin-1")},
            "request_changes": changes,
        }

    # Which route

    def _routing(self, headers: RequestHeaders) -> Json:
        table = self.table = self.manager.route_table.table_of(headers)
        self.table_path = f"{self.path}.{table.place}"
        found: Json = {"route_table": {"name": table.name, "place": self.places.at(self.table_path)}}
        named = table.named_host(headers)
        if named is None:
            looked_up = (headers.authority or b"").decode("latin-1")
            domains = [domain.decode("latin-1") for each in table.virtual_hosts for domain in each.domains]
            domains = [*domains[:_HOSTS_SHOWN], "..."] if len(domains) > _HOSTS_SHOWN else domains
            why = f"no virtual host has a domain for {looked_up!r}; the domains are: {', '.join(domains) or 'none'}"
            if table.virtual_host(without_port(headers.authority or b"")) is not None:
                why += (
                    "; its port is part of the name, unless ignore_port_in_host_matching or strip_any_host_port is set"
                )
            return found | {"virtual_host": {"name": None, "why": why, "looked_up": looked_up}, "routes": []}
        looked_up_name, domain, host = named
        self._locate(host)
        virtual_cluster = host.virtual_cluster(headers)
        found["virtual_host"] = {
            "name": host.name,
            "domain": domain.decode("latin-1"),
            "looked_up": looked_up_name.decode("latin-1"),
            "place": self.places.at(self.host_path),
            "require_tls": host.require_tls,
            "virtual_cluster": "" if virtual_cluster is None else virtual_cluster.name,
        }
        found["routes"] = self._routes(host, headers)
        return found

    def _locate(self, host: VirtualHost) -> None:
        assert self.table is not None
        place = next(i for i, each in enumerate(self.table.virtual_hosts) if each is host)
        self.host_path = f"{self.table_path}.virtual_hosts[{place}]"

    def _routes(self, host: VirtualHost, headers: RequestHeaders) -> list[Json]:
        if host.tls_redirect is not None and self.route is host.tls_redirect:
            return []
        found = []
        paths = {id(route): f"{self.host_path}.routes[{place}]" for place, route in enumerate(host.routes)}
        considered = host.considered(headers, self.trace.info)
        for number, (route, mismatch) in _worth_telling(considered):
            path = paths.get(id(route), f"{self.host_path}.matcher")
            entry: Json = {"number": number, "name": route.name, "place": self.places.at(path)}
            entry["matches"] = mismatch is None
            entry["match"] = ": ".join(route.path.describe()) if route.path is not None else ""
            entry["why_not"] = None
            if mismatch is None:
                self.matched, self.route_path = route, path
            else:
                place = self.places.at(f"{path}.match.{mismatch.field}")
                entry["why_not"] = {"field": mismatch.field, "text": mismatch.why, "place": place}
            found.append(entry)
        return found

    # Filters

    def _filter(self, place: int) -> Json:
        named, path = self.filters[place], f"{self.path}.http_filters[{place}]"
        kind = self.places.type_of(f"{path}.typed_config")
        disabled = named.disabled if self.route is None else self.route.disabled_filters.get(named.name, named.disabled)
        trace, spies = self.trace, place
        reached = spies in trace.requests
        entry: Json = {
            "name": named.name,
            "type": kind,
            "place": self.places.at(path),
            "part": "disabled" if disabled else "reached" if reached else "not reached",
            "settings": self.places.json(f"{path}.typed_config"),
            "per_route": self._levels(named.name),
            "says": [],
            "explains": kind in FILTERS and FILTERS[kind].explain is not None,
            "request_changes": [],
            "response_changes": [],
        }
        behind = self._sent() if place + 1 == len(self.filters) else trace.requests.get(place + 1)
        if reached and behind is not None:
            entry["request_changes"] = changes_of(trace.requests[place], behind)
        before = self._came_back() if place + 1 == len(self.filters) else trace.responses.get(place + 1)
        if before is not None and place in trace.responses:
            entry["response_changes"] = changes_of(before, trace.responses[place])
        entry["answers"] = bool(reached and not disabled and self._answers(place))
        if reached and not disabled:
            entry["says"] = self._sayings(place, kind, path, entry["per_route"])
        return entry

    def _answers(self, place: int) -> bool:
        """Whether the filter is where the request ended without an upstream."""
        last = max(self.trace.requests)
        return place == last and self.client.headers is not None and self._sent() is None

    def _levels(self, name: str) -> list[Json]:
        """Where `typed_per_filter_config` says something of a filter, the least specific level first."""
        levels = [("route_configuration", self.table_path), ("virtual_host", self.host_path), (ROUTE, self.route_path)]
        entry = self._entry_path()
        if entry:
            levels.append(("weighted_cluster", entry))
        found = []
        for level, path in levels:
            own = f"{path}.typed_per_filter_config[{name}]"
            if path and self.places.is_set(own):
                found.append({"level": level, "place": self.places.at(own), "settings": self.places.json(own)})
        return found

    def _case(self, place: int) -> FilterCase | None:
        info, headers = self.trace.info, self.trace.at.get(place)
        if info is None or headers is None:
            return None
        path = f"{self.path}.http_filters[{place}].typed_config"
        configs = () if self.route is None else self.route.filter_configs.get(self.filters[place].name, ())
        return FilterCase(self.places.json(path), configs, self.route, headers.copy(), self.trace.has_body, info)

    def _sayings(self, place: int, kind: str, path: str, per_route: Sequence[Json]) -> list[Json]:
        case, known = self._case(place), FILTERS.get(kind)
        if case is None or known is None or known.explain is None:
            return []
        specific = per_route[-1]["place"]["path"] if per_route else self.route_path
        return [self._saying(each, path, specific) for each in known.explain(case)]

    def _saying(self, said: Saying, path: str, specific: str) -> Json:
        levels = {FILTER: f"{path}.typed_config", ROUTE: self.route_path, PER_ROUTE: specific}
        below = levels.get(said.level, self.host_path)
        where = f"{below}.{said.field}" if said.field else path if said.level == FILTER else below
        return {"text": said.text, "place": self.places.at(where)}

    # What the route does

    def _entry_path(self) -> str:
        route, matched = self.route, self.matched
        action = None if matched is None else matched.action
        if route is None or route.entry is None or not isinstance(action, ClusterAction) or action.weighted is None:
            return ""
        place = next((i for i, each in enumerate(action.weighted.entries) if each is route.entry), -1)
        return f"{self.route_path}.route.weighted_clusters.clusters[{place}]"

    def _action(self) -> Json | None:
        route = self.route
        if route is None:
            return None
        action = route.action
        if isinstance(action, ClusterAction):
            return self._cluster_action(route, action)
        direct = isinstance(action, DirectResponseAction)
        kind = "direct_response" if direct else "redirect"
        forced = route.path is None
        place = self.places.at(f"{self.host_path}.require_tls" if forced else f"{self.route_path}.{kind}")
        return {"kind": kind, "status": action.status, "place": place, "by_require_tls": forced}

    def _cluster_action(self, route: Route, action: ClusterAction) -> Json:
        case = self._case(len(self.filters) - 1) or self._case(0)
        found: Json = {
            "kind": "cluster",
            "place": self.places.at(f"{self.route_path}.route"),
            "cluster": action.cluster,
            "clusters": self._weights(),
            "timeouts": None,
            "retry": None,
            "hash_key": None,
        }
        if case is None:
            return found
        times, policy = timeouts_of(case, route, action, case.headers), retries_of(route, action, case.headers)
        found["timeouts"] = {
            "overall": times.overall,
            "per_try": times.per_try,
            "per_try_idle": times.per_try_idle,
            "idle": self.manager.stream_idle_timeout if action.idle_timeout is None else action.idle_timeout,
        }
        if policy is not None:
            found["retry"] = {"retry_on": sorted(policy.retry_on), "num_retries": policy.num_retries}
        found["hash_key"] = hash_of(case, action)
        return found

    def _weights(self) -> list[Json]:
        action = None if self.matched is None else self.matched.action
        if not isinstance(action, ClusterAction) or action.weighted is None:
            return []
        total = sum(each.weight.value for each in action.weighted.entries)
        taken = None if self.route is None else self.route.entry
        path = f"{self.route_path}.route.weighted_clusters.clusters"
        return [
            {
                "cluster": each.cluster or f"as the header {each.cluster_header.decode('latin-1')} says",
                "weight": each.weight.value,
                "chance": each.weight.value / total if total else 0.0,
                "taken": each is taken,
                "place": self.places.at(f"{path}[{place}]"),
            }
            for place, each in enumerate(action.weighted.entries)
        ]

    # Upstream, and back

    def _request_upstream(self) -> DryRequest | None:
        """The request itself, not a copy of it that goes to a mirror."""
        info = self.trace.info
        wanted = None if info is None else info.upstream_host
        for upstream in self.run.upstreams:
            if wanted is not None and upstream.address == wanted and upstream.requests:
                return upstream.requests[0]
        return None

    def _sent(self) -> Fields | None:
        """The request as the upstream gets it."""
        request = self._request_upstream()
        return None if request is None or request.headers is None else fields_of(request.headers)

    def _came_back(self) -> Fields | None:
        """The upstream's answer."""
        request = self._request_upstream()
        return None if request is None or request.answer is None else fields_of(request.answer)

    def _upstream(self) -> Json | None:
        route, info = self.route, self.trace.info
        if route is None or info is None or not isinstance(route.action, ClusterAction):
            return None
        name = route.action.cluster
        cluster = self.world.cluster(name)
        if cluster is None:
            return {"cluster": name, "exists": False, "why": f"there is no cluster {name!r}"}
        to = info.upstream_host
        host = next((each for each in cluster.hosts if each.address == to), None)
        sent = self._sent()
        return {
            "cluster": name,
            "exists": True,
            "place": self.places.at(self.world.cluster_paths.get(name, "")),
            "policy": policy_name(cluster),
            # The hosts of an aggregate, or that a request names, are not the cluster's own.
            "host": None if to is None else self.world.host_name(to, "" if host is None else host.hostname),
            "by_hash": cluster.wants_request,
            "hosts": [self._host(each) for each in cluster.hosts[:_HOSTS_SHOWN]],
            "hosts_total": len(cluster.hosts),
            "why_none": why_no_host(cluster) + _since(self.world.since(name)) if to is None else "",
            "state": list(self.world.state(name)),
            "sent": None if sent is None else [list(each) for each in sent],
            "changes": [] if sent is None else changes_of(fields_of(self.run.question.request_headers()), sent),
        }

    def _host(self, host: Host) -> Json:
        return {
            "address": str(host.address),
            "name": self.world.host_name(host.address, host.hostname),
            "healthy": not host.health_flags & UNHEALTHY_FLAGS,
            "flags": flag_names(host.health_flags),
            "weight": host.weight,
            "priority": host.priority,
        }

    def _answer(self) -> Json:
        client, info = self.client, self.trace.info
        headers, trace = client.headers, self.trace
        local = self._sent() is None
        details = "" if info is None else info.response_code_details
        flags = "-" if info is None else info.flag_names()
        got = [] if headers is None else fields_of(headers)
        behind = trace.responses.get(0, ())
        words = [*(flag for flag in flags.split(",") if flag != "-"), details]
        reason = next((found for word in words if word and (found := reason_of(word)) is not None), None)
        return {
            "status": None if headers is None else headers.status,
            "local": local,
            "flags": flags,
            "details": details,
            "headers": [list(each) for each in got],
            "connection_manager_changes": changes_of(behind, tuple(got)) if behind else [],
            "body": client.body[:_BODY_SHOWN].decode("utf-8", "replace"),
            "reset": client.reset,
            "why": None if reason is None or not local else {"word": reason.word, "text": reason.what},
        }


def _worth_telling(
    considered: Sequence[tuple[Route, Mismatch | None]],
) -> list[tuple[int, tuple[Route, Mismatch | None]]]:
    """Routes with their numbers from 1: of many whose path does not fit only the last, which are the nearest."""
    numbered = list(enumerate(considered, 1))
    far = [number for number, (_, mismatch) in numbered if mismatch is not None and mismatch.field in _PATHS]
    skipped = set(far[:-_ROUTES_SHOWN])
    return [each for each in numbered if each[0] not in skipped]


def policy_name(cluster: Cluster) -> str:
    """A balancer's policy as Envoy spells it, such as ``ROUND_ROBIN``."""
    name = type(cluster.settings.lb).__name__.removesuffix("Settings")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def _since(seconds: float) -> str:
    return f", since {datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else ""


_FLAGS: Final = (
    (FAILED_ACTIVE_HC, "failed_active_hc", "failed their active health check"),
    (FAILED_OUTLIER_CHECK, "failed_outlier_check", "were ejected by outlier detection"),
    (FAILED_EDS_HEALTH, "failed_eds_health", "are unhealthy by configuration"),
    (EDS_STATUS_DRAINING, "eds_status_draining", "are draining by configuration"),
    (PENDING_ACTIVE_HC, "pending_active_hc", "wait for their first health check"),
    (DEGRADED_ACTIVE_HC, "degraded_active_hc", ""),
    (DEGRADED_EDS_HEALTH, "degraded_eds_health", ""),
    (DEGRADED_OUTLIER, "degraded_outlier", ""),
    (EXCLUDED_VIA_IMMEDIATE_HC_FAIL, "excluded_via_immediate_hc_fail", ""),
    (ACTIVE_HC_TIMEOUT, "active_hc_timeout", ""),
    (PENDING_DYNAMIC_REMOVAL, "pending_dynamic_removal", ""),
)
"""Health flags, their names in /clusters, and what they say of all hosts that have them."""


def flag_names(flags: int) -> list[str]:
    """The names of the flags that are set."""
    return [name for flag, name, _ in _FLAGS if flags & flag]


def why_no_host(cluster: Cluster) -> str:
    """Why the balancer found no host."""
    hosts, name = cluster.hosts, cluster.name
    if not hosts:
        return f"{name} has no hosts"
    count = f"the only host of {name}" if len(hosts) == 1 else f"all {len(hosts)} hosts of {name}"
    shared = [text for flag, _, text in _FLAGS if text and all(host.health_flags & flag for host in hosts)]
    if shared:
        text = shared[0]
        return f"{count} {text.replace('were ', 'was ').replace('are ', 'is ') if len(hosts) == 1 else text}"
    if all(host.health_flags & UNHEALTHY_FLAGS for host in hosts):
        reasons = sorted({each for host in hosts for each in flag_names(host.health_flags)})
        return f"{count} are unhealthy ({', '.join(reasons)})"
    return f"none of the {len(hosts)} hosts of {name} may be used for this request (subset, or a host it must go to)"
