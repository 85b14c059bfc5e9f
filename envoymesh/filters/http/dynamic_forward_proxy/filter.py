"""The dynamic forward proxy filter: waits until the host that a request names has addresses.

It is envoy.filters.http.dynamic_forward_proxy, and stands before the router, whose cluster then picks that host. It
must not pick hosts, nor resolve names: the cache does, which it shares with the cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from envoymesh.http.filter import FilterHeadersStatus, StreamFilter
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.stream_info import FilterState, ResponseFlag
from envoymesh.network.api import Address
from envoymesh.router.table import ClusterAction
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_manager import DYNAMIC_FORWARD_PROXY, ClusterManager
from envoymesh.upstream.dynamic_forward_proxy.cluster import default_port
from envoymesh.upstream.dynamic_forward_proxy.dns_cache import CachedHost, DnsCache, HostLoad, LoadStatus

UPSTREAM_ADDRESS: Final = "envoy.stream.upstream_address"


class UpstreamAddressState(FilterState):
    """The address that a request's host was resolved to, for filters behind; as in Envoy logs cannot show it."""

    __slots__ = ("address",)

    def __init__(self, address: Address) -> None:
        self.address = address


@dataclass(frozen=True, slots=True)
class DynamicForwardProxySettings:
    """One FilterConfig.

    Args:
        save_upstream_address: filters behind find the address in the filter state.
    """

    cache: DnsCache
    clusters: ClusterManager
    save_upstream_address: bool = False


@dataclass(frozen=True, slots=True)
class HostRewrite:
    """One PerRouteConfig: the host in place of the request's.

    Args:
        literal: it, or empty.
        header: the header that has it (lower case), or empty.
    """

    literal: bytes = b""
    header: bytes = b""


def rewritten_host(headers: RequestHeaders, rewrite: HostRewrite | None) -> bytes | None:
    """The host that a request goes to."""
    if rewrite is None:
        return headers.authority
    value = headers.get(rewrite.header) if rewrite.header else None
    return value if value is not None else rewrite.literal or headers.authority


class DynamicForwardProxyFilter(StreamFilter):
    """One request; `_load` is its wait for a name."""

    __slots__ = ("_load", "_settings", "_waiting")

    def __init__(self, settings: DynamicForwardProxySettings) -> None:
        self._settings = settings
        self._load: HostLoad | None = None
        self._waiting = False

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """Look the host up, where the request goes to a cluster of this kind."""
        cluster = self._cluster()
        if cluster is None:
            return FilterHeadersStatus.CONTINUE
        self._rewrite_host(headers)
        cache = self._settings.cache
        if not cache.can_create_request():
            return self._refuse(
                b"Dynamic forward proxy pending request overflow", "dynamic_forward_proxy_pending_request_overflow"
            )
        self._waiting = True
        host = (headers.authority or b"").decode("latin-1")
        if not host:
            self._end_wait()
            self.decoder_callbacks.send_local_reply(400, b"Empty host header", "empty_host_header")
            return FilterHeadersStatus.STOP
        status, known, self._load = cache.load(host, default_port(cluster.info), self._on_loaded)
        if status is LoadStatus.LOADING:
            return FilterHeadersStatus.STOP_ALL_AND_WATERMARK
        self._end_wait()
        if status is LoadStatus.OVERFLOW or known is None:
            return self._refuse(b"DNS cache overflow", "dns_cache_overflow")
        return FilterHeadersStatus.CONTINUE if self._take(known) else FilterHeadersStatus.STOP

    def _cluster(self) -> Cluster | None:
        """The cluster that the request goes to, if its hosts are a cache's."""
        route: Any = self.decoder_callbacks.route
        if route is None or not isinstance(route.action, ClusterAction):
            return None
        cluster = self._settings.clusters.get(route.action.cluster)
        return cluster if cluster is not None and cluster.settings.discovery_type == DYNAMIC_FORWARD_PROXY else None

    def _rewrite_host(self, headers: RequestHeaders) -> None:
        rewrite = self.decoder_callbacks.most_specific_per_filter_config
        if isinstance(rewrite, HostRewrite):
            headers.authority = rewritten_host(headers, rewrite)

    def _refuse(self, body: bytes, details: str) -> FilterHeadersStatus:
        self.decoder_callbacks.send_local_reply(503, body, details)
        return FilterHeadersStatus.STOP

    def _on_loaded(self, host: CachedHost) -> None:
        """The name's first resolution is over."""
        try:
            self._load = None
            self._end_wait()
            if self._take(host):
                self.decoder_callbacks.continue_decoding()
        except Exception as error:  # noqa: BLE001 one request's fault must not reach the others that wait
            self.decoder_callbacks.on_exception("a resolved name", error)

    def _take(self, host: CachedHost) -> bool:
        """Use an address, or answer that there is none."""
        callbacks = self.decoder_callbacks
        if not host.addresses:
            callbacks.stream_info.flags |= ResponseFlag.DNS_RESOLUTION_FAILED
            callbacks.send_local_reply(503, b"DNS resolution failure", host.details)
            return False
        if self._settings.save_upstream_address:
            state = callbacks.stream_info
            if state.filter_state is None or UPSTREAM_ADDRESS not in state.filter_state:
                state.set_filter_state(UPSTREAM_ADDRESS, UpstreamAddressState(host.addresses[0]))
        return True

    def _end_wait(self) -> None:
        if self._waiting:
            self._waiting = False
            self._settings.cache.end_request()

    def on_destroy(self) -> None:
        """Wait no more."""
        load, self._load = self._load, None
        if load is not None:
            load.cancel()
        self._end_wait()
