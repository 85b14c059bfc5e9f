"""gRPC over requests from inside (Envoy's `Grpc::AsyncClient`): unary calls and streams both ways.

Messages are bytes: the caller serialises. The cluster should speak HTTP/2. As in `client.py` all is synchronous, a
callback may come before the call that caused it returns, and after the owner's `reset` or `cancel` nothing calls back.
It must not know services, nor protobuf.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mypy_extensions import mypyc_attr, trait

from envoymesh.http.grpc import GrpcStatus, parse_status, percent_decode, status_of_http, timeout_header
from envoymesh.http.headers import HeaderField, HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.upstream import failures
from envoymesh.upstream.client import BUFFER_LIMIT, AsyncClient, AsyncStream, AsyncStreamCallbacks, StreamOptions
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.failures import UpstreamFailure

FRAME_HEADER: Final = 5
"""Bytes in front of a message: a flag (compressed or not) and its length, big-endian."""

MAX_RECEIVE_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes of a message that is received, unless the caller says otherwise (gRPC's usual default)."""

MAX_SEND_MESSAGE: Final = 0xFFFFFFFF
"""Bytes of a message that is sent: what the length in its frame can say."""


class GrpcFrameFailure:
    """Why a body cannot be read as messages; `status` is what the call ends with."""

    __slots__ = ("status", "text")

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        self.text = text


class GrpcDecoder:
    """Messages out of a body that comes in any pieces (section Length-Prefixed-Message).

    Args:
        max_message: bytes; a longer message is a failure as soon as its length is known.

    Attributes:
        failure: what came after the last message; there is no going on.
    """

    __slots__ = ("_buffer", "_max_message", "failure")

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._buffer = bytearray()
        self.failure: GrpcFrameFailure | None = None

    def decode(self, data: bytes) -> list[bytes]:
        """The messages that are whole with this piece; `failure` is to be looked at behind them."""
        messages: list[bytes] = []
        if self.failure is not None:
            return messages
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= FRAME_HEADER:
            body = start + FRAME_HEADER
            self.failure = self._check(buffer[start:body])
            end = body + int.from_bytes(buffer[start + 1 : body], "big")
            if self.failure is not None or len(buffer) < end:
                break
            messages.append(bytes(buffer[body:end]))
            start = end
        if start:
            del buffer[:start]
        return messages

    def _check(self, header: bytearray) -> GrpcFrameFailure | None:
        if header[0] != 0:
            return GrpcFrameFailure(GrpcStatus.INTERNAL, "compressed messages are not supported")
        length = int.from_bytes(header[1:], "big")
        if length > self._max_message:
            text = f"received message larger than max ({length} vs. {self._max_message})"
            return GrpcFrameFailure(GrpcStatus.RESOURCE_EXHAUSTED, text)
        return None

    @property
    def is_amid_message(self) -> bool:
        """Whether part of a message has come."""
        return bool(self._buffer)


