"""The compiled route table: which route a request takes (envoy.config.route.v3.RouteConfiguration).

`RouteTable.route` is a pure function of the request's headers; what the route then does is up to the
router filter. Order of domains: exact, longest suffix wildcard, longest prefix wildcard, ``*``.
Order of routes: as configured, the first that matches wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from envoymesh.http.headers import RequestHeaders, is_grpc
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.headers import HeaderMatcher, all_match, request_header_values
from envoymesh.matching.queries import QueryParameterMatcher, parse_query
from envoymesh.matching.strings import quoted
from envoymesh.matching.tree.data import MatchingData
from envoymesh.metadata import Metadata, joined, merged_criteria
from envoymesh.router.actions.answers import DIRECT_RESPONSE, DirectResponseAction, RedirectAction
from envoymesh.router.actions.cluster import ClusterAction
from envoymesh.router.authority import split_port
from envoymesh.router.cors import CorsPolicy, effective_policy
from envoymesh.router.domains import Domains
from envoymesh.router.filter_configs import (
    NO_FILTER_CONFIGS,
    FilterConfigs,
    disabled_by_filter,
    settings_by_filter,
)
from envoymesh.router.header_parser import NO_HEADER_PARSERS, HeaderParser, HeaderParsers
from envoymesh.router.match.conditions import RouteCondition
from envoymesh.router.match.mismatch import Mismatch
from envoymesh.router.paths import PathMatcher
from envoymesh.router.request_counts import Counts, RequestCounts, VirtualCluster
from envoymesh.router.retry import RetryPolicy
from envoymesh.router.route_list import RouteList, route_list_of

# What most configurations do not have is not imported: nothing here makes such an object.
if TYPE_CHECKING:
    from envoymesh.matching.tree.match_tree import MatchTree
    from envoymesh.router.actions.weighted import WeightedEntry
    from envoymesh.router.mirror import MirrorPolicy
    from envoymesh.router.rate_limits.descriptors import RateLimit

NO_SETTINGS: Final[Mapping[str, Sequence[Any]]] = {}
NOTHING_DISABLED: Final[Mapping[str, bool]] = {}

Action = ClusterAction | DirectResponseAction | RedirectAction

__all__ = [
    "DIRECT_RESPONSE",
    "Action",
    "ClusterAction",
    "DirectResponseAction",
    "Mismatch",
    "RedirectAction",
    "Route",
    "RouteTable",
    "VirtualHost",
    "split_port",
]


@dataclass(slots=True)
class Route:
    """One route: when it matches and what it does.

    Attributes:
        conditions: what a request must be beside its path, headers and query.
        counts: what is counted of its requests alone (`stat_prefix`).
        header_parsers: this level's header mutations.
        metadata: the route's, and then its virtual host's with it, by kind; None is none.
        body_limit: bytes of a body that are kept for another try; None is the listener's limit.
        request_parsers, response_parsers: those of all levels, in the order in which they are applied.
        cors: the policy that the deprecated `cors` fields of action and virtual host give together.
        mirrors: who gets copies of requests, of the most specific level that says so.
        own_filter_configs: this level's settings of HTTP filters.
        filter_configs: those of all levels by the filter's name, the most specific one last.
        disabled_filters: whether a filter takes part, by its name, where any level says so.
        entry: the weighted cluster that this variant of a route stands for.
        variants: of a route with weighted clusters, one for each of them.
        chooses_cluster: the request decides on the cluster: `with_cluster` gives the route to take.
        changes_requests: there is something to do to the headers of a request that is sent upstream.
    """

    name: str
    path: PathMatcher | None
    action: Action
    headers: Sequence[HeaderMatcher] = ()
    query_parameters: Sequence[QueryParameterMatcher] = ()
    grpc: bool = False
    conditions: Sequence[RouteCondition] = ()
    counts: RequestCounts | None = None
    header_parsers: HeaderParsers = NO_HEADER_PARSERS
    own_filter_configs: FilterConfigs = field(default_factory=lambda: NO_FILTER_CONFIGS)
    metadata: Metadata | None = None
    body_limit: int | None = None
    request_parsers: Sequence[HeaderParser] = field(default=(), repr=False, compare=False)
    response_parsers: Sequence[HeaderParser] = field(default=(), repr=False, compare=False)
    cors: CorsPolicy | None = field(default=None, repr=False, compare=False)
    mirrors: Sequence[MirrorPolicy] = field(default=(), repr=False, compare=False)
    filter_configs: Mapping[str, Sequence[Any]] = field(default_factory=dict, repr=False, compare=False)
    disabled_filters: Mapping[str, bool] = field(default_factory=dict, repr=False, compare=False)
    entry: WeightedEntry | None = field(default=None, repr=False, compare=False)
    variants: Sequence[Route] = field(default=(), repr=False, compare=False)
    chooses_cluster: bool = field(default=False, repr=False, compare=False)
    changes_requests: bool = field(default=False, repr=False, compare=False)
    virtual_host: VirtualHost = field(init=False, repr=False, compare=False)  # set by the virtual host

    def __post_init__(self) -> None:
        action = self.action
        if isinstance(action, ClusterAction):
            by_request = action.weighted is not None or action.cluster_matcher is not None
            self.chooses_cluster = by_request or bool(action.cluster_header)

    def with_cluster(self, headers: RequestHeaders, info: StreamInfo) -> Route | None:
        """This route as it is for a request that decides on the cluster; None where no weighted cluster has weight."""
        action = self.action
        if not isinstance(action, ClusterAction):
            return self
        if action.weighted is not None:
            place = action.weighted.pick(headers, info)
            return None if place < 0 else self.variants[place].with_cluster(headers, info)
        if action.cluster_header:
            name = headers.get(action.cluster_header) or b""
            return _variant(self, replace(action, cluster=name.decode("latin-1"), cluster_header=b""), self.entry)
        if action.cluster_matcher is not None:
            found = action.cluster_matcher.match(MatchingData(info, headers))
            cluster = found if isinstance(found, str) else ""
            return _variant(self, replace(action, cluster=cluster, cluster_matcher=None), self.entry)
        return self

    @property
    def rate_limits(self) -> Sequence[RateLimit]:
        """Those of the action; and those of the virtual host where the action has none, or wants both."""
        action, of_host = self.action, self.virtual_host.rate_limits
        if not isinstance(action, ClusterAction) or not action.rate_limits:
            return of_host
        own = action.rate_limits
        return [*own, *of_host] if action.include_virtual_host_rate_limits else own

    def matches(self, headers: RequestHeaders, path: bytes, info: StreamInfo | None = None) -> bool:
        """Whether a request takes this route; `path` is without the query."""
        return (self.path is None or self.path.matches(path)) and self.fits_beside_path(headers, info)

    def fits_beside_path(self, headers: RequestHeaders, info: StreamInfo | None = None) -> bool:
        """Whether everything but the path is as the route wants it."""
        if self.headers and not all_match(self.headers, headers):
            return False
        if self.grpc and not is_grpc(headers):
            return False
        if self.query_parameters:
            parameters = parse_query(headers.path)
            if not all(matcher.matches(parameters) for matcher in self.query_parameters):
                return False
        return not self.conditions or all(condition.holds(headers, info) for condition in self.conditions)

    def why_not(self, headers: RequestHeaders, path: bytes, info: StreamInfo | None = None) -> Mismatch | None:
        """The first thing that keeps a request from this route, in the order of `matches`; None where nothing does."""
        if self.path is not None and not self.path.matches(path):
            field, wanted = self.path.describe()
            return Mismatch(field, f"the path {quoted(path)} does not fit {field} {wanted}")
        for place, header in enumerate(self.headers):
            if not header.matches(headers):
                return Mismatch(f"headers[{place}]", header.why_not(headers))
        if self.grpc and not is_grpc(headers):
            return Mismatch("grpc", "the content-type does not say gRPC")
        parameters = parse_query(headers.path)
        for place, parameter in enumerate(self.query_parameters):
            if not parameter.matches(parameters):
                return Mismatch(f"query_parameters[{place}]", parameter.why_not(parameters))
        failed = next((each for each in self.conditions if not each.holds(headers, info)), None)
        if failed is None:
            return None
        field, wanted = failed.describe()
        return Mismatch(field, f"the request is not what the route wants: {wanted}")


def counts_of(route: Route, headers: RequestHeaders, info: StreamInfo) -> Counts:
    """Who counts a request of a route: its virtual cluster, which the log names, and the route itself."""
    cluster = route.virtual_host.virtual_cluster(headers)
    counts = [] if route.counts is None else [route.counts]
    if cluster is None:
        return tuple(counts)
    info.virtual_cluster_name = cluster.logged_name
    return (cluster.counts, *counts)


@dataclass(slots=True)
class VirtualHost:
    """A group of routes for a group of domains (envoy.config.route.v3.VirtualHost).

    Args:
        require_tls: ``NONE``, ``EXTERNAL_ONLY`` or ``ALL``; requests without TLS are redirected.
        matcher: leads to routes in the place of `routes`; its actions are RouteLists.
        virtual_clusters: groups of requests that are counted; the last one takes what no other does.
    Attributes:
        ignore_path_parameters: the table's `ignore_path_parameters_in_path_matching`.
    """

    name: str
    domains: Sequence[bytes]
    routes: Sequence[Route]
    require_tls: str = "NONE"
    retry: RetryPolicy | None = None
    include_request_attempt_count: bool = False
    include_attempt_count_in_response: bool = False
    include_is_timeout_retry_header: bool = False
    header_parsers: HeaderParsers = NO_HEADER_PARSERS
    own_filter_configs: FilterConfigs = field(default_factory=lambda: NO_FILTER_CONFIGS)
    own_cors: CorsPolicy | None = None
    own_mirrors: Sequence[MirrorPolicy] = ()
    metadata: Metadata | None = None
    matcher: MatchTree | None = None
    matched_routes: Sequence[Route] = ()
    virtual_clusters: Sequence[VirtualCluster] = ()
    tls_redirect: Route | None = None
    rate_limits: Sequence[RateLimit] = ()
    ignore_path_parameters: bool = field(default=False, init=False)
    _numbers: dict[int, int] | None = field(default=None, init=False, repr=False, compare=False)
    _list: RouteList = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for route in self.all_routes():
            route.virtual_host = self
            if self.metadata is not None:
                route.metadata = joined(self.metadata, route.metadata)
        if self.require_tls != "NONE":
            self.tls_redirect = Route("", None, RedirectAction(scheme=b"https"))
            self.tls_redirect.virtual_host = self
        self._list = RouteList(self.routes)

    def all_routes(self) -> Sequence[Route]:
        """Those in order, and those that the matcher leads to."""
        return (*self.routes, *self.matched_routes)

    def number_of(self, route: Route) -> int:
        """For people: the place of a route, or of a variant of it, in the list, from 1; 0 where it is not in it."""
        if self._numbers is None:
            # A variant has the path of its route.
            self._numbers = {id(each.path): number for number, each in enumerate(self.routes, 1) if each.path}
        return self._numbers.get(id(route.path), 0)

    def route(self, headers: RequestHeaders, info: StreamInfo | None = None) -> Route | None:
        """The first route that matches, or the redirect to TLS."""
        if self.tls_redirect is not None and self._needs_tls(headers):
            return self.tls_redirect
        path = headers.path
        # `find` rather than `in`, which on bytes tries a number first and costs a microsecond.
        if path.find(b"?") >= 0 or path.find(b"#") >= 0:
            path = path.partition(b"?")[0].partition(b"#")[0]
        routes = self._list if self.matcher is None else route_list_of(self.matcher, headers, info)
        if routes is None:
            return None
        if self.ignore_path_parameters and path.find(b";") >= 0:
            return routes.find_ignoring_parameters(headers, path, info)
        return routes.find(headers, path, info)

    def considered(
        self, headers: RequestHeaders, info: StreamInfo | None = None
    ) -> Sequence[tuple[Route, Mismatch | None]]:
        """For people: the routes that `route` asks, up to the one that matches, and why the others do not."""
        routes = self._list if self.matcher is None else route_list_of(self.matcher, headers, info)
        path = headers.path.partition(b"?")[0].partition(b"#")[0]
        return () if routes is None else routes.considered(headers, path, info, self.ignore_path_parameters)

    def virtual_cluster(self, headers: RequestHeaders) -> VirtualCluster | None:
        """The first virtual cluster that a request belongs to; None where there are none."""
        for cluster in self.virtual_clusters:
            if all_match(cluster.headers, headers):
                return cluster
        return None

    def _needs_tls(self, headers: RequestHeaders) -> bool:
        if headers.get(b"x-forwarded-proto") == b"https":
            return False
        return self.require_tls == "ALL" or headers.get(b"x-envoy-internal") != b"true"


class RouteTable:
    """Virtual hosts by domain.

    Args:
        header_parsers: header mutations of the whole table, applied behind those of route and virtual host.
        most_specific_wins: apply them in the other order (`most_specific_header_mutations_wins`).
        filter_configs: settings of HTTP filters for the whole table.
        mirrors: who gets copies of requests where neither route nor virtual host says so.
        host_header: the header that names the virtual host in the place of the authority (`vhost_header`).
        ignore_path_parameters: paths are matched without what follows a semicolon in each segment.
        place: where the table stands in its connection manager, for errors.
        validate_clusters: whether a route to a cluster that does not exist is an error at load.
    Errors: ValueError where a domain stands twice.
    """

    def __init__(
        self,
        name: str,
        virtual_hosts: Sequence[VirtualHost],
        *,
        ignore_port: bool = False,
        internal_only: Sequence[bytes] = (),
        header_parsers: HeaderParsers = NO_HEADER_PARSERS,
        most_specific_wins: bool = False,
        filter_configs: FilterConfigs = NO_FILTER_CONFIGS,
        mirrors: Sequence[MirrorPolicy] = (),
        validate_clusters: bool = True,
        host_header: bytes = b"",
        ignore_path_parameters: bool = False,
        place: str = "route_config",
    ) -> None:
        self.place = place
        self.name = name
        self.host_header = host_header
        self.validate_clusters = validate_clusters
        self.virtual_hosts = virtual_hosts
        self.ignore_port = ignore_port
        self.internal_only_headers = tuple(internal_only)
        self._domains: Domains[VirtualHost] = Domains(name, [(each.domains, each) for each in virtual_hosts])
        for host in virtual_hosts:
            host.ignore_path_parameters = ignore_path_parameters
            for route in host.all_routes():
                levels = [route.header_parsers, host.header_parsers, header_parsers]
                _order_parsers(route, levels[::-1] if most_specific_wins else levels)
                if isinstance(route.action, ClusterAction):
                    route.mirrors = route.action.mirrors or host.own_mirrors or mirrors
                configs = [filter_configs, host.own_filter_configs, route.own_filter_configs]
                _resolve_filter_configs(route, configs)
                _make_variants(route, configs)

    def virtual_host(self, authority: bytes) -> VirtualHost | None:
        """The virtual host that a request's authority names."""
        domains = self._domains
        if domains.only_default:
            return domains.default
        return domains.find(without_port(authority) if self.ignore_port else authority)

    def route(self, headers: RequestHeaders, info: StreamInfo | None = None) -> Route | None:
        """The route of a request, or None. `info` is what is known of it beside its headers."""
        if self.host_header and not self._domains.only_default:
            named = request_header_values(headers, self.host_header)
            host = self.virtual_host(named[0]) if named else None
        else:
            host = self.virtual_host(headers.authority or b"")
        return None if host is None else host.route(headers, info)

    def named_host(self, headers: RequestHeaders) -> tuple[bytes, bytes, VirtualHost] | None:
        """For people: the name that `route` looks up, the domain that it belongs to, and the virtual host."""
        name: bytes | None = headers.authority or b""
        if self.host_header and not self._domains.only_default:
            name = next(iter(request_header_values(headers, self.host_header)), None)
        host = None if name is None else self.virtual_host(name)
        if name is None or host is None:
            return None
        looked_up = without_port(name) if self.ignore_port and not self._domains.only_default else name
        domains = Domains(self.name, [((domain,), domain) for each in self.virtual_hosts for domain in each.domains])
        return looked_up, domains.find(looked_up) or b"*", host

    def table_of(self, headers: RequestHeaders) -> RouteTable:
        """The table that decides on a request: this one, unless there are several."""
        return self

    def tables(self) -> Sequence[RouteTable]:
        """All tables that this one stands for."""
        return (self,)

    @property
    def chooses_filters(self) -> bool:
        """Whether any route says which filters take part."""
        return any(route.disabled_filters for route in self._variants())

    @property
    def configured_filters(self) -> set[str]:
        """Names of the filters that any route has something to say of."""
        return {name for route in self._variants() for name in route.disabled_filters}

    def settings_of_filter(self, name: str) -> list[Any]:
        """What the levels say of one filter, each once."""
        found = [each for route in self._variants() for each in route.filter_configs.get(name, ())]
        return list({id(each): each for each in found}.values())

    def _variants(self) -> list[Route]:
        """All routes, each with its variants."""
        return [each for route in self.routes() for each in (route, *route.variants)]

    def routes(self) -> list[Route]:
        """All routes of all virtual hosts, for checks and dumps."""
        return [route for host in self.virtual_hosts for route in host.all_routes()]


