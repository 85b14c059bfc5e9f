"""The contract of network filters, with Envoy's names (envoy/network/filter.h).

A filter chain is any number of filters and, last, one terminal filter. Filters see bytes on their way: what the peer
sent from the first filter to the last, what is written to the peer from the last to the first. The terminal filter
takes what came through, and answers: the HTTP connection manager, `tcp_proxy`, `echo`. This module must not know any
of them.

The rules:

- A filter is one object for each connection: keep it small and slotted. It overrides the steps it needs; a chain that
  has no filters but the terminal one hands it the connection itself, and nothing of this costs anything.
- `on_new_connection` of a filter is called before its first `on_data`; STOP_ITERATION there keeps the following filters
  from beginning until data comes to this one, or it calls `continue_reading`.
- A step gets a `Buffer`: all that has come to this filter and not gone on. It may be replaced (`buffer.data = ...`).
  CONTINUE lets what is then in it go on; STOP_ITERATION keeps it here, and it comes again with what comes next. What
  is kept for a filter is bounded: over the listener's buffer limit the peer is not read, so a filter that waits for
  more than that waits for ever, unless it takes bytes out within the step.
- `end_stream` says that the peer has ended its side (half-close). It comes with the last bytes, or without any, and
  goes on only when the filter continues.
- What a filter raises costs its connection and no other. Timers are made with `create_timer` of the callbacks, so that
  this holds for their callbacks too.
- After any call out (a write, a close, an inject) the connection may be gone; `on_event` with a CLOSE is the last call.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from mypy_extensions import mypyc_attr, trait

from envoymesh.network.api import Connection, ConnectionEvent, ConnectionHandler, Dispatcher, ExceptionHandler, Timer

if TYPE_CHECKING:
    from envoymesh.http.stream_info import StreamInfo
    from envoymesh.network.api import Address


class FilterStatus(enum.Enum):
    """What the chain does after a step."""

    CONTINUE = "continue"
    STOP_ITERATION = "stop_iteration"


class Buffer:
    """Bytes on their way through a filter (Envoy's `Buffer::Instance`, as far as filters need it)."""

    __slots__ = ("data",)

    def __init__(self, data: bytes = b"") -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def drain(self, count: int) -> bytes:
        """Take the first `count` bytes out."""
        taken = self.data[:count]
        self.data = self.data[count:]
        return taken


@trait
class FilterCallbacks(ExceptionHandler):
    """What any network filter may ask.

    A filter that is called back from elsewhere than its steps and timers passes what it catches to `on_exception`.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def connection(self) -> Connection:
        """The connection. What is written to it passes the write filters of the whole chain."""

    @property
    @abstractmethod
    def dispatcher(self) -> Dispatcher:
        """Time and deferred calls."""

    @abstractmethod
    def create_timer(self, callback: Callable[[], None]) -> Timer:
        """A disabled timer whose callback, if it raises, costs this connection only."""

    @property
    @abstractmethod
    def stream_info(self) -> StreamInfo:
        """The connection's own facts, made when first asked for: its filters and logs share them, and requests on the
        connection find its filter state."""


@trait
class ReadFilterCallbacks(FilterCallbacks):
    """What a filter that sees received bytes may ask."""

    __slots__ = ()

    @abstractmethod
    def continue_reading(self) -> None:
        """After STOP_ITERATION: the following filters begin, and get what is kept here."""

    @abstractmethod
    def inject_read_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """Pass bytes to the following filters, past what is kept here."""

    @property
    @abstractmethod
    def upstream_host(self) -> Address | None:
        """The host that the terminal filter has chosen, once it has."""


@trait
class WriteFilterCallbacks(FilterCallbacks):
    """What a filter that sees written bytes may ask."""

    __slots__ = ()

    @abstractmethod
    def inject_write_data_to_filter_chain(self, data: bytes, end_stream: bool) -> None:
        """Pass bytes to the filters before this one, and then to the peer, past what is kept here."""


@mypyc_attr(allow_interpreted_subclasses=True)
class NetworkFilter:
    """Base of all filters that are not terminal: every step continues.

    Attributes:
        read_callbacks: set where the filter was added with `add_read_filter` or `add_filter`.
        write_callbacks: set where it was added with `add_write_filter` or `add_filter`.
    """

    __slots__ = ("read_callbacks", "write_callbacks")
    read_callbacks: ReadFilterCallbacks
    write_callbacks: WriteFilterCallbacks

    def initialize_read_filter_callbacks(self, callbacks: ReadFilterCallbacks) -> None:
        """Called once, before any step."""
        self.read_callbacks = callbacks

    def initialize_write_filter_callbacks(self, callbacks: WriteFilterCallbacks) -> None:
        """Called once, before any step."""
        self.write_callbacks = callbacks

    def on_new_connection(self) -> FilterStatus:
        """The connection is usable, and the filters before this one have let it go on."""
        return FilterStatus.CONTINUE

    def on_data(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        """Bytes from the peer, or its end."""
        return FilterStatus.CONTINUE

    def on_write(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        """Bytes for the peer, or the end of our side."""
        return FilterStatus.CONTINUE

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed, by the peer or from here: stop timers. Called once, last."""


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class TerminalFilter(ConnectionHandler):
    """The last filter of a chain, which owns the connection's content: what a chain without other filters hands the
    connection to. It sees bytes as any `ConnectionHandler`: it says how many it took, and the rest comes again."""

    __slots__ = ()

    @abstractmethod
    def on_new_connection(self) -> None:
        """The connection is usable, and the filters before this one have let it go on. Called once, first."""

    @abstractmethod
    def add_connection_facts(self, info: StreamInfo) -> None:
        """The connection is over: tell the listener's access log what this filter knows of it."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TerminalNetworkFilter(TerminalFilter):
    """Base of terminal filters: takes everything, does nothing with it, and closes when the peer has ended.

    Args:
        connection: the one it ends.
    """

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        connection.enable_half_close()

    def on_new_connection(self) -> None:
        """The connection is usable."""

    def on_data(self, data: bytes) -> int:
        """Bytes from the peer; returns how many were taken."""
        return len(data)

    def on_eof(self) -> None:
        """The peer has ended its side: `write_end_stream` ends the other one, and with it the connection."""
        self.connection.write_end_stream()

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""

    def on_above_write_buffer_high_watermark(self) -> None:
        """The peer does not take what is written."""

    def on_below_write_buffer_low_watermark(self) -> None:
        """The peer takes bytes again."""

    def add_connection_facts(self, info: StreamInfo) -> None:
        """Nothing but what the connection itself knows."""


@trait
class FilterManager:
    """Takes the filters of one connection, in the order of the configuration."""

    __slots__ = ()

    @abstractmethod
    def add_read_filter(self, filter_: NetworkFilter) -> None:
        """Append a filter that sees what is received."""

    @abstractmethod
    def add_write_filter(self, filter_: NetworkFilter) -> None:
        """Add a filter that sees what is written, before those that were added earlier."""

    @abstractmethod
    def add_filter(self, filter_: NetworkFilter) -> None:
        """Add a filter that sees both."""


FilterFactory = Callable[[FilterManager], None]
"""Makes a filter's object for one connection and adds it; made once from settings."""


@mypyc_attr(allow_interpreted_subclasses=True)
class TerminalFilterFactory:
    """Makes terminal filters, and answers for those of a whole filter chain. Made once from settings."""

    __slots__ = ()

    def create(self, connection: Connection) -> TerminalFilter:
        """The filter of one connection that is usable (its TLS handshake is done)."""
        raise NotImplementedError

    def count_failed_handshake(self, remote: bool) -> None:
        """A connection came and went before its TLS was agreed on; `remote` says who ended it."""

    def leave(self) -> None:
        """The process is about to end: so should connections, those to come too, as soon as nothing is lost by it."""

    def sample_buffers(self) -> None:
        """Set the gauges of buffered bytes."""

    @property
    def is_busy(self) -> bool:
        """Whether something is left to be done for connections that are closed."""
        return False
