"""The admin filter: whole requests in, whole answers out."""

from collections.abc import Callable, Iterator

import pytest

from envoymesh.admin.answer import CHUNK, AnswerWriter
from envoymesh.admin.context import AdminParts
from envoymesh.admin.filter import MAX_BODY, AdminFilter, admin_filter_factory
from envoymesh.admin.messages import Response
from envoymesh.admin.registry import Admin
from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamDecoderFilterCallbacks,
    WatermarkCallbacks,
)
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.network.api import PipeAddress
from envoymesh.network.loop.slices import Slices
from tests.support.fakes import FakeConnection, FakeDispatcher
from tests.support.stand_ins import stands_for


class Stream(stands_for(StreamDecoderFilterCallbacks)):
    """The callbacks that the filter uses, and what it answered."""

    def __init__(self) -> None:
        self.connection = FakeConnection()
        self.watermarks: WatermarkCallbacks | None = None
        self.sizes: list[int] = []
        self.headers: ResponseHeaders | None = None
        self.body = b""
        self.ended = False
        self.local_replies: list[int] = []

    def encode_headers(self, headers: ResponseHeaders, end_stream: bool, details: str) -> None:
        assert self.headers is None
        assert details == "admin_filter_response"
        self.headers, self.ended = headers, end_stream

    def encode_data(self, data: bytes, end_stream: bool) -> None:
        assert not self.ended
        self.sizes.append(len(data))
        self.body += data
        self.ended = end_stream

    def add_downstream_watermark_callbacks(self, callbacks: WatermarkCallbacks) -> None:
        self.watermarks = callbacks

    def send_local_reply(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        self.local_replies.append(status)


class Chain(stands_for(FilterChainFactoryCallbacks)):
    """Takes the one filter that the factory adds."""

    def __init__(self) -> None:
        self.filters: list[AdminFilter] = []

    def add_decoder_filter(self, filter_: AdminFilter) -> None:
        self.filters.append(filter_)

    def add_encoder_filter(self, filter_: object) -> None:
        raise AssertionError("the admin adds no encoder filter")


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
def dispatcher() -> FakeDispatcher:
    return FakeDispatcher()


@pytest.fixture
def slices(dispatcher: FakeDispatcher) -> Slices:
    return Slices(dispatcher)


@pytest.fixture
def admin_filter(context: AdminParts, stream: Stream, slices: Slices) -> AdminFilter:
    chain = Chain()
    admin_filter_factory(Admin(context), slices)(chain)
    (made,) = chain.filters
    made.set_decoder_filter_callbacks(stream)
    return made


def test_a_get_is_answered_at_once(admin_filter: AdminFilter, stream: Stream) -> None:
    assert admin_filter.decode_headers(RequestHeaders(b"GET", b"/ready"), True) is FilterHeadersStatus.STOP
    assert stream.headers is not None
    assert stream.headers.status == 200
    assert stream.headers.fields == [
        (b"content-type", b"text/plain; charset=UTF-8"),
        (b"cache-control", b"no-cache, max-age=0"),
        (b"x-content-type-options", b"nosniff"),
    ]
    assert (stream.body, stream.ended) == (b"LIVE\n", True)


def test_an_empty_answer_ends_with_its_headers(
    admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher
) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats?filter=none"), True)
    dispatcher.run_posted()
    assert (stream.body, stream.ended) == (b"", True)


def test_a_form_gives_the_parameters(admin_filter: AdminFilter, stream: Stream, context: AdminParts) -> None:
    headers = RequestHeaders(
        b"POST", b"/logging", fields=[(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]
    )
    admin_filter.decode_headers(headers, False)
    assert admin_filter.decode_data(b"ht", False) is FilterDataStatus.STOP_NO_BUFFER
    assert stream.headers is None
    admin_filter.decode_data(b"tp=debug", True)
    assert context.log_levels.levels()["http"] == "debug"
    assert b"  http: debug\n" in stream.body


def test_a_query_goes_before_a_form(admin_filter: AdminFilter, context: AdminParts) -> None:
    headers = RequestHeaders(
        b"POST", b"/logging?http=off", fields=[(b"content-type", b"application/x-www-form-urlencoded")]
    )
    admin_filter.decode_headers(headers, False)
    admin_filter.decode_data(b"http=debug", True)
    assert context.log_levels.levels()["http"] == "off"


def test_trailers_end_a_request(admin_filter: AdminFilter, stream: Stream) -> None:
    admin_filter.decode_headers(RequestHeaders(b"POST", b"/reopen_logs"), False)
    admin_filter.decode_data(b"ignored", False)
    assert admin_filter.decode_trailers(HeaderMap()) is FilterTrailersStatus.STOP
    assert stream.body == b"OK\n"


def test_a_body_over_the_bound_is_refused_once(admin_filter: AdminFilter, stream: Stream) -> None:
    admin_filter.decode_headers(RequestHeaders(b"POST", b"/runtime_modify"), False)
    admin_filter.decode_data(bytes(MAX_BODY), False)
    admin_filter.decode_data(b"x", False)
    admin_filter.decode_data(b"x", True)
    admin_filter.decode_trailers(HeaderMap())
    assert stream.local_replies == [413]
    assert stream.headers is None


class Workers:
    """Workers that take their time: `then` is called when the test says so."""

    def __init__(self) -> None:
        self.asked: list[Callable[[], None]] = []

    def gather(self, then: Callable[[], None]) -> None:
        self.asked.append(then)


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def waiting_filter(context: AdminParts, stream: Stream, workers: Workers, dispatcher: FakeDispatcher) -> AdminFilter:
    chain = Chain()
    admin_filter_factory(Admin(context), Slices(dispatcher), workers.gather)(chain)
    (made,) = chain.filters
    made.set_decoder_filter_callbacks(stream)
    return made


def test_counts_are_shown_when_they_are_gathered(
    waiting_filter: AdminFilter,
    stream: Stream,
    workers: Workers,
    context: AdminParts,
    dispatcher: FakeDispatcher,
) -> None:
    waiting_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    assert stream.headers is None
    context.store.scope("x.").counter("total").inc()
    (then,) = workers.asked
    then()
    dispatcher.run_posted()
    assert (stream.body, stream.ended) == (b"x.total: 1\n", True)


def test_a_change_is_made_at_once_and_answered_when_all_have_made_it(
    waiting_filter: AdminFilter, stream: Stream, workers: Workers, context: AdminParts
) -> None:
    counter = context.store.scope("x.").counter("total")
    counter.inc()
    waiting_filter.decode_headers(RequestHeaders(b"POST", b"/reset_counters"), True)
    assert counter.value == 0
    assert stream.headers is None
    (then,) = workers.asked
    then()
    assert (stream.body, stream.ended) == (b"OK\n", True)


def test_what_workers_do_not_count_needs_no_gathering(
    waiting_filter: AdminFilter, stream: Stream, workers: Workers
) -> None:
    waiting_filter.decode_headers(RequestHeaders(b"GET", b"/ready"), True)
    assert stream.body == b"LIVE\n"
    assert workers.asked == []


def test_a_stream_that_is_gone_is_not_answered(waiting_filter: AdminFilter, stream: Stream, workers: Workers) -> None:
    waiting_filter.decode_headers(RequestHeaders(b"GET", b"/clusters"), True)
    waiting_filter.on_destroy()
    (then,) = workers.asked
    then()
    assert stream.headers is None


def test_a_page_of_another_site_changes_nothing(admin_filter: AdminFilter, stream: Stream, context: AdminParts) -> None:
    counter = context.store.scope("x.").counter("total")
    counter.inc()
    headers = RequestHeaders(
        b"POST", b"/reset_counters", b"localhost:9901", fields=[(b"origin", b"http://evil.example")]
    )
    admin_filter.decode_headers(headers, True)
    assert counter.value == 1
    assert stream.headers is not None
    assert stream.headers.status == 403
    assert b"another site (Origin: http://evil.example)" in stream.body


def test_a_name_that_is_not_ours_is_not_answered_over_the_loopback(admin_filter: AdminFilter, stream: Stream) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/ready", b"rebound.example:9901"), True)
    assert stream.headers is not None
    assert stream.headers.status == 403
    assert b"(rebound.example:9901)" in stream.body


def test_elsewhere_a_name_is_anybodys(admin_filter: AdminFilter, stream: Stream) -> None:
    stream.connection = FakeConnection(local="10.0.0.1:9901")
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/ready", b"admin.example:9901"), True)
    assert stream.body == b"LIVE\n"


@pytest.fixture
def many(context: AdminParts) -> str:
    """So many stats that they take several chunks; what they are as text."""
    scope = context.store.scope("some.rather.long.prefix.")
    names = [f"some.rather.long.prefix.{index:05}" for index in range(4000)]
    for index in range(4000):
        scope.counter(f"{index:05}")
    return "".join(f"{name}: 0\n" for name in names)


def test_a_long_answer_is_written_in_chunks(
    admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher, many: str
) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    assert stream.headers is None, "not in this turn"
    dispatcher.run_posted()
    assert stream.body.decode() == many
    assert stream.ended
    assert len(stream.sizes) > 3
    assert all(CHUNK <= size < 2 * CHUNK for size in stream.sizes[:-1])


def test_a_client_that_does_not_read_is_not_written_for(
    admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher, slices: Slices, many: str
) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    assert stream.watermarks is not None
    stream.watermarks.on_above_write_buffer_high_watermark()
    dispatcher.run_posted()
    assert stream.headers is None
    # Above and below again before the work has noticed: it must not be done twice over.
    stream.watermarks.on_below_write_buffer_low_watermark()
    stream.watermarks.on_above_write_buffer_high_watermark()
    stream.watermarks.on_below_write_buffer_low_watermark()
    assert str(slices) == "Slices(1 under way)"
    dispatcher.run_posted()
    assert stream.body.decode() == many
    assert stream.ended
    stream.watermarks.on_above_write_buffer_high_watermark()
    stream.watermarks.on_below_write_buffer_low_watermark()
    dispatcher.run_posted()


def test_a_stream_that_goes_while_its_answer_is_made(
    admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher, many: str
) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    admin_filter.on_destroy()
    dispatcher.run_posted()
    assert stream.headers is None
    assert not dispatcher.posted


def test_what_comes_and_goes_meanwhile_breaks_no_answer(
    admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher, many: str, context: AdminParts
) -> None:
    scope = context.store.scope("zzz.")
    scope.counter("goes")
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    writer = stream.watermarks
    assert writer is not None
    writer.on_above_write_buffer_high_watermark()
    dispatcher.run_posted()
    context.store.scope("aaa.").counter("comes")
    scope.remove()
    writer.on_below_write_buffer_low_watermark()
    dispatcher.run_posted()
    lines = stream.body.decode().splitlines()
    assert lines == sorted(lines)
    assert len(lines) >= 4000


def test_head_makes_no_body(admin_filter: AdminFilter, stream: Stream, dispatcher: FakeDispatcher, many: str) -> None:
    admin_filter.decode_headers(RequestHeaders(b"HEAD", b"/stats"), True)
    dispatcher.run_posted()
    assert stream.headers is not None
    assert (stream.headers.status, stream.body, stream.ended) == (200, b"", True)


def test_an_answer_that_fails_is_given_up_and_reported(stream: Stream, dispatcher: FakeDispatcher) -> None:
    def body() -> Iterator[str]:
        yield "x" * CHUNK
        raise ZeroDivisionError

    writer = AnswerWriter(stream, Slices(dispatcher), Response(body()), wants_body=True)  # type: ignore[arg-type]
    writer.begin()
    with pytest.raises(ZeroDivisionError):
        dispatcher.run_posted()
    assert (len(stream.body), stream.ended, stream.local_replies) == (CHUNK, False, [500])
    dispatcher.run_posted()


def test_a_pipe_answers_to_any_name_but_to_no_other_site(admin_filter: AdminFilter, stream: Stream) -> None:
    stream.connection.local_address = PipeAddress("/run/admin.sock")
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/ready", b"rebound.example"), True)
    assert stream.headers is not None
    assert stream.headers.status == 200


def test_a_pipe_changes_nothing_for_another_site(admin_filter: AdminFilter, stream: Stream) -> None:
    stream.connection.local_address = PipeAddress("/run/admin.sock")
    origin = [(b"origin", b"http://other.example")]
    admin_filter.decode_headers(RequestHeaders(b"POST", b"/quitquitquit", b"x", fields=origin), True)
    assert stream.headers is not None
    assert stream.headers.status == 403
