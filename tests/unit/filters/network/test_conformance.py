"""What every network filter of the registry must bear: bytes in pieces of every size, neighbours that stop, close or
raise at each step, and a peer that ends or goes; afterwards nothing is left.

A filter is registered, and it is tested here; only one that needs settings has a line in SETTINGS.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.network.registry import CONNECTION_MANAGER, NETWORK_FILTERS, TerminalFilterKind
from envoymesh.network.api import CloseType
from envoymesh.stats import Store
from tests.support.fakes import FakeConnection, FakeDispatcher
from tests.support.network_filters import (
    CONTINUE,
    STOP,
    Clusters,
    Recorder,
    RecordingFactory,
    added,
    cluster,
    context_of,
    reader_of,
)
from tests.support.python_files import PASSING

_PACKAGE = "envoy.extensions.filters.network."
SETTINGS: dict[str, dict[str, Any]] = {
    _PACKAGE + "direct_response.v3.Config": {"response": {"inline_string": "hi"}},
    "envoymesh.network.PythonFilter": {"file": PASSING, "class": "Wire"},
    _PACKAGE + "tcp_proxy.v3.TcpProxy": {"stat_prefix": "t", "cluster": "up"},
}
# The connection manager has a conformance test of its own, for the filters in it.
TYPES = [each for each in NETWORK_FILTERS if each != CONNECTION_MANAGER]
STEPS = ("new", "data", "write", "event")
SENT = bytes(range(97, 123))


class Bench:
    """A chain with one filter of the registry, and a neighbour before it, on a fake connection."""

    def __init__(self, type_name: str, neighbour: Recorder | None = None, bite: int = 1 << 30) -> None:
        self.dispatcher = FakeDispatcher()
        self.told: list[Any] = []
        self.connection = FakeConnection()
        self.clusters = Clusters(self.dispatcher, Store(), cluster("up"))
        context = context_of(self.dispatcher, self.clusters)
        kind = NETWORK_FILTERS[type_name]
        made: Any = kind.read(reader_of(type_name, **SETTINGS.get(type_name, {})), context)
        filters = [] if neighbour is None else [added(neighbour)]
        terminal = made if isinstance(kind, TerminalFilterKind) else RecordingFactory(self.told, bite)
        if terminal is not made:
            filters.append(made)
        chain = NetworkFilterChainFactory(terminal, filters, self.dispatcher, 64)  # type: ignore[arg-type]
        self.terminal = terminal
        self.connection.bench = self  # type: ignore[attr-defined]  # kept as long as the connection is
        try:
            chain.start(self.connection, chain.create(self.connection))  # type: ignore[arg-type]
        except RuntimeError:
            self.connection.close(CloseType.NO_FLUSH)  # as the listener does
        self.connect()

    def connect(self) -> None:
        """The upstream, if the filter wants one, is there."""
        for each in self.clusters.connector.connections:
            if not each.connected and not each.closed:
                each.established()

    def turn(self) -> None:
        """Let everybody go on."""
        self.connect()
        self.dispatcher.run_posted()
        self.connection.take_turn()

    def receive(self, data: bytes) -> None:
        """The peer sends; what a filter raises costs the connection, as in TcpConnection."""
        try:
            self.connection.receive(data)
            self.turn()
        except RuntimeError:
            self.connection.close(CloseType.NO_FLUSH)

    def end(self) -> None:
        """The peer ends its side, then goes; so does the upstream."""
        try:
            self.connection.receive_eof()
            self.turn()
        except RuntimeError:
            self.connection.close(CloseType.NO_FLUSH)
        self.connection.remote_close()
        for each in self.clusters.connector.connections:
            each.remote_close()

    def assert_nothing_is_left(self) -> None:
        """Everybody has let go."""
        assert self.connection.closed
        assert not self.dispatcher.timers
        assert all(each.closed for each in self.clusters.connector.connections)
        assert not self.terminal.is_busy
        up = self.clusters.get("up")
        assert up is not None
        assert up.stats.upstream_cx_active.value == up.stats.upstream_rq_active.value == 0
        assert up.stats.upstream_rq_pending_active.value == 0
        assert up.resource_manager().connections.count == up.resource_manager().requests.count == 0

    def passed(self) -> bytes:
        """What has come out at the other end: at the upstream, at the recording end, or back."""
        upstream = b"".join(b"".join(each.written) for each in self.clusters.connector.connections)
        return upstream or b"".join(each[2] for each in self.told if each[1] == "data")


@pytest.mark.parametrize("size", range(1, len(SENT) + 1))
@pytest.mark.parametrize("type_name", TYPES)
def test_pieces_of_every_size(type_name: str, size: int) -> None:
    bench = Bench(type_name, Recorder("a", []), bite=3)
    for start in range(0, len(SENT), size):
        bench.receive(SENT[start : start + size])
    for _ in range(len(SENT)):
        bench.turn()
    if bench.passed():
        assert bench.passed() == SENT
    bench.end()
    bench.assert_nothing_is_left()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["stop", "close", "abort", "raise", "flush"])
@pytest.mark.parametrize("type_name", TYPES)
def test_a_neighbour_that_does_something_at_a_step(type_name: str, what: str, step: str) -> None:
    answers: dict[str, Any] = {step: [STOP, CONTINUE]} if what == "stop" and step != "event" else {}
    neighbour = Recorder("a", [], **answers)
    types = {"close": CloseType.NO_FLUSH, "abort": CloseType.ABORT_RESET, "flush": CloseType.FLUSH_WRITE}

    def act(at: str) -> None:
        if at == step and what in types:
            neighbour.read_callbacks.connection.close(types[what])

    neighbour.then = act
    if what == "raise":
        neighbour.raises = step
    dispatcher_expects(neighbour, Bench, type_name)


def dispatcher_expects(neighbour: Recorder, make: Callable[..., Bench], type_name: str) -> None:
    """Do an exchange with the neighbour, whatever it does."""
    original = FakeDispatcher.__init__

    def expecting(self: FakeDispatcher, *args: Any, **options: Any) -> None:
        original(self, *args, **options)
        self.expects_errors = True

    FakeDispatcher.__init__ = expecting  # type: ignore[method-assign]
    try:
        bench = make(type_name, neighbour)
    finally:
        FakeDispatcher.__init__ = original  # type: ignore[method-assign]
    bench.receive(b"one")
    bench.receive(b"two")
    for each in bench.clusters.connector.connections:
        each.receive(b"answer")
    bench.connection.write(b"three")
    bench.end()
    bench.assert_nothing_is_left()


@pytest.mark.parametrize("type_name", TYPES)
def test_nothing_waits_for_the_collector(type_name: str) -> None:
    gc.collect()
    gc.disable()
    try:
        bench = Bench(type_name, Recorder("a", []))
        bench.receive(SENT)
        bench.end()
        del bench.connection.bench  # type: ignore[attr-defined]
        bench.connection.handler = bench.connection.write_filter = bench.connection.stream_info = None
        for each in bench.clusters.connector.connections:
            each.handler = None
        kept = [type(each).__name__ for each in gc.get_objects() if type(each).__name__ in _KINDS]
        assert kept == []
    finally:
        gc.enable()


_KINDS = {"NetworkFilterManager", "ActiveReadFilter", "ActiveWriteFilter", "TcpProxyFilter", "EchoFilter",
          "DirectResponseFilter", "SniClusterFilter", "TcpUpstreamConnection"}  # fmt: skip
