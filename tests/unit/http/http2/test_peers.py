"""The `h2` library as peer, in both roles."""

import h2.config
import h2.connection
import h2.events
from h2.settings import SettingCodes

from envoymesh.http.codec import StreamResetReason
from envoymesh.http.headers import HeaderMap, ResponseHeaders
from envoymesh.http.http2 import Http2Settings
from tests.support.http2 import ClientSide, Events, ServerSide, get, post

HEADERS = [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "a"), ("x-a", "b")]


def h2_side(client: bool) -> h2.connection.H2Connection:
    side = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding=None))
    side.initiate_connection()
    return side


def carry(peer: h2.connection.H2Connection, own: ServerSide | ClientSide) -> list[h2.events.Event]:
    """Move bytes until there are none; the peer gives back window for what it gets."""
    events: list[h2.events.Event] = []
    while True:
        outgoing = peer.data_to_send()
        if outgoing:
            own.codec.dispatch(outgoing)
        incoming = own.wire.take()
        if not outgoing and not incoming:
            return events
        fresh = peer.receive_data(incoming)
        for event in fresh:
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        events += fresh


def of(events: list[h2.events.Event], kind: type) -> list[h2.events.Event]:
    return [event for event in events if isinstance(event, kind)]


def echo(request: Events) -> None:
    request.encoder.encode_1xx_headers(ResponseHeaders(103, [(b"link", b"</s>")]))
    request.encoder.encode_headers(ResponseHeaders(200, [(b"x-path", request.headers.path)]), False)
    request.encoder.encode_data(bytes(request.body), False)
    request.encoder.encode_trailers(HeaderMap([(b"grpc-status", b"0")]))


def test_server_echoes_a_large_body_to_h2() -> None:
    server, peer = ServerSide(echo), h2_side(client=True)
    events = carry(peer, server)
    body = bytes(range(256)) * 1500
    for stream_id in (1, 3):
        peer.send_headers(stream_id, HEADERS)
    for start in range(0, len(body), 16000):
        for stream_id in (1, 3):
            peer.send_data(stream_id, body[start : start + 16000], end_stream=start + 16000 >= len(body))
        events += carry(peer, server)
    for stream_id in (1, 3):
        mine = [event for event in events if getattr(event, "stream_id", None) == stream_id]
        kinds = [
            type(event) for event in mine if not isinstance(event, h2.events.DataReceived | h2.events.WindowUpdated)
        ]
        assert kinds == [
            h2.events.InformationalResponseReceived,
            h2.events.ResponseReceived,
            h2.events.TrailersReceived,
            h2.events.StreamEnded,
        ]
        assert b"".join(event.data for event in mine if isinstance(event, h2.events.DataReceived)) == body
        assert (b"x-path", b"/x") in of(mine, h2.events.ResponseReceived)[0].headers
    assert server.requests[0].headers.get(b"x-a") == b"b"
    assert server.stats.used == {}


def test_server_takes_h2s_trailers_pings_settings_and_resets() -> None:
    server, peer = ServerSide(echo), h2_side(client=True)
    events = carry(peer, server)
    peer.send_headers(1, HEADERS)
    peer.send_data(1, b"x", pad_length=20)
    peer.send_headers(1, [("x-t", "1")], end_stream=True)
    peer.ping(b"12345678")
    peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0, SettingCodes.MAX_FRAME_SIZE: 20000})
    peer.prioritize(3, weight=10)
    events += carry(peer, server)
    assert server.requests[0].trailers is not None
    assert of(events, h2.events.PingAckReceived)
    assert len(of(events, h2.events.SettingsAcknowledged)) == 2
    peer.send_headers(3, HEADERS)
    peer.reset_stream(3, 8)
    peer.send_headers(5, HEADERS, end_stream=True)
    events = carry(peer, server)
    assert server.requests[1].reset == (StreamResetReason.REMOTE_RESET, "http2.remote_reset")
    assert [event.stream_id for event in of(events, h2.events.StreamEnded)] == [5]


def test_server_goes_away_gracefully() -> None:
    server, peer = ServerSide(None), h2_side(client=True)
    peer.send_headers(1, HEADERS, end_stream=True)
    carry(peer, server)
    server.codec.shutdown_notice()
    events = carry(peer, server)
    assert [event.last_stream_id for event in of(events, h2.events.ConnectionTerminated)] == [(1 << 31) - 1]
    server.codec.go_away()
    echo(server.requests[0])
    data = server.wire.take()
    assert b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00" in data
    assert server.stats.used == {"goaway_sent": 1}  # as in Envoy, the notice is not counted


