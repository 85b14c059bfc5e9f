"""The filters of one stream (Envoy's `FilterManager`): makes them, passes both directions through them, ends them.

`filter_walk.py` passes a message through the filters of one direction; the stream is at both ends of the chain.
This module knows no codec and no route.
"""

from __future__ import annotations

from typing import Any, Final, cast

from envoymesh.http.filter import (
    Filter1xxHeadersStatus,
    FilterChainFactoryCallbacks,
    LocalErrorStatus,
    LocalReplyData,
    StreamFilter,
)
from envoymesh.http.filter_manager.filter_handle import (
    NO_FILTER,
    DecoderHandle,
    EncoderHandle,
    FilterChainStream,
    HandleOwner,
)
from envoymesh.http.filter_manager.filter_plan import ChainPlan, FilterChainFactory
from envoymesh.http.filter_manager.filter_walk import FilterWalk
from envoymesh.http.headers import HeaderMap, ResponseHeaders

_DECODER: Final = 1
_ENCODER: Final = 2


class DecodingWalk(FilterWalk):
    """The request's way; the last filter ends it."""

    __slots__ = ()

    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Nothing to do: the last filter, which is terminal, has taken them."""

    def deliver_data(self, data: bytes, end_stream: bool) -> None:
        """Nothing to do: the last filter, which is terminal, has taken them."""

    def deliver_trailers(self, trailers: HeaderMap) -> None:
        """Nothing to do: the last filter, which is terminal, has taken them."""

    def name_of(self, what: str) -> str:
        """The name of a filter's step, for the log."""
        return "decode_" + what


class EncodingWalk(FilterWalk):
    """The response's way, from the last filter that was added to the first, then to the stream."""

    __slots__ = ("_interim", "_started", "interim_places")

    def __init__(self, stream: FilterChainStream) -> None:
        super().__init__(stream)
        self.interim_places: tuple[int, ...] = ()
        self._interim: ResponseHeaders | None = None
        self._started = False

    def pass_1xx_headers(self, headers: ResponseHeaders, start: int = 0) -> None:
        """Pass an interim response on, from the filter at `start`."""
        self._interim = headers
        try:
            for place in self.interim_places:
                if place < start:
                    continue
                handle = self.handles[place]
                status = handle.filter.encode_1xx_headers(headers)
                if self.over:
                    return
                if status is not Filter1xxHeadersStatus.CONTINUE:
                    handle.stopped = handle.interim_held = True
                    handle.set_busy()
                    return
            self.stream.write_1xx_headers(headers)
        except Exception as error:  # noqa: BLE001 one stream's fault is one stream's
            self._fail("1xx_headers", error)

    def pass_interim(self, start: int) -> bool:
        """Pass an interim response on that a filter had stopped; tells whether the final one is here too."""
        if self._interim is not None:
            self.pass_1xx_headers(self._interim, start)
        return self._started and not self.over

    def begin(self) -> None:
        """The final response is here."""
        self._started = True

    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """To the stream."""
        self.stream.write_headers(cast("ResponseHeaders", headers), end_stream)

    def deliver_data(self, data: bytes, end_stream: bool) -> None:
        """To the stream."""
        self.stream.write_data(data, end_stream)

    def deliver_trailers(self, trailers: HeaderMap) -> None:
        """To the stream."""
        self.stream.write_trailers(trailers)

    def name_of(self, what: str) -> str:
        """The name of a filter's step, for the log."""
        return "encode_" + what


