"""HTTP health checks: a request, and whether its response is a good one (Envoy's `HttpHealthCheckerImpl`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoymesh.http.codec import RequestEncoder, ResponseDecoder, StreamCallbacks, StreamResetReason
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.upstream.health.checker import CheckSession, FailureType, HealthChecker
from envoymesh.upstream.health.connection import (
    NO_ERROR,
    CheckConnection,
    CheckConnectionOwner,
    CheckNetwork,
    health_check_address,
    health_check_hostname,
)
from envoymesh.upstream.health.settings import HttpHealthCheckSettings, StatusRange
from envoymesh.upstream.host import EXCLUDED_VIA_IMMEDIATE_HC_FAIL, Host

USER_AGENT: Final = b"Envoy/HC"

MOST_KEPT: Final = 1024 * 1024
"""Bytes of an answer that are looked at where the configuration has no limit; in Envoy there is none then."""


def has_all(expected: Sequence[bytes], data: bytes | bytearray) -> bool:
    """Whether data has each part, in their order, whatever is between them."""
    start = 0
    for part in expected:
        found = data.find(part, start)
        if found < 0:
            return False
        start = found + len(part)
    return True


def in_ranges(status: int, ranges: Sequence[StatusRange]) -> bool:
    """Whether a status is in one of the ranges."""
    return any(first <= status < end for first, end in ranges)


class HttpCheckSession(CheckSession, ResponseDecoder, StreamCallbacks, CheckConnectionOwner):
    """The HTTP checks of one host, one request at a time, on a connection that is used again where that may be."""

    __slots__ = (
        "_body",
        "_client",
        "_encoder",
        "_expects_reset",
        "_headers",
        "_in_flight",
        "_network",
        "_reuse",
        "_settings",
    )

    def __init__(
        self, checker: HealthChecker, host: Host, network: CheckNetwork, settings: HttpHealthCheckSettings
    ) -> None:
        super().__init__(checker, host)
        self._network = network
        self._settings = settings
        self._client: CheckConnection | None = None
        self._encoder: RequestEncoder | None = None
        self._headers: ResponseHeaders | None = None
        self._body = bytearray()
        self._expects_reset = False
        self._in_flight = False
        self._reuse = True

    # CheckSession

    def on_interval(self) -> None:
        """Send a request."""
        client = self._client
        if client is not None and not client.can_take_stream:
            self._close()
            client = None
        if client is None:
            client = self._client = CheckConnection(self._network, self.host, self, self._settings.http2)
            self._expects_reset = False
            self._reuse = self.checker.settings.reuse_connection
        self._in_flight = True
        encoder = self._encoder = client.new_stream(self)
        encoder.set_callbacks(self)
        payload = self._settings.send
        encoder.encode_headers(self._request(), not payload)
        if payload and self._encoder is encoder:
            encoder.encode_data(payload, True)

    def _request(self) -> RequestHeaders:
        settings = self._settings
        authority = health_check_hostname(self.host, settings.host, self._network.info.name)
        scheme = b"https" if self._network.is_secure(self.host) else b"http"
        headers = RequestHeaders(settings.method, settings.path, authority, scheme)
        headers.add(b"user-agent", USER_AGENT)
        if settings.mutate_headers is not None:
            settings.mutate_headers(headers, health_check_address(self.host), settings.http2)
        if settings.send:
            headers.set(b"content-length", b"%d" % len(settings.send))
        return headers

    def on_timeout(self) -> None:
        """Give the connection up."""
        self._in_flight = False
        self._close()

    def on_abandon(self) -> None:
        """Let go of the connection."""
        self._in_flight = False
        self._close()

    def _close(self) -> None:
        client = self._client
        if client is not None:
            # A request under way is reset, which says nothing of the host.
            self._expects_reset = True
            client.close()

    # ResponseDecoder

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """It says nothing."""

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins."""
        self._headers = headers
        if end_stream:
            self._on_response_complete(headers)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body, of which the beginning is kept where it matters."""
        if self._settings.receive:
            limit = self._settings.response_buffer_size or MOST_KEPT
            self._body += data[: max(0, limit - len(self._body))]
        if end_stream and self._headers is not None:
            self._on_response_complete(self._headers)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """The response ends with them."""
        if self._headers is not None:
            self._on_response_complete(self._headers)

    def _on_response_complete(self, headers: ResponseHeaders) -> None:
        self._in_flight = False
        self._headers = None
        encoder, self._encoder = self._encoder, None
        if encoder is not None:
            encoder.set_callbacks(None)
        body, self._body = self._body, bytearray()
        self._judge(headers, body)
        client = self._client
        if client is not None and (not self._reuse or client.close_notified):
            client.close()

    def _judge(self, headers: ResponseHeaders, body: bytearray) -> None:
        settings, status = self._settings, headers.status
        if settings.receive and not has_all(settings.receive, body):
            self._exclude_if_asked(headers)
            self.handle_failure(FailureType.ACTIVE, False, status)
        elif not in_ranges(status, settings.expected_statuses):
            self._exclude_if_asked(headers)
            self.handle_failure(FailureType.ACTIVE, in_ranges(status, settings.retriable_statuses), status)
        elif not self._is_of_service(headers):
            self.handle_failure(FailureType.ACTIVE, False, status)
        else:
            self.handle_success(b"x-envoy-degraded" in headers)

    def _exclude_if_asked(self, headers: ResponseHeaders) -> None:
        if b"x-envoy-immediate-health-check-fail" in headers:
            self.host.health_flag_set(EXCLUDED_VIA_IMMEDIATE_HC_FAIL)

    def _is_of_service(self, headers: ResponseHeaders) -> bool:
        """Whether the host is one of the service that it should be of (`service_name_matcher`)."""
        matches = self._settings.service_name_matcher
        checker = self.checker
        if matches is None or not checker.verify_cluster.holds(checker.random):
            return True
        checker.stats.verify_cluster.inc()
        return matches(headers.get(b"x-envoy-upstream-healthchecked-cluster") or b"")

    # StreamCallbacks

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The request got no response."""
        self._in_flight = False
        self._encoder = None
        self._headers = None
        self._body = bytearray()
        if self._expects_reset:
            return
        client = self._client
        if client is not None and not self._reuse:
            client.close()
        self.handle_failure(FailureType.NETWORK)

    def on_above_write_buffer_high_watermark(self) -> None:
        """A check is small."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """A check is small."""

    def on_response_held(self) -> None:
        """A server's."""

    def on_response_sent(self) -> None:
        """A server's."""

    # CheckConnectionOwner

    def on_go_away(self, error_code: int) -> None:
        """A peer that leaves as it should may finish the check; any other has failed it."""
        if self._in_flight and error_code == NO_ERROR:
            self._reuse = False
            return
        if self._in_flight:
            self._in_flight = False
            self.handle_failure(FailureType.NETWORK)
        self._close()

    def on_connection_closed(self) -> None:
        """The next check makes another."""
        self._client = None
