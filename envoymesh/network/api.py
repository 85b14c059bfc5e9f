"""What the rest of the proxy may know of the network: addresses, connections, timers, DNS.

The protocols here are implemented in this room (with asyncio) and faked in tests; code outside
names only these. This module must not import asyncio.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from mypy_extensions import mypyc_attr, trait

from envoymesh.metadata import Metadata
from envoymesh.stats.primitives import Counter


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address and a port; `str()` gives Envoy's form, ``127.0.0.1:80`` or ``[::1]:80``."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether the host is an IPv6 literal."""
        return ":" in self.host

    @property
    def ip(self) -> str:
        """The IP address; empty for an address of another kind."""
        return self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PipeAddress(Address):
    """A Unix domain socket (envoy.config.core.v3.Pipe): `host` is its path, and the port is of no meaning.

    Args:
        host: a path, or a name of Linux's abstract namespace behind an ``@``.
        mode: the permissions that a listening socket's file gets; 0 leaves them to the system.
    """

    port: int = 0
    mode: int = 0

    @property
    def is_ipv6(self) -> bool:
        """No."""
        return False

    @property
    def ip(self) -> str:
        """Empty: it has none."""
        return ""

    @property
    def is_abstract(self) -> bool:
        """Whether there is no file for it."""
        return self.host.startswith("@")

    def __str__(self) -> str:
        return self.host


Tlv = tuple[int, bytes]
"""Type and value of one extension of version 2."""


class ProxiedConnection(NamedTuple):
    """The connection that a header is about.

    Args:
        source: the client's address.
        destination: where the client connected to.
        tlvs: extensions that came with it, in their order.
    """

    source: Address
    destination: Address
    tlvs: tuple[Tlv, ...] = ()


class CloseType(enum.Enum):
    """How to close; Envoy's `ConnectionCloseType`."""

    FLUSH_WRITE = "flush"  # write what is queued, then close
    NO_FLUSH = "no_flush"  # close now
    FLUSH_WRITE_AND_DELAY = "flush_and_delay"  # write, wait (delayed_close_timeout) for the peer to close, then close
    ABORT_RESET = "abort"  # TCP RST


class ConnectionEvent(enum.Enum):
    """What happened to a connection."""

    CONNECTED = "connected"  # usable: TCP connected and TLS handshake done
    REMOTE_CLOSE = "remote"
    LOCAL_CLOSE = "local"


