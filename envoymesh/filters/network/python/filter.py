"""Leads one connection's bytes through a user's filter (`envoymesh.api.NetworkFilter`). It must not know files."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from envoymesh.api import NetworkFilter as UserFilter
from envoymesh.filters.network.filter import Buffer, FilterStatus, NetworkFilter
from envoymesh.network.api import CloseType, ConnectionEvent
from envoymesh.scripting.script import Loaded, ScriptError
from envoymesh.stats import Scope

NOBODY: UserFilter[Any] = UserFilter()
"""Stands where a connection is over."""

STEPS = ("on_connect", "on_data", "on_write", "on_end")


def check_class(made: type) -> None:
    """Refuse what cannot work. Errors: ScriptError."""
    for step in STEPS:
        if inspect.iscoroutinefunction(getattr(made, step)):
            raise ScriptError(f"{made.__name__}.{step} must not be async", getattr(made, step).__code__.co_firstlineno)


class PythonNetworkFilter(NetworkFilter):
    """One connection; implements `envoymesh.api.Bytes`."""

    __slots__ = ("config", "log", "stats", "user")

    def __init__(self, loaded: Loaded, scope: Scope) -> None:
        self.config = loaded.config
        self.stats = scope.scope(f"{loaded.cls.__name__}.")
        self.log = logging.getLogger("envoymesh.filter")
        self.user: UserFilter[Any] = loaded.cls()
        self.user._stream = self

    def on_new_connection(self) -> FilterStatus:
        """The connection is usable."""
        self.user.on_connect()
        return FilterStatus.CONTINUE

    def on_data(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        """Bytes from the peer."""
        return _changed(buffer, self.user.on_data(buffer.data, end_stream), end_stream)

    def on_write(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        """Bytes for the peer."""
        return _changed(buffer, self.user.on_write(buffer.data, end_stream), end_stream)

    def on_event(self, event: ConnectionEvent) -> None:
        """The connection is closed."""
        if event in (ConnectionEvent.LOCAL_CLOSE, ConnectionEvent.REMOTE_CLOSE):
            user, self.user = self.user, NOBODY  # they know each other: nothing is to wait for the collector
            user.on_end()

    # envoymesh.api.Bytes

    def write(self, data: bytes) -> None:
        """To the peer."""
        self.read_callbacks.connection.write(data)

    def close(self) -> None:
        """The connection."""
        self.read_callbacks.connection.close(CloseType.FLUSH_WRITE)

    @property
    def client_address(self) -> str:
        """The peer."""
        address = self.read_callbacks.connection.remote_address
        return "" if address is None else address.host


def _changed(buffer: Buffer, data: bytes | None, end_stream: bool) -> FilterStatus:
    """What the user keeps back it keeps itself: nothing stays in the buffer."""
    if data is not None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"a network filter returns bytes or None, not {data!r}")
        buffer.data = bytes(data)
    return FilterStatus.CONTINUE if buffer.data or end_stream else FilterStatus.STOP_ITERATION
