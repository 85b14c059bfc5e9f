"""TCP health checks: a connection, and whether what comes is what should (Envoy's `TcpHealthCheckerImpl`)."""

from __future__ import annotations

from envoymesh.network.api import CloseType, Connection, ConnectionEvent, ConnectionHandler
from envoymesh.upstream.health.checker import CheckSession, FailureType, HealthChecker
from envoymesh.upstream.health.connection import CheckNetwork
from envoymesh.upstream.health.http import MOST_KEPT, has_all
from envoymesh.upstream.health.settings import TcpHealthCheckSettings
from envoymesh.upstream.host import Host


class TcpCheckSession(CheckSession, ConnectionHandler):
    """The TCP checks of one host. Where nothing is to be received, each is a connection that is closed at once."""

    __slots__ = ("_connection", "_expects_close", "_network", "_received", "_settings")

    def __init__(
        self, checker: HealthChecker, host: Host, network: CheckNetwork, settings: TcpHealthCheckSettings
    ) -> None:
        super().__init__(checker, host)
        self._network = network
        self._settings = settings
        self._connection: Connection | None = None
        self._expects_close = False
        self._received = bytearray()

    # CheckSession

    def on_interval(self) -> None:
        """Connect, unless there is a connection to use again, and send what is to be sent."""
        connection = self._connection
        if connection is None:
            self._expects_close = False
            self._received.clear()
            connection = self._connection = self._network.connect(self.host, self)
        if self._settings.send and self._settings.receive:
            # As in Envoy: where a connection is enough, it is closed before anything could be sent.
            connection.write(self._settings.send)

    def on_timeout(self) -> None:
        """Give the connection up."""
        self._close()

    def on_abandon(self) -> None:
        """Give the connection up."""
        self._close()

    def _close(self) -> None:
        self._expects_close = True
        if self._connection is not None:
            self._connection.close(CloseType.NO_FLUSH)

    # ConnectionHandler

    def on_data(self, data: bytes) -> int:
        """Bytes from the host: too few and wrong ones look alike, so only time says that the check failed."""
        received = self._received
        if len(received) < MOST_KEPT:
            received += data
        if has_all(self._settings.receive, received):
            received.clear()
            self.handle_success(False)
            if not self.checker.settings.reuse_connection:
                self._close()
        return len(data)

    def on_eof(self) -> None:
        """The host closes; that it has ended its side alone is of no interest."""
        if self._connection is not None:
            self._connection.close(CloseType.NO_FLUSH)

    def on_event(self, event: ConnectionEvent) -> None:
        """Connected, which may be all that is asked; or closed, by the host if nobody expected it."""
        if event is ConnectionEvent.CONNECTED:
            if not self._settings.receive:
                self._close()
                self.handle_success(False)
            return
        self._connection = None
        if not self._expects_close:
            self.handle_failure(FailureType.NETWORK)

    def on_above_write_buffer_high_watermark(self) -> None:
        """A check is small."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """A check is small."""
