"""The decoder of a stream that has none yet or no more. It must not know streams."""

from __future__ import annotations

from typing import Final

from envoymesh.http.codec import RequestDecoder, ResponseDecoder
from envoymesh.http.headers import HeaderMap


class NoDecoder(RequestDecoder, ResponseDecoder):
    """Takes messages of both directions and drops them."""

    __slots__ = ()

    def decode_1xx_headers(self, headers: HeaderMap) -> None:
        """Dropped."""

    def decode_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Dropped."""

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        """Dropped."""

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Dropped."""

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Dropped."""


NO_DECODER: Final = NoDecoder()
