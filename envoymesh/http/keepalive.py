"""Keep-alive of HTTP/2 connections: PINGs by the clock, and the end of a connection that does not answer.

As in Envoy's `ConnectionImpl` (envoy.config.core.v3.KeepaliveSettings). Codecs have no clock, so the two classes here
are codecs with a `KeepAlive` beside them; they are made only where keep-alive is configured. This module must not close
connections: it says when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.http.codec import (
    ClientCodecCallbacks,
    CodecConnection,
    ResponseDecoder,
    ServerCodecCallbacks,
    StreamResetReason,
)
from envoymesh.http.http2.client import ClientStream, Http2ClientCodec
from envoymesh.http.http2.server import Http2ServerCodec
from envoymesh.http.http2.settings import Http2Settings, KeepaliveSettings
from envoymesh.http.http2.stats import Http2Stats
from envoymesh.network.api import Dispatcher

PING_TIMEOUT: Final = "http2_ping_timeout"
"""The close details of a connection that did not answer in time."""


class KeepAlive:
    """The clock of one connection's PINGs.

    Args:
        random: uniform in [0, 1).
        on_timeout: the peer did not answer within the timeout; called at most once.
    """

    __slots__ = ("_dispatcher", "_last_received", "_on_timeout", "_random", "_send", "_settings", "_timeout", "_wait")

    def __init__(
        self,
        settings: KeepaliveSettings,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        on_timeout: Callable[[], None],
        send: Callable[[bytes], None],
    ) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._random = random
        self._on_timeout = on_timeout
        self._send = send
        self._last_received = dispatcher.now()
        self._wait = dispatcher.create_timer(self.ping)
        self._timeout = dispatcher.create_timer(self._expired)
        self.on_answer(b"")

    def on_received(self) -> None:
        """Something has come from the peer."""
        self._last_received = self._dispatcher.now()

    def before_stream(self) -> None:
        """A stream is about to begin: a connection that has been silent for long is asked first."""
        idle = self._settings.idle_interval
        if idle and self._dispatcher.now() - self._last_received > idle:
            self.ping()

    def ping(self) -> None:
        """Ask, unless an answer is due already. As in Envoy the eight bytes are the time in milliseconds."""
        if not self._timeout.enabled:
            self._send(int(self._dispatcher.wall_time() * 1000).to_bytes(8, "big"))
            self._timeout.enable(self._settings.timeout)

    def on_answer(self, opaque: bytes) -> None:
        """The peer has answered (any PING): the next one is due after the interval."""
        self._timeout.disable()
        interval = self._settings.interval
        if interval:
            self._wait.enable(interval * (1.0 + self._random() * self._settings.jitter))

    def _expired(self) -> None:
        on_timeout = self._on_timeout
        self.stop()
        on_timeout()

    def stop(self) -> None:
        """No PING and no call from now on."""
        self._wait.disable()
        self._timeout.disable()
        self._send = self._on_timeout = _nothing


def _nothing(*_: object) -> None:
    """The connection is gone, and its codec must not be kept by its timers."""


class PingingClientCodec(Http2ClientCodec):
    """An upstream connection's codec, which asks whether the peer lives; `settings` have keep-alive."""

    __slots__ = ("_keepalive",)

    def __init__(
        self,
        connection: CodecConnection,
        callbacks: ClientCodecCallbacks,
        settings: Http2Settings,
        stats: Http2Stats,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        on_timeout: Callable[[], None],
    ) -> None:
        super().__init__(connection, callbacks, settings, stats)
        assert settings.keepalive is not None
        self._keepalive = KeepAlive(settings.keepalive, dispatcher, random, on_timeout, self.send_ping)
        self.on_ping_ack = self._keepalive.on_answer

    def dispatch(self, data: bytes) -> int:
        """Take bytes from the peer, see `Codec.dispatch`."""
        self._keepalive.on_received()
        return super().dispatch(data)

    def new_stream(self, decoder: ResponseDecoder) -> ClientStream:
        """Begin a request."""
        self._keepalive.before_stream()
        return super().new_stream(decoder)

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone."""
        self._keepalive.stop()
        return super().reset_all_streams(reason, details)


class PingingServerCodec(Http2ServerCodec):
    """A downstream connection's codec, which asks whether the peer lives; `settings` have keep-alive."""

    __slots__ = ("_keepalive",)

    def __init__(
        self,
        connection: CodecConnection,
        callbacks: ServerCodecCallbacks,
        settings: Http2Settings,
        stats: Http2Stats,
        dispatcher: Dispatcher,
        random: Callable[[], float],
        on_timeout: Callable[[], None],
    ) -> None:
        super().__init__(connection, callbacks, settings, stats)
        assert settings.keepalive is not None
        self._keepalive = KeepAlive(settings.keepalive, dispatcher, random, on_timeout, self.send_ping)
        self.on_ping_ack = self._keepalive.on_answer

    def reset_all_streams(self, reason: StreamResetReason, details: str) -> bool:
        """The connection is gone."""
        self._keepalive.stop()
        return super().reset_all_streams(reason, details)
