"""Fakes of envoymesh.network.api: a clock that tests advance, connections without sockets, a connector, a resolver.

    dispatcher = FakeDispatcher()
    connector = FakeConnector(dispatcher)
    ...code under test calls connector.connect(...)...
    upstream = connector.last
    upstream.established(); upstream.receive(b"HTTP/1.1 200 OK\\r\\n\\r\\n"); upstream.take_written()
    dispatcher.advance(15.0)

Use as `from tests.support.fakes import FakeDispatcher`. Fakes keep the promises of the protocols (one close event, data
only while reading is enabled) and nothing more; they must not know what their users do.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from envoymesh.network.api import (
    DEFAULT_SOCKET,
    Address,
    ClientTls,
    CloseType,
    ConnectCounts,
    Connection,
    ConnectionEvent,
    ConnectionHandler,
    ConnectionPreface,
    Dispatcher,
    DnsCallback,
    DnsResponse,
    DnsStatus,
    Timer,
    TlsInfo,
    UpstreamSocketSettings,
)
from envoymesh.runtime import RuntimeReader
from tests.support.stand_ins import stands_for

_ids = itertools.count(1)


class FakeTimer(stands_for(Timer)):
    """A timer of a `FakeDispatcher`."""

    def __init__(self, dispatcher: FakeDispatcher, callback: Callable[[], None], owner: Any = None) -> None:
        self._dispatcher = dispatcher
        self._callback = callback
        self._owner = owner
        self.deadline: float | None = None
        self._order = 0

    def enable(self, seconds: float) -> None:
        self.deadline = self._dispatcher.now() + seconds
        self._order = next(_ids)
        self._dispatcher.timers.add(self)

    def disable(self) -> None:
        self.deadline = None
        self._dispatcher.timers.discard(self)

    @property
    def enabled(self) -> bool:
        return self.deadline is not None

    def fire(self) -> None:
        self.disable()
        try:
            self._callback()
        except Exception as error:
            if self._owner is None:
                raise
            self._owner.on_exception("a timer's callback", error)


class FakeDispatcher(stands_for(Dispatcher)):
    """Time stands still until `advance`; posted calls wait for `run_posted` (`advance` runs them too)."""

    def __init__(self, now: float = 1000.0, wall_time: float = 1_700_000_000.0) -> None:
        self._now = now
        self._wall_offset = wall_time - now
        self.timers: set[FakeTimer] = set()
        self.posted: deque[Callable[[], None]] = deque()
        self.expects_errors = False
        self.reported: list[tuple[str, BaseException | None]] = []

    def now(self) -> float:
        return self._now

    def wall_time(self) -> float:
        return self._now + self._wall_offset

    def create_timer(self, callback: Callable[[], None], owner: Any = None) -> FakeTimer:
        return FakeTimer(self, callback, owner)

    def report(self, what: str, error: BaseException | None) -> None:
        """A test that makes something raise sets `expects_errors`; any other is to see what was raised."""
        if not self.expects_errors and error is not None:
            raise error
        self.reported.append((what, error))

    def post(self, callback: Callable[[], None]) -> None:
        self.posted.append(callback)

    def run_posted(self) -> None:
        """Run what was posted, and what that posts, until nothing is left."""
        while self.posted:
            self.posted.popleft()()

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass: timers fire in order of their deadlines, each at its own time, posted calls in between."""
        end = self._now + seconds
        self.run_posted()
        while timer := self._due(end):
            self._now = max(self._now, timer.deadline or 0.0)
            timer.fire()
            self.run_posted()
        self._now = end

    def _due(self, end: float) -> FakeTimer | None:
        due = [timer for timer in self.timers if timer.deadline is not None and timer.deadline <= end + 1e-9]
        return min(due, key=lambda timer: (timer.deadline, timer._order), default=None)


