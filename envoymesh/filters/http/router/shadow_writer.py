"""Mirrors: copies of a request for clusters whose answers nobody waits for (Envoy's `ShadowWriter`).

A copy must never hurt the request that it was made of: nobody is held up for it. One that falls behind is kept up to
a limit, and dropped over that (Envoy would stop reading the client until the mirror has caught up).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoymesh.filters.http.router.settings import RouterFilterConfig
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.mirror import MirrorPolicy
from envoymesh.upstream.client import AsyncStream, AsyncStreamCallbacks, StreamOptions
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.failures import UpstreamFailure
from envoymesh.upstream.stats import ClusterStats
from envoymesh.upstream.timeouts import Timeouts

BEHIND_LIMIT: Final = 1024 * 1024
"""Bytes that a mirror may be behind: kept while there is no connection, and again beyond a full write buffer."""


class ShadowStream(AsyncStreamCallbacks):
    """One copy under way.

    Args:
        stats: of the cluster that the request itself goes to.
    """

    __slots__ = ("_behind", "_pauses", "_stats", "_stream")

    def __init__(self, stats: ClusterStats) -> None:
        self._stats = stats
        self._stream: AsyncStream | None = None
        self._pauses = 0
        self._behind = 0

    def begin(self, stream: AsyncStream, headers: RequestHeaders, end_stream: bool) -> None:
        """Called once; the copy may have failed when this returns."""
        self._stream = stream
        stream.send_headers(headers, end_stream)

    def send_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body; a copy that is too far behind ends with it."""
        stream = self._stream
        if stream is None:
            return
        if self._pauses:
            self._behind += len(data)
            if self._behind > BEHIND_LIMIT:
                self._stats.retry_or_shadow_abandoned.inc()
                self.reset()
                return
        stream.send_data(data, end_stream)

    def send_trailers(self, trailers: HeaderMap) -> None:
        """The request's trailers."""
        if self._stream is not None:
            self._stream.send_trailers(trailers)

    def reset(self) -> None:
        """The request has ended before it was complete: end the copy, too."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.reset()

    # AsyncStreamCallbacks: nobody waits for the answer

    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """An answer ends the copy, also one that comes early."""
        if end_stream:
            self._stream = None

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Read, so that the connection can be used again."""
        if end_stream:
            self._stream = None

    def on_trailers(self, trailers: HeaderMap) -> None:
        """The end of the answer."""
        self._stream = None

    def on_reset(self, failure: UpstreamFailure) -> None:
        """The copy has failed; its cluster's stats say so."""
        self._stream = None

    def on_above_write_buffer_high_watermark(self) -> None:
        """The mirror is slower than the client."""
        self._pauses += 1

    def on_below_write_buffer_low_watermark(self) -> None:
        """It has caught up."""
        self._pauses -= 1
        if not self._pauses:
            self._behind = 0


def start_shadows(
    policies: Sequence[MirrorPolicy],
    config: RouterFilterConfig,
    cluster: Cluster,
    headers: RequestHeaders,
    info: StreamInfo,
    timeouts: Timeouts,
    end_stream: bool,
) -> list[ShadowStream]:
    """Send the request's headers to each mirror that wants them; gives the copies that take the rest, too.

    Args:
        cluster: where the request itself goes.
        headers: the request's, as its upstream gets them; they stay as they are.
    """
    shadows: list[ShadowStream] = []
    if headers.method == b"CONNECT":
        return shadows  # as in Envoy, a CONNECT is not mirrored
    client = config.client
    options = StreamOptions(
        timeout=timeouts.overall,
        buffer_limit=BEHIND_LIMIT,
        suppress_envoy_headers=config.suppress_envoy_headers,
        dynamic_stats=config.dynamic_stats,
    )
    for policy in policies:
        target = config.clusters.get(policy.cluster_of(headers)) if policy.applies() else None
        if target is not None:
            shadow = ShadowStream(cluster.stats)
            stream = client.start(target, shadow, options)
            shadow.begin(stream, policy.headers_of(headers, info, client.dispatcher.now()), end_stream)
            if not stream.ended:
                shadows.append(shadow)
    return shadows
