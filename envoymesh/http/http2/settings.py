"""Settings of an HTTP/2 codec: plain values, made elsewhere from configuration, never changed.

Names and defaults are those of envoy.config.core.v3.Http2ProtocolOptions as Envoy 1.40 sends and enforces them. It
must not know where the values come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeepaliveSettings:
    """When a connection is asked whether it lives (envoy.config.core.v3.KeepaliveSettings); times in seconds.

    Attributes:
        interval: between PINGs; 0 sends none by the clock.
        timeout: how long an answer may take.
        jitter: at most so much longer is an interval, in parts of it.
        idle_interval: a connection on which nothing has come for so long is asked before its next stream; 0 is never.
    """

    interval: float
    timeout: float
    jitter: float
    idle_interval: float = 0.0


@dataclass(frozen=True, slots=True)
class Http2Settings:
    """What one side of HTTP/2 connections allows its peers, and itself.

    Attributes:
        max_concurrent_streams: a server's limit for its peer; a client's own, until and unless the peer's is lower.
        allow_connect: take extended CONNECT (RFC 8441).
        override_stream_error_on_invalid_http_message: a malformed message costs its stream, not the connection.
        max_outbound_frames: frames waiting while the connection's write buffer is over its high watermark.
        max_outbound_control_frames: of those, PING, SETTINGS and RST_STREAM; also the most in answer to one read.
        max_request_headers_kb: KiB of a header list, names and values (responses too, in a client codec).
        max_headers_count: fields of a header list, pseudo-headers included.
        headers_with_underscores_action: ALLOW, REJECT_REQUEST or DROP_HEADER.
        custom_settings: identifiers and values of further SETTINGS parameters, sent as they are.
        stream_buffer_limit: bytes of a stream that wait for the peer's window before its producer is told to stop;
            half of it lets the producer go on. Envoy takes initial_stream_window_size for both.
    """

    hpack_table_size: int = 4096
    max_concurrent_streams: int = 1024
    initial_stream_window_size: int = 16 * MIB
    initial_connection_window_size: int = 24 * MIB
    allow_connect: bool = False
    override_stream_error_on_invalid_http_message: bool = False
    max_outbound_frames: int = 10000
    max_outbound_control_frames: int = 1000
    max_consecutive_inbound_frames_with_empty_payload: int = 1
    max_inbound_priority_frames_per_stream: int = 100
    max_inbound_window_update_frames_per_data_frame_sent: int = 10
    max_request_headers_kb: int = 60
    max_headers_count: int = 100
    headers_with_underscores_action: str = "ALLOW"
    stream_buffer_limit: int = MIB
    keepalive: KeepaliveSettings | None = None
    custom_settings: tuple[tuple[int, int], ...] = ()
