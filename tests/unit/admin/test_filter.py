"""The admin filter: whole requests in, whole answers out."""

from collections.abc import Callable

import pytest

from envoymesh.admin.context import AdminContext
from envoymesh.admin.filter import MAX_BODY, AdminFilter, admin_filter_factory
from envoymesh.admin.registry import Admin
from envoymesh.http.filter import FilterDataStatus, FilterHeadersStatus, FilterTrailersStatus
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders


class Stream:
    """The callbacks that the filter uses, and what it answered."""

    def __init__(self) -> None:
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
        self.body += data
        self.ended = end_stream

    def send_local_reply(
        self, status: int, body: bytes, details: str, modify_headers: Callable[[ResponseHeaders], None] | None = None
    ) -> None:
        self.local_replies.append(status)


class Chain:
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
def admin_filter(context: AdminContext, stream: Stream) -> AdminFilter:
    chain = Chain()
    admin_filter_factory(Admin(context))(chain)
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


def test_an_empty_answer_ends_with_its_headers(admin_filter: AdminFilter, stream: Stream) -> None:
    admin_filter.decode_headers(RequestHeaders(b"GET", b"/stats?filter=none"), True)
    assert (stream.body, stream.ended) == (b"", True)


def test_a_form_gives_the_parameters(admin_filter: AdminFilter, stream: Stream, context: AdminContext) -> None:
    headers = RequestHeaders(
        b"POST", b"/logging", fields=[(b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")]
    )
    admin_filter.decode_headers(headers, False)
    assert admin_filter.decode_data(b"ht", False) is FilterDataStatus.STOP_NO_BUFFER
    assert stream.headers is None
    admin_filter.decode_data(b"tp=debug", True)
    assert context.log_levels.levels()["http"] == "debug"
    assert b"  http: debug\n" in stream.body


def test_a_query_goes_before_a_form(admin_filter: AdminFilter, context: AdminContext) -> None:
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
def waiting_filter(context: AdminContext, stream: Stream, workers: Workers) -> AdminFilter:
    chain = Chain()
    admin_filter_factory(Admin(context), workers.gather)(chain)
    (made,) = chain.filters
    made.set_decoder_filter_callbacks(stream)
    return made


def test_counts_are_shown_when_they_are_gathered(
    waiting_filter: AdminFilter, stream: Stream, workers: Workers, context: AdminContext
) -> None:
    waiting_filter.decode_headers(RequestHeaders(b"GET", b"/stats"), True)
    assert stream.headers is None
    context.store.scope("x.").counter("total").inc()
    (then,) = workers.asked
    then()
    assert (stream.body, stream.ended) == (b"x.total: 1\n", True)


def test_a_change_is_made_at_once_and_answered_when_all_have_made_it(
    waiting_filter: AdminFilter, stream: Stream, workers: Workers, context: AdminContext
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
