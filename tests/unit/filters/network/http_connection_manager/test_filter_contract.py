"""What a filter may rely on: one base class, every status and callback, the same in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    Filter1xxHeadersStatus,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    LocalErrorStatus,
    LocalReplyData,
    StreamFilter,
)
from envoymesh.http.filter_manager.filter_chain import FilterChain
from envoymesh.http.filter_manager.filter_plan import MOST_PLANS, FilterChainFactory, NamedFilter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from tests.unit.filters.network.http_connection_manager.streams import FakeStream, Seen, request

H, D, T = FilterHeadersStatus, FilterDataStatus, FilterTrailersStatus
TRAILERS = HeaderMap([(b"x-t", b"1")])


class Recorder(StreamFilter):
    """Records both directions, in one `Seen` of the direction under test."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.log: list[str] = []

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        return self._headers(headers, end_stream)

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        return self._headers(headers, end_stream)

    def _headers(self, headers: Any, end_stream: bool) -> FilterHeadersStatus:
        self.log.append(f"headers {end_stream}")
        self.seen.note_headers(headers, end_stream)
        return H.CONTINUE

    def decode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self._data(data, end_stream)

    def encode_data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        return self._data(data, end_stream)

    def _data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        self.log.append(f"data {data.decode()} {end_stream}")
        self.seen.note_data(data, end_stream)
        return D.CONTINUE

    def decode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self._trailers(trailers)

    def encode_trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        return self._trailers(trailers)

    def _trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        self.log.append("trailers " + ",".join(name.decode() for name, _ in trailers.fields))
        self.seen.note_trailers(trailers)
        return T.CONTINUE


class Way:
    """One direction of a chain of `first` and a recorder behind it, under the names that both directions share."""

    def __init__(self, direction: str, first: StreamFilter, *others: StreamFilter, limit: int = 0) -> None:
        self.direction = direction
        self.last = Recorder()
        self.stream = FakeStream(limit)
        filters = [first, *others, self.last]
        if direction == "encod":
            filters.reverse()
        factory = FilterChainFactory.of(*(lambda callbacks, each=each: callbacks.add_filter(each) for each in filters))
        self.chain = self.stream.chain = FilterChain(self.stream, factory)
        self.callbacks = Callbacks(first, direction)

    def headers(self, end_stream: bool = False) -> None:
        if self.direction == "decod":
            self.chain.decoding.pass_headers(request(), end_stream)
        else:
            self.chain.encode_headers(ResponseHeaders(200), end_stream)

    def data(self, data: bytes, end_stream: bool = False) -> None:
        if self.direction == "decod":
            self.chain.decoding.pass_data(data, end_stream)
        else:
            self.chain.encode_data(data, end_stream)

    def trailers(self, trailers: HeaderMap = TRAILERS) -> None:
        if self.direction == "decod":
            self.chain.decoding.pass_trailers(trailers)
        else:
            self.chain.encode_trailers(trailers)

    @property
    def log(self) -> list[str]:
        """What came behind the first filter."""
        return self.last.log

    @property
    def pauses(self) -> list[bool]:
        return self.stream.read_disables if self.direction == "decod" else self.stream.response_read_disables


class Callbacks:
    """A filter's callbacks in one direction: `go_on` for continue_decoding, `add` for add_encoded_data, and so on."""

    def __init__(self, of: StreamFilter, direction: str) -> None:
        raw: Any = of.decoder_callbacks if direction == "decod" else of.encoder_callbacks
        self.raw = raw
        self.go_on: Callable[[], None] = getattr(raw, f"continue_{direction}ing")
        self.add: Callable[[bytes], None] = getattr(raw, f"add_{direction}ed_data")
        self.inject: Callable[[bytes, bool], None] = getattr(raw, f"inject_{direction}ed_data_to_filter_chain")
        self.modify: Callable[[Callable[[bytes], bytes]], None] = getattr(raw, f"modify_{direction}ing_buffer")
        self.add_trailers: Callable[[], HeaderMap] = getattr(raw, f"add_{direction}ed_trailers")
        self.set_limit: Callable[[int], None] = getattr(raw, f"set_{direction}er_buffer_limit")
        self.kept: Callable[[], bytes] = lambda: getattr(raw, f"{direction}ing_buffer")