def encode_message(message: bytes) -> bytes:
    """A message in its frame. Errors: ValueError for one that no frame can hold."""
    if len(message) > MAX_SEND_MESSAGE:
        raise ValueError(f"a message of {len(message)} bytes does not fit into a gRPC frame")
    return b"\0" + len(message).to_bytes(4, "big") + message


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class GrpcStreamCallbacks:
    """Hears of one stream. `on_remote_close` is called exactly once and last, unless the owner resets the stream."""

    __slots__ = ()

    @abstractmethod
    def on_receive_initial_metadata(self, metadata: HeaderMap) -> None:
        """The response's headers; not called where they are its trailers, too."""

    @abstractmethod
    def on_receive_message(self, message: bytes) -> None:
        """One message."""

    @abstractmethod
    def on_receive_trailing_metadata(self, metadata: HeaderMap) -> None:
        """The response's trailers."""

    @abstractmethod
    def on_remote_close(self, status: int, message: str) -> None:
        """The call is over, by the server's word, or by a failure on the way; `status` is one of `GrpcStatus`."""

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """Counted: what was sent piles up. Send less."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """One for each call of the above."""


@mypyc_attr(allow_interpreted_subclasses=True)
class GrpcStreamListener(GrpcStreamCallbacks):
    """GrpcStreamCallbacks that do nothing: a base for code that is not compiled, which cannot derive from a trait."""

    __slots__ = ()

    def on_receive_initial_metadata(self, metadata: HeaderMap) -> None:
        """The response's headers."""

    def on_receive_message(self, message: bytes) -> None:
        """One message."""

    def on_receive_trailing_metadata(self, metadata: HeaderMap) -> None:
        """The response's trailers."""

    def on_remote_close(self, status: int, message: str) -> None:
        """The call is over."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """What was sent waits: send less."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """It waits no more."""


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class GrpcRequestCallbacks:
    """Hears of one unary call: exactly one of these is called, unless the call is cancelled."""

    __slots__ = ()

    @abstractmethod
    def on_success(self, message: bytes) -> None:
        """The answer, with status OK."""

    @abstractmethod
    def on_failure(self, status: int, message: str) -> None:
        """Any other status, never OK."""


@mypyc_attr(allow_interpreted_subclasses=True)
class GrpcRequestListener(GrpcRequestCallbacks):
    """GrpcRequestCallbacks that do nothing: a base for code that is not compiled, which cannot derive from a trait."""

    __slots__ = ()

    def on_success(self, message: bytes) -> None:
        """The answer, with status OK."""

    def on_failure(self, status: int, message: str) -> None:
        """Any other status, never OK."""


@dataclass(frozen=True, slots=True)
class GrpcOptions:
    """How to call.

    Args:
        timeout: seconds for the whole call, from its beginning; the server is told of it. 0 is no limit.
        initial_metadata: headers that go with the call, names in lower case.
        authority: empty for the cluster's name.
        max_receive_message: bytes of one message.
        buffer_limit: bytes kept while there is no connection, before the high watermark; 0 for any number.
    """

    timeout: float = 0.0
    initial_metadata: Sequence[HeaderField] = ()
    authority: bytes = b""
    max_receive_message: int = MAX_RECEIVE_MESSAGE
    buffer_limit: int = BUFFER_LIMIT


DEFAULT_OPTIONS: Final = GrpcOptions()


class GrpcClient:
    """Calls methods of one cluster's services."""

    __slots__ = ("_client", "_cluster")

    def __init__(self, client: AsyncClient, cluster: Cluster) -> None:
        self._client = client
        self._cluster = cluster

    def start(
        self, method: bytes, callbacks: GrpcStreamCallbacks, options: GrpcOptions = DEFAULT_OPTIONS
    ) -> GrpcStream | None:
        """Begin a call; `method` is its path, ``/package.Service/Method``. None where it has failed already."""
        stream = GrpcStream(callbacks, options.max_receive_message)
        stream.begin(self._client, self._cluster, self._headers(method, options), options)
        return None if stream.ended else stream

    def send(
        self, method: bytes, message: bytes, callbacks: GrpcRequestCallbacks, options: GrpcOptions = DEFAULT_OPTIONS
    ) -> GrpcRequest | None:
        """A unary call. None where it has ended before this returns."""
        request = GrpcRequest(callbacks)
        stream = self.start(method, request, options)
        if stream is not None:
            request.begin(stream, message)
        return None if request.ended else request

    def _headers(self, method: bytes, options: GrpcOptions) -> RequestHeaders:
        authority = options.authority or self._cluster.name.encode()
        headers = RequestHeaders(b"POST", method, authority, b"http")
        headers.add(b"te", b"trailers")
        headers.add(b"content-type", b"application/grpc")
        if options.timeout:
            headers.add(b"grpc-timeout", timeout_header(options.timeout))
        for name, value in options.initial_metadata:
            headers.add(name, value)
        return headers