class CertificateInfo(Protocol):
    """Facts of a certificate. Names are in RFC 2253's form, digests and the serial number hex, times in UTC."""

    @property
    def subject(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def serial_number(self) -> str: ...
    @property
    def dns_sans(self) -> tuple[str, ...]: ...
    @property
    def uri_sans(self) -> tuple[str, ...]: ...
    @property
    def email_sans(self) -> tuple[str, ...]: ...
    @property
    def ip_sans(self) -> tuple[str, ...]: ...
    @property
    def valid_from(self) -> datetime: ...
    @property
    def expiration_time(self) -> datetime: ...
    @property
    def sha1(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def pem(self) -> str: ...


class TlsInfo(Protocol):
    """Facts of a finished TLS handshake; strings are empty when unknown."""

    version: str  # "TLSv1.3"
    cipher: str  # OpenSSL's name
    alpn: str  # negotiated protocol
    sni: str  # requested server name
    peer_certificate_presented: bool
    peer_certificate_validated: bool
    peer: CertificateInfo | None
    local: CertificateInfo | None


@mypyc_attr(allow_interpreted_subclasses=True)
@trait
class ConnectionHandler:
    """Whoever owns a connection's content: connection manager, pooled upstream connection."""

    __slots__ = ()

    @abstractmethod
    def on_data(self, data: bytes) -> int:
        """Bytes from the peer, never empty; returns how many of them were taken.

        The rest comes again, before anything new: in the next turn of the loop, or, where the handler has disabled
        reading, after it was enabled. So a handler that has much to do does a bounded share of it in one call, and
        lets the other connections have their turn. A call comes at most once in a turn.
        """

    @abstractmethod
    def on_eof(self) -> None:
        """The peer sent FIN (half-close). The handler closes the connection, now or when it has answered."""

    def on_write_failed(self) -> None:
        """Of a connection that was made from here: nothing can be written any more, and a CLOSE event is next. What the
        peer had sent before comes in between."""

    @abstractmethod
    def on_event(self, event: ConnectionEvent) -> None:
        """CONNECTED at most once and first (for accepted connections it has happened already);
        one of the CLOSE events exactly once and last."""

    @abstractmethod
    def on_above_write_buffer_high_watermark(self) -> None:
        """The write buffer holds more than the buffer limit."""

    @abstractmethod
    def on_below_write_buffer_low_watermark(self) -> None:
        """The write buffer is below half the limit again."""


@trait
class WriteFilter:
    """Stands between `Connection.write` and the wire."""

    __slots__ = ()

    @abstractmethod
    def on_write(self, data: bytes, end_stream: bool) -> None:
        """Bytes that somebody writes, maybe none; `end_stream`: nothing more will be written."""


@trait
class Connection:
    """One TCP or TLS connection, downstream or upstream. All methods are synchronous and never block.

    Every method is harmless after the close. Bytes written before CONNECTED are sent after it.
    """

    __slots__ = ()

    id: int  # unique in this process, > 0 (%CONNECTION_ID%)
    local_address: Address | None
    remote_address: Address | None
    tls: TlsInfo | None
    requested_server_name: str
    filter_chain_name: str  # of an accepted connection; "" where the chain has none
    listener_name: str  # of an accepted connection
    proxied: ProxiedConnection | None  # what a PROXY protocol header said of an accepted connection
    # (local, remote) address of an accepted connection, where a listener filter has restored others; else None.
    direct_addresses: tuple[Address | None, Address | None] | None
    listener_metadata: dict[str, dict[str, Any]] | None  # dynamic metadata that listener filters left; None is none
    metadata: Metadata | None  # of an accepted connection's listener and filter chain; None where they have none
    failure_reason: str  # transport failure text, as Envoy's %UPSTREAM_TRANSPORT_FAILURE_REASON%, "" when none
    bytes_received: int
    bytes_sent: int
    closed: bool
    reset_by_peer: bool  # the peer's RST ended it
    close_details: str  # why it was closed from here, as far as anybody said
    delayed_close_timed_out: bool  # the peer did not close within delayed_close_timeout
    aborted: bool  # it was closed from here with an RST
    start_time: float  # monotonic seconds: when it was accepted; 0.0 of an upstream connection
    stream_info: Any  # the connection's own facts (`http.stream_info.connection_info`), until its end; None before

    @property
    @abstractmethod
    def buffered(self) -> tuple[int, int]:
        """Bytes that wait: (received ones for the handler, written ones for the operating system)."""

    @abstractmethod
    def set_handler(self, handler: ConnectionHandler) -> None:
        """Who gets data and events."""

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Queue bytes; batched into few system calls by the end of the loop turn."""

    @abstractmethod
    def enable_half_close(self) -> None:
        """The handler goes on after the peer has ended its side. With TLS a FIN without close_notify then counts as
        that end, too; otherwise it counts as a cut and closes the connection."""

    @abstractmethod
    def write_end_stream(self) -> None:
        """Nothing more will be written: FIN (or close_notify) follows what is queued, and reading goes on (half-close).

        A connection whose peer has ended too closes by itself: as LOCAL_CLOSE where this call comes last, else as
        REMOTE_CLOSE after `on_eof`."""

    @abstractmethod
    def unread(self, data: bytes) -> None:
        """Give bytes back: they come through `on_data`, before anything new, in a later turn, and only while reading is
        enabled. Bytes given back in two calls come in the order of the calls."""

    @abstractmethod
    def set_write_filter(self, write_filter: WriteFilter) -> None:
        """From now on `write` and `write_end_stream` hand everything to this one, which calls `write_unfiltered`."""

    @abstractmethod
    def write_unfiltered(self, data: bytes, end_stream: bool) -> None:
        """What `write` and `write_end_stream` do without a write filter."""

    @abstractmethod
    def read_disable(self, disable: bool) -> None:
        """Counted: True stops reading; after as many calls with False it goes on. Meanwhile a peer's FIN may stay
        unnoticed.

        After the last False the handler gets data in a later turn of the loop, never before this call returns."""

    @abstractmethod
    def close(self, how: CloseType, details: str = "") -> None:
        """Begin to close; `on_event` is called when it is done (for NO_FLUSH and ABORT_RESET: before this returns).
        `details` is for %CONNECTION_TERMINATION_DETAILS%."""

    @abstractmethod
    def set_delayed_close_timeout(self, seconds: float) -> None:
        """How long FLUSH_WRITE_AND_DELAY waits for the peer after the flush (default 1 s); 0 closes at once."""


@dataclass(frozen=True, slots=True)
class EndedConnection:
    """A connection that is no more, for the listener's access log.

    Args:
        accepted: monotonic seconds.
        unmatched: no filter chain was found for it. One that left before that was tried has no `id` either.
    """

    connection: Connection
    accepted: float
    unmatched: bool = False


@trait
class ExceptionHandler:
    """What pays for an unexpected exception: one stream, say, instead of the whole connection it belongs to."""

    __slots__ = ()

    @abstractmethod
    def on_exception(self, where: str, error: Exception) -> None:
        """Code that ran for this object raised; `where` says which, for the log."""


@trait
class Timer:
    """A one-shot timer. Cheap to enable and disable: no loop timer is armed for each."""

    __slots__ = ()

    @abstractmethod
    def enable(self, seconds: float) -> None:
        """(Re)start: fires once, `seconds` from now (resolution 1 ms)."""

    @abstractmethod
    def disable(self) -> None:
        """Do not fire. Harmless when not enabled."""

    @property
    @abstractmethod
    def enabled(self) -> bool:
        """Whether it will fire."""


class NoTimer(Timer):
    """Takes the place of a timer that is not needed, or not any more: a timer and its owner refer to each other."""

    __slots__ = ()

    def enable(self, seconds: float) -> None:
        """Nothing happens."""

    def disable(self) -> None:
        """It never fires."""

    @property
    def enabled(self) -> bool:
        """No."""
        return False


NO_TIMER: Final[Timer] = NoTimer()


@trait
class Dispatcher:
    """Time and deferred calls of the worker's loop."""

    __slots__ = ()

    @abstractmethod
    def now(self) -> float:
        """Monotonic seconds."""

    @abstractmethod
    def wall_time(self) -> float:
        """Seconds since the epoch."""

    @abstractmethod
    def create_timer(self, callback: Callable[[], None], owner: ExceptionHandler | None = None) -> Timer:
        """A disabled timer. `owner` is told of what the callback raises; without one it is only reported."""

    @abstractmethod
    def post(self, callback: Callable[[], None]) -> None:
        """Call soon, in a later turn of the loop."""

    @abstractmethod
    def report(self, what: str, error: BaseException | None) -> None:
        """Log an unexpected exception with its traceback, and count it; `what` says where it came up."""


class ClientTls(Protocol):
    """TLS settings of an upstream, made by `network.tls` from UpstreamTlsContext; opaque but for names."""

    def for_names(self, server_name: str, subject_alt_names: tuple[str, ...]) -> ClientTls:
        """The same for other names: what to ask the server for (empty is as configured), and names of which its
        certificate must have one (none are not looked at)."""


@trait
class ConnectionPreface:
    """What an upstream connection begins with, before TLS (the PROXY protocol's header)."""

    __slots__ = ()

    @abstractmethod
    def preface(self, local: Address | None, remote: Address | None) -> bytes:
        """The bytes; called once, when TCP is connected, with the addresses of that connection."""


@dataclass(frozen=True, slots=True)
class SocketOption:
    """One envoy.config.core.v3.SocketOption for setsockopt(2), set in one state of the socket.

    Args:
        value: a number, or the bytes of a structure.
        state: STATE_PREBIND, STATE_BOUND or STATE_LISTENING.
    """

    level: int
    name: int
    value: int | bytes
    state: str = "STATE_PREBIND"


SOCKET_OPTION_FAILED: Final = "socket_option"
"""The close details of a connection of which an option of its socket could not be set; it has no failure reason."""


class ConnectCounts:
    """What is counted of attempts to connect.

    Args:
        more_attempts: attempts at a host's addresses, after the first one.
        bind_errors: attempts that could not be bound to their own address.
    """

    __slots__ = ("bind_errors", "more_attempts")

    def __init__(self, more_attempts: Counter, bind_errors: Counter) -> None:
        self.more_attempts = more_attempts
        self.bind_errors = bind_errors


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """Where connections come from, and the options of their sockets then."""

    address: Address
    options: tuple[SocketOption, ...] = ()


@dataclass(frozen=True, slots=True)
class UpstreamSocketSettings:
    """How upstream connections are made (envoy.config.core.v3.BindConfig and UpstreamConnectionOptions).

    Args:
        sources: the first of the peer's IP version is bound to, or else the first; without any the system chooses.
        options: where nothing is bound to.
        first_family: V4 or V6, the family of the first attempt at a host of several addresses; empty leaves the
            order as it is.
        first_family_count: attempts of that family before the first of the other.
    """

    sources: tuple[SourceAddress, ...] = ()
    options: tuple[SocketOption, ...] = ()
    first_family: str = ""
    first_family_count: int = 1


DEFAULT_SOCKET: Final = UpstreamSocketSettings()
"""The one of clusters that say nothing of it."""


class Connector(Protocol):
    """Makes upstream connections."""

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
    ) -> Connection:
        """Begin to connect; returns at once.

        With several addresses one after the other is tried as `socket` orders them, the next when one has failed or
        taken 0.3 s, and the first that connects is taken. Success is CONNECTED; failure is REMOTE_CLOSE (refused,
        reset, TLS failure; `failure_reason` says) or LOCAL_CLOSE (no descriptor, port or own address is to be had,
        and `failure_reason` says so; or without one: `connect_timeout` seconds passed, or `close` called)."""


class DnsStatus(enum.Enum):
    """How a resolution ended; Envoy's `DnsResolver::ResolutionStatus`."""

    COMPLETED = "completed"  # the resolver answered; the list may be empty (name without addresses, NXDOMAIN)
    FAILURE = "failure"  # no usable answer (timeout, SERVFAIL): keep what is known


@dataclass(frozen=True, slots=True)
class DnsResponse:
    """One address of an answer; `ttl` in seconds."""

    host: str
    ttl: float


DnsCallback = Callable[[DnsStatus, list[DnsResponse]], None]


class DnsQuery(Protocol):
    """A query under way.

    Attributes:
        details: why an answer has no address, in Envoy's words (``cares_norecords:Domain name not found``); right when
            the callback comes.
    """

    details: str

    def cancel(self) -> None:
        """Do not call back."""


class DnsResolver(Protocol):
    """Resolves names. IP literals resolve to themselves."""

    def resolve(self, name: str, lookup_family: str, callback: DnsCallback) -> DnsQuery:
        """Ask for a name's addresses. `lookup_family` is Envoy's DnsLookupFamily name (AUTO, V4_ONLY, V6_ONLY,
        V4_PREFERRED, ALL). The callback comes in a later turn of the loop."""