class Acting(Recorder):
    """Does at each step what the test says; `None` is CONTINUE."""

    def __init__(self, direction: str, headers: Any = None, data: Any = None, trailers: Any = None) -> None:
        super().__init__()
        self.direction = direction
        self._acts = headers, data, trailers

    def _act(self, step: int, default: Any, *arguments: Any) -> Any:
        act = self._acts[step]
        if callable(act):
            act = act(Callbacks(self, self.direction), *arguments)
        return default if act is None else act

    def _headers(self, headers: Any, end_stream: bool) -> FilterHeadersStatus:
        super()._headers(headers, end_stream)
        return self._act(0, H.CONTINUE, end_stream)  # type: ignore[no-any-return]

    def _data(self, data: bytes, end_stream: bool) -> FilterDataStatus:
        super()._data(data, end_stream)
        return self._act(1, D.CONTINUE, data, end_stream)  # type: ignore[no-any-return]

    def _trailers(self, trailers: HeaderMap) -> FilterTrailersStatus:
        super()._trailers(trailers)
        return self._act(2, T.CONTINUE)  # type: ignore[no-any-return]


both = pytest.mark.parametrize("direction", ["decod", "encod"])


def way(direction: str, headers: Any = None, data: Any = None, trailers: Any = None, limit: int = 0) -> Way:
    return Way(direction, Acting(direction, headers, data, trailers), limit=limit)


# Who is asked at all


class Slotted(StreamFilter):
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


class HeadersOnly(StreamFilter):
    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        headers.add(b"x-seen", b"1")
        return H.CONTINUE


class Stopping(StreamFilter):
    """Stops at headers, and has no step for data or trailers."""

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> FilterHeadersStatus:
        return H.STOP

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool) -> FilterHeadersStatus:
        return H.STOP


def test_ten_filters_that_look_at_headers_cost_the_body_nothing() -> None:
    chain = Way("decod", HeadersOnly(), *(HeadersOnly() for _ in range(9)), Slotted(1)).chain
    assert chain.decoding.headers_places == (*range(10), 11)
    assert chain.decoding.data_places == (11,)
    assert chain.encoding is not None
    assert chain.encoding.data_places == (0,)


def test_a_plan_is_made_once_for_a_list_of_classes() -> None:
    made: list[StreamFilter] = []
    factory = FilterChainFactory.of(lambda callbacks: [callbacks.add_filter(each) for each in made])

    def plan(*filters: StreamFilter) -> object:
        made[:] = filters
        FilterChain(FakeStream(), factory)
        return factory.plan

    headers, both_ways = plan(HeadersOnly()), plan(Recorder(), HeadersOnly())
    assert plan(HeadersOnly()) is headers
    assert plan(Recorder(), HeadersOnly()) is both_ways
    assert plan(Recorder(), Recorder()) not in (headers, both_ways)
    assert len({id(plan(type("Made", (Recorder,), {})())) for _ in range(2 * MOST_PLANS)}) > 1
    assert len(factory._plans) <= MOST_PLANS


def test_how_a_filter_was_added_counts_too() -> None:
    add = ["add_decoder_filter"]
    factory = FilterChainFactory.of(lambda callbacks: getattr(callbacks, add[0])(Recorder()))
    assert FilterChain(FakeStream(), factory).decoding.data_places == (0,)
    add[0] = "add_encoder_filter"
    chain = FilterChain(FakeStream(), factory)
    assert chain.decoding.data_places == ()
    assert chain.encoding is not None
    assert chain.encoding.data_places == (0,)


@both
def test_a_stopped_filter_without_a_data_step_goes_on_with_data(direction: str) -> None:
    made = Way(direction, Stopping())
    made.headers()
    assert made.log == []
    made.data(b"a")
    made.data(b"b", True)
    assert made.log == ["headers False", "data a False", "data b True"]


@both
def test_a_stopped_filter_without_a_trailers_step_goes_on_with_trailers(direction: str) -> None:
    made = Way(direction, Stopping())
    made.headers()
    made.trailers()
    assert made.log == ["headers False", "trailers x-t"]


# Statuses


@both
@pytest.mark.parametrize("status", [H.STOP_ALL_AND_BUFFER, H.STOP_ALL_AND_WATERMARK])
def test_who_stops_all_sees_nothing_until_it_goes_on(direction: str, status: FilterHeadersStatus) -> None:
    made = way(direction, status)
    made.headers()
    made.data(b"a")
    made.data(b"b")
    made.trailers()
    first: Any = made.callbacks.raw.filter
    assert (first.log, made.log, made.callbacks.kept()) == (["headers False"], [], b"ab")
    made.callbacks.go_on()
    assert first.log == ["headers False", "data ab False", "trailers x-t"]
    assert made.log == first.log


