"""Which header lists are messages, and what becomes of them. Most rows are what the real Envoy 1.40 did."""

import pytest

from envoymesh.http.http2.messages import (
    NO_LENGTH,
    UNDERSCORE,
    MalformedMessageError,
    MessageReader,
    UnderscoreRejectedError,
)

GET = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
TUNNEL = [(b":method", b"CONNECT"), (b":authority", b"a:1")]
WEBSOCKET = [*GET[1:], (b":method", b"CONNECT"), (b":protocol", b"websocket")]


def changed(name: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    return [(key, value if key == name else old) for key, old in GET]


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(GET[1:], id="no method"),
        pytest.param(GET[:1] + GET[2:], id="no scheme"),
        pytest.param(GET[:2] + GET[3:], id="no path"),
        pytest.param(GET[:3], id="no authority"),
        pytest.param([*GET, GET[0]], id="method twice"),
        pytest.param([*GET[:3], (b"a", b"b"), GET[3]], id="pseudo-header after a field"),
        pytest.param([*GET[:3], (b"host", b"b"), GET[3]], id="pseudo-header after host"),
        pytest.param([*GET[:3], (b"cookie", b"b"), GET[3]], id="pseudo-header after cookie"),
        pytest.param([*GET, (b":foo", b"x")], id="unknown pseudo-header"),
        pytest.param([*GET, (b":status", b"200")], id="response pseudo-header"),
        pytest.param([*GET, (b":", b"x")], id="colon"),
        pytest.param([*GET, (b"X-A", b"b")], id="upper case"),
        pytest.param([*GET, (b"", b"b")], id="empty name"),
        pytest.param([*GET, (b"a b", b"b")], id="space in a name"),
        pytest.param([*GET, (b"a:", b"b")], id="colon in a name"),
        pytest.param([*GET, (b"caf\xc3\xa9", b"b")], id="not ASCII in a name"),
        pytest.param([*GET, (b"x-a", b"b\r\nc")], id="CRLF in a value"),
        pytest.param([*GET, (b"x-a", b"b\nc")], id="LF in a value"),
        pytest.param([*GET, (b"x-a", b"b\0c")], id="NUL in a value"),
        pytest.param([*GET, (b"connection", b"close")], id="connection"),
        pytest.param([*GET, (b"keep-alive", b"1")], id="keep-alive"),
        pytest.param([*GET, (b"proxy-connection", b"x")], id="proxy-connection"),
        pytest.param([*GET, (b"transfer-encoding", b"chunked")], id="transfer-encoding"),
        pytest.param([*GET, (b"upgrade", b"foo")], id="upgrade"),
        pytest.param([*GET, (b"te", b"gzip")], id="te"),
        pytest.param([*GET, (b"te", b"trailers, gzip")], id="te with more"),
        pytest.param(changed(b":path", b""), id="empty path"),
        pytest.param(changed(b":path", b"foo"), id="relative path"),
        pytest.param(changed(b":path", b"*"), id="asterisk without OPTIONS"),
        pytest.param(changed(b":path", b"/a b"), id="space in the path"),
        pytest.param(changed(b":path", b" /a"), id="space before the path"),
        pytest.param(changed(b":scheme", b"ht+!"), id="bad scheme"),
        pytest.param(changed(b":method", b"F O"), id="bad method"),
        pytest.param(changed(b":method", b""), id="empty method"),
        pytest.param(changed(b":authority", b"a b"), id="space in the authority"),
        pytest.param(changed(b":authority", b"u@a"), id="user in the authority"),
        pytest.param([*GET[:3], (b"host", b"b/c")], id="slash in the host"),
        pytest.param([*GET[:3], (b"host", b"b"), (b"host", b"b")], id="host twice"),
        pytest.param([*GET, (b"content-length", b"abc")], id="content-length no number"),
        pytest.param([*GET, (b"content-length", b"+1")], id="content-length with a sign"),
        pytest.param([*GET, (b"content-length", b"")], id="content-length empty"),
        pytest.param([*GET, (b"content-length", b"0, 0")], id="content-length list"),
        pytest.param([*GET, (b"content-length", b"0"), (b"content-length", b"0")], id="content-length twice"),
        pytest.param([*TUNNEL, (b":path", b"/")], id="CONNECT with a path"),
        pytest.param([*TUNNEL, (b":scheme", b"http")], id="CONNECT with a scheme"),
        pytest.param(TUNNEL[:1], id="CONNECT to nowhere"),
        pytest.param(WEBSOCKET, id="extended CONNECT not allowed"),
        pytest.param([*GET, (b":protocol", b"websocket")], id=":protocol without CONNECT"),
    ],
)
def test_malformed_requests(block: list[tuple[bytes, bytes]]) -> None:
    reader = MessageReader()
    for _ in range(2):  # what is remembered must not make it right
        with pytest.raises(MalformedMessageError):
            reader.request(block)


def test_a_request() -> None:
    reader = MessageReader()
    request = reader.request([*GET, (b"te", b"trailers"), (b"x-a", b"b"), (b"x-a", b"c"), (b"content-length", b"12")])
    assert (request.method, request.scheme, request.path, request.authority) == (b"GET", b"http", b"/", b"a")
    assert request.fields == [(b"te", b"trailers"), (b"x-a", b"b"), (b"x-a", b"c"), (b"content-length", b"12")]
    assert reader.content_length == 12
    reader.request(GET)
    assert reader.content_length == NO_LENGTH


