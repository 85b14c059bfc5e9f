"""A router filter among fakes: a client that records its answer, a cluster whose pool is the test.

    bench = RouterBench(ClusterAction("c", timeout=1.0))
    bench.send(end_stream=True)
    stream = bench.cluster.ready()          # the pool has a stream
    stream.answer(200)
    assert bench.client.status == 200

`bench.check_ended()` holds at the end of every test: nothing runs on, and every pause was taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from envoymesh.filters.http.router import RouterFilter, RouterFilterConfig, RouterStats
from envoymesh.http.codec import HttpProtocol, RequestEncoder, StreamResetReason
from envoymesh.http.filter import StreamDecoderFilterCallbacks
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.network.api import Address
from envoymesh.router.table import Action, Route, RouteTable, VirtualHost
from envoymesh.stats import Store
from envoymesh.upstream.api import Cancellable, PoolFailureReason
from envoymesh.upstream.client import AsyncClient
from envoymesh.upstream.cluster import Cluster, PoolsOfHosts
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.host import Host
from envoymesh.upstream.pool.pools import ConnectionPools
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings, ThresholdSettings
from envoymesh.upstream.stats import AsyncClientStats
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.stand_ins import stands_for


class FakeUpstreamStream(stands_for(RequestEncoder)):
    """A pooled stream: what the router sent on it, and the means to answer as the upstream."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self.callbacks: Any = None
        self.headers: RequestHeaders | None = None
        self.fields: dict[bytes, bytes] = {}
        self.body = b""
        self.trailers: HeaderMap | None = None
        self.ended = self.ended_with_headers = False
        self.reset: StreamResetReason | None = None
        self.read_disabled = 0
        self.above_high_watermark = False
        self.reset_on_headers: StreamResetReason | None = None
        self.connection = FakeConnection()

    # RequestEncoder

    def set_callbacks(self, callbacks: Any) -> None:
        self.callbacks = callbacks
        if callbacks is not None and self.above_high_watermark:
            callbacks.on_above_write_buffer_high_watermark()

    def encode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        assert self.headers is None
        assert self.reset is None
        self.headers, self.ended, self.ended_with_headers = headers, end_stream, end_stream
        self.fields = dict(headers.fields)
        if self.reset_on_headers is not None:
            self.fail(self.reset_on_headers)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        assert self.headers is not None
        assert not self.ended
        assert self.reset is None
        self.body += data
        self.ended = end_stream

    def encode_trailers(self, trailers: HeaderMap) -> None:
        assert self.headers is not None
        assert not self.ended
        assert self.reset is None
        self.trailers, self.ended = trailers, True

    def reset_stream(self, reason: StreamResetReason) -> None:
        assert self.reset is None
        self.reset = reason
        assert self.callbacks is None, "the router does not want to hear of its own reset"

    def read_disable(self, disable: bool) -> None:
        self.read_disabled += 1 if disable else -1
        assert self.read_disabled >= 0

    # The test, as the upstream

    def answer(self, status: int, body: bytes = b"", **fields: str) -> None:
        """A whole response."""
        self.begin(status, end_stream=not body, **fields)
        if body:
            self.decoder.decode_data(body, True)

    def begin(self, status: int, end_stream: bool = False, **fields: str) -> None:
        """Response headers; underscores in names stand for dashes."""
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        self.decoder.decode_headers(ResponseHeaders(status, pairs), end_stream)

    def fail(self, reason: StreamResetReason, transport_reason: str = "") -> None:
        """The stream is reset by the peer or by the end of its connection."""
        self.reset = reason
        self.connection.failure_reason = transport_reason
        if self.callbacks is not None:
            self.callbacks.on_reset_stream(reason, "codec.details")


class Wait(stands_for(Cancellable)):
    """A request at the pool; a Cancellable."""

    def __init__(self, host: Host, decoder: Any, callbacks: Any, protocol: HttpProtocol | None) -> None:
        self.host, self.decoder, self.callbacks, self.protocol = host, decoder, callbacks, protocol
        self.cancelled = False
        self.over = False

    def cancel(self) -> None:
        assert not self.over
        self.cancelled = self.over = True


class BenchPools(ConnectionPools):
    """A cluster's pools, which hand every request to the test."""

    def __init__(self, info: ClusterInfo, dispatcher: FakeDispatcher, bench: BenchCluster) -> None:
        super().__init__(info, bench.connector, dispatcher, lambda: 0.0)
        self._bench = bench

    def new_stream(
        self, host: Host, decoder: Any, callbacks: Any, downstream_protocol: HttpProtocol | None, options: Any = None
    ) -> Any:
        self._bench.options = options
        return self._bench.take(Wait(host, decoder, callbacks, downstream_protocol))


