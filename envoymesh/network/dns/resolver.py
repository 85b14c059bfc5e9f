"""Names to addresses with c-ares, as Envoy's own c-ares resolver does it.

The rules:
- Each resolution has a channel of its own: c-ares' cache can't be switched off, and a shared channel would answer from
  it for as long as a record's TTL, however often a cluster refreshes.
- No such name, and no address of that kind, are answers (COMPLETED and empty). Everything else without an address
  (timeout, SERVFAIL, refused) is a FAILURE.
- AUTO asks for IPv6 and, if there is none, for IPv4; V4_PREFERRED the other way; ALL for both.
- The hosts file may be another than /etc/hosts: the environment variable CARES_HOSTS names it.

This module must not know clusters, nor remember answers.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

import pycares

from envoymesh.network.api import Address, DnsCallback, DnsResponse, DnsStatus, Timer
from envoymesh.network.connection.sockets import ip_literal
from envoymesh.network.loop.dispatcher import LoopDispatcher
from envoymesh.network.stats import DnsStats

_log = logging.getLogger("envoymesh.dns")

_AI_NOSORT = 1 << 7
_AI_ENVHOSTS = 1 << 8
_NO_RECORDS = (pycares.errno.ARES_ENODATA, pycares.errno.ARES_ENOTFOUND)

_FAMILIES: dict[str, tuple[int, ...]] = {
    "AUTO": (socket.AF_INET6, socket.AF_INET),
    "V4_ONLY": (socket.AF_INET,),
    "V6_ONLY": (socket.AF_INET6,),
    "V4_PREFERRED": (socket.AF_INET, socket.AF_INET6),
    "ALL": (socket.AF_UNSPEC,),
}
"""Envoy's DnsLookupFamily: the address families to ask for, one after the other until one gives an address."""

_LITERAL_TTL = 60.0
"""Seconds; Envoy's TTL of an address that needed no resolution."""


class CaresResolver:
    """Implements `envoymesh.network.api.DnsResolver`.

    Args:
        dispatcher: the worker's dispatcher.
        stats: the dns.cares. stats.
        options: more of pycares.Channel's options, such as `servers`, `udp_port`, `timeout`, `tries`.
    """

    __slots__ = ("_dispatcher", "_options", "_stats")

    def __init__(self, dispatcher: LoopDispatcher, stats: DnsStats, **options: Any) -> None:
        self._dispatcher = dispatcher
        self._stats = stats
        self._options = options

    def resolve(self, name: str, lookup_family: str, callback: DnsCallback) -> Resolution:
        """Ask for a name's addresses; the callback comes in a later turn of the loop, unless it is cancelled.

        Raises:
            KeyError: `lookup_family` is not one of Envoy's DnsLookupFamily.
        """
        families = _FAMILIES[lookup_family]
        stats = self._stats
        stats.resolve_total.inc()
        resolution = Resolution(self._dispatcher, stats, name, families, callback)
        literal = _literal(name)
        if literal and _is_of(literal, families):
            resolution.finish(DnsStatus.COMPLETED, [DnsResponse(literal, _LITERAL_TTL)])
        elif literal:
            stats.get_addr_failure.inc()
            resolution.details = "cares_failure:Misformatted domain name"
            resolution.finish(DnsStatus.FAILURE, [])
        else:
            resolution.start(self._options)
        return resolution

    def __repr__(self) -> str:
        return f"CaresResolver(pending={self._stats.pending_resolutions.value})"


def cares_options(servers: Sequence[Address], use_tcp: bool, no_search: bool) -> dict[str, Any]:
    """The options of a `CaresResolver` that asks these servers (none are the system's) and, where told to, only by TCP,
    or only for names as they are, without the system's search domains."""
    flags = (pycares.ARES_FLAG_USEVC if use_tcp else 0) | (pycares.ARES_FLAG_NOSEARCH if no_search else 0)
    options: dict[str, Any] = {"flags": flags} if flags else {}
    if servers:
        options["servers"] = [str(server) for server in servers]
    return options


