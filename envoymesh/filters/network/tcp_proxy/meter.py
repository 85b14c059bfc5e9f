"""How many bytes a proxied connection took on the wire, for its log; all of them are content. It must not count."""

from __future__ import annotations

from envoymesh.http.codec import BytesMeter


class TcpMeter(BytesMeter):
    """One side's bytes."""

    __slots__ = ("_received", "_sent")

    def __init__(self, received: int, sent: int) -> None:
        self._received = received
        self._sent = sent

    @property
    def wire_bytes_received(self) -> int:
        """All bytes that came."""
        return self._received

    @property
    def wire_bytes_sent(self) -> int:
        """All bytes that were written."""
        return self._sent

    @property
    def header_bytes_received(self) -> int:
        """There are no headers."""
        return 0

    @property
    def header_bytes_sent(self) -> int:
        """There are no headers."""
        return 0

    @property
    def decompressed_header_bytes_received(self) -> int:
        """There are no headers."""
        return 0

    @property
    def decompressed_header_bytes_sent(self) -> int:
        """There are no headers."""
        return 0