@both
def test_who_stops_all_may_stop_again_at_the_data(direction: str) -> None:
    made = way(direction, H.STOP_ALL_AND_BUFFER, D.STOP_AND_BUFFER)
    made.headers()
    made.data(b"ab", True)
    made.callbacks.go_on()
    assert made.log == ["headers False"]
    made.callbacks.go_on()
    assert made.log == ["headers False", "data ab True"]


@both
def test_too_much_for_who_stops_all(direction: str) -> None:
    made = way(direction, H.STOP_ALL_AND_BUFFER, limit=3)
    made.headers()
    made.data(b"abc")
    assert made.stream.replies == []
    made.data(b"d")
    assert [status for status, _ in made.stream.replies] == [413 if direction == "decod" else 500]
    made = way(direction, H.STOP_ALL_AND_WATERMARK, limit=3)
    made.headers()
    made.data(b"abcd")
    assert (made.pauses, made.stream.replies) == ([True], [])
    made.callbacks.go_on()
    assert (made.pauses, made.last.seen.data) == ([True, False], b"abcd")


@both
def test_headers_that_ended_get_a_body_later(direction: str) -> None:
    made = way(direction, H.CONTINUE_AND_DONT_END_STREAM)
    made.headers(end_stream=True)
    assert made.log == ["headers False"]
    made.callbacks.inject(b"a", False)
    made.callbacks.inject(b"b", True)
    assert made.log == ["headers False", "data a False", "data b True"]


@both
def test_a_kept_empty_body_goes_on_as_one(direction: str) -> None:
    made = way(direction, H.STOP, D.STOP_AND_BUFFER)
    made.headers()
    made.data(b"", True)
    made.callbacks.go_on()
    assert made.log == ["headers False", "data  True"]


# Data of the filter's own


@both
def test_a_body_is_added_to_headers_that_ended(direction: str) -> None:
    made = way(direction, lambda callbacks, end_stream: callbacks.add(b"added"))
    made.headers(end_stream=True)
    assert made.log == ["headers False", "data added True"]


@both
def test_data_added_to_headers_comes_before_the_body(direction: str) -> None:
    made = way(direction, lambda callbacks, end_stream: callbacks.add(b"added "))
    made.headers()
    assert made.log == ["headers False"]
    made.data(b"a")
    made.data(b"b", True)
    assert made.log == ["headers False", "data added a False", "data b True"]


@both
def test_data_added_by_who_has_no_data_step_is_not_passed_by(direction: str) -> None:
    made = Way(direction, Stopping())
    made.headers()
    made.callbacks.add(b"added ")
    made.callbacks.go_on()
    assert made.log == ["headers False", "data added  False"]
    made.callbacks.add(b"more ")
    made.data(b"a", True)
    assert made.log[2:] == ["data more a True"]


@both
def test_data_is_added_before_trailers(direction: str) -> None:
    made = way(direction, None, None, lambda callbacks: callbacks.add(b"added"))
    made.headers()
    made.data(b"a")
    made.trailers()
    assert made.log == ["headers False", "data a False", "data added False", "trailers x-t"]


@both
def test_a_streaming_filter_changes_each_piece(direction: str) -> None:
    made = way(direction, None, lambda callbacks, data, end_stream: callbacks.modify(bytes.upper))
    made.headers()
    made.data(b"ab")
    made.data(b"cd", True)
    assert made.log == ["headers False", "data AB False", "data CD True"]


@both
def test_a_buffering_filter_changes_the_whole(direction: str) -> None:
    def collect(callbacks: Callbacks, data: bytes, end_stream: bool) -> FilterDataStatus | None:
        if not end_stream:
            return D.STOP_AND_BUFFER
        callbacks.modify(lambda body: body[::-1])
        return None

    made = way(direction, H.STOP, collect, lambda callbacks: callbacks.modify(lambda body: body[::-1]))
    made.headers()
    made.data(b"ab")
    made.data(b"cd", True)
    assert made.log == ["headers False", "data dcba True"]
    made = way(direction, H.STOP, collect, lambda callbacks: callbacks.modify(lambda body: body[::-1]))
    made.headers()
    made.data(b"ab")
    made.trailers()
    assert made.log == ["headers False", "data ba False", "trailers x-t"]


@both
def test_a_changed_piece_may_be_kept(direction: str) -> None:
    def change(callbacks: Callbacks, data: bytes, end_stream: bool) -> FilterDataStatus:
        callbacks.modify(bytes.upper)
        return D.STOP_AND_BUFFER

    made = way(direction, None, change)
    made.headers()
    made.data(b"ab")
    made.data(b"cd", True)
    assert made.callbacks.kept() == b"ABCD"
    made.callbacks.modify(lambda body: body + b"!")
    made.callbacks.go_on()
    assert made.log == ["headers False", "data ABCD! True"]


