"""The harness itself: it notices what it is there to notice, and says how to see it again."""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import strategies as st

from envoymesh.errors import CodecProtocolError
from envoymesh.http.headers import RequestHeaders
from envoymesh.http.http1 import Http1ServerCodec
from envoymesh.http.http1.chunked import ChunkedDecoder
from envoymesh.http.http2.hpack import Encoder
from envoymesh.network.listener.client_hello import ClientHelloReader
from tests.conftest import missing
from tests.fuzz import __main__ as command_line
from tests.fuzz import campaign, corpus, registry
from tests.fuzz.driver import Http1ServerSide, deliver
from tests.fuzz.failure import describe, smallest
from tests.fuzz.registry import find
from tests.fuzz.target import Target, pieces, same_however_cut, ways_to_cut
from tests.fuzz.targets.http1 import settings_of

CHUNKED = b"\x00POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


def test_ways_to_cut_hold_all_bytes_and_are_the_same_again() -> None:
    ways = ways_to_cut(b"abcdef")
    assert ways[:2] == [[b"abcdef"], [b"a", b"b", b"c", b"d", b"e", b"f"]]
    assert all(b"".join(way) == b"abcdef" for way in ways)
    assert ways == ways_to_cut(b"abcdef")
    assert ways_to_cut(b"") == [[], [], [], []]
    assert pieces(b"abc", [0, 2, 2, 3, 9]) == [b"ab", b"c"]


def test_an_outcome_that_depends_on_the_cuts_is_noticed() -> None:
    with pytest.raises(AssertionError, match="cut into"):
        same_however_cut(b"abc", len)
    assert same_however_cut(b"abc", b"".join) == b"abc"


# Faults in the code itself, each noticed by an input that is kept or by the grammar.


def test_a_decoder_that_forgets_half_a_line_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    take_line = ChunkedDecoder._take_line

    def forgetful(self: Any, data: bytes, pos: int) -> tuple[bytes, int]:
        self._line = []
        return take_line(self, data, pos)

    monkeypatch.setattr(ChunkedDecoder, "_take_line", forgetful)
    for name, data in (("http1-chunked", b"3\r\nabc\r\n0\r\n\r\n"), ("http1-server", CHUNKED)):
        with pytest.raises(AssertionError, match="cut into"):
            find(name).check(data)


def test_an_exception_of_another_kind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, *_: Any) -> Any:
        raise IndexError("bytes index out of range")

    monkeypatch.setattr(Http1ServerCodec, "_check_coding", broken)
    with pytest.raises(IndexError):
        find("http1-server").check(CHUNKED)


def test_an_encoder_that_loses_a_field_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, fields: encode(self, fields[:-1]))
    with pytest.raises(AssertionError):
        find("hpack").check(b"\x00\x02\x82\x86")


def test_a_hello_read_from_its_start_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    feed = ClientHelloReader.feed
    monkeypatch.setattr(ClientHelloReader, "feed", lambda self, data: feed(ClientHelloReader(), data))
    with pytest.raises(AssertionError, match="cut into"):
        find("client-hello").check(corpus.load("client-hello")[0])


def test_a_codec_that_takes_nothing_and_says_nothing_is_noticed() -> None:
    side = Http1ServerSide(None, "end", settings_of(0))

    class Idle:
        def dispatch(self, data: bytes) -> int:
            return 0

    side.codec = Idle()
    with pytest.raises(AssertionError, match="must have disabled reading"):
        deliver(side, [b"x"])


# The driver


def test_bytes_wait_while_reading_is_disabled_and_what_was_not_taken_comes_first() -> None:
    seen: list[bytes] = []
    side = Http1ServerSide(None, "end", settings_of(0))

    class Choosy:
        """Takes two bytes at most."""

        def dispatch(self, data: bytes) -> int:
            seen.append(data)
            if data == b"stop":
                side.wire.read_disable(True)
                return 4
            if data == b"bad":
                raise CodecProtocolError("http1.codec_error")
            return min(len(data), 2)

    side.codec = Choosy()
    assert deliver(side, [b"abcde", b"stop", b"never"]) is None
    assert seen == [b"abcde", b"cde", b"e", b"stop"]
    side.wire.read_disable(False)
    assert deliver(side, [b"bad", b"never"]) == ("http1.codec_error", 400, False, "")
    assert seen[4:] == [b"bad"]


# Failures


def test_a_failure_is_made_small_and_says_how_to_see_it_again() -> None:
    def check(data: bytes) -> None:
        assert b"!" not in data, "an exclamation mark"

    failure = describe("path", check, b"some text! and more")
    assert failure.data == b"!"
    assert "an exclamation mark" in str(failure)
    assert "replay .venv/bin/python -m tests.fuzz replay path 21" in str(failure)


def test_what_still_fails_stays() -> None:
    def fails(data: bytes) -> bool:
        return b"a" in data and b"z" in data

    assert smallest(b"-a---z-", fails) == b"az"


def _faulty(data: bytes) -> None:
    assert zlib.crc32(data) % 50, "one of fifty"


@pytest.mark.parametrize("guided", [False, True])
def test_a_run_finds_counts_and_tells(
    guided: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = Target("path", _faulty, st.binary(max_size=8))
    monkeypatch.setattr(campaign, "find", lambda name: target)
    monkeypatch.setattr(campaign, "has_atheris", lambda: guided)

    def guide(targets: list[Target], rows: dict[str, campaign.Row], seconds: float) -> None:
        rows["path"].guided = 7

    monkeypatch.setattr(campaign, "by_coverage", guide)
    assert command_line.fuzz(["path"], 5.0) == 1
    out = capsys.readouterr().out
    assert "path FAILED" in out
    assert ("NO COVERAGE-GUIDED FUZZING" in out) != guided
    last = out.splitlines()[-1].split()
    assert last[0] == "path"
    assert (last[2], last[3]) == ("7" if guided else "no", "1")


@pytest.mark.slow
def test_the_guided_fuzzer_runs_all_its_targets() -> None:
    if not campaign.has_atheris():
        missing("atheris", "atheris, for coverage-guided fuzzing, is not installed (make fuzz tries to)")
    targets = [find("path"), find("http1-target")]
    rows = {target.name: campaign.Row(target.name, seeds=[b"/a"]) for target in targets}
    campaign.by_coverage(targets, rows, 1.0)
    assert all(row.guided > 0 and not row.failures for row in rows.values())


def test_every_target_is_listed_once() -> None:
    assert len(set(registry.NAMES)) == len(registry.NAMES)
    assert [find(name).name for name in registry.NAMES] == registry.NAMES
    with pytest.raises(KeyError):
        find("nonsense")


def test_the_server_side_of_the_driver_is_a_server() -> None:
    requests: list[RequestHeaders] = []
    side = Http1ServerSide(lambda message: requests.append(message.headers), "end", settings_of(0))
    assert deliver(side, pieces(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", range(99))) is None
    assert [headers.path for headers in requests] == [b"/x"]
