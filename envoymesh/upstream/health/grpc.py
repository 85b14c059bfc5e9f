"""gRPC health checks: a call of grpc.health.v1.Health.Check (Envoy's `GrpcHealthCheckerImpl`).

The two messages have one field each, which is written and read here: rooms of the data path do not know protobuf.
"""

from __future__ import annotations

from typing import Final

from envoymesh.http.codec import RequestEncoder, ResponseDecoder, StreamCallbacks, StreamResetReason
from envoymesh.http.grpc import GrpcStatus, parse_status, status_of_http, timeout_header
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.upstream.grpc import MAX_RECEIVE_MESSAGE, GrpcDecoder, encode_message
from envoymesh.upstream.health.checker import CheckSession, FailureType, HealthChecker
from envoymesh.upstream.health.connection import (
    NO_ERROR,
    CheckConnection,
    CheckConnectionOwner,
    CheckNetwork,
    health_check_address,
    health_check_hostname,
)
from envoymesh.upstream.health.http import USER_AGENT
from envoymesh.upstream.health.settings import GrpcHealthCheckSettings
from envoymesh.upstream.host import Host

METHOD: Final = b"/grpc.health.v1.Health/Check"
SERVING: Final = 1
_MALFORMED: Final = -1

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5


def check_request(service: bytes) -> bytes:
    """A grpc.health.v1.HealthCheckRequest."""
    return b"\x0a" + _varint(len(service)) + service if service else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def serving_status(message: bytes) -> int:
    """The status of a grpc.health.v1.HealthCheckResponse, or -1 for what is none. Fields that nobody knows are passed
    over, and the last one of several counts, as protobuf has it."""
    status, pos = 0, 0
    while pos < len(message):
        key, pos = _read_varint(message, pos)
        kind = key & 7
        value = 0
        if pos >= 0 and kind in (_VARINT, _BYTES):
            value, pos = _read_varint(message, pos)
        if pos < 0 or not key >> 3 or kind not in (_VARINT, _BYTES, _FIXED64, _FIXED32):
            return _MALFORMED
        if kind != _VARINT:
            pos += value if kind == _BYTES else 8 if kind == _FIXED64 else 4
        elif key >> 3 == 1:
            status = value
    return status if pos == len(message) else _MALFORMED


def _read_varint(data: bytes, pos: int) -> tuple[int, int]:
    """A value and where it ends; that is -1 where it does not end."""
    value = 0
    for shift in range(0, 70, 7):
        if pos >= len(data):
            return 0, -1
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
    return 0, -1


