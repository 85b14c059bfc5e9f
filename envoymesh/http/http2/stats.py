"""What an HTTP/2 codec counts, by Envoy's names (``http2.``), as the codec sees it: things that rise and fall.

It must not know the stats room: whoever makes a codec brings the real counters.
"""

from __future__ import annotations

from typing import Protocol


class Count(Protocol):
    """A counter."""

    def inc(self) -> None:
        """Count one."""


class Level(Protocol):
    """A gauge."""

    def inc(self) -> None:
        """Raise it by one."""

    def dec(self) -> None:
        """Lower it by one."""

    def add(self, amount: int) -> None:
        """Raise it by `amount`."""

    def sub(self, amount: int) -> None:
        """Lower it by `amount`."""


class Http2Stats(Protocol):
    """The counters and gauges of all HTTP/2 codecs of one scope (``http2.`` or ``cluster.NAME.http2.``)."""

    @property
    def deferred_stream_close(self) -> Level: ...
    @property
    def dropped_headers_with_underscores(self) -> Count: ...
    @property
    def goaway_sent(self) -> Count: ...
    @property
    def header_list_size_too_large(self) -> Count: ...

    @property
    def header_overflow(self) -> Count: ...
    @property
    def headers_cb_no_stream(self) -> Count: ...
    @property
    def inbound_empty_frames_flood(self) -> Count: ...
    @property
    def inbound_priority_frames_flood(self) -> Count: ...
    @property
    def inbound_window_update_frames_flood(self) -> Count: ...
    @property
    def keepalive_timeout(self) -> Count: ...
    @property
    def outbound_control_flood(self) -> Count: ...
    @property
    def outbound_flood(self) -> Count: ...
    @property
    def pending_send_bytes(self) -> Level: ...
    @property
    def requests_rejected_with_underscores_in_headers(self) -> Count: ...
    @property
    def rx_messaging_error(self) -> Count: ...
    @property
    def rx_reset(self) -> Count: ...
    @property
    def stream_refused_errors(self) -> Count: ...
    @property
    def streams_active(self) -> Level: ...
    @property
    def trailers(self) -> Count: ...
    @property
    def tx_flush_timeout(self) -> Count: ...
    @property
    def tx_reset(self) -> Count: ...