class FilterChain(FilterChainFactoryCallbacks, HandleOwner):
    """The filters of one stream, and both ways through them.

    Attributes:
        filters: as they were added.
        encoding: None where no filter sees responses.
    """

    __slots__ = ("_kinds", "_name", "_plan", "decoding", "encoding", "filters", "stream")

    def __init__(self, stream: FilterChainStream, factory: FilterChainFactory) -> None:
        self.stream = stream
        self.filters: list[StreamFilter] = []
        self.decoding = DecodingWalk(stream)
        self.encoding: EncodingWalk | None = None
        self._kinds = 1
        self._make(factory)
        self._follow_plan(factory)

    def _make(self, factory: FilterChainFactory) -> None:
        route: Any = self.stream.route if factory.needs_route else None
        for each in factory.filters:
            if factory.chooses and _is_disabled(route, each.name, each.disabled):
                continue
            self._name = each.name
            each.factory(self)

    def _follow_plan(self, factory: FilterChainFactory) -> None:
        encoding = self.encoding
        if encoding is not None:
            _turn(encoding)
        plan = factory.plan
        if not plan.fits(self._kinds, self.filters):
            plan = self._find_plan(factory)
        self._plan = plan
        self.decoding.follow(plan.decode_headers, plan.decode_data)
        if encoding is not None:
            encoding.follow(plan.encode_headers, plan.encode_data)
            encoding.interim_places = plan.encode_1xx_headers

    def _find_plan(self, factory: FilterChainFactory) -> ChainPlan:
        decoders = [handle.filter for handle in self.decoding.handles]
        encoders = [] if self.encoding is None else [handle.filter for handle in self.encoding.handles]
        return factory.plan_of(self._kinds, self.filters, decoders, encoders)

    # FilterChainFactoryCallbacks

    def add_decoder_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees requests."""
        self._add(filter_, _DECODER)
        self._add_decoder(filter_)

    def add_encoder_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees responses."""
        self._add(filter_, _ENCODER)
        self._add_encoder(filter_)

    def add_filter(self, filter_: StreamFilter) -> None:
        """Append a filter that sees both."""
        self._add(filter_, _DECODER | _ENCODER)
        self._add_decoder(filter_)
        self._add_encoder(filter_)

    def _add(self, filter_: StreamFilter, kind: int) -> None:
        self._kinds = self._kinds << 2 | kind
        self.filters.append(filter_)

    def _add_decoder(self, filter_: StreamFilter) -> None:
        walk = self.decoding
        handle = DecoderHandle(self, walk, filter_, self._name)
        handle.index = len(walk.handles)
        walk.handles.append(handle)
        filter_.set_decoder_filter_callbacks(handle)

    def _add_encoder(self, filter_: StreamFilter) -> None:
        walk = self.encoding
        if walk is None:
            walk = self.encoding = EncodingWalk(self.stream)
        handle = EncoderHandle(self, walk, filter_, self._name)
        walk.handles.append(handle)
        filter_.set_encoder_filter_callbacks(handle)

    # The response: without a filter that sees it, it goes straight to the stream

    def encode_1xx_headers(self, headers: ResponseHeaders) -> None:
        """An interim response begins."""
        if not self.stream.proxies_interim:
            return
        if self.encoding is None:
            self.stream.write_1xx_headers(headers)
        else:
            self.encoding.pass_1xx_headers(headers)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """A response begins."""
        encoding = self.encoding
        if encoding is None:
            self.stream.write_headers(headers, end_stream)
            return
        encoding.begin()
        if end_stream:
            self.decoding.over = True
        encoding.pass_headers(headers, end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        """Part of a response's body."""
        encoding = self.encoding
        if encoding is None:
            self.stream.write_data(data, end_stream)
            return
        if end_stream:
            self.decoding.over = True
        encoding.pass_data(data, end_stream)

    def encode_trailers(self, trailers: HeaderMap) -> None:
        """A response's trailers."""
        encoding = self.encoding
        if encoding is None:
            self.stream.write_trailers(trailers)
            return
        self.decoding.over = True
        encoding.pass_trailers(trailers)

    # What concerns all filters

    def set_buffer_limit(self, limit: int) -> None:
        """Set the limit of the bytes that a filter may keep."""
        self.stream.set_buffer_limit(limit)
        for handle in list(self.decoding.handles):
            handle.check_limit()
        for handle in [] if self.encoding is None else list(self.encoding.handles):
            handle.check_limit()

    def on_local_reply(self, status: int, details: str) -> bool:
        """A local reply is about to be sent: no filter sees more of the request. Tells whether one wants a reset."""
        self.decoding.over = True
        if not self._plan.on_local_reply:
            return False
        data = LocalReplyData(status, details)
        wants_reset = False
        filters = self.filters
        for place in self._plan.on_local_reply:
            if filters[place].on_local_reply(data) is LocalErrorStatus.CONTINUE_AND_RESET_STREAM:
                wants_reset = True
        return wants_reset

    def destroy(self) -> None:
        """Tell every filter that the stream is gone, and drop them: they and their handles refer to each other."""
        filters, self.filters = self.filters, []
        if not filters:
            return
        self.decoding.over = True
        for place in self._plan.on_stream_complete:
            try:
                filters[place].on_stream_complete()
            except Exception as error:  # noqa: BLE001 the others are still to be told
                self.stream.on_exception("on_stream_complete", error)
        for place in self._plan.on_destroy:
            try:
                filters[place].on_destroy()
            except Exception as error:  # noqa: BLE001 as above
                self.stream.on_exception("on_destroy", error)
        _let_go(self.decoding)
        if self.encoding is not None:
            self.encoding.over = True
            _let_go(self.encoding)


def _is_disabled(route: Any, name: str, by_default: bool) -> bool:
    disabled = None if route is None else route.disabled_filters.get(name)
    return by_default if disabled is None else bool(disabled)


def _turn(walk: FilterWalk) -> None:
    """Turn the order round: the last filter that was added is the first to see the response."""
    walk.handles.reverse()
    for index, handle in enumerate(walk.handles):
        handle.index = index


def _let_go(walk: FilterWalk) -> None:
    for handle in walk.handles:
        handle.filter = NO_FILTER
    walk.handles.clear()
