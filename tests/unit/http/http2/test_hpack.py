"""HPACK against the `hpack` package as peer, by the RFC's own examples, and by malformed blocks."""

import random
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.http.http2 import hpack as own
from envoymesh.http.http2.hpack import Encoder, HpackError
from envoymesh.http.http2.hpack_tables import HUFFMAN_CODE_BITS, STATIC_TABLE


class Decoder:
    """The decoder, with its answers as lists."""

    def __init__(self, *arguments: Any) -> None:
        self._own = own.Decoder(*arguments)

    def decode(self, block: bytes) -> list[tuple[bytes, bytes]]:
        return list(self._own.decode(block))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


BACKENDS = [own.rust_huffman_decode, own.pure_huffman_decode]
NAMES = [b":path", b"x-a", b"x-request-id", b"authorization", b"cookie", b"accept", b"long" * 50]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=300)), max_size=12)

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]


@pytest.fixture(params=BACKENDS, ids=["rust", "pure"])
def decoder(request: pytest.FixtureRequest) -> Decoder:
    return Decoder(4096, request.param)


def test_tables_are_the_rfcs() -> None:
    from hpack.huffman_constants import REQUEST_CODES_LENGTH
    from hpack.table import HeaderTable

    assert tuple(HeaderTable.STATIC_TABLE) == STATIC_TABLE
    assert list(HUFFMAN_CODE_BITS) == list(REQUEST_CODES_LENGTH[:256])


