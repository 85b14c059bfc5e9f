"""How many requests a second the HTTP/2 codec carries with both ends in one process, without sockets.

    .venv/bin/python bench/http2_codec.py [requests]

It prints, and judges nothing: compare in one run, in pairs (see NOTES.md).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.http2 import Http2ClientCodec, Http2ServerCodec, Http2Settings
from tests.support.http2 import Stats, Wire

BODY = b"x" * 89
REQUEST_FIELDS = [
    (b"user-agent", b"curl/8.5.0"),
    (b"accept", b"*/*"),
    (b"x-forwarded-proto", b"http"),
    (b"x-envoy-expected-rq-timeout-ms", b"15000"),
]
RESPONSE_FIELDS = [
    (b"content-type", b"text/plain"),
    (b"server", b"envoy"),
    (b"date", b"Mon, 23 Nov 2026 21:44:00 GMT"),
    (b"content-length", b"89"),
    (b"x-envoy-upstream-service-time", b"1"),
]


class Request:
    """Answers at once."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder

    def decode_headers(self, headers: RequestHeaders, end_stream: bool) -> None:
        """Headers and body go back."""
        self._encoder.encode_headers(ResponseHeaders(200, list(RESPONSE_FIELDS)), False)
        self._encoder.encode_data(BODY, True)


class Response:
    """Throws away what comes."""

    def decode_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """Nothing."""

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Nothing."""


class Owner:
    """Both codecs' callbacks."""

    def new_stream(self, encoder: Any) -> Any:
        """A request."""
        return Request(encoder)

    def on_settings(self, limit: int | None) -> None:
        """Nothing."""

    def on_close_notify(self) -> None:
        """Nothing."""

    def on_stream_complete(self) -> None:
        """Nothing."""


def measure(count: int, batch: int = 10) -> float:
    """Seconds of CPU for `count` requests, `batch` of them at a time."""
    owner: Any = Owner()
    stats: Any = Stats()
    wires = Wire(), Wire()
    server = Http2ServerCodec(wires[0], owner, Http2Settings(), stats)
    client = Http2ClientCodec(wires[1], owner, Http2Settings(), stats)
    response: Any = Response()
    started = time.process_time()
    for first in range(0, count, batch):
        for number in range(first, first + batch):
            fields = [*REQUEST_FIELDS, (b"x-request-id", b"0ac3c9ba-3b6f-4a2b-9b1e-%012d" % number)]
            request = RequestHeaders(b"GET", b"/service/1", b"localhost:8080", b"http", fields)
            client.new_stream(response).encode_headers(request, True)
        while wires[0].written or wires[1].written:
            if wires[1].written:
                server.dispatch(wires[1].take())
            if wires[0].written:
                client.dispatch(wires[0].take())
    return time.process_time() - started


def main() -> None:
    """Three rounds."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20000
    for _ in range(3):
        seconds = measure(count)
        print(f"{count / seconds:8.0f} requests/s, {seconds / count * 1e6:5.1f} us each, both ends")


if __name__ == "__main__":
    main()