class Resolution:
    """One name being resolved. Implements `envoymesh.network.api.DnsQuery`."""

    __slots__ = (
        "_callback",
        "_channel",
        "_dispatcher",
        "_ended",
        "_families",
        "_name",
        "_stats",
        "_status",
        "_timer",
        "_watched",
        "details",
    )

    def __init__(
        self,
        dispatcher: LoopDispatcher,
        stats: DnsStats,
        name: str,
        families: tuple[int, ...],
        callback: DnsCallback,
    ) -> None:
        self._dispatcher = dispatcher
        self._stats = stats
        self._name = name
        self._families = families
        self._callback: DnsCallback | None = callback
        self._status = DnsStatus.COMPLETED
        self._ended = False
        self._channel: pycares.Channel | None = None
        self._timer: Timer = dispatcher.create_timer(self._tick)
        self._watched: set[int] = set()
        self.details = "cares_success"
        stats.pending_resolutions.inc()

    def start(self, options: dict[str, Any]) -> None:
        """Ask c-ares for the addresses."""
        try:
            self._channel = pycares.Channel(sock_state_cb=self._watch, **options)
        except pycares.AresError as error:
            self._refused(error)
            return
        self._ask()

    def cancel(self) -> None:
        """Do not call back."""
        if self._callback is not None:
            self._callback = None
            self._end()

    def finish(self, status: DnsStatus, responses: list[DnsResponse]) -> None:
        """Tell the answer in a later turn."""
        self._end()

        def tell() -> None:
            # It may have been cancelled since.
            callback, self._callback = self._callback, None
            if callback is not None:
                callback(status, responses)

        self._dispatcher.post(tell)

    def _ask(self) -> None:
        assert self._channel is not None
        family, *rest = self._families
        self._families = tuple(rest)
        try:
            self._channel.getaddrinfo(
                self._name,
                None,
                family=socket.AddressFamily(family),
                type=socket.SOCK_STREAM,
                flags=_flags(),
                callback=self._answered,
            )
        except (pycares.AresError, UnicodeError, ValueError) as error:
            self._refused(error)
            return
        self._tick_later()

    def _refused(self, error: Exception) -> None:
        """There is no asking for this name."""
        _log.warning("cannot resolve %s: %s", self._name, error)
        self.details = f"cares_failure:{error}"
        self.finish(DnsStatus.FAILURE, [])

    def _answered(self, result: Any, error: int | None) -> None:
        """c-ares calls, from within `getaddrinfo` or one of the process functions."""
        if self._callback is None or self._channel is None:
            return
        responses = [] if result is None else [_response(node) for node in result.nodes]
        if not responses:
            self._count_failure(error)
            text = "" if error is None else _text(error)
            self.details = f"cares_{'norecords' if error in _NO_RECORDS else 'failure'}:{text}"
            if error is not None and error not in _NO_RECORDS:
                self._status = DnsStatus.FAILURE
            if self._families:
                # In a later turn: a new query must not be made in c-ares' callback.
                self._dispatcher.post(self._ask_next)
                return
        self._dispatcher.post(lambda: self._conclude(responses))

    def _ask_next(self) -> None:
        if self._channel is not None:
            self._status = DnsStatus.COMPLETED
            self._ask()

    def _conclude(self, responses: list[DnsResponse]) -> None:
        if self._channel is not None:
            self.finish(DnsStatus.COMPLETED if responses else self._status, responses)

    def _count_failure(self, error: int | None) -> None:
        stats = self._stats
        if error is None or error in _NO_RECORDS:
            stats.not_found.inc()
        else:
            stats.get_addr_failure.inc()
        if error == pycares.errno.ARES_ETIMEOUT:
            stats.timeouts.inc()

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        self._stats.pending_resolutions.dec()
        self._timer.disable()
        loop = self._dispatcher.loop
        for descriptor in self._watched:
            loop.remove_reader(descriptor)
            loop.remove_writer(descriptor)
        self._watched.clear()
        channel, self._channel = self._channel, None
        if channel is not None:
            # In a later turn: this may be one of the channel's own callbacks.
            self._dispatcher.post(channel.close)

    # The channel on the loop.

    def _watch(self, descriptor: int, readable: bool, writable: bool) -> None:
        """c-ares tells what it waits for on a socket; neither means that the socket is about to be closed."""
        if self._channel is None and descriptor not in self._watched:
            return
        loop = self._dispatcher.loop
        if readable:
            loop.add_reader(descriptor, self._process, descriptor, pycares.ARES_SOCKET_BAD)
        else:
            loop.remove_reader(descriptor)
        if writable:
            loop.add_writer(descriptor, self._process, pycares.ARES_SOCKET_BAD, descriptor)
        else:
            loop.remove_writer(descriptor)
        (self._watched.add if readable or writable else self._watched.discard)(descriptor)

    def _process(self, read: int, write: int) -> None:
        if self._channel is not None:
            self._channel.process_fd(read, write)
            self._tick_later()

    def _tick(self) -> None:
        self._process(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)

    def _tick_later(self) -> None:
        """c-ares' own timeouts and retries. An answer that is about to be told needs none."""
        if self._channel is not None:
            seconds: float = self._channel.timeout()  # type: ignore[no-untyped-call]
            self._timer.enable(max(seconds, 0.001))


def _is_of(literal: str, families: tuple[int, ...]) -> bool:
    family = socket.AF_INET6 if ":" in literal else socket.AF_INET
    return family in families or socket.AF_UNSPEC in families


def _text(error: int) -> str:
    text = pycares.errno.strerror(error)
    return text.decode() if isinstance(text, bytes) else text


def _flags() -> int:
    # With ENVHOSTS but no CARES_HOSTS, c-ares would read no hosts file at all, and not know localhost.
    return _AI_NOSORT | _AI_ENVHOSTS if os.environ.get("CARES_HOSTS") else _AI_NOSORT


def _response(node: Any) -> DnsResponse:
    host = node.addr[0]
    return DnsResponse(host.decode() if isinstance(host, bytes) else host, float(node.ttl))


def _literal(name: str) -> str:
    try:
        return ip_literal(name)
    except (ValueError, OSError):
        return ""