def test_rfc_7541_c4_requests_with_huffman(decoder: Decoder) -> None:
    assert decoder.decode(bytes.fromhex("828684418cf1e3c2e5f23a6ba0ab90f4ff")) == REQUEST
    second = decoder.decode(bytes.fromhex("828684be5886a8eb10649cbf"))
    assert second == [*REQUEST, (b"cache-control", b"no-cache")]
    third = decoder.decode(bytes.fromhex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"))
    assert third == [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/index.html"),
        (b":authority", b"www.example.com"),
        (b"custom-key", b"custom-value"),
    ]


def test_a_repeated_field_is_the_same_object(decoder: Decoder) -> None:
    encoder = Encoder()
    first = decoder.decode(encoder.encode(REQUEST))
    again = decoder.decode(encoder.encode(REQUEST))
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert len(encoder.encode(REQUEST)) == len(REQUEST)


@given(st.lists(FIELDS, max_size=6), st.sampled_from(BACKENDS))
def test_blocks_of_the_peer_decode(lists: list[list[tuple[bytes, bytes]]], backend: own.HuffmanDecode) -> None:
    peer, mine = hpack.Encoder(), Decoder(4096, backend)
    for fields in lists:
        assert mine.decode(peer.encode(fields)) == fields


@given(st.lists(st.tuples(FIELDS, st.sampled_from([None, 0, 64, 300, 4096, 100000])), max_size=8))
def test_the_peer_decodes_our_blocks_through_table_resizes(
    steps: list[tuple[list[tuple[bytes, bytes]], int | None]],
) -> None:
    mine, peer, own_peer = Encoder(), hpack.Decoder(), Decoder()
    for fields, size in steps:
        if size is not None:
            mine.set_peer_limit(size)
            peer.max_allowed_table_size = size
        block = mine.encode(fields)
        assert [(bytes(n), bytes(v)) for n, v in peer.decode(block, raw=True)] == fields
        assert own_peer.decode(block) == fields


def test_both_backends_agree_with_each_other_on_any_string() -> None:
    source = random.Random(7)
    decoders = [Decoder(4096, backend) for backend in BACKENDS]
    accepted = 0
    for _ in range(3000):
        data = source.randbytes(source.randint(1, 6))
        block = b"\x00\x01a" + bytes([0x80 | len(data)]) + data
        results = []
        for decoder in decoders:
            try:
                results.append(decoder.decode(block))
            except HpackError:
                results.append(None)
        assert results[0] == results[1], data.hex()
        accepted += results[0] is not None
    assert accepted


def test_long_huffman_strings(decoder: Decoder) -> None:
    fields = [(b"x-long", b"abcdefgh" * 4000)]
    assert decoder.decode(hpack.Encoder().encode(fields)) == fields


@pytest.mark.parametrize(
    "block",
    [
        pytest.param("80", id="index 0"),
        pytest.param("be", id="index of an empty table"),
        pytest.param("ff7f", id="index far out"),
        pytest.param("7e0161", id="name index of an empty table"),
        pytest.param("ff", id="integer cut short"),
        pytest.param("ffffffffffffffff7f", id="integer too large"),
        pytest.param("ff80808080808080807f", id="integer with endless zeros"),
        pytest.param("007f8080808080" + "00" + "61" * 127 + "0161", id="integer in more bytes than any needs"),
        pytest.param("00", id="literal without name"),
        pytest.param("0001", id="name cut short"),
        pytest.param("000161", id="literal without value"),
        pytest.param("00016105616263", id="value cut short"),
        pytest.param("8220", id="late size update"),
        pytest.param("3fe21f", id="size over the limit"),
        pytest.param("0001618118", id="Huffman padding of zeros"),
        pytest.param("0001618119", id="Huffman padding not of ones"),
        pytest.param("000161821fff", id="Huffman padding longer than 7 bits"),
        pytest.param("00016184ffffffff", id="Huffman EOS"),
        pytest.param("000161" + "81ff", id="Huffman padding alone"),
    ],
)
def test_malformed_blocks(decoder: Decoder, block: str) -> None:
    with pytest.raises(HpackError):
        decoder.decode(bytes.fromhex(block))


def test_any_prefix_of_a_block_is_an_error_or_a_shorter_list(decoder: Decoder) -> None:
    block = hpack.Encoder().encode([*REQUEST, (b"x-a", b"value of some length")])
    for end in range(len(block)):
        try:
            fields = Decoder().decode(block[:end])
        except HpackError:
            continue
        assert len(fields) < len(REQUEST) + 1


def test_size_updates_first_are_taken_and_evict(decoder: Decoder) -> None:
    decoder.decode(Encoder().encode(REQUEST))
    assert decoder.decode(bytes.fromhex("203fe11f82")) == [(b":method", b"GET")]
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


def test_an_entry_larger_than_the_table_empties_it(decoder: Decoder) -> None:
    decoder.set_limit(64)
    block = b"\x3f\x21" + b"\x40\x01a\x01b" + b"\x40\x01c\x28" + b"d" * 40
    assert decoder.decode(block) == [(b"a", b"b"), (b"c", b"d" * 40)]
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


def test_a_smaller_limit_of_ours_binds_the_peer(decoder: Decoder) -> None:
    decoder.set_limit(100)
    with pytest.raises(HpackError):
        decoder.decode(b"\x3f\x46")  # 101
    assert decoder.decode(b"\x3f\x45\x82") == [(b":method", b"GET")]


def test_secrets_are_never_indexed_and_rare_values_not() -> None:
    encoder = Encoder()
    fields = [(b"authorization", b"Basic x"), (b"x-request-id", b"1"), (b"x-a", b"1")]
    block = encoder.encode(fields)
    assert block[0] == 0x1F
    assert repr(encoder).startswith("<hpack.Encoder 1 entries")
    indexable = [
        (bytes(name), type(field).__name__) for field in hpack.Decoder().decode(block, raw=True) for name in field[:1]
    ]
    assert indexable[0] == (b"authorization", "NeverIndexedHeaderTuple")


def test_the_encoder_keeps_to_its_own_cap() -> None:
    encoder = Encoder(0)
    block = encoder.encode([(b"x-a", b"b")])
    assert block[0] == 0x20
    assert encoder.encode([(b"x-a", b"b")]) == b"\x00\x03x-a\x01b"


def test_a_field_evicted_is_a_literal_again() -> None:
    encoder, decoder = Encoder(), hpack.Decoder()
    for number in range(500):
        fields = [(b"x-a", b"%d" % number), (b"x-b", b"same")]
        assert [tuple(field) for field in decoder.decode(encoder.encode(fields), raw=True)] == fields


def test_a_repeated_block_is_the_same_tuple_until_the_table_changes() -> None:
    encoder, decoder = Encoder(), own.Decoder()
    decoder.decode(encoder.encode(REQUEST))
    block = encoder.encode(REQUEST)
    first = decoder.decode(block)
    assert first == tuple(REQUEST)
    assert decoder.decode(block) is first
    decoder.decode(encoder.encode([(b"x-new", b"1")]))
    assert decoder.decode(block) != first
    assert decoder.decode(encoder.encode(REQUEST)) == first
    assert decoder.decode(b"\x20" + block[:3]) == REQUEST[:3]
    with pytest.raises(HpackError):
        decoder.decode(block)
    for number in range(1, 62):
        decoder.decode(bytes([0x80 | number]))
    assert len(decoder._recent) <= 32


@given(
    fields=st.lists(st.tuples(st.binary(min_size=1, max_size=40), st.binary(max_size=200)), max_size=30), data=st.data()
)
def test_a_block_in_parts_is_the_same(fields: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    block = Encoder().encode(fields + fields)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(block)), max_size=4)))
    whole, parts = Decoder(), Decoder()
    for start, stop in zip([0, *cuts], cuts, strict=False):
        parts.decode_part(block[start:stop], 1000)
    assert list(parts.decode(block[cuts[-1] if cuts else 0 :])) == list(whole.decode(block))
    again = Encoder().encode([])
    assert list(parts.decode(again)) == []
    assert list(parts._table) == list(whole._table)


def test_of_a_block_without_end_few_fields_are_kept() -> None:
    decoder = Decoder()
    for _ in range(20):
        decoder.decode_part(b"\x82" * 16384, 100)
    assert len(decoder.decode(b"\x82")) == 102


@pytest.mark.parametrize("block", [b"\x82\xff", b"\x82\x00\x05abc", b"\x82\xbe"])
def test_parts_that_end_within_a_field(block: bytes) -> None:
    decoder = Decoder()
    decoder.decode_part(block, 100)
    with pytest.raises(HpackError):
        decoder.decode(b"")