@both
def test_a_filter_that_keeps_all_itself_injects(direction: str) -> None:
    def hold(callbacks: Callbacks, data: bytes, end_stream: bool) -> FilterDataStatus:
        callbacks.inject(data.upper(), end_stream)
        return D.STOP_NO_BUFFER

    made = way(direction, H.STOP, hold)
    made.headers()
    made.data(b"ab")
    made.data(b"cd", True)
    made.callbacks.go_on()
    assert made.log == ["headers False", "data AB False", "data CD True"]
    made = way(direction, H.STOP, hold)
    made.headers()
    made.data(b"ab")
    made.trailers()
    assert made.log == ["headers False", "data AB False", "trailers x-t"]


@both
@pytest.mark.parametrize("second", [None, Stopping])
def test_trailers_are_added_behind_the_last_piece(direction: str, second: type[StreamFilter] | None) -> None:
    def add(callbacks: Callbacks, *arguments: Any) -> None:
        if arguments[-1]:
            callbacks.add_trailers().add(b"x-added", b"1")

    for on_headers in (True, False):
        acting = Acting(direction, add if on_headers else None, add)
        made = Way(direction, acting, *([second()] if second else []))
        made.headers(end_stream=on_headers)
        if on_headers:
            assert made.log == ["headers False", "trailers x-added"]
            continue
        made.data(b"a")
        made.data(b"b", True)
        assert made.log == ["headers False", "data a False", "data b False", "trailers x-added"]


@both
def test_trailers_that_a_stopped_filter_adds_wait_with_it(direction: str) -> None:
    def add(callbacks: Callbacks, data: bytes, end_stream: bool) -> FilterDataStatus:
        callbacks.add_trailers().add(b"x-added", b"1")
        return D.STOP_AND_BUFFER

    made = way(direction, None, add)
    made.headers()
    made.data(b"a", True)
    assert made.log == ["headers False"]
    made.callbacks.go_on()
    assert made.log == ["headers False", "data a False", "trailers x-added"]
    with pytest.raises(ValueError, match="end_stream"):
        made.callbacks.add_trailers()


# Limits


@both
def test_a_lower_limit_counts_at_once(direction: str) -> None:
    made = way(direction, H.STOP, D.STOP_AND_BUFFER)
    made.headers()
    made.data(b"abcd")
    made.callbacks.set_limit(4)
    assert made.stream.replies == []
    made.callbacks.set_limit(3)
    assert [status for status, _ in made.stream.replies] == [413 if direction == "decod" else 500]
    assert made.chain.stream.buffer_limit == 3


def test_a_filter_holds_either_side_itself() -> None:
    made = way("decod")
    first: Any = made.callbacks.raw.filter
    first.decoder_callbacks.on_decoder_filter_above_write_buffer_high_watermark()
    first.encoder_callbacks.on_encoder_filter_above_write_buffer_high_watermark()
    first.decoder_callbacks.on_decoder_filter_below_write_buffer_low_watermark()
    first.encoder_callbacks.on_encoder_filter_below_write_buffer_low_watermark()
    assert (made.stream.read_disables, made.stream.response_read_disables) == ([True, False], [True, False])


# Interim responses


class Interim(Recorder):
    def __init__(self, status: Filter1xxHeadersStatus) -> None:
        super().__init__()
        self._status = status

    def encode_1xx_headers(self, headers: ResponseHeaders) -> Filter1xxHeadersStatus:
        self.log.append(f"interim {headers.status}")
        return self._status


def test_an_interim_response_passes_filters_and_may_be_stopped() -> None:
    made = Way("encod", Interim(Filter1xxHeadersStatus.STOP), Interim(Filter1xxHeadersStatus.CONTINUE))
    headers = ResponseHeaders(103)
    made.chain.encode_1xx_headers(headers)
    assert made.stream.interim == []
    made.callbacks.go_on()
    assert made.stream.interim == [headers]
    assert made.log == []
    made.headers(end_stream=True)
    assert made.stream.out.headers is not None


def test_no_filter_sees_an_interim_response_that_would_not_go_out() -> None:
    first = Interim(Filter1xxHeadersStatus.CONTINUE)
    made = Way("encod", first)
    made.stream.proxies_interim = False
    made.chain.encode_1xx_headers(ResponseHeaders(100))
    assert (first.log, made.stream.interim) == ([], [])


# The end


