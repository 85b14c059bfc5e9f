"""The codec of a connection that has none yet or none any more: it does nothing."""

from __future__ import annotations

from typing import Final

from envoymesh.http.codec import ClientCodec, HttpProtocol, RequestEncoder, ResponseDecoder, StreamResetReason


class NoCodec(ClientCodec):
    """Implements `envoymesh.http.codec.ClientCodec`."""

    def __init__(self) -> None:
        self.protocol = HttpProtocol.HTTP11

    def dispatch(self, data: bytes) -> int:
        """Nobody sent it."""
        return len(data)

    def on_eof(self) -> None:
        """Nothing was under way."""

    def go_away(self) -> None:
        """There is nobody to tell."""

    def shutdown_notice(self) -> None:
        """There is nobody to tell."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """There are no streams."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """There are no streams."""

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """There are none."""
        return True

    def reset_stalled_streams(self) -> None:
        """There are none."""

    def new_stream(self, decoder: ResponseDecoder) -> RequestEncoder:
        """It takes none.

        Raises:
            AssertionError: always.
        """
        raise AssertionError("a stream on a connection without a codec")

    @property
    def can_take_stream(self) -> bool:
        """No."""
        return False

    @property
    def is_amid_message(self) -> bool:
        """No."""
        return False


NO_CODEC: Final[ClientCodec] = NoCodec()
