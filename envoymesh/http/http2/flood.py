"""Protection against peers that make us work for nothing: frames that are cheap to send and not to take.

The limits are Envoy's (`source/common/http/http2/protocol_constraints`): empty frames, PRIORITY and WINDOW_UPDATE
are held against what the peer had reason to send; what we queue in answer is held against a fixed number. Rapid
resets (CVE-2023-44487) are not counted here: the connection manager sees how each stream ends.

It must not know what frames mean otherwise.
"""

from __future__ import annotations

from envoymesh.http.http2.frames import ErrorCode, Http2ConnectionError
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Count, Http2Stats

MIN_CONTINUATIONS = 8
"""CONTINUATION frames of one header block that are always taken; a larger limit of headers allows for more."""


class FloodGuard:
    """The counts of one connection.

    Attributes:
        data_frames_sent: DATA frames we sent; each is a reason for WINDOW_UPDATEs.
        streams_opened: streams of either side.
        empty_frames: consecutive frames without payload and without END_STREAM; zeroed by its user on any other.
    """

    __slots__ = (
        "_control_frames",
        "_flooded",
        "_frames",
        "_priorities",
        "_settings",
        "_stats",
        "_window_updates",
        "data_frames_sent",
        "empty_frames",
        "streams_opened",
    )

    def __init__(self, settings: Http2Settings, stats: Http2Stats) -> None:
        self._settings = settings
        self._stats = stats
        self._control_frames = 0
        self._frames = 0
        self._priorities = 0
        self._window_updates = 0
        self._flooded: str = ""
        self.data_frames_sent = 0
        self.empty_frames = 0
        self.streams_opened = 0

    def on_empty_frame(self) -> None:
        """DATA, HEADERS or CONTINUATION without payload and END_STREAM. Errors: Http2ConnectionError."""
        self.empty_frames += 1
        if self.empty_frames > self._settings.max_consecutive_inbound_frames_with_empty_payload:
            self._fail(self._stats.inbound_empty_frames_flood, "http2.inbound_empty_frames_flood")

    def on_priority(self) -> None:
        """A PRIORITY frame. Errors: Http2ConnectionError."""
        self._priorities += 1
        if self._priorities > self._settings.max_inbound_priority_frames_per_stream * (1 + self.streams_opened):
            self._fail(self._stats.inbound_priority_frames_flood, "http2.inbound_priority_frames_flood")

    def on_window_update(self) -> None:
        """A WINDOW_UPDATE frame. Errors: Http2ConnectionError."""
        self._window_updates += 1
        per_data = self._settings.max_inbound_window_update_frames_per_data_frame_sent
        if self._window_updates > 5 + 2 * (self.streams_opened + per_data * self.data_frames_sent):
            self._fail(self._stats.inbound_window_update_frames_flood, "http2.inbound_window_update_frames_flood")

    def on_continuation(self, count: int) -> None:
        """The `count`-th CONTINUATION of a block. Errors: Http2ConnectionError."""
        if count > MIN_CONTINUATIONS + self._settings.max_request_headers_kb // 8:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "http2.too_many_continuations")

    # What we queue. Frames are counted where a raise has nowhere to go, too: `check` raises in the next dispatch.

    def count_control_frame(self) -> None:
        """One more PING, SETTINGS or RST_STREAM of ours is queued."""
        self._control_frames += 1
        if self._control_frames > self._settings.max_outbound_control_frames and not self._flooded:
            self._flooded = "http2.outbound_control_frames_flood"
            self._stats.outbound_control_flood.inc()

    def count_frame(self) -> None:
        """One more frame of ours is queued while the write buffer is full."""
        self._frames += 1
        if self._frames > self._settings.max_outbound_frames and not self._flooded:
            self._flooded = "http2.outbound_frames_flood"
            self._stats.outbound_flood.inc()

    def check(self) -> None:
        """Errors: Http2ConnectionError after too much was queued."""
        if self._flooded:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, self._flooded)

    def on_drained(self) -> None:
        """What was queued has left."""
        self._control_frames = 0
        self._frames = 0

    def _fail(self, counter: Count, details: str) -> None:
        counter.inc()
        raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, details)
