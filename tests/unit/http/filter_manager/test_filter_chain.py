"""The walk through a chain: order, stopping and resuming, limits; the end comes exactly once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.filter import (
    FilterChainFactoryCallbacks,
    FilterDataStatus,
    FilterHeadersStatus,
    FilterTrailersStatus,
    StreamFilter,
)
from envoymesh.http.filter_manager.filter_chain import FilterChain
from envoymesh.http.filter_manager.filter_plan import FilterChainFactory
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from tests.unit.filters.network.http_connection_manager.streams import DecoderFilter, EncoderFilter, FakeStream, request

STOP = FilterHeadersStatus.STOP
STOP_ALL = [FilterHeadersStatus.STOP_ALL_AND_BUFFER, FilterHeadersStatus.STOP_ALL_AND_WATERMARK]
BUFFER, WATERMARK = FilterDataStatus.STOP_AND_BUFFER, FilterDataStatus.STOP_AND_WATERMARK
PASS, KEEP = FilterDataStatus.CONTINUE, FilterDataStatus.STOP_NO_BUFFER
TRAILERS = HeaderMap([(b"x-t", b"1")])


def make(*adds: Callable[[FilterChainFactoryCallbacks], None], limit: int = 0) -> tuple[FilterChain, FakeStream]:
    stream = FakeStream(limit)
    chain = stream.chain = FilterChain(stream, FilterChainFactory.of(*adds))
    return chain, stream


def decoders(*filters: StreamFilter, limit: int = 0) -> tuple[FilterChain, FakeStream]:
    return make(*(lambda callbacks, each=each: callbacks.add_decoder_filter(each) for each in filters), limit=limit)


def encoders(*filters: StreamFilter, limit: int = 0) -> tuple[FilterChain, FakeStream]:
    """The chain of a response that passes `filters` in this order."""
    adds = [lambda callbacks, each=each: callbacks.add_encoder_filter(each) for each in reversed(filters)]
    return make(*adds, limit=limit)


def test_a_request_goes_first_to_last_and_a_response_last_to_first() -> None:
    order: list[str] = []

    class Noting(DecoderFilter):
        def decode_headers(self, headers, end_stream):  # type: ignore[no-untyped-def]
            order.append(f"request {headers.path.decode()} {id(self) == id(first)}")
            return super().decode_headers(headers, end_stream)

    first, second = Noting(), Noting()
    chain, _ = decoders(first, second)
    chain.decoding.pass_headers(request(b"/x"), True)
    assert order == ["request /x True", "request /x False"]
    near, far = EncoderFilter(), EncoderFilter()
    chain, stream = encoders(far, near)
    far.on_headers = STOP
    chain.encode_headers(ResponseHeaders(200), True)
    assert (far.seen.ends, near.seen.headers, stream.out.headers) == (1, None, None)
    far.encoder_callbacks.continue_encoding()
    assert (near.seen.ends, stream.out.ends) == (1, 1)


def test_a_stopped_filter_goes_on_with_what_it_kept() -> None:
    first, last = DecoderFilter(STOP, [BUFFER, BUFFER]), DecoderFilter()
    chain, _ = decoders(first, last)
    chain.decoding.pass_headers(request(), False)
    chain.decoding.pass_data(b"ab", False)
    chain.decoding.pass_data(b"cd", True)
    assert last.seen.headers is None
    assert first.decoder_callbacks.decoding_buffer == b"abcd"
    first.decoder_callbacks.continue_decoding()
    assert (last.seen.data, last.seen.ends) == (b"abcd", 1)
    first.decoder_callbacks.continue_decoding()
    assert last.seen.ends == 1


def test_data_that_a_filter_lets_pass_takes_the_headers_with_it() -> None:
    first, last = DecoderFilter(STOP, [BUFFER, PASS]), DecoderFilter()
    chain, _ = decoders(first, last)
    chain.decoding.pass_headers(request(), False)
    chain.decoding.pass_data(b"ab", False)
    chain.decoding.pass_data(b"cd", True)
    assert (last.seen.data, last.seen.ends) == (b"abcd", 1)


def test_data_that_was_not_kept_is_gone_but_not_the_end() -> None:
    first, last = DecoderFilter(STOP, [KEEP, KEEP]), DecoderFilter()
    chain, _ = decoders(first, last)
    chain.decoding.pass_headers(request(), False)
    chain.decoding.pass_data(b"ab", False)
    chain.decoding.pass_data(b"cd", True)
    first.decoder_callbacks.continue_decoding()
    assert (last.seen.data, last.seen.ends) == (b"", 1)


@pytest.mark.parametrize("direction", ["request", "response"])
def test_trailers_wait_too(direction: str) -> None:
    if direction == "request":
        first, last = DecoderFilter(STOP, [BUFFER], FilterTrailersStatus.STOP), DecoderFilter()
        chain, _ = decoders(first, last)
        chain.decoding.pass_headers(request(), False)
        chain.decoding.pass_data(b"ab", False)
        chain.decoding.pass_trailers(TRAILERS)
        assert last.seen.headers is None
        first.decoder_callbacks.continue_decoding()
    else:
        first, last = EncoderFilter(STOP, [BUFFER], FilterTrailersStatus.STOP), EncoderFilter()
        chain, _ = encoders(first, last)
        chain.encode_headers(ResponseHeaders(200), False)
        chain.encode_data(b"ab", False)
        chain.encode_trailers(TRAILERS)
        assert last.seen.headers is None
        first.encoder_callbacks.continue_encoding()
    assert (last.seen.data, last.seen.trailers, last.seen.ends) == (b"ab", TRAILERS, 1)


def test_too_large_a_request_is_413() -> None:
    first = DecoderFilter(STOP, [BUFFER, BUFFER])
    chain, stream = decoders(first, limit=3)
    chain.decoding.pass_headers(request(), False)
    chain.decoding.pass_data(b"abc", False)
    assert stream.replies == []
    chain.decoding.pass_data(b"d", False)
    assert stream.replies == [(413, "request_payload_too_large")]


def test_too_large_a_response_is_500() -> None:
    first = EncoderFilter(STOP, [BUFFER])
    chain, stream = encoders(first, limit=3)
    chain.encode_headers(ResponseHeaders(200), False)
    chain.encode_data(b"abcd", False)
    assert stream.replies == [(500, "response_payload_too_large")]


def test_a_watermark_pauses_the_client_once() -> None:
    first, last = DecoderFilter(STOP, [WATERMARK] * 3), DecoderFilter()
    chain, stream = decoders(first, last, limit=3)
    chain.decoding.pass_headers(request(), False)
    for _ in range(3):
        chain.decoding.pass_data(b"ab", False)
    assert (stream.read_disables, stream.replies) == ([True], [])
    first.decoder_callbacks.continue_decoding()
    assert stream.read_disables == [True, False]
    assert last.seen.data == b"ababab"


def test_a_watermark_pauses_the_upstream_once() -> None:
    first = EncoderFilter(STOP, [WATERMARK] * 3)
    chain, stream = encoders(first, limit=3)
    chain.encode_headers(ResponseHeaders(200), False)
    for _ in range(3):
        chain.encode_data(b"ab", False)
    assert stream.response_read_disables == [True]
    first.encoder_callbacks.continue_encoding()
    assert stream.response_read_disables == [True, False]
    assert stream.out.data == b"ababab"


def test_nothing_is_touched_once_the_stream_is_gone() -> None:
    class Resetting(DecoderFilter):
        def decode_headers(self, headers, end_stream):  # type: ignore[no-untyped-def]
            self.decoder_callbacks.reset_stream(StreamResetReason.LOCAL_RESET, "why")
            return FilterHeadersStatus.CONTINUE

    first, last = Resetting(), DecoderFilter()
    chain, stream = decoders(first, last)
    chain.decoding.pass_headers(request(), True)
    assert stream.resets == [(StreamResetReason.LOCAL_RESET, "why")]
    assert last.seen.headers is None
    chain.destroy()
    assert (first.destroyed, last.destroyed) == (1, 1)


def test_no_filter_sees_a_request_that_was_answered_meanwhile() -> None:
    first, last = DecoderFilter(STOP), DecoderFilter()
    chain, _ = decoders(first, last)
    chain.decoding.pass_headers(request(), True)
    first.decoder_callbacks.encode_headers(ResponseHeaders(200), True, "here")
    first.decoder_callbacks.continue_decoding()
    assert last.seen.headers is None


STATUSES = st.lists(st.sampled_from([PASS, BUFFER, WATERMARK]), max_size=6)
SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from([FilterHeadersStatus.CONTINUE, STOP, *STOP_ALL]),
        STATUSES,
        st.sampled_from(list(FilterTrailersStatus)),
    ),
    min_size=1,
    max_size=4,
)
CHUNKS = st.lists(st.binary(max_size=4), max_size=5)
ENDINGS = st.sampled_from(["headers", "data", "trailers"])


def play(chain: FilterChain, chunks: Sequence[bytes], ending: str, to: str, between: Callable[[], object]) -> bytes:
    """Send a message through the chain, filters resuming in between; what its body was."""
    headers = request() if to == "decode" else ResponseHeaders(200)
    way = chain.decoding if to == "decode" else chain.encoding
    assert way is not None
    send_headers, send_data, send_trailers = way.pass_headers, way.pass_data, way.pass_trailers
    if ending == "headers":
        send_headers(headers, True)
        return b""
    send_headers(headers, False)
    for chunk in filter(None, chunks):
        between()
        send_data(chunk, False)
    between()
    if ending == "data":
        send_data(b"end", True)
    else:
        send_trailers(TRAILERS)
    return b"".join(chunks) + (b"end" if ending == "data" else b"")


@given(SCRIPTS, CHUNKS, ENDINGS, st.randoms())
def test_every_request_arrives_whole_and_ends_once(
    scripts: list[tuple], chunks: list[bytes], ending: str, random: Random
) -> None:
    filters = [DecoderFilter(*script) for script in scripts]
    last = DecoderFilter()
    chain, _ = decoders(*filters, last)
    body = play(chain, chunks, ending, "decode", lambda: random.choice(filters).decoder_callbacks.continue_decoding())
    for each in [*filters] * 3:  # who stops all may stop again at the data, and at the trailers
        each.decoder_callbacks.continue_decoding()
    assert (last.seen.data, last.seen.ends) == (body, 1)
    assert (last.seen.trailers is TRAILERS) == (ending == "trailers")


@given(SCRIPTS, CHUNKS, ENDINGS, st.randoms())
def test_every_response_arrives_whole_and_ends_once(
    scripts: list[tuple], chunks: list[bytes], ending: str, random: Random
) -> None:
    filters = [EncoderFilter(*script) for script in scripts]
    chain, stream = encoders(*filters)
    body = play(chain, chunks, ending, "encode", lambda: random.choice(filters).encoder_callbacks.continue_encoding())
    for each in [*filters] * 3:
        each.encoder_callbacks.continue_encoding()
    assert (stream.out.data, stream.out.ends) == (body, 1)
    assert (stream.out.trailers is TRAILERS) == (ending == "trailers")
