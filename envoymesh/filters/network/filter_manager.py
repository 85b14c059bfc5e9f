"""Leads a connection's bytes through the filters of its chain (Envoy's `Network::FilterManagerImpl`).

Only a chain that has filters besides the terminal one has such an object, and only one with write filters stands in
the way of writes. A connection's turn (ARCHITECTURE.md, "A share of a turn") holds through the chain: the terminal
filter is called at most once in a turn, and what it does not take goes back to the connection, which hands it out
again. It must not know what filters do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from envoymesh.filters.network.filter import (
    Buffer,
    FilterCallbacks,
    FilterManager,
    FilterStatus,
    NetworkFilter,
    ReadFilterCallbacks,
    TerminalFilter,
    WriteFilterCallbacks,
)
from envoymesh.http.stream_info import StreamInfo, connection_info
from envoymesh.network.api import (
    Address,
    CloseType,
    Connection,
    ConnectionEvent,
    ConnectionHandler,
    Dispatcher,
    Timer,
    WriteFilter,
)

_GONE: Final = NetworkFilter()
"""In the place of a filter whose connection is closed."""


class ActiveFilter(FilterCallbacks):
    """One filter's place in one direction: what is kept for it, and the callbacks that both directions have."""

    __slots__ = ("_index", "_manager", "buffer", "end_stream", "filter")

    def __init__(self, manager: NetworkFilterManager, filter_: NetworkFilter, index: int) -> None:
        self._manager = manager
        self._index = index
        self.filter = filter_
        self.buffer = Buffer()
        self.end_stream = False

    def keep(self, data: bytes, end_stream: bool) -> None:
        """Put bytes behind what is kept already."""
        buffer = self.buffer
        buffer.data = buffer.data + data if buffer.data else data
        self.end_stream = self.end_stream or end_stream

    def take(self) -> tuple[bytes, bool]:
        """What may go on: bytes, and whether the end of the direction is behind them."""
        data, self.buffer.data = self.buffer.data, b""
        end_stream, self.end_stream = self.end_stream, False
        return data, end_stream

    # FilterCallbacks

    @property
    def connection(self) -> Connection:
        """The connection."""
        return self._manager.connection

    @property
    def dispatcher(self) -> Dispatcher:
        """Time and deferred calls."""
        return self._manager.dispatcher

    def create_timer(self, callback: Callable[[], None]) -> Timer:
        """A timer that costs this connection only."""
        return self._manager.dispatcher.create_timer(callback, self)

    def on_exception(self, where: str, error: Exception) -> None:
        """It costs the connection."""
        self._manager.fail(f"{where} of {self.filter!r}", error)

    @property
    def stream_info(self) -> StreamInfo:
        """The connection's own facts."""
        return self._manager.stream_info()


class ActiveReadFilter(ActiveFilter, ReadFilterCallbacks):
    """A filter's place among those that see what is received."""

    __slots__ = ("_begun", "_paused")

    def __init__(self, manager: NetworkFilterManager, filter_: NetworkFilter, index: int) -> None:
        super().__init__(manager, filter_, index)
        self._begun = False
        self._paused = False  # over the buffer limit

    def step(self, data: bytes, end_stream: bool) -> bool:
        """Give the filter bytes; whether what it has may go on."""
        self.keep(data, end_stream)
        goes_on = self._begin() and (not (self.buffer.data or self.end_stream) or self._on_data())
        if not goes_on:
            self._check_limit()
        return goes_on

    def _begin(self) -> bool:
        if self._begun:
            return True
        self._begun = True
        return self.filter.on_new_connection() is FilterStatus.CONTINUE

    def _on_data(self) -> bool:
        return self.filter.on_data(self.buffer, self.end_stream) is FilterStatus.CONTINUE

    def release(self) -> None:
        """What was kept has gone on: more may come."""
        if self._paused:
            self._paused = False
            self._manager.connection.read_disable(False)

    def _check_limit(self) -> None:
        """A filter that keeps more than the buffer limit gets no more before it lets some go."""
        manager = self._manager
        full = 0 < manager.buffer_limit <= len(self.buffer)
        if full is not self._paused:
            self._paused = full
            manager.connection.read_disable(full)

    # ReadFilterCallbacks

    @property
    def upstream_host(self) -> Address | None:
        """The host that was chosen."""
        return self._manager.stream_info().upstream_host

    def continue_reading(self) -> None:
        """What is kept goes on."""
        self._begun = True
        data, end_stream = self.take()
        self._manager.read_on(self._index + 1, data, end_stream)
        self.release()

    def inject_read_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """These bytes go on."""
        self._manager.read_on(self._index + 1, data, end_stream)


