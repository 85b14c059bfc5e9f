"""What a stream's log and counters say of an end that came from its connection. It must not end anything itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from envoymesh.errors import CodecProtocolError
from envoymesh.http.stream_info import ResponseFlag

if TYPE_CHECKING:
    from envoymesh.filters.network.http_connection_manager.active_stream import ActiveStream

RUNNING: Final = 0
HELD: Final = 1
ENDED: Final = 2
"""`ActiveStream.destroyed`. HELD: the exchange is over, but part of the response waits for an HTTP/2 client's windows;
it is counted and logged when that is out, or can't be."""


def note_disconnect(stream: ActiveStream, remote: bool) -> None:
    """The connection is closed."""
    info = stream.info
    if remote:
        info.flags |= ResponseFlag.DOWNSTREAM_CONNECTION_TERMINATION
    held = stream.destroyed == HELD
    if held:
        stream.local_complete = False
    if held or not info.response_code_details or stream.response_headers is None:
        info.response_code_details = "downstream_remote_disconnect" if remote else "downstream_local_disconnect"


def note_codec_error(stream: ActiveStream, error: CodecProtocolError) -> None:
    """The connection is about to be closed, because the peer broke the protocol on this stream or on another."""
    info = stream.info
    info.flags |= ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR
    if not info.response_code_details:
        info.response_code_details = error.stream_details if stream.encoder is error.stream else error.details
