"""Stats of the codecs, by Envoy's names (``http1.``, ``http2.``)."""

from __future__ import annotations

from envoymesh.stats import ConstantStats, Counter, Gauge, Histogram, StatsStruct, stats_struct


@stats_struct
class UnusedHttp1CodecStats(ConstantStats):
    """``http1.``: METADATA, which HTTP/1 does not have, and a queue of responses: here a request waits until the one
    before it is answered."""

    metadata_not_supported_error: Counter
    response_flood: Counter


@stats_struct
class UnusedHttp2CodecStats(ConstantStats):
    """``http2.``: figures of headers that Envoy too takes only where a runtime key asks for it, its other codec's
    connections, cookies over a limit that is not there, METADATA frames, and queues of frames: here a
    frame is bytes in the transport's buffer as soon as it is made."""

    cookie_count: Histogram
    cookie_size: Histogram
    cookies_total_bytes_too_large: Counter
    header_count: Histogram
    header_list_size: Histogram
    metadata_empty_frames: Counter
    oghttp2_downstream_connections: Counter
    oghttp2_upstream_connections: Counter
    outbound_control_frames_active: Gauge
    outbound_frames_active: Gauge


@stats_struct
class Http1CodecStats(StatsStruct):
    """``http1.``, of listeners together and below each cluster."""

    dropped_headers_with_underscores: Counter
    requests_rejected_with_underscores_in_headers: Counter
    unused: UnusedHttp1CodecStats


@stats_struct
class Http2CodecStats(StatsStruct):
    """``http2.``, of listeners together and below each cluster."""

    deferred_stream_close: Gauge
    dropped_headers_with_underscores: Counter
    goaway_sent: Counter
    header_list_size_too_large: Counter
    header_overflow: Counter
    headers_cb_no_stream: Counter
    inbound_empty_frames_flood: Counter
    inbound_priority_frames_flood: Counter
    inbound_window_update_frames_flood: Counter
    keepalive_timeout: Counter
    outbound_control_flood: Counter
    outbound_flood: Counter
    pending_send_bytes: Gauge
    requests_rejected_with_underscores_in_headers: Counter
    rx_messaging_error: Counter
    rx_reset: Counter
    stream_refused_errors: Counter
    streams_active: Gauge
    trailers: Counter
    tx_flush_timeout: Counter
    tx_reset: Counter
    unused: UnusedHttp2CodecStats
