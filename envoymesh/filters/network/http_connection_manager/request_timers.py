"""The timers of a request that are off by default: `request_timeout`, `request_headers_timeout` and
`max_stream_duration` of the connection manager, which end a stream with a local reply, and
`access_log_flush_interval`, which writes to its logs. They decide nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from mypy_extensions import trait

from envoymesh.filters.network.http_connection_manager.local_reply import MAX_DURATION_DETAILS
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import HttpConnectionManagerStats
from envoymesh.network.api import Dispatcher, ExceptionHandler, Timer


@trait
class TimedStream(ExceptionHandler):
    """A request, as its timers see it.

    Attributes:
        remote_complete: the whole request has come.
    """

    __slots__ = ()

    remote_complete: bool

    @abstractmethod
    def time_out(self, status: int, body: bytes, details: str) -> None:
        """End with a reply, or a reset where a response has begun."""

    @abstractmethod
    def log(self, now: float, log_type: str) -> None:
        """Write to the access logs; `now` and `log_type` as in `FormatterContext`."""


class RequestTimers:
    """Runs those of the four that are configured, from the request's first byte."""

    __slots__ = ("_dispatcher", "_duration", "_flush", "_flush_interval", "_headers", "_request", "_stats", "_stream")

    def __init__(
        self,
        stream: TimedStream,
        dispatcher: Dispatcher,
        settings: HttpConnectionManagerSettings,
        stats: HttpConnectionManagerStats,
    ) -> None:
        self._stream = stream
        self._dispatcher = dispatcher
        self._stats = stats
        self._flush_interval = settings.access_log_flush_interval
        self._request = self._start(self._on_request_timeout, settings.request_timeout)
        self._headers = self._start(self._on_headers_timeout, settings.request_headers_timeout)
        self._duration = self._start(self._on_max_duration, settings.max_stream_duration)
        self._flush = self._start(self._on_flush_interval, self._flush_interval)

    def _start(self, callback: Callable[[], None], seconds: float) -> Timer | None:
        if not seconds:
            return None
        timer = self._dispatcher.create_timer(callback, self._stream)
        timer.enable(seconds)
        return timer

    def on_headers(self) -> None:
        """The request's headers are complete."""
        if self._headers is not None:
            self._headers.disable()

    def on_request_complete(self) -> None:
        """The request is complete."""
        if self._request is not None:
            self._request.disable()

    def limit_duration(self, seconds: float | None, began: float) -> None:
        """Another `max_stream_duration`, from the stream's beginning, in monotonic seconds; None is none."""
        if self._duration is not None:
            self._duration.disable()
            self._duration = None
        if seconds is not None:
            used = self._dispatcher.now() - began
            self._duration = self._dispatcher.create_timer(self._on_max_duration, self._stream)
            self._duration.enable(max(seconds - used, 0.0))

    def disable(self) -> None:
        """The stream is ending."""
        for timer in (self._request, self._headers, self._duration, self._flush):
            if timer is not None:
                timer.disable()

    def _on_request_timeout(self) -> None:
        self._stats.downstream_rq_timeout.inc()
        self._stream.time_out(408, b"request timeout", "request_overall_timeout")

    def _on_headers_timeout(self) -> None:
        self._stats.downstream_rq_header_timeout.inc()
        self._stream.time_out(408, b"request header timeout", "request_header_timeout")

    def _on_max_duration(self) -> None:
        stream = self._stream
        self._stats.downstream_rq_max_duration_reached.inc()
        status = 504 if stream.remote_complete else 408
        stream.time_out(status, b"downstream duration timeout", MAX_DURATION_DETAILS)

    def _on_flush_interval(self) -> None:
        self._stream.log(self._dispatcher.now(), "DownstreamPeriodic")
        if self._flush is not None:
            self._flush.enable(self._flush_interval)
