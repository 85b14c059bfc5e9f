"""How many bytes a stream took on the wire, for logs that show it. It only adds up, and must not decide anything."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.http.codec import BytesMeter
from envoymesh.http.headers import HeaderField, weight


class StreamMeter(BytesMeter):
    """An HTTP/2 stream's counts, for its codec and itself to add to.

    Attributes:
        header_frames_*: bytes of its HEADERS and CONTINUATION frames; other_bytes_*: of its other frames.
        fields_*: the message heads; only a log that asks for their bytes reads them.
        trailers_*: bytes of trailers and of interim heads, without compression.
    """

    __slots__ = (
        "fields_received",
        "fields_sent",
        "header_frames_received",
        "header_frames_sent",
        "other_bytes_received",
        "other_bytes_sent",
        "trailers_received",
        "trailers_sent",
    )

    def __init__(self) -> None:
        self.header_frames_received = 0
        self.header_frames_sent = 0
        self.other_bytes_received = 0
        self.other_bytes_sent = 0
        self.fields_received: Sequence[HeaderField] = ()
        self.fields_sent: Sequence[HeaderField] = ()
        self.trailers_received = 0
        self.trailers_sent = 0

    @property
    def wire_bytes_received(self) -> int:
        """All frames of the stream."""
        return self.header_frames_received + self.other_bytes_received

    @property
    def wire_bytes_sent(self) -> int:
        """All frames of the stream."""
        return self.header_frames_sent + self.other_bytes_sent

    @property
    def header_bytes_received(self) -> int:
        """Of HEADERS and CONTINUATION, whole frames."""
        return self.header_frames_received

    @property
    def header_bytes_sent(self) -> int:
        """Of HEADERS and CONTINUATION, whole frames."""
        return self.header_frames_sent

    @property
    def decompressed_header_bytes_received(self) -> int:
        """Names and values of headers and trailers."""
        return weight(self.fields_received) + self.trailers_received

    @property
    def decompressed_header_bytes_sent(self) -> int:
        """Names and values of headers and trailers."""
        return weight(self.fields_sent) + self.trailers_sent
