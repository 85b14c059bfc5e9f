"""Microseconds of the HTTP/1 codecs for a small exchange, without sockets: parse and encode, each role.

Run: .venv/bin/python -m bench.http1_codec. It prints and asserts nothing: machines differ, compare runs on one.
"""

from __future__ import annotations

import timeit
from typing import Any

from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.http1 import Http1ClientCodec, Http1ServerCodec, Http1Settings

ROUNDS = 20000
BODY = b"Hello from behind Envoy (service 1)! hostname: 127.0.1.1 resolvedhostname: 127.0.1.1 and more\n"
REQUEST_FIELDS = [(b"user-agent", b"curl/8.5.0"), (b"accept", b"*/*"), (b"x-request-id", b"4f1c9f0e-4e7d-4d2b")]
RESPONSE_FIELDS = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"%d" % len(BODY)),
    (b"date", b"Mon, 23 Nov 2026 10:00:00 GMT"),
    (b"server", b"envoy"),
    (b"x-envoy-upstream-service-time", b"1"),
]


class End:
    """All that a codec needs around it; remembers the last bytes written."""

    def __init__(self) -> None:
        self.out = b""
        self.encoder: Any = None

    def write(self, data: bytes) -> None:
        self.out += data

    def new_stream(self, encoder: Any) -> End:
        self.encoder = encoder
        return self

    def read_disable(self, disable: bool) -> None:
        pass

    def ignore(self, *_: object) -> None:
        pass

    on_codec_reset = on_stream_complete = on_stream_reset = on_go_away = on_settings = ignore
    decode_headers = decode_data = decode_trailers = decode_1xx_headers = send_local_reply = ignore


def request(codec: Http1ClientCodec, end: Any) -> None:
    """Send one small request."""
    codec.new_stream(end).encode_headers(RequestHeaders(b"GET", b"/service/1", b"h", b"http", REQUEST_FIELDS), True)


def response(encoder: Any) -> None:
    """Send one small response."""
    encoder.encode_headers(ResponseHeaders(200, RESPONSE_FIELDS), False)
    encoder.encode_data(BODY, True)


def main() -> None:
    """Measure both roles."""
    down, up = End(), End()
    unused: Any = None
    server: Any = Http1ServerCodec(down, down, Http1Settings(), unused)
    client: Any = Http1ClientCodec(up, up, Http1Settings(), unused)
    request(client, up)
    request_bytes = up.out
    server.dispatch(request_bytes)
    response(down.encoder)
    response_bytes = down.out
    client.dispatch(response_bytes)

    def serve() -> None:
        down.out = b""
        server.dispatch(request_bytes)
        response(down.encoder)

    def ask() -> None:
        up.out = b""
        request(client, up)
        client.dispatch(response_bytes)

    for name, run in (("server", serve), ("client", ask)):
        seconds = min(timeit.repeat(run, number=ROUNDS, repeat=3))
        print(f"{name}: {seconds / ROUNDS * 1e6:.1f} us for a request and its response")


if __name__ == "__main__":
    main()
