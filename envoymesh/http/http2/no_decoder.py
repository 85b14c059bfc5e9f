"""The decoder of a stream that has none yet or no more. It must not know streams."""

from __future__ import annotations

from typing import Final

from envoymesh.http.codec import RequestDecoder, ResponseDecoder
from envoymesh.http.headers import HeaderMap


class NoDecoder(RequestDecoder, ResponseDecoder):
    """Takes messages of both directions, for nobody."""

    __slots__ = ()

    def decode_1xx_headers(self, headers: HeaderMap) -> None:
        """Nobody wants them."""

    def decode_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Nobody wants them."""

    def send_local_reply(self, status: int, body: bytes, details: str) -> None:
        """Nobody would hear it."""

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Nobody wants it."""

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Nobody wants them."""


NO_DECODER: Final = NoDecoder()
