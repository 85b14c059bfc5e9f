"""Protection against floods: frames that cost the peer little to send and us much to handle.

The limits are Envoy's (`source/common/http/http2/protocol_constraints`): empty frames, PRIORITY and WINDOW_UPDATE
are held against what the peer had reason to send; what we queue in answer is held against a fixed number. Rapid
resets (CVE-2023-44487) are not counted here: the connection manager sees how each stream ends.

It must not know what frames mean otherwise.
"""

from __future__ import annotations

from typing import Final

from envoymesh.http.http2.frames import ErrorCode, Http2ConnectionError
from envoymesh.http.http2.settings import Http2Settings
from envoymesh.http.http2.stats import Http2Stats

MIN_CONTINUATIONS: Final = 8
"""CONTINUATION frames of one header block that are always taken; a larger limit of headers allows for more."""

_OUTBOUND: Final = {
    "http2.outbound_control_frames_flood": "Too many control frames in the outbound queue.",
    "http2.outbound_frames_flood": "Too many frames in the outbound queue.",
}


def _flood(details: str, message: str, stream_id: int = 0) -> Http2ConnectionError:
    """A flood ends without GOAWAY, as in Envoy: a peer that floods us need not be answered."""
    return Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, details, None, stream_id, message)


class FloodGuard:
    """The counts of one connection.

    Attributes:
        data_frames_sent: DATA frames we sent; each is a reason for WINDOW_UPDATEs.
        streams_opened: streams of either side.
        flooded: Envoy's details after too much was queued, else nothing.
        empty_frames: consecutive frames without payload and without END_STREAM; zeroed by its user on any other.
    """

    __slots__ = (
        "_control_frames",
        "_frames",
        "_priorities",
        "_settings",
        "_stats",
        "_window_updates",
        "data_frames_sent",
        "empty_frames",
        "flooded",
        "streams_opened",
    )

    def __init__(self, settings: Http2Settings, stats: Http2Stats) -> None:
        self._settings = settings
        self._stats = stats
        self._control_frames = 0
        self._frames = 0
        self._priorities = 0
        self._window_updates = 0
        self.flooded = ""
        self.data_frames_sent = 0
        self.empty_frames = 0
        self.streams_opened = 0

    def on_empty_frame(self, stream_id: int) -> None:
        """DATA, HEADERS or CONTINUATION without payload and END_STREAM. Errors: Http2ConnectionError."""
        self.empty_frames += 1
        if self.empty_frames > self._settings.max_consecutive_inbound_frames_with_empty_payload:
            self._stats.inbound_empty_frames_flood.inc()
            raise _flood(
                "http2.inbound_empty_frames_flood", "Too many consecutive frames with an empty payload", stream_id
            )

    def on_priority(self) -> None:
        """A PRIORITY frame. Errors: Http2ConnectionError."""
        self._priorities += 1
        if self._priorities > self._settings.max_inbound_priority_frames_per_stream * (1 + self.streams_opened):
            self._stats.inbound_priority_frames_flood.inc()
            raise _flood("http2.inbound_priority_frames_flood", "Too many PRIORITY frames")

    def on_window_update(self) -> None:
        """A WINDOW_UPDATE frame. Errors: Http2ConnectionError."""
        self._window_updates += 1
        per_data = self._settings.max_inbound_window_update_frames_per_data_frame_sent
        if self._window_updates > 5 + 2 * (self.streams_opened + per_data * self.data_frames_sent):
            self._stats.inbound_window_update_frames_flood.inc()
            raise _flood("http2.inbound_window_update_frames_flood", "Too many WINDOW_UPDATE frames")

    def on_continuation(self, count: int) -> None:
        """The `count`-th CONTINUATION of a block. Errors: Http2ConnectionError."""
        if count > MIN_CONTINUATIONS + self._settings.max_request_headers_kb // 8:
            raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "http2.too_many_continuations")

    # What we queue. As in Envoy, what came in one piece is answered, and then the connection ends.

    def count_control_frame(self) -> None:
        """One more PING, SETTINGS or RST_STREAM of ours is queued."""
        self._control_frames += 1
        if self._control_frames > self._settings.max_outbound_control_frames and not self.flooded:
            self.flooded = "http2.outbound_control_frames_flood"
            self._stats.outbound_control_flood.inc()

    def count_frame(self) -> None:
        """One more frame of ours is queued while the write buffer is full."""
        self._frames += 1
        if self._frames > self._settings.max_outbound_frames and not self.flooded:
            self.flooded = "http2.outbound_frames_flood"
            self._stats.outbound_flood.inc()

    def outbound_error(self) -> Http2ConnectionError:
        """Once `flooded`."""
        return _flood(self.flooded, _OUTBOUND[self.flooded])

    def on_drained(self) -> None:
        """What was queued has left."""
        self._control_frames = 0
        self._frames = 0