class PoolsOwner(stands_for(PoolsOfHosts)):
    """Gives a cluster other pools than its own."""

    def __init__(self, pools: ConnectionPools) -> None:
        self.pools = pools

    def pools_of(self, host: Host) -> ConnectionPools:
        return self.pools


class BenchCluster:
    """A real cluster with its stats, breakers and balancer; its pools wait for the test, or take `prepared` first.

    What is asked here and is not the test's, the real cluster answers, which is `real`.
    """

    def __init__(self, dispatcher: FakeDispatcher, hosts: int, max_retries: int, runtime: FakeRuntime) -> None:
        self.store = Store()
        scope = self.store.scope("cluster.c.")
        settings = ClusterSettings("c", default_thresholds=ThresholdSettings(max_retries=max_retries))
        info = ClusterInfo(settings, scope, runtime)
        self.connector = FakeConnector()
        self.real = Cluster(info, self.connector, dispatcher, lambda: 0.0, runtime)
        self.real.owners = PoolsOwner(BenchPools(info, dispatcher, self))
        endpoints = [EndpointSettings(f"10.0.0.{number}", 80) for number in range(1, hosts + 1)]
        self.first_hosts = [Host(Address(each.host, each.port), each) for each in endpoints]
        self.real.update_hosts(self.first_hosts)
        self.waits: list[Wait] = []
        self.options: Any = None  # of the latest request
        self.protocol = HttpProtocol.HTTP11
        self.prepared: list[FakeUpstreamStream | PoolFailureReason] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def take(self, wait: Wait) -> Wait | None:
        """A request asks for a stream."""
        self.waits.append(wait)
        if not self.prepared:
            return wait
        prepared = self.prepared.pop(0)
        if isinstance(prepared, PoolFailureReason):
            self.refuse(prepared)
        else:
            prepared.decoder = wait.decoder
            self.ready(prepared)
        return None

    def ready(self, stream: FakeUpstreamStream | None = None) -> FakeUpstreamStream:
        """The pool has a stream for the latest request."""
        wait = self._last()
        stream = stream or FakeUpstreamStream(wait.decoder)
        stream.connection = FakeConnection()
        wait.callbacks.on_pool_ready(stream, wait.host, stream.connection, self.protocol)
        return stream

    def refuse(self, reason: PoolFailureReason, text: str = "", told: bool = True) -> None:
        """The pool has none; `told` says whether a host was asked."""
        wait = self._last()
        wait.callbacks.on_pool_failure(reason, text, wait.host if told else None)

    def _last(self) -> Wait:
        wait = self.waits[-1]
        assert not wait.over
        wait.over = True
        return wait

    def counts(self) -> dict[str, int]:
        """Counters that are not zero, by their names in the cluster, without what only comes of hosts."""
        prefix = len("cluster.c.")
        skip = ("membership_change",)
        found = {name[prefix:]: counter.value for name, counter in self.store.counters.by_name.items()}
        return {name: value for name, value in found.items() if value and name not in skip}