class GrpcCheckSession(CheckSession, ResponseDecoder, StreamCallbacks, CheckConnectionOwner):
    """The gRPC checks of one host, one call at a time."""

    __slots__ = ("_client", "_decoder", "_encoder", "_expects_reset", "_going_away", "_network", "_settings", "_status")

    def __init__(
        self, checker: HealthChecker, host: Host, network: CheckNetwork, settings: GrpcHealthCheckSettings
    ) -> None:
        super().__init__(checker, host)
        self._network = network
        self._settings = settings
        self._client: CheckConnection | None = None
        self._encoder: RequestEncoder | None = None
        self._decoder = GrpcDecoder(MAX_RECEIVE_MESSAGE)
        self._status: int | None = None
        self._expects_reset = False
        self._going_away = False

    # CheckSession

    def on_interval(self) -> None:
        """Call."""
        client = self._client
        if client is not None and not client.can_take_stream:
            client.close()
            client = None
        self._expects_reset = False
        if client is None:
            client = self._client = CheckConnection(self._network, self.host, self, True)
        encoder = self._encoder = client.new_stream(self)
        encoder.set_callbacks(self)
        encoder.encode_headers(self._request(), False)
        if self._encoder is encoder:
            encoder.encode_data(encode_message(check_request(self._settings.service_name)), True)

    def _request(self) -> RequestHeaders:
        settings = self._settings
        authority = health_check_hostname(self.host, settings.authority, self._network.info.name)
        scheme = b"https" if self._network.is_secure(self.host) else b"http"
        headers = RequestHeaders(b"POST", METHOD, authority, scheme)
        headers.add(b"te", b"trailers")
        headers.add(b"content-type", b"application/grpc")
        headers.add(b"user-agent", USER_AGENT)
        if settings.mutate_headers is not None:
            settings.mutate_headers(headers, health_check_address(self.host), True)
        headers.set(b"grpc-timeout", timeout_header(self.checker.settings.timeout))
        return headers

    def on_timeout(self) -> None:
        """Give the call up, and the connection where it is not to be used again."""
        self._expects_reset = True
        client, encoder = self._client, self._encoder
        if client is not None and (self._going_away or not self.checker.settings.reuse_connection):
            client.close()
        elif encoder is not None:
            encoder.reset_stream(StreamResetReason.LOCAL_RESET)

    def on_abandon(self) -> None:
        """Let go of the connection."""
        self._expects_reset = True
        if self._client is not None:
            self._client.close()

    # ResponseDecoder

    def decode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """It says nothing."""

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins, and may end here."""
        if headers.status != 200 and not (end_stream and b"grpc-status" in headers):
            self._on_complete(status_of_http(headers.status), end_stream)
        elif end_stream:
            self._on_complete(self._grpc_status(headers), True)
        elif not (headers.get(b"content-type") or b"").startswith(b"application/grpc"):
            self._on_complete(GrpcStatus.INTERNAL, False)

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the one message that should come, and not the end."""
        if end_stream:
            self._on_complete(GrpcStatus.INTERNAL, True)
            return
        for message in self._decoder.decode(data):
            if not message:
                continue
            if self._status is not None or serving_status(message) == _MALFORMED:
                self._on_complete(GrpcStatus.INTERNAL, False)
                return
            self._status = serving_status(message)
        if self._decoder.failure is not None:
            self._on_complete(GrpcStatus.INTERNAL, False)

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """The call is over."""
        self._on_complete(self._grpc_status(trailers), True)

    def _grpc_status(self, headers: HeaderMap) -> int:
        value = headers.get(b"grpc-status")
        return GrpcStatus.INTERNAL if value is None else parse_status(value)

    def _on_complete(self, status: int, end_stream: bool) -> None:
        """The call has an end; `end_stream`: the stream has, too."""
        if status == GrpcStatus.OK and self._status == SERVING:
            self.handle_success(False)
        else:
            self.handle_failure(FailureType.ACTIVE)
        going_away = self._going_away
        encoder = self._encoder
        if end_stream:
            if encoder is not None:
                encoder.set_callbacks(None)
            self._reset_state()
        elif encoder is not None:
            self._expects_reset = True
            encoder.reset_stream(StreamResetReason.LOCAL_RESET)
        client = self._client
        if client is not None and (going_away or not self.checker.settings.reuse_connection):
            client.close()

    def _reset_state(self) -> None:
        self._expects_reset = False
        self._encoder = None
        self._decoder = GrpcDecoder(MAX_RECEIVE_MESSAGE)
        self._status = None
        self._going_away = False

    # StreamCallbacks

    def on_reset_stream(self, reason: StreamResetReason, details: str) -> None:
        """The call is gone, by our own hand or by the host's."""
        expected, going_away = self._expects_reset, self._going_away
        self._reset_state()
        if expected:
            return
        client = self._client
        if client is not None and (going_away or not self.checker.settings.reuse_connection):
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
        """A peer that leaves as it should may finish the call; any other has failed it."""
        if self._encoder is not None and error_code == NO_ERROR:
            self._going_away = True
            return
        if self._encoder is not None:
            self.handle_failure(FailureType.NETWORK)
            self._expects_reset = True
        if self._client is not None:
            self._client.close()

    def on_connection_closed(self) -> None:
        """The next check makes another."""
        self._client = None
