"""One request at the edge of the proxy: between the server codec and the filter chain (Envoy's `ActiveStream`).

It checks and mutates the request as it comes in, runs it through the filters, writes the response out, and
ends when both directions have, or when either side is reset. It must not know clusters, routes' actions or
protocol details; what the connection as a whole decides is in `connection_manager.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from envoymesh.access_loggers import log_all
from envoymesh.errors import CodecProtocolError
from envoymesh.filters.network.http_connection_manager.header_mutation import (
    mutate_request_headers,
    mutate_response_headers,
    set_server,
)
from envoymesh.filters.network.http_connection_manager.local_reply import (
    GRPC_STATUS_OF_DETAILS,
    make_local_reply,
    rewrite_of,
    route_headers_first,
)
from envoymesh.filters.network.http_connection_manager.request_checks import Refusal, check_request
from envoymesh.filters.network.http_connection_manager.request_timers import RequestTimers, TimedStream
from envoymesh.filters.network.http_connection_manager.upgrades import upgrade_filters
from envoymesh.formatter import FormatterContext
from envoymesh.http.codec import HttpProtocol, RequestDecoder, ResponseEncoder, StreamCallbacks, StreamResetReason
from envoymesh.http.filter import WatermarkCallbacks
from envoymesh.http.filter_manager.filter_chain import FilterChain
from envoymesh.http.filter_manager.filter_handle import FilterChainStream
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders, is_upgrade
from envoymesh.http.inline_headers import INLINE_REQUEST_HEADERS, join_inline
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.network.api import Address, Timer
from envoymesh.router.actions.cluster import NO_UPGRADES
from envoymesh.router.table import ClusterAction, Route

if TYPE_CHECKING:
    from envoymesh.filters.network.http_connection_manager.connection_manager import ConnectionManager

RUNNING: Final = 0
HELD: Final = 1
ENDED: Final = 2
"""`ActiveStream.destroyed`. HELD: the exchange is over, but part of the response waits for an HTTP/2 client's windows;
it is counted and logged when that is out, or can't be."""

NO_UPGRADE: Final = 0
UPGRADE: Final = 1
CONNECT: Final = 2  # without an upgrade besides
"""`ActiveStream.upgrade`: which kind of tunnel the request asks for, where it is one that is taken."""

_UNMATCHED: Final = object()
TIMER_RESOLUTION: Final = 0.001
_CONTINUE: Final = ResponseHeaders(100)

UNEXPECTED_EXCEPTION: Final = "unexpected_exception"
"""response_code_details of a stream that a fault in the proxy, or in a filter, has ended."""