class FakeConnection(stands_for(Connection)):
    """A connection whose peer is the test. `written` holds each write; `close_types` each `close` call's type."""

    def __init__(
        self,
        handler: ConnectionHandler | None = None,
        *,
        local: str = "127.0.0.1:10000",
        remote: str = "127.0.0.1:50000",
        tls: TlsInfo | None = None,
        connected: bool = True,
    ) -> None:
        self.id = next(_ids)
        self.local_address: Address | None = _address(local)
        self.remote_address: Address | None = _address(remote)
        self.tls = tls
        self.requested_server_name = tls.sni if tls else ""
        self.proxied = None
        self.direct_addresses = None
        self.listener_metadata: dict[str, dict[str, Any]] | None = None
        self.failure_reason = ""
        self.bytes_received = 0
        self.bytes_sent = 0
        self.closed = False
        self.connected = connected
        self.handler = handler
        self.written: list[bytes] = []
        self.read_disable_count = 0
        self.close_types: list[CloseType] = []
        self.close_details = ""
        self.delayed_close_timeout = 1.0
        self.delayed_close_timed_out = False
        self.filter_chain_name = ""
        self.listener_name = ""
        self.metadata = None
        self.reset_by_peer = False
        self.aborted = False
        self.start_time = 0.0
        self.stream_info: Any = None
        self.write_filter: Any = None
        self.write_ended = False
        self.buffered = (0, 0)
        self.events: list[ConnectionEvent] = []
        self._unread: list[bytes] = []
        self._unread_eof = False
        self._eof_seen = False
        self._both_ended = False
        self.flushes = True
        self._given_back = b""
        self._delivering = False

    # What the code under test calls.

    def set_handler(self, handler: ConnectionHandler) -> None:
        self.handler = handler

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes | bytearray | memoryview)
        if self.write_filter is not None:
            self.write_filter.on_write(bytes(data), False)
        else:
            self.write_unfiltered(bytes(data), False)

    def enable_half_close(self) -> None:
        self.half_close = True

    def write_end_stream(self) -> None:
        if self.write_filter is not None:
            self.write_filter.on_write(b"", True)
        else:
            self.write_unfiltered(b"", True)

    def set_write_filter(self, write_filter: Any) -> None:
        self.write_filter = write_filter

    def write_unfiltered(self, data: bytes, end_stream: bool) -> None:
        if self.closed or self.close_types or self.write_ended:
            return
        if data:
            self.written.append(data)
            self.bytes_sent += len(data)
        if end_stream:
            self.write_ended = True
            self._both_ended = self._eof_seen

    def unread(self, data: bytes) -> None:
        self._given_back += data

    def read_disable(self, disable: bool) -> None:
        if self.closed:
            return
        self.read_disable_count += 1 if disable else -1
        assert self.read_disable_count >= 0, "read_disable(False) without its True"
        self._deliver()

    def close(self, how: CloseType, details: str = "") -> None:
        """The close is done at once, whatever its type; see `close_types`. Only where the peer takes nothing (`flushes`
        is False) a close with a flush waits for the test's `remote_close`."""
        if self.closed:
            return
        self.close_types.append(how)
        self.aborted = how is CloseType.ABORT_RESET
        if not self.flushes and how in (CloseType.FLUSH_WRITE, CloseType.FLUSH_WRITE_AND_DELAY):
            return
        self.close_details = details
        self._event(ConnectionEvent.LOCAL_CLOSE)

    def set_delayed_close_timeout(self, seconds: float) -> None:
        self.delayed_close_timeout = seconds

    # What the test calls, as the peer.

    def receive(self, data: bytes) -> None:
        """The peer sends bytes; held back while reading is disabled."""
        self._unread.append(data)
        self._deliver()

    def receive_eof(self) -> None:
        """The peer sends FIN."""
        self._unread_eof = True
        self._deliver()

    def established(self, tls: TlsInfo | None = None) -> None:
        """A connection under way is up."""
        self.connected = True
        self.tls = tls or self.tls
        self._event(ConnectionEvent.CONNECTED)

    def remote_close(self, failure_reason: str = "") -> None:
        """The peer closed, reset or refused."""
        self.failure_reason = failure_reason
        self._event(ConnectionEvent.REMOTE_CLOSE)

    def time_out(self) -> None:
        """The connect timeout passed."""
        self._event(ConnectionEvent.LOCAL_CLOSE)

    def fail_here(self, failure_reason: str) -> None:
        """No descriptor or port is left on this side."""
        self.failure_reason = failure_reason
        self._event(ConnectionEvent.LOCAL_CLOSE)

    def above_high_watermark(self) -> None:
        assert self.handler is not None
        self.handler.on_above_write_buffer_high_watermark()

    def below_low_watermark(self) -> None:
        assert self.handler is not None
        self.handler.on_below_write_buffer_low_watermark()

    def take_written(self) -> bytes:
        """Everything written since the last call."""
        data = b"".join(self.written)
        self.written.clear()
        return data

    @property
    def has_given_back(self) -> bool:
        """Whether the handler is to get something again."""
        return bool(self._given_back)

    def take_turn(self) -> None:
        """A turn of the loop: what was given back comes again, where reading is enabled."""
        data, self._given_back = self._given_back, b""
        if data:
            self._unread.insert(0, data)
        self._deliver()
        if self._both_ended:
            self._event(ConnectionEvent.LOCAL_CLOSE)

    def reset(self) -> None:
        """The peer sent RST."""
        self.reset_by_peer = True
        self._event(ConnectionEvent.REMOTE_CLOSE)

    def _deliver(self) -> None:
        while self._unread and self._reading():
            if self._delivering:
                return  # the handler has enabled reading from within: it gets more in the next turn
            data = self._unread.pop(0)
            self.bytes_received += len(data)
            self._delivering = True
            try:
                taken = self.handler.on_data(data)
            finally:
                self._delivering = False
            if taken < len(data):
                self._unread.insert(0, data[taken:])
                self.bytes_received -= len(data) - taken
        if self._unread_eof and not self._unread and self._reading():
            self._unread_eof = False
            self._eof_seen = True
            self.handler.on_eof()
            if self.write_ended:
                self._event(ConnectionEvent.REMOTE_CLOSE)

    def _reading(self) -> bool:
        return not (self._given_back or self.read_disable_count or self.closed) and self.handler is not None

    def _event(self, event: ConnectionEvent) -> None:
        if self.closed:
            return
        self.closed = event is not ConnectionEvent.CONNECTED
        self.events.append(event)
        if self.handler is not None:
            self.handler.on_event(event)