class ActiveWriteFilter(ActiveFilter, WriteFilterCallbacks):
    """A filter's place among those that see what is written."""

    __slots__ = ()

    def step(self, data: bytes, end_stream: bool) -> bool:
        """Give the filter bytes; whether what it has may go on."""
        self.keep(data, end_stream)
        return self.filter.on_write(self.buffer, self.end_stream) is FilterStatus.CONTINUE

    # WriteFilterCallbacks

    def inject_write_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """These bytes go on."""
        self._manager.write_on(self._index - 1, data, end_stream)


class NetworkFilterManager(ConnectionHandler, WriteFilter, FilterManager):
    """One connection's filters, and its handler.

    Args:
        buffer_limit: per_connection_buffer_limit_bytes, for what a filter keeps; 0 is no limit.
    """

    __slots__ = (
        "_came_through",
        "_end_came_through",
        "_given_back",
        "_in_turn",
        "_readers",
        "_terminal",
        "_terminal_begun",
        "_writers",
        "buffer_limit",
        "connection",
        "dispatcher",
    )

    def __init__(
        self, connection: Connection, dispatcher: Dispatcher, buffer_limit: int, terminal: TerminalFilter
    ) -> None:
        self.connection = connection
        self.dispatcher = dispatcher
        self.buffer_limit = buffer_limit
        self._terminal = terminal
        self._terminal_begun = False
        self._readers: list[ActiveReadFilter] = []
        self._writers: list[ActiveWriteFilter] = []
        self._came_through = b""  # for the terminal filter, in this turn
        self._given_back = 0  # bytes for the terminal filter that the connection keeps
        self._end_came_through = False
        self._in_turn = False

    def __repr__(self) -> str:
        return f"<NetworkFilterManager C{self.connection.id} {[each.filter for each in self._readers]}>"

    # FilterManager

    def add_read_filter(self, filter_: NetworkFilter) -> None:
        """Append a filter that sees what is received."""
        active = ActiveReadFilter(self, filter_, len(self._readers))
        self._readers.append(active)
        filter_.initialize_read_filter_callbacks(active)

    def add_write_filter(self, filter_: NetworkFilter) -> None:
        """Add a filter that sees what is written, before those that were added earlier."""
        active = ActiveWriteFilter(self, filter_, len(self._writers))
        self._writers.append(active)
        filter_.initialize_write_filter_callbacks(active)

    def add_filter(self, filter_: NetworkFilter) -> None:
        """Add a filter that sees both."""
        self.add_read_filter(filter_)
        self.add_write_filter(filter_)

    def start(self) -> None:
        """All filters are there: take the connection."""
        self.connection.set_handler(self)
        if self._writers:
            self.connection.set_write_filter(self)
        self.read_on(0, b"", False)

    # Received bytes

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer, or those that the terminal filter left."""
        size = len(data)
        back, self._given_back = self._given_back, 0
        self._came_through = data[:back]
        self._in_turn = True
        try:
            if back < size:
                self._read(0, data[back:], False)
            self._end_turn()
        finally:
            self._in_turn = False
        return size

    def _end_turn(self) -> None:
        """The terminal filter gets what has come through; what it leaves comes again."""
        data, self._came_through = self._came_through, b""
        if data and not self.connection.closed:
            taken = self._terminal.on_data(data)
            if taken < len(data):
                self._give_back(data[taken:])
        self._tell_end()

    def _give_back(self, data: bytes) -> None:
        if not self.connection.closed:
            self._given_back += len(data)
            self.connection.unread(data)

    def _tell_end(self) -> None:
        if self._end_came_through and not self._given_back and not self.connection.closed:
            self._end_came_through = False
            self._terminal.on_eof()

    def on_eof(self) -> None:
        """The peer has ended its side."""
        self.read_on(0, b"", True)

    def read_on(self, index: int, data: bytes, end_stream: bool) -> None:
        """Bytes, or the beginning of the connection, come to a filter, from outside of a turn or within it."""
        self._read(index, data, end_stream)
        if not self._in_turn:
            through, self._came_through = self._came_through, b""
            if through:
                self._give_back(through)
            self._tell_end()

    def _read(self, index: int, data: bytes, end_stream: bool) -> None:
        readers, connection = self._readers, self.connection
        while index < len(readers):
            if not readers[index].step(data, end_stream) or connection.closed:
                return
            data, end_stream = readers[index].take()
            readers[index].release()
            index += 1
        if not self._terminal_begun:
            self._terminal_begun = True
            self._terminal.on_new_connection()
            if self._in_turn:
                # The terminal filter may have disabled reading just now, so it gets the bytes in a later turn.
                through, self._came_through = self._came_through + data, b""
                data = b""
                if through:
                    self._give_back(through)
        self._came_through += data
        self._end_came_through = self._end_came_through or end_stream

    # Written bytes

    def on_write(self, data: bytes, end_stream: bool) -> None:
        """Bytes for the peer, from whoever writes."""
        try:
            self.write_on(len(self._writers) - 1, data, end_stream)
        except Exception as error:  # noqa: BLE001 a filter's fault must not reach whoever writes
            self.fail("on_write", error)

    def write_on(self, index: int, data: bytes, end_stream: bool) -> None:
        """Bytes for the peer come to a filter."""
        writers = self._writers
        while index >= 0:
            if self.connection.closed or not writers[index].step(data, end_stream):
                return
            data, end_stream = writers[index].take()
            index -= 1
        if data or end_stream:
            self.connection.write_unfiltered(data, end_stream)

    # The rest

    def fail(self, where: str, error: Exception) -> None:
        """A filter raised: it costs its connection."""
        self.dispatcher.report(f"{self!r}: {where}", error)
        self.connection.close(CloseType.NO_FLUSH, "unexpected_exception")

    def stream_info(self) -> StreamInfo:
        """The connection's own facts."""
        return connection_info(self.connection, self.dispatcher.wall_time(), self.dispatcher.now())

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed: every filter is told, also where telling another one raised."""
        readers, self._readers = self._readers, []
        writers, self._writers = self._writers, []
        told = [active.filter for active in readers]
        told += [active.filter for active in writers if active.filter not in told]
        # Filters and their callbacks refer to each other: cut here, so that nothing waits for the garbage collector.
        for reader in readers:
            reader.filter = _GONE
        for writer in writers:
            writer.filter = _GONE
        for each in told:
            try:
                each.on_event(event)
            except Exception as error:  # noqa: BLE001 the others are told all the same
                self.fail(f"on_event of {each!r}", error)
        self._terminal.on_event(event)

    def on_above_write_buffer_high_watermark(self) -> None:
        """Tell the terminal filter, which produces what is written."""
        self._terminal.on_above_write_buffer_high_watermark()

    def on_below_write_buffer_low_watermark(self) -> None:
        """Tell the terminal filter, which produces what is written."""
        self._terminal.on_below_write_buffer_low_watermark()