class ActiveStream(RequestDecoder, StreamCallbacks, FilterChainStream, TimedStream):
    """A request and its response. Implements RequestDecoder, StreamCallbacks and FilterChainStream."""

    __slots__ = (
        "_chain",
        "_high_watermark_calls",
        "_idle_timeout",
        "_idle_timer",
        "_last_activity",
        "_request_timers",
        "_route",
        "_watermark_callbacks",
        "asked_to_close",
        "buffer_limit",
        "connection",
        "destroyed",
        "dispatcher",
        "encoder",
        "info",
        "local_complete",
        "manager",
        "remote_complete",
        "request_headers",
        "request_trailers",
        "reset_reason",
        "response_headers",
        "response_trailers",
        "upgrade",
    )

    def __init__(self, manager: ConnectionManager, encoder: ResponseEncoder, stream_id: int) -> None:
        settings, dispatcher = manager.settings, manager.dispatcher
        self.manager = manager
        self.encoder = encoder
        self.connection = manager.connection
        self.dispatcher = dispatcher
        self.buffer_limit = manager.buffer_limit
        now = dispatcher.now()
        info = self.info = StreamInfo(self.connection, encoder.protocol, now, dispatcher.wall_time(), stream_id)
        info.downstream_meter = encoder
        self.request_headers: RequestHeaders | None = None
        self.request_trailers: HeaderMap | None = None
        self.response_headers: ResponseHeaders | None = None
        self.response_trailers: HeaderMap | None = None
        self.remote_complete = False
        self.local_complete = False
        self.destroyed = RUNNING
        self.asked_to_close = False
        self.reset_reason = StreamResetReason.LOCAL_RESET
        self._chain: FilterChain | None = None
        self._route: object = _UNMATCHED
        self.upgrade = NO_UPGRADE
        self._high_watermark_calls = 0
        self._watermark_callbacks: list[WatermarkCallbacks] = []
        self._idle_timeout = settings.stream_idle_timeout
        self._last_activity = now
        self._idle_timer: Timer | None = None
        self._request_timers: RequestTimers | None = None
        if settings.stream_idle_timeout:
            self._idle_timer = dispatcher.create_timer(self._on_idle_timeout, self)
            self._idle_timer.enable(settings.stream_idle_timeout)
        if manager.has_request_timeouts:
            self._request_timers = RequestTimers(self, dispatcher, settings, manager.stats)
        encoder.set_callbacks(self)

    def log(self, now: float, log_type: str) -> None:
        """Tell the access loggers; `now` and `log_type` as in `FormatterContext`."""
        headers, trailers = self.response_headers, self.response_trailers
        context = FormatterContext(self.info, self.request_headers, headers, trailers, now, log_type)
        log_all(self.manager.settings.access_logs, context)

    def __repr__(self) -> str:
        return f"<ActiveStream {self.info.stream_id} {self.request_headers!r}>"

    # RequestDecoder: the request as the codec gives it

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """Check, sanitise, make the filters, and start."""
        try:
            self._begin(headers, end_stream)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.on_exception("a request's beginning", error)

    def _begin(self, headers: RequestHeaders, end_stream: bool) -> None:
        self.request_headers = headers
        self.info.protocol = self.encoder.protocol
        if self._request_timers is not None:
            self._request_timers.on_headers()
        if end_stream:
            self._on_request_complete()
        if len(headers.index) != len(headers.fields):
            join_inline(headers, INLINE_REQUEST_HEADERS)
        manager, settings = self.manager, self.manager.settings
        local = self.connection.local_address
        refusal = check_request(headers, self.encoder.protocol, settings, manager.stats, local)
        if refusal is not None:
            self._refuse(refusal)
            return
        if headers.get(b"expect") is not None:
            self._continue_expected(headers, headers.join(b"expect"))
        upgrades = b"upgrade" in headers.index and is_upgrade(headers)
        trusted = mutate_request_headers(headers, settings, manager.peer, manager.request_ids, is_upgrade=upgrades)
        if trusted != manager.peer.host:
            self.info.trusted_remote = Address(trusted, 0)
        if settings.flush_access_log_on_new_request:
            _ = self.route  # as in Envoy the line has the route already, and that one's cluster
            self.log(self.dispatcher.now(), "DownstreamStart")
        filters = manager.filters
        if upgrades or headers.method == b"CONNECT":
            accepted = self._accept_upgrade(headers, upgrades)
            if accepted is None:
                self._refuse_upgrade()
                return
            filters = accepted
        chain = self._chain = FilterChain(self, filters)
        chain.decoding.pass_headers(headers, end_stream)

    def _accept_upgrade(self, headers: RequestHeaders, upgrades: bool) -> FilterChainFactory | None:
        """The filters for an upgrade or a CONNECT, or None where it is not taken (`upgrade_configs`)."""
        manager, route = self.manager, self.route
        action = None if route is None else route.action
        of_route = action.upgrades if isinstance(action, ClusterAction) else NO_UPGRADES
        kind = (headers.get(b"upgrade") or b"" if upgrades else headers.method).lower()
        filters = upgrade_filters(manager.settings.upgrades, kind, of_route, manager.filters)
        if filters is not None:
            self.upgrade = UPGRADE if upgrades else CONNECT
            manager.stats.downstream_cx_upgrades_total.inc()
            manager.stats.downstream_cx_upgrades_active.inc()
        elif route is None:
            return manager.filters  # as in Envoy: what has no route is answered as any other request
        return filters

    def _refuse_upgrade(self) -> None:
        # What comes behind may be the payload of the upgrade, and must not be taken for requests.
        self.manager.take_no_more()
        self.manager.stats.downstream_rq_ws_on_non_ws_route.inc()
        self.reply_locally(403, b"", "upgrade_failed")

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.malformed:
            self.info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
            self.request_headers = None
            # As in Envoy, whose codec refuses it before the request is whole.
            self.remote_complete = False
            self.manager.stats.downstream_cx_protocol_error.inc()
        if refusal.close:
            self.manager.close_after_response()
        location = refusal.location
        modify = (lambda headers: headers.set(b"location", location)) if location else None
        self.reply_locally(refusal.status, refusal.body, refusal.details, modify)

    def _continue_expected(self, headers: RequestHeaders, expect: bytes) -> None:
        """RFC 9110 section 10.1.1: the answer to `Expect: 100-continue` is the proxy's, unless configured otherwise."""
        if expect.lower() == b"100-continue" and not self.manager.settings.proxy_100_continue:
            headers.remove(b"expect")
            self.manager.charge_response(_CONTINUE.status)
            self.info.interim_code = _CONTINUE.status
            self.encoder.encode_1xx_headers(_CONTINUE)

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        """The codec refuses the request."""
        self.info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
        try:
            self.reply_locally(status, body, details)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.on_exception("a local reply", error)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the request body."""
        self.info.bytes_received += len(data)
        self._note_activity()
        chain = self._chain
        if end_stream:
            if data and chain is not None and len(chain.filters) > 1 and not self.manager.multiplexed:
                # Filters see HTTP/1's last piece and its end apart, as Envoy's codec gives them.
                chain.decoding.pass_data(data, False)
                if self.destroyed:
                    return
                data = b""
            self._on_request_complete()
        if chain is not None:
            chain.decoding.pass_data(data, end_stream)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers."""
        self.request_trailers = trailers
        self._note_activity()
        self._on_request_complete()
        if self._chain is not None:
            self._chain.decoding.pass_trailers(trailers)

    def _on_request_complete(self) -> None:
        self.remote_complete = True
        self.info.last_downstream_rx = self.dispatcher.now()
        if self._request_timers is not None:
            self._request_timers.on_request_complete()

    # Timers

    def disarm_request_timeout(self) -> None:
        """The answer has begun before the request's end: `request_timeout` is of no interest any more."""
        if self._request_timers is not None:
            self._request_timers.on_request_complete()

    def _note_activity(self) -> None:
        # The timer runs on, and looks when it fires: cheaper than a restart for each piece.
        self._last_activity = self.dispatcher.now()

    def set_idle_timeout(self, seconds: float) -> None:
        """A route's idle_timeout takes the place of stream_idle_timeout; 0 disables."""
        self._idle_timeout = seconds
        self._note_activity()
        if self._idle_timer is None and seconds:
            self._idle_timer = self.dispatcher.create_timer(self._on_idle_timeout, self)
        if self._idle_timer is not None:
            if seconds:
                self._idle_timer.enable(seconds)
            else:
                self._idle_timer.disable()
                self._idle_timer = None

    def _on_idle_timeout(self) -> None:
        left = self._last_activity + self._idle_timeout - self.dispatcher.now()
        if left > TIMER_RESOLUTION and self._idle_timer is not None:
            self._idle_timer.enable(left)
            return
        self.manager.stats.downstream_rq_idle_timeout.inc()
        self.info.flags |= ResponseFlag.STREAM_IDLE_TIMEOUT
        self.time_out(504 if self.remote_complete else 408, b"stream timeout", "stream_idle_timeout")

    def time_out(self, status: int, body: bytes, details: str) -> None:
        """A timer ends the stream: with a reply, or a reset if a response has begun."""
        self.reply_locally(status, body, details)
        self.manager.check_for_deferred_close()

    # StreamCallbacks: what becomes of the downstream side

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The codec or the connection ended the stream."""
        if self.destroyed == ENDED:
            return
        if self.destroyed == HELD:
            if reason is StreamResetReason.LOCAL_RESET:
                # The client was too slow: as in Envoy the log does not mention that, but it was no answer.
                self.manager.end_stream(self, reset=False, sent=False)
                return
            self.local_complete = False
        if reason in (StreamResetReason.REMOTE_RESET, StreamResetReason.REMOTE_REFUSED_STREAM_RESET):
            self.info.flags |= ResponseFlag.DOWNSTREAM_REMOTE_RESET
            self.info.response_code_details = self.info.response_code_details or "downstream_remote_reset"
        elif reason is StreamResetReason.PROTOCOL_ERROR:
            self.info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
        if details:
            self.info.response_code_details = details
        self.manager.end_stream(self, reset=False)

    def note_disconnect(self, remote: bool, why: str = "") -> None:
        """The connection is closed, and the stream is about to end with it: what the log says of that.

        `why` is of a close from here that no request has to do with, which counts as the client's (as in Envoy).
        """
        info = self.info
        if remote or why:
            info.flags |= ResponseFlag.DOWNSTREAM_CONNECTION_TERMINATION
        if self.destroyed == HELD:
            self.local_complete = False
        info.response_code_details = "downstream_remote_disconnect" if remote else "downstream_local_disconnect"
        if why:
            info.response_code_details += f"({why})"

    def note_codec_error(self, error: CodecProtocolError) -> None:
        """The connection is about to be closed, because the peer broke the protocol on this stream or on another."""
        info = self.info
        info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
        if not info.response_code_details:
            info.response_code_details = error.stream_details if self.encoder is error.stream else error.details

    def on_above_write_buffer_high_watermark(self) -> None:
        """The downstream write buffer is full: hold the upstream."""
        self._high_watermark_calls += 1
        try:
            for callbacks in self._watermark_callbacks:
                callbacks.on_above_write_buffer_high_watermark()
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.on_exception("a high watermark", error)

    def on_below_write_buffer_low_watermark(self) -> None:
        """The downstream write buffer has room."""
        self._high_watermark_calls -= 1
        try:
            for callbacks in self._watermark_callbacks:
                callbacks.on_below_write_buffer_low_watermark()
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self.on_exception("a low watermark", error)

    def on_response_held(self) -> None:
        """All of the response was written, but the codec still holds part of it: the stream stays until it is out."""
        if self.remote_complete and self.destroyed == RUNNING:
            self.destroyed = HELD
            self.disable_timers()
            self.destroy_filters()
            self._begin_flush()

    def _begin_flush(self) -> None:
        """Limit how long the response may wait; as in Envoy it wins no time by progress. The idle timer is over."""
        seconds = self._flush_timeout()
        if seconds:
            self._idle_timer = self.dispatcher.create_timer(self.encoder.give_up_flush, self)
            self._idle_timer.enable(seconds)

    def _flush_timeout(self) -> float:
        """The route's `flush_timeout`, else the connection manager's, else what limits the stream's idle time."""
        route, configured = self._route, self.manager.settings.stream_flush_timeout
        if isinstance(route, Route) and isinstance(route.action, ClusterAction):
            own = route.action.flush_timeout
            configured = configured if own is None else own
        return self._idle_timeout if configured is None else configured

    def on_response_sent(self) -> None:
        """All of the response is out. Where nothing was held back, `write_data` and the others end the stream."""
        if self.destroyed == HELD:
            self.manager.end_stream(self)

    # FilterChainStream: what filters ask for

    @property
    def route(self) -> Route | None:
        """The matched route, looked up once."""
        if self._route is _UNMATCHED and self.request_headers is not None:
            route = self.manager.route_table.route(self.request_headers, self.info)
            if route is not None and route.chooses_cluster:
                route = route.with_cluster(self.request_headers, self.info)
            self._note_route(route)
        return self._route  # type: ignore[return-value]  # _UNMATCHED only without headers, when no filter runs

    @property
    def known_route(self) -> Route | None:
        """The matched route, where anybody has asked for it."""
        return self._route if isinstance(self._route, Route) else None

    def _note_route(self, route: Route | None) -> None:
        self._route = route
        if route is not None:
            info = self.info
            info.route_name = route.name
            info.route_metadata = route.metadata
            if isinstance(route.action, ClusterAction):
                info.upstream_cluster = route.action.cluster

    @property
    def max_stream_duration(self) -> float:
        """The connection manager's, in seconds."""
        return self.manager.settings.max_stream_duration

    def set_max_stream_duration(self, seconds: float | None) -> None:
        """A route's max_stream_duration; None is no limit."""
        if self._request_timers is None:
            if seconds is None:
                return
            self._request_timers = RequestTimers(self, self.dispatcher, self.manager.settings, self.manager.stats)
        self._request_timers.limit_duration(seconds, self.info.start_time)

    def recreate_stream(self, response: ResponseHeaders, body: bytes) -> None:
        """Follow a redirect: another stream has the request and the client from here."""
        self.info.response_code = response.status
        self.response_headers = response
        self.info.response_code_details = "internal_redirect"
        self.manager.recreate_stream(self, body)

    def begin_again(self, before: ActiveStream, body: bytes) -> None:
        """Take the whole request of another stream, whose headers a redirect has changed.

        As in Envoy they have been sanitised; but they are checked again, for their path is new.
        """
        headers, trailers, info = before.request_headers, before.request_trailers, self.info
        assert headers is not None, "a stream that a router has seen"
        self.request_headers, self.request_trailers = headers, trailers
        info.protocol = self.encoder.protocol
        info.trusted_remote = before.info.trusted_remote
        info.bytes_received = before.info.bytes_received
        for key, state in (before.info.filter_state or {}).items():
            if state.lives_with_request():
                info.set_filter_state(key, state)
        if self._request_timers is not None:
            self._request_timers.on_headers()
        self._on_request_complete()
        refusal = check_request(
            headers, self.encoder.protocol, self.manager.settings, self.manager.stats, self.connection.local_address
        )
        if refusal is not None:
            self._refuse(refusal)
            return
        chain = self._chain = FilterChain(self, self.manager.filters)
        chain.decoding.pass_headers(headers, not body and trailers is None)
        if body and not self.destroyed:
            info.bytes_received += len(body)
            chain.decoding.pass_data(body, trailers is None)
        if trailers is not None and not self.destroyed:
            chain.decoding.pass_trailers(trailers)

    def set_route(self, route: Route | None) -> None:
        """Take this route."""
        self._note_route(route)

    def clear_route_cache(self) -> None:
        """Match the route again when it is next asked for."""
        self._route = _UNMATCHED
        self.info.route_name = self.info.upstream_cluster = ""
        self.info.route_metadata = None

    @property
    def proxies_interim(self) -> bool:
        """Whether interim responses go out at all."""
        return self.manager.settings.proxy_100_continue

    def reset(self, reason: StreamResetReason, details: str) -> None:
        """Abort downstream: RST_STREAM, or the connection's close for HTTP/1."""
        self.info.response_code_details = details or self.info.response_code_details
        self.reset_reason = reason
        self.manager.stats.downstream_rq_tx_reset.inc()
        self.manager.end_stream(self)

    def on_exception(self, where: str, error: Exception) -> None:
        """Something done for this stream raised: it ends with 500, or a reset where the response has begun.

        The connection's other streams, and the upstream's, notice nothing.
        """
        self.dispatcher.report(f"{where} of {self!r}", error)
        if self.destroyed:
            return
        try:
            self.reply_locally(500, b"Internal Server Error", UNEXPECTED_EXCEPTION)
        except Exception as again:  # noqa: BLE001 the answer itself may be what raises
            self.dispatcher.report(f"the answer of {self!r}", again)
            self.reset(StreamResetReason.LOCAL_RESET, UNEXPECTED_EXCEPTION)

    def request_read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading the request."""
        stats = self.manager.stats
        if disable:
            stats.downstream_flow_control_paused_reading_total.inc()
        else:
            stats.downstream_flow_control_resumed_reading_total.inc()
        self.encoder.read_disable(disable)

    def set_buffer_limit(self, limit: int) -> None:
        """Bytes that a filter may have kept."""
        self.buffer_limit = limit

    def response_read_disable(self, disable: bool) -> None:
        """Counted: tell whoever makes the response to stop. A filter's full buffer counts as a full write buffer."""
        if disable:
            self.on_above_write_buffer_high_watermark()
        else:
            self.on_below_write_buffer_low_watermark()

    def remove_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Tell `callbacks` no more."""
        self._watermark_callbacks.remove(callbacks)

    def add_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        """Tell `callbacks` of the downstream write buffer's watermarks, at once of those it is above already."""
        self._watermark_callbacks.append(callbacks)
        for _ in range(self._high_watermark_calls):
            callbacks.on_above_write_buffer_high_watermark()

    def reply_locally(
        self,
        status: int,
        body: bytes,
        details: str,
        modify_headers: Callable[[ResponseHeaders], None] | None = None,
    ) -> None:
        """Answer here; when response headers have gone out, reset instead."""
        if self.destroyed:
            return
        self.manager.stats.charge_local_reply(details)
        self.info.response_code_details = details
        chain = self._chain
        wants_reset = chain is not None and chain.on_local_reply(status, details)
        if self.destroyed:
            return
        if wants_reset or self.info.response_code is not None:
            self.reset(StreamResetReason.LOCAL_RESET, details)
            return
        # When filters still have a response, they must not see a second one: the first is dropped, and this one goes to
        # the codec directly.
        direct = chain is None or self.response_headers is not None
        # A filter in front of the router may answer: the route's headers are for that answer too.
        route = self._route if chain is None else self.route
        now = self.dispatcher.now()
        modify_headers = route_headers_first(route, details, modify_headers, self.info, self.request_headers, now)
        rewrite = rewrite_of(self.manager.settings.local_reply, self.info, self.request_headers, self.dispatcher)
        grpc_status = GRPC_STATUS_OF_DETAILS.get(details)
        headers, body = make_local_reply(status, body, self.request_headers, modify_headers, rewrite, grpc_status)
        self.begin_response(headers, details)
        if direct or chain is None:
            self.write_headers(headers, not body)
            if body:
                self.write_data(body, True)
            return
        chain.encode_headers(headers, not body)
        if body and not self.destroyed:
            chain.encode_data(body, True)

    def begin_response(self, headers: ResponseHeaders, details: str) -> None:
        """Note the response that is about to pass the encoder filters."""
        self.info.response_code_details = details
        self.response_headers = headers

    # The response, behind the last filter

    def write_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response has passed all filters."""
        if not self.destroyed:
            self.manager.charge_response(headers.status)
            self.info.interim_code = headers.status
            self.encoder.encode_1xx_headers(headers)

    def write_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """Final touches, then out."""
        manager, info, settings = self.manager, self.info, self.manager.settings
        if b"date" not in headers.index:
            headers.add(b"date", manager.dates.value())
        set_server(headers, settings)
        upgrades = self.upgrade == UPGRADE and b"upgrade" in headers.index and is_upgrade(headers)
        mutate_response_headers(headers, settings, self.request_headers, is_upgrade=upgrades)
        manager.before_response(self, headers, end_stream)
        tunnels = upgrades or (self.upgrade != NO_UPGRADE and self._is_connected(headers.status))
        if tunnels:
            pass  # what follows is not HTTP, and what Connection says is the upgrade's
        elif manager.closing and not manager.multiplexed:
            headers.set(b"connection", b"close")
        elif self.encoder.protocol is HttpProtocol.HTTP10:
            headers.set(b"connection", b"keep-alive")
        info.response_code = headers.status
        if not info.health_check:
            manager.charge_response(headers.status)
        info.first_downstream_tx = self._last_activity = self.dispatcher.now()
        if tunnels and settings.flush_access_log_on_tunnel:
            self.log(self.dispatcher.now(), "DownstreamTunnelSuccessfullyEstablished")
        self.encoder.encode_headers(headers, end_stream)
        if end_stream:
            self._on_response_complete()

    def _is_connected(self, status: int) -> bool:
        """Whether a response's status makes a tunnel of a CONNECT (HeaderUtility::isConnectResponse)."""
        headers = self.request_headers
        return headers is not None and headers.method == b"CONNECT" and status == 200

    def write_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the response body."""
        self.info.bytes_sent += len(data)
        self._note_activity()
        self.encoder.encode_data(data, end_stream)
        if end_stream:
            self._on_response_complete()

    def write_trailers(self, trailers: HeaderMap) -> None:
        """The response's trailers."""
        self.response_trailers = trailers
        self.encoder.encode_trailers(trailers)
        self._on_response_complete()

    def _on_response_complete(self) -> None:
        self.local_complete = True
        if not self.destroyed:
            self.manager.end_stream(self)

    def disable_timers(self) -> None:
        """The stream is ending."""
        if self._idle_timer is not None:
            self._idle_timer.disable()
            self._idle_timer = None  # its callback is ours: a reference cycle
        if self._request_timers is not None:
            self._request_timers.disable()
            self._request_timers = None

    def destroy_filters(self) -> None:
        """Tell the filters; the last thing that happens to a stream."""
        chain, self._chain = self._chain, None
        if chain is not None:
            chain.destroy()
            self._watermark_callbacks.clear()
