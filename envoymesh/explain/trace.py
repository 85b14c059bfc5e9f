"""What a dry run saw: headers between the filters. Spies stand before, between and behind them, and change nothing.

A spy is an HTTP filter as any other; it must not look the route up before the filters do.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.access_loggers import AccessLog
from envoymesh.formatter import FormatterContext
from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterHeadersStatus,
    LocalErrorStatus,
    LocalReplyData,
    StreamFilter,
)
from envoymesh.http.filter_manager.filter_plan import NamedFilter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import StreamInfo
from envoymesh.router.table import Route

Fields = tuple[tuple[str, str], ...]
"""Headers as people read them, pseudo-headers first."""


def fields_of(headers: HeaderMap) -> Fields:
    """Headers as they are now."""
    pseudo: list[tuple[str, bytes | None]] = []
    if isinstance(headers, RequestHeaders):
        parts = (headers.method, headers.scheme, headers.authority, headers.path, headers.protocol)
        pseudo = list(zip((":method", ":scheme", ":authority", ":path", ":protocol"), parts, strict=True))
    elif isinstance(headers, ResponseHeaders):
        pseudo = [(":status", b"%d" % headers.status)]
    shown = [(name, value.decode("latin-1")) for name, value in pseudo if value]
    return (*shown, *((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.fields))


class Trace:
    """One request.

    Attributes:
        requests, responses: headers in front of each filter, by the filter's place among all: the request's before it
            saw them, the response's behind it.
        first: a copy of the request's headers in front of the first filter, which routes are matched by.
        at: copies of the request's headers at each place that they came to.
        route: what the stream's end knew of it; None where the request came to no filter.
        logged: the request's headers at its end.
    """

    def __init__(self) -> None:
        self.requests: dict[int, Fields] = {}
        self.responses: dict[int, Fields] = {}
        self.at: dict[int, RequestHeaders] = {}
        self.has_body = False
        self.info: StreamInfo | None = None
        self.route: Route | None = None
        self.local_reply: tuple[int, str] | None = None
        self.logged: RequestHeaders | None = None

    @property
    def first(self) -> RequestHeaders | None:
        """What routes are matched by. Of a request that was refused before any filter what the log knows, which is
        nothing where it could not be read."""
        return self.at.get(0) or self.logged


class Recorder:
    """Where spies write; `trace` is that of the run under way. It is the format and the file of an access log, too."""

    def __init__(self) -> None:
        self.trace = Trace()

    def with_spies(self, filters: Sequence[NamedFilter]) -> list[NamedFilter]:
        """The filters with a spy in front of each."""
        found: list[NamedFilter] = []
        for place, each in enumerate(filters):
            found += [NamedFilter(f"envoymesh.spy.{place}", self._factory(place)), each]
        return found

    def access_log(self) -> AccessLog:
        """What hears of each request's end, also of those that come to no filter."""
        return AccessLog(self, self)

    def format(self, context: FormatterContext) -> bytes:
        """The line of a request, which is none."""
        self.trace.info = context.info
        self.trace.logged = None if context.request is None else context.request.copy()
        return b""

    def write(self, data: bytes) -> None:
        """There is no file."""

    def _factory(self, place: int) -> _SpyFactory:
        return _SpyFactory(self, place)


class _SpyFactory:
    def __init__(self, recorder: Recorder, place: int) -> None:
        self._recorder = recorder
        self._place = place

    def __call__(self, callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_filter(Spy(self._recorder.trace, self._place))


class Spy(StreamFilter):
    """Stands in front of one filter."""

    def __init__(self, trace: Trace, place: int) -> None:
        self._trace = trace
        self._place = place

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The request on its way to the filter."""
        trace = self._trace
        trace.requests[self._place] = fields_of(headers)
        trace.at[self._place] = headers.copy()
        trace.has_body = trace.has_body or not end_stream
        trace.info = self.decoder_callbacks.stream_info
        return FilterHeadersStatus.CONTINUE

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        """The response behind the filter."""
        self._trace.responses[self._place] = fields_of(headers)
        return FilterHeadersStatus.CONTINUE

    def on_local_reply(self, data: LocalReplyData) -> LocalErrorStatus:
        """Somebody answers in the upstream's place."""
        self._trace.local_reply = (data.status, data.details)
        return LocalErrorStatus.CONTINUE

    def on_destroy(self) -> None:
        """The stream is over, and its route known."""
        if self._place == 0:
            self._trace.info = self.decoder_callbacks.stream_info
            self._trace.route = self.decoder_callbacks.route