def test_spaces_around_a_value_stay_as_envoy_has_it() -> None:
    reader = MessageReader()
    for _ in range(2):
        assert reader.request([*GET, (b"x-a", b" \tb c ")]).fields == [(b"x-a", b" \tb c ")]
    for field in ((b"content-length", b" 1"), (b"host", b" a"), (b"te", b"trailers ")):
        with pytest.raises(MalformedMessageError):
            reader.request([*GET, field])


def test_paths_and_methods_that_pass() -> None:
    reader = MessageReader()
    assert reader.request(changed(b":path", b"/a\xe9#b")).path == b"/a\xe9#b"
    assert reader.request([(b":method", b"OPTIONS"), *changed(b":path", b"*")[1:]]).path == b"*"
    assert reader.request(changed(b":method", b"FOO")).method == b"FOO"


def test_cookie_crumbs_are_joined_at_the_end() -> None:
    crumbs = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")]
    assert MessageReader().request([*GET, *crumbs]).fields == [(b"x", b"y"), (b"cookie", b"a=1; b=2")]


def test_host_stands_in_for_authority_and_yields_to_it() -> None:
    reader = MessageReader()
    assert reader.request([*GET[:3], (b"host", b"b")]).authority == b"b"
    both = reader.request([*GET, (b"host", b"b")])
    assert both.authority == b"a"
    assert both.fields == []


def test_connect() -> None:
    request = MessageReader().request(TUNNEL)
    assert (request.method, request.path, request.authority, request.protocol) == (b"CONNECT", b"", b"a:1", None)
    extended = MessageReader(allow_connect=True).request(WEBSOCKET)
    assert (extended.method, extended.path, extended.protocol) == (b"GET", b"/", None)
    assert extended.fields[-2:] == [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    stream = MessageReader(allow_connect=True).request([*WEBSOCKET[:-1], (b":protocol", b"bytestream")])
    assert (stream.method, stream.protocol) == (b"CONNECT", b"bytestream")
    with pytest.raises(MalformedMessageError):
        MessageReader(allow_connect=True).request([*TUNNEL, (b":protocol", b"websocket")])


def test_underscores() -> None:
    block = [*GET, (b"x_a", b"1"), (b"x-b", b"2")]
    assert MessageReader().request(block).fields == [(b"x_a", b"1"), (b"x-b", b"2")]
    dropping = MessageReader(underscores="DROP_HEADER")
    assert dropping.request(block).fields == [(b"x-b", b"2")]
    assert dropping.dropped_underscores == 1
    with pytest.raises(UnderscoreRejectedError, match=UNDERSCORE):
        MessageReader(underscores="REJECT_REQUEST").request(block)


def test_a_response() -> None:
    response = MessageReader().response([(b":status", b"404"), (b"host", b"x"), (b"content-length", b"3")])
    assert response.status == 404
    assert sorted(response.fields) == [(b"content-length", b"3"), (b"host", b"x")]


@pytest.mark.parametrize(
    "block",
    [
        [],
        [(b":status", b"20")],
        [(b":status", b"abc")],
        [(b":status", b"099")],
        [(b":status", b"101")],
        [(b":status", b"200"), (b":status", b"200")],
        [(b":status", b"200"), (b":path", b"/")],
        [(b":status", b"200"), (b"connection", b"close")],
        [(b"a", b"b"), (b":status", b"200")],
    ],
)
def test_malformed_responses(block: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(MalformedMessageError):
        MessageReader().response(block)


def test_trailers() -> None:
    reader = MessageReader()
    assert reader.trailers([(b"grpc-status", b"0"), (b"host", b"x")]).fields == [
        (b"grpc-status", b"0"),
        (b"host", b"x"),
    ]
    for field in GET[2], (b":status", b"200"), (b"connection", b"x"):
        with pytest.raises(MalformedMessageError):
            reader.trailers([field])


def test_what_is_remembered_is_bounded() -> None:
    reader = MessageReader()
    for number in range(3000):
        reader.request([*GET, (b"x-a", b"%d" % number)])
        reader.request([*GET, (b"x-a", b"%0500d" % number)])
    assert len(reader._known) <= 512
    assert max(len(value) for _, value in reader._known) <= 128


def test_a_tuple_is_remembered_and_each_message_is_its_own() -> None:
    reader = MessageReader(underscores="DROP_HEADER")
    block = (*GET, (b"cookie", b"a"), (b"content-length", b"3"), (b"x_y", b"z"), (b"cookie", b"b"), (b"host", b"h"))
    first = reader.request(block)
    reader.request(GET)
    first.fields.clear()
    again = reader.request(block)
    assert again.fields == [(b"content-length", b"3"), (b"cookie", b"a; b")]
    assert (reader.content_length, reader.dropped_underscores) == (3, 1)
    other = tuple(GET)
    assert reader.request(other).fields == []
    assert reader.content_length == NO_LENGTH
    for number in range(100):
        reader.request((*GET, (b"x-a", b"%d" % number)))
    assert len(reader._sorted) <= 32


def test_a_malformed_tuple_stays_malformed() -> None:
    reader = MessageReader()
    block = (*GET, (b"connection", b"close"))
    for _ in range(2):
        with pytest.raises(MalformedMessageError):
            reader.request(block)
    with pytest.raises(MalformedMessageError):
        reader.response(tuple(GET))
    with pytest.raises(MalformedMessageError):
        reader.trailers(tuple(GET))