def _variant(route: Route, action: ClusterAction, entry: WeightedEntry | None) -> Route:
    """A route that has matched, with another action."""
    made = Route(route.name, route.path, action, metadata=route.metadata, entry=entry)
    made.virtual_host = route.virtual_host
    made.request_parsers, made.response_parsers = route.request_parsers, route.response_parsers
    made.filter_configs, made.disabled_filters = route.filter_configs, route.disabled_filters
    made.cors, made.mirrors = route.cors, route.mirrors
    made.changes_requests = route.changes_requests
    made.counts = route.counts
    made.body_limit = route.body_limit
    return made


def _make_variants(route: Route, levels: Sequence[FilterConfigs]) -> None:
    """Make a route for each weighted cluster: its own level is the most specific one, its headers come first."""
    action = route.action
    if not isinstance(action, ClusterAction) or action.weighted is None:
        return
    variants = []
    for entry in action.weighted.entries:
        criteria = action.metadata_match
        if entry.metadata_match is not None:
            criteria = merged_criteria(criteria or (), entry.metadata_match)
        to_entry = replace(
            action,
            cluster=entry.cluster,
            cluster_header=entry.cluster_header,
            weighted=None,
            metadata_match=criteria,
        )
        made = _variant(route, to_entry, entry)
        if entry.header_parsers.response:
            made.response_parsers = (entry.header_parsers.response, *route.response_parsers)
        made.changes_requests |= bool(entry.host_rewrite or entry.header_parsers.request)
        _resolve_filter_configs(made, [*levels, entry.filter_configs])
        variants.append(made)
    route.variants = variants


def _order_parsers(route: Route, levels: Sequence[HeaderParsers]) -> None:
    route.request_parsers = tuple(each.request for each in levels if each.request)
    route.response_parsers = tuple(each.response for each in levels if each.response)
    action = route.action
    rewrites = action.rewrites if isinstance(action, ClusterAction) else None
    route.changes_requests = bool(route.request_parsers) or rewrites is not None


def _resolve_filter_configs(route: Route, levels: Sequence[FilterConfigs]) -> None:
    # Routes without settings share one empty dictionary: there may be thousands.
    route.filter_configs = settings_by_filter(levels) or NO_SETTINGS
    route.disabled_filters = disabled_by_filter(levels) or NOTHING_DISABLED
    own = route.action.cors if isinstance(route.action, ClusterAction) else None
    route.cors = effective_policy([each for each in (route.virtual_host.own_cors, own) if each is not None])


def without_port(host: bytes) -> bytes:
    """A host without what looks like its port, digits or not (Envoy's `getPortStart`). IPv6 literals keep brackets."""
    colon = host.rfind(b":")
    return host if colon < 0 or host.find(b"]", colon) >= 0 else host[:colon]
