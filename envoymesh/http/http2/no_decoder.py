"""The decoder of a stream that has none yet. It must not know streams."""

from __future__ import annotations

from typing import Final

from envoymesh.http.codec import StreamDecoder
from envoymesh.http.headers import HeaderMap


class NoDecoder(StreamDecoder):
    """The decoder of a stream whose owner is gone."""

    __slots__ = ()

    def decode_data(self, data: bytes, end_stream: bool) -> None:
        """Nobody wants it."""

    def decode_trailers(self, trailers: HeaderMap) -> None:
        """Nobody wants them."""


NO_DECODER: Final[StreamDecoder] = NoDecoder()