class GrpcStream(AsyncStreamCallbacks):
    """One call.

    Attributes:
        ended: nothing will call back any more, and what is sent goes nowhere.
    """

    __slots__ = ("_callbacks", "_decoder", "_stream", "ended")

    def __init__(self, callbacks: GrpcStreamCallbacks, max_message: int) -> None:
        self._callbacks: GrpcStreamCallbacks | None = callbacks
        self._decoder = GrpcDecoder(max_message)
        self._stream: AsyncStream | None = None
        self.ended = False

    def __repr__(self) -> str:
        return f"<GrpcStream {self._stream!r}>"

    # The owner

    def begin(self, client: AsyncClient, cluster: Cluster, headers: RequestHeaders, options: GrpcOptions) -> None:
        """Called once, by `GrpcClient`; the call may have failed when this returns."""
        made = StreamOptions(timeout=options.timeout, timeout_includes_request=True, buffer_limit=options.buffer_limit)
        self._stream = client.start(cluster, self, made)
        self._stream.send_headers(headers, False)

    def send_message(self, message: bytes, end_stream: bool = False) -> None:
        """Send one message. Errors: ValueError for one that no frame can hold."""
        if self._stream is not None:
            self._stream.send_data(encode_message(message), end_stream)

    def close(self) -> None:
        """There are no more messages from here (half close); the server goes on."""
        if self._stream is not None:
            self._stream.send_data(b"", True)

    def reset(self) -> None:
        """Cancel the call: nothing calls back from now on."""
        stream = self._stream
        self._end()
        if stream is not None:
            stream.reset()

    def read_disable(self, disable: bool) -> None:
        """Counted: stop and resume reading messages."""
        if self._stream is not None:
            self._stream.read_disable(disable)

    # AsyncStreamCallbacks

    def on_headers(self, headers: ResponseHeaders, end_stream: bool) -> None:
        """The response begins; its headers may be its trailers, too."""
        trailers_only = end_stream and (headers.status == 200 or b"grpc-status" in headers.index)
        if trailers_only:
            self.on_trailers(headers)
        elif headers.status != 200:
            self._remote_close(status_of_http(headers.status), f"HTTP status {headers.status}")
        elif self._callbacks is not None:
            self._callbacks.on_receive_initial_metadata(headers)

    def on_data(self, data: bytes, end_stream: bool) -> None:
        """Part of the body."""
        for message in self._decoder.decode(data):
            callbacks = self._callbacks
            if callbacks is None:
                return  # an earlier message made the owner reset the call
            callbacks.on_receive_message(message)
        failure = self._decoder.failure
        if failure is not None:
            self._remote_close(failure.status, failure.text)
        elif end_stream:
            self._remote_close(GrpcStatus.UNKNOWN, "the response ended without trailers")

    def on_trailers(self, trailers: HeaderMap) -> None:
        """The call is over."""
        status = parse_status(trailers.get(b"grpc-status"))
        message = percent_decode(trailers.get(b"grpc-message") or b"")
        if status == GrpcStatus.OK and self._decoder.is_amid_message:
            status, message = GrpcStatus.INTERNAL, "the response ended within a message"
        if self._callbacks is not None:
            self._callbacks.on_receive_trailing_metadata(trailers)
        self._remote_close(status, message)

    def on_reset(self, failure: UpstreamFailure) -> None:
        """There is no response, or no end of it (Envoy gives such a call INTERNAL)."""
        if failure is failures.RESPONSE_TIMEOUT:
            self._remote_close(GrpcStatus.DEADLINE_EXCEEDED, "deadline exceeded")
        elif failure.after_response_started:
            self._remote_close(GrpcStatus.INTERNAL, failure.details)
        else:
            self._remote_close(status_of_http(failure.status), failure.body.decode())

    def on_above_write_buffer_high_watermark(self) -> None:
        """The server is slower than the owner."""
        if self._callbacks is not None:
            self._callbacks.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """It has caught up."""
        if self._callbacks is not None:
            self._callbacks.on_below_write_buffer_low_watermark()

    def _remote_close(self, status: int, message: str) -> None:
        """The last word to the owner; what is left of the stream goes."""
        callbacks = self._callbacks
        self.reset()
        if callbacks is not None:
            callbacks.on_remote_close(status, message)

    def _end(self) -> None:
        self.ended = True
        self._stream = None
        self._callbacks = None


class GrpcRequest(GrpcStreamCallbacks):
    """One unary call.

    Attributes:
        ended: its callback was called, or it was cancelled.
    """

    __slots__ = ("_answer", "_callbacks", "_stream", "ended")

    def __init__(self, callbacks: GrpcRequestCallbacks) -> None:
        self._callbacks: GrpcRequestCallbacks | None = callbacks
        self._stream: GrpcStream | None = None
        self._answer: bytes | None = None
        self.ended = False

    def begin(self, stream: GrpcStream, message: bytes) -> None:
        """Called once, by `GrpcClient`."""
        self._stream = stream
        stream.send_message(message, True)

    def cancel(self) -> None:
        """Nobody wants the answer any more; nothing calls back."""
        stream = self._stream
        self._end()
        if stream is not None:
            stream.reset()

    def on_receive_initial_metadata(self, metadata: HeaderMap) -> None:
        """Of no use here."""

    def on_receive_message(self, message: bytes) -> None:
        """The answer, which counts once the status is known."""
        if self._answer is None:
            self._answer = message
            return
        stream, callbacks = self._stream, self._end()
        if stream is not None:
            stream.reset()
        if callbacks is not None:
            callbacks.on_failure(GrpcStatus.INTERNAL, "a unary call was answered with more than one message")

    def on_receive_trailing_metadata(self, metadata: HeaderMap) -> None:
        """Of no use here."""

    def on_remote_close(self, status: int, message: str) -> None:
        """The call is over."""
        callbacks = self._end()
        if callbacks is None:
            return
        if status != GrpcStatus.OK:
            callbacks.on_failure(status, message)
        elif self._answer is None:
            callbacks.on_failure(GrpcStatus.INTERNAL, "a unary call was answered without a message")
        else:
            callbacks.on_success(self._answer)

    def on_above_write_buffer_high_watermark(self) -> None:
        """The one message was given at once."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """The one message was given at once."""

    def _end(self) -> GrpcRequestCallbacks | None:
        self.ended = True
        self._stream = None
        callbacks, self._callbacks = self._callbacks, None
        return callbacks