class FakeClient(stands_for(StreamDecoderFilterCallbacks)):
    """The filter's callbacks: the downstream side."""

    def __init__(self, bench: RouterBench, route: Route | None, limit: int) -> None:
        self._bench = bench
        self.connection = FakeConnection()
        self.dispatcher = bench.dispatcher
        self.stream_info = StreamInfo(self.connection, HttpProtocol.HTTP11, 0.0, 0.0, 1)
        self.route = route
        self.decoder_buffer_limit = limit
        self.status: int | None = None
        self.headers: ResponseHeaders | None = None
        self.interim: list[int] = []
        self.body = b""
        self.trailers: HeaderMap | None = None
        self.details = ""
        self.ended = False
        self.reset: StreamResetReason | None = None
        self.paused = 0
        self.idle_timeout: float | None = None
        self.watermarks: list[Any] = []
        self.stream_duration: list[float | None] = []
        self.recreated: tuple[int, bytes] | None = None

    def create_timer(self, callback: Callable[[], None]) -> Any:
        return self.dispatcher.create_timer(callback, self)

    def on_exception(self, where: str, error: Exception) -> None:
        raise error

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        self.interim.append(headers.status)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, details: str) -> None:
        assert self.status is None, "two answers"
        self.status, self.headers, self.details = headers.status, headers, details
        self._end(end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        assert self.status is not None
        assert not self.ended
        self.body += data
        self._end(end_stream)

    def encode_trailers(self, trailers: HeaderMap) -> None:
        assert self.status is not None
        assert not self.ended
        self.trailers = trailers
        self._end(True)

    def send_local_reply(
        self,
        status: int,
        body: bytes,
        details: str,
        modify_headers: Callable[[ResponseHeaders], None] | None = None,
    ) -> None:
        headers = ResponseHeaders(status)
        if modify_headers is not None:
            modify_headers(headers)
        self.encode_headers(headers, not body, details)
        if body:
            self.encode_data(body, True)

    def reset_stream(self, reason: StreamResetReason, details: str) -> None:
        self.reset, self.details = reason, details
        self._bench.destroy()

    def on_decoder_filter_above_write_buffer_high_watermark(self) -> None:
        self.paused += 1

    def on_decoder_filter_below_write_buffer_low_watermark(self) -> None:
        self.paused -= 1
        assert self.paused >= 0

    def set_idle_timeout(self, seconds: float) -> None:
        self.idle_timeout = seconds

    max_stream_duration = 0.0

    def set_max_stream_duration(self, seconds: float | None) -> None:
        self.stream_duration.append(seconds)

    def clear_route_cache(self) -> None:
        self.route = self._bench.route_of(self._bench.filter.request_headers)

    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        self.recreated = (response.status, body)
        self._bench.destroy()

    def add_downstream_watermark_callbacks(self, callbacks: Any) -> None:
        self.watermarks.append(callbacks)

    def _end(self, end_stream: bool) -> None:
        self.ended = end_stream
        if end_stream:
            self._bench.destroy()


def async_client(
    dispatcher: FakeDispatcher, store: Store | None = None, random: Callable[[], float] = lambda: 0.5
) -> AsyncClient:
    """What sends requests from inside, as 10.9.9.9."""
    stats = AsyncClientStats.create((store or Store()).scope("http.async-client."))
    return AsyncClient(dispatcher, stats, random, b"10.9.9.9")


class RouterBench:
    """A router filter with a client in front and a cluster behind it. The stream ends with its answer, as Envoy's."""

    def __init__(
        self,
        action: Action | None,
        *,
        hosts: int = 1,
        max_retries: int = 3,
        limit: int = 0,
        random: Callable[[], float] = lambda: 0.5,
        config: Mapping[str, Any] = MappingProxyType({}),
        **virtual_host: Any,
    ) -> None:
        self.dispatcher = FakeDispatcher()
        self.runtime = FakeRuntime()
        self.cluster = BenchCluster(self.dispatcher, hosts, max_retries, self.runtime)
        self.mirror = BenchCluster(self.dispatcher, 1, 3, self.runtime)
        self.store = Store()
        self.stats = RouterStats.create(self.store.scope("http.p."))
        self.async_client = async_client(self.dispatcher, self.store, random)
        route = None
        if action is not None:
            route = Route("r", None, action)
            RouteTable("t", [VirtualHost("v", [b"*"], [route], **virtual_host)])
        self.client = FakeClient(self, route, limit)
        self.route_of: Callable[[RequestHeaders], Route | None] = lambda headers: route
        self.info = self.client.stream_info
        self.settings = RouterFilterConfig(
            self,  # type: ignore[arg-type]  # has the one method asked
            self.async_client,
            self.stats,
            random,
            self.runtime.number("upstream.base_retry_backoff_ms", 25),
            self.runtime.share("upstream.use_retry", 1.0),
            **config,
        )
        self.filter = RouterFilter(self.settings)
        self.filter.set_decoder_filter_callbacks(self.client)
        self.destroyed = False

    def get(self, name: str) -> Cluster | None:
        """The cluster, by its name, or that of mirrors."""
        return {"c": self.cluster.real, "m": self.mirror.real}.get(name)

    def send(self, end_stream: bool = True, method: bytes = b"GET", **fields: str) -> RequestHeaders:
        """Request headers; underscores in names stand for dashes."""
        pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        headers = RequestHeaders(method, b"/", b"a", b"http", pairs)
        self.filter.decode_headers(headers, end_stream)
        return headers

    def data(self, data: bytes, end_stream: bool = False) -> None:
        """Part of the request body; as in the connection manager, nothing reaches a stream that has ended."""
        if not self.destroyed:
            self.filter.decode_data(data, end_stream)

    def destroy(self) -> None:
        """The downstream stream ends."""
        if not self.destroyed:
            self.destroyed = True
            self.filter.on_destroy()

    @property
    def host(self) -> dict[str, int]:
        """What counts for the first host."""
        stats = self.cluster.first_hosts[0].stats
        found = {"success": stats.rq_success, "error": stats.rq_error, "timeout": stats.rq_timeout}
        return {name: counter.value for name, counter in found.items() if counter.value}

    def check_ended(self) -> None:
        """Nothing is left of the request."""
        assert self.destroyed
        assert not self.dispatcher.timers
        assert self.client.paused == 0
        assert self.cluster.resource_manager().retries.count == 0
        stats = self.cluster.stats
        assert stats.upstream_flow_control_backed_up_total.value == stats.upstream_flow_control_drained_total.value
        assert all(wait.over for wait in (*self.cluster.waits, *self.mirror.waits))