class FakeConnector:
    """Connections stay under way until the test calls `established`, `remote_close` or `time_out` on them.

    With `dispatcher` given, the connect timeout runs by itself on its clock. With `auto_connect` each is up at the
    dispatcher's next turn.
    """

    def __init__(self, dispatcher: FakeDispatcher | None = None, *, auto_connect: bool = False) -> None:
        self._dispatcher = dispatcher
        self._auto_connect = auto_connect
        self.connections: list[FakeConnection] = []
        self.calls: list[dict[str, Any]] = []

    @property
    def last(self) -> FakeConnection:
        return self.connections[-1]

    def connect(
        self,
        address: Address,
        handler: ConnectionHandler,
        *,
        connect_timeout: float,
        buffer_limit: int,
        tls: ClientTls | None = None,
        socket: UpstreamSocketSettings = DEFAULT_SOCKET,
        additional_addresses: tuple[Address, ...] = (),
        counts: ConnectCounts | None = None,
        preface: ConnectionPreface | None = None,
    ) -> FakeConnection:
        connection = FakeConnection(handler, local="127.0.0.1:40000", remote=str(address), connected=False)
        self.connections.append(connection)
        self.calls.append(
            {
                "address": address,
                "connect_timeout": connect_timeout,
                "buffer_limit": buffer_limit,
                "tls": tls,
                "socket": socket,
                "additional_addresses": additional_addresses,
                "preface": preface,
            }
        )
        if self._dispatcher is not None:
            timer = self._dispatcher.create_timer(lambda: None if connection.connected else connection.time_out())
            timer.enable(connect_timeout)
            if self._auto_connect:
                self._dispatcher.post(lambda: None if connection.closed else connection.established())
        return connection


class FakeQuery:
    """One resolution; `cancelled` tells whether its owner gave up."""

    def __init__(self, name: str, lookup_family: str, callback: DnsCallback) -> None:
        self.name = name
        self.lookup_family = lookup_family
        self._callback = callback
        self.details = ""
        self.cancelled = False
        self.done = False

    def cancel(self) -> None:
        self.cancelled = True

    def answer(self, *hosts: str, ttl: float = 60.0) -> None:
        """Complete with these addresses (none: the name has none)."""
        self.finish(DnsStatus.COMPLETED, [DnsResponse(host, ttl) for host in hosts])

    def fail(self) -> None:
        self.finish(DnsStatus.FAILURE, [])

    def finish(self, status: DnsStatus, responses: list[DnsResponse]) -> None:
        if not self.cancelled and not self.done:
            self.done = True
            self._callback(status, responses)


class FakeResolver:
    """Queries wait for the test (`resolver.last.answer("10.0.0.1")`), or are answered from `answers` when the name
    is there and a dispatcher is given: a list of addresses, or None for a failure."""

    def __init__(self, dispatcher: FakeDispatcher | None = None, answers: dict[str, list[str] | None] | None = None):
        self._dispatcher = dispatcher
        self.answers = answers if answers is not None else {}
        self.queries: list[FakeQuery] = []

    @property
    def last(self) -> FakeQuery:
        return self.queries[-1]

    def resolve(self, name: str, lookup_family: str, callback: DnsCallback) -> FakeQuery:
        query = FakeQuery(name, lookup_family, callback)
        self.queries.append(query)
        if self._dispatcher is not None and name in self.answers:
            hosts = self.answers[name]
            self._dispatcher.post(query.fail if hosts is None else lambda: query.answer(*hosts))
        return query


class FakeRuntime(RuntimeReader):
    """A runtime whose keys a test sets, at the start and later."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.values = dict(values or {})
        self.update = lambda key: key.set(self.values.get(key.key))

    def change(self, key: str, value: Any) -> None:
        """Set a key, or take it out with None, as `/runtime_modify` would."""
        self.values[key] = value
        for each in (*self.numbers, *self.shares, *self.doubles):
            if each.key == key:
                each.set(value)


class RecordingHandler(stands_for(ConnectionHandler)):
    """A connection handler that keeps what it was told: `data`, `eof`, `events`, `watermarks`."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.eof = 0
        self.events: list[ConnectionEvent] = []
        self.watermarks: list[str] = []
        self.write_failed_at: list[int] = []  # bytes that had come by then

    def on_write_failed(self) -> None:
        self.write_failed_at.append(len(self.data))

    def on_data(self, data: bytes) -> int:
        assert data
        self.data += data
        return len(data)

    def on_eof(self) -> None:
        self.eof += 1

    def on_event(self, event: ConnectionEvent) -> None:
        self.events.append(event)

    def on_above_write_buffer_high_watermark(self) -> None:
        self.watermarks.append("above")

    def on_below_write_buffer_low_watermark(self) -> None:
        self.watermarks.append("below")


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))