class Ends(Recorder):
    def __init__(self, order: list[str], on_reply: LocalErrorStatus = LocalErrorStatus.CONTINUE) -> None:
        super().__init__()
        self._order = order
        self._on_reply = on_reply

    def on_local_reply(self, data: LocalReplyData) -> LocalErrorStatus:
        self._order.append(f"reply {data.status} {data.details}")
        return self._on_reply

    def on_stream_complete(self) -> None:
        self._order.append("complete")

    def on_destroy(self) -> None:
        self._order.append("destroy")


def test_every_filter_hears_of_a_local_reply_and_one_may_ask_for_a_reset() -> None:
    order: list[str] = []
    made = Way("decod", Ends(order), Ends(order))
    assert made.chain.on_local_reply(503, "why") is False
    assert order == ["reply 503 why"] * 2
    made = Way("decod", Ends([], LocalErrorStatus.CONTINUE_AND_RESET_STREAM), Ends(order))
    assert made.chain.on_local_reply(503, "why") is True
    assert len(order) == 3


def test_filters_hear_of_the_end_once_each_completion_first() -> None:
    order: list[str] = []
    made = Way("decod", Ends(order), Ends(order))
    made.chain.destroy()
    made.chain.destroy()
    assert order == ["complete", "complete", "destroy", "destroy"]


def test_after_an_answer_no_filter_sees_the_request_though_one_lets_it_pass() -> None:
    def answer(callbacks: Callbacks, *arguments: Any) -> None:
        callbacks.raw.send_local_reply(403, b"", "no")

    for steps in ((answer, None), (None, answer)):
        made = way("decod", *steps)
        made.headers()
        made.data(b"a", True)
        assert made.last.seen.data == b""
        assert made.stream.replies == [(403, "no")]


@both
def test_nothing_goes_on_after_a_reset(direction: str) -> None:
    made = way(direction, H.STOP, D.STOP_AND_BUFFER)
    made.headers()
    made.data(b"a")
    made.callbacks.raw.reset_stream(StreamResetReason.LOCAL_RESET, "why")
    made.callbacks.go_on()
    made.callbacks.inject(b"b", True)
    made.data(b"c", True)
    made.trailers()
    assert made.log == []


# Routes


class RouteStub:
    """What a chain asks of a route."""

    def __init__(self, settings: dict[str, tuple[Any, ...]], disabled: dict[str, bool]) -> None:
        self.filter_configs = settings
        self.disabled_filters = disabled


def test_a_filter_finds_the_settings_of_its_name() -> None:
    first, second = Recorder(), Recorder()
    named = [
        NamedFilter("first", lambda callbacks: callbacks.add_decoder_filter(first)),
        NamedFilter("second", lambda callbacks: callbacks.add_encoder_filter(second)),
    ]
    stream = FakeStream()
    stream.route = RouteStub({"first": (1, 2)}, {})
    FilterChain(stream, FilterChainFactory(named))
    callbacks = first.decoder_callbacks
    assert (callbacks.filter_config_name, callbacks.most_specific_per_filter_config) == ("first", 2)
    assert callbacks.per_filter_configs == (1, 2)
    assert second.encoder_callbacks.most_specific_per_filter_config is None
    callbacks.set_route(None)
    assert callbacks.most_specific_per_filter_config is None
    callbacks.set_route(RouteStub({"second": (3,)}, {}))
    assert second.encoder_callbacks.most_specific_per_filter_config == 3


@pytest.mark.parametrize(
    ("route", "taking_part"),
    [
        (None, ["on"]),
        (RouteStub({}, {}), ["on"]),
        (RouteStub({}, {"on": True}), []),
        (RouteStub({}, {"off": False}), ["on", "off"]),
        (RouteStub({}, {"on": True, "off": False, "other": True}), ["off"]),
    ],
)
def test_routes_say_which_filters_take_part(route: Any, taking_part: list[str]) -> None:
    def named(name: str, disabled: bool) -> NamedFilter:
        return NamedFilter(name, lambda callbacks: callbacks.add_filter(Recorder()), disabled)

    factory = FilterChainFactory([named("on", False), named("off", True)])
    stream = FakeStream()
    stream.route = route
    chain = FilterChain(stream, factory)
    assert [handle.filter_config_name for handle in chain.decoding.handles] == taking_part


def test_no_route_is_looked_up_where_none_can_say_anything() -> None:
    class Unasked(FakeStream):
        route = property(lambda self: pytest.fail("the route was asked for"), lambda self, value: None)

    FilterChain(Unasked(), FilterChainFactory.of(lambda callbacks: callbacks.add_filter(Recorder())))