def client_with_h2() -> tuple[ClientSide, h2.connection.H2Connection]:
    client, peer = ClientSide(), h2_side(client=False)
    carry(peer, client)
    return client, peer


def test_client_exchanges_large_bodies_with_h2() -> None:
    client, peer = client_with_h2()
    body = b"0123456789" * 30000
    streams = [client.request(post(b"/x", (b"x-a", b"b")), end_stream=False) for _ in range(2)]
    for stream in streams:
        stream.encoder.encode_data(body, False)
        stream.encoder.encode_trailers(HeaderMap([(b"x-t", b"1")]))
    events = carry(peer, client)
    request = of(events, h2.events.RequestReceived)[0]
    assert request.headers[:4] == [
        (b":authority", b"a"),
        (b":path", b"/x"),
        (b":method", b"POST"),
        (b":scheme", b"http"),
    ]
    assert len(of(events, h2.events.TrailersReceived)) == 2
    for stream_id in (1, 3):
        mine = [e for e in of(events, h2.events.DataReceived) if e.stream_id == stream_id]
        assert b"".join(event.data for event in mine) == body
        peer.send_headers(stream_id, [(":status", "100")])
        peer.send_headers(stream_id, [(":status", "200"), ("set-cookie", "a"), ("set-cookie", "b")])
        for start in range(0, 100000, 10000):
            peer.send_data(stream_id, body[start : start + 10000], pad_length=5)
            if start % 20000 == 0:
                carry(peer, client)
        peer.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
        carry(peer, client)
    for stream in streams:
        assert [headers.status for headers in stream.interim] == [100]
        assert stream.headers.get_all(b"set-cookie") == [b"a", b"b"]
        assert stream.body == body[:100000]
        assert stream.trailers is not None
    assert client.completed == 2


def test_client_hears_of_h2s_goaway() -> None:
    client, peer = client_with_h2()
    first, second = (client.request(get()) for _ in range(2))
    carry(peer, client)
    peer.close_connection(last_stream_id=1)
    client.codec.dispatch(peer.data_to_send())
    assert second.reset == (StreamResetReason.REMOTE_REFUSED_STREAM_RESET, "http2.remote_refuse")
    assert first.reset is None
    assert (client.goaways, client.resets) == ([0], 1)
    assert not client.codec.can_take_stream


def test_client_follows_h2s_settings() -> None:
    client, peer = client_with_h2()
    peer.update_settings(
        {
            SettingCodes.MAX_CONCURRENT_STREAMS: 1,
            SettingCodes.INITIAL_WINDOW_SIZE: 10,
            SettingCodes.HEADER_TABLE_SIZE: 0,
        }
    )
    carry(peer, client)
    assert client.limits[-1] == 1
    stream = client.request(post(), end_stream=False)
    assert not client.codec.can_take_stream
    stream.encoder.encode_data(b"x" * 25, True)
    events = peer.receive_data(client.wire.take())
    assert b"".join(event.data for event in of(events, h2.events.DataReceived)) == b"x" * 10


def test_extended_connect_to_h2() -> None:
    client, peer = client_with_h2()
    peer.update_settings({SettingCodes.ENABLE_CONNECT_PROTOCOL: 1})
    carry(peer, client)
    assert client.codec.peer_allows_connect
    headers = get(b"/chat")
    headers.method, headers.protocol = b"CONNECT", b"websocket"
    stream = client.request(headers, end_stream=False)
    request = of(carry(peer, client), h2.events.RequestReceived)[0]
    assert (b":protocol", b"websocket") in request.headers
    peer.send_headers(1, [(":status", "200")])
    peer.send_data(1, b"frames")
    carry(peer, client)
    assert stream.body == b"frames"


def test_server_offers_extended_connect_where_allowed() -> None:
    server, peer = ServerSide(None, Http2Settings(allow_connect=True)), h2_side(client=True)
    carry(peer, server)
    assert peer.remote_settings.enable_connect_protocol == 1
    peer.send_headers(1, [(":method", "CONNECT"), (":protocol", "websocket"), *HEADERS[1:]])
    carry(peer, server)
    (request,) = server.requests
    assert request.headers.fields[-2:] == [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
    fields = [(b"connection", b"upgrade"), (b"upgrade", b"websocket"), (b"x-a", b"b")]
    request.encoder.encode_headers(ResponseHeaders(101, list(fields)), False)
    (answer,) = of(carry(peer, server), h2.events.ResponseReceived)
    assert answer.headers == [(b":status", b"200"), (b"x-a", b"b")]
