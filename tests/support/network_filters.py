"""What tests of network filters share: a context for settings, a chain on a fake connection, filters that record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from envoymesh.access_loggers.config import AccessLogFactoryContext
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.filters.network.factory_context import NetworkFilterFactoryContext
from envoymesh.filters.network.filter import (
    Buffer,
    FilterFactory,
    FilterStatus,
    NetworkFilter,
    TerminalFilterFactory,
    TerminalNetworkFilter,
)
from envoymesh.filters.network.filter_chain import NetworkFilterChainFactory
from envoymesh.filters.network.http_connection_manager.manager_configs import ConnectionManagerConfigs
from envoymesh.network.api import Connection, ConnectionEvent
from envoymesh.stats import Store
from envoymesh.upstream.cluster import Cluster
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.discovery.static import StaticDiscovery
from envoymesh.upstream.settings import ClusterSettings, EndpointSettings
from tests.support.fakes import FakeConnection, FakeConnector, FakeDispatcher, FakeRuntime
from tests.support.python_files import own_reader

CONTINUE, STOP = FilterStatus.CONTINUE, FilterStatus.STOP_ITERATION


class Clusters:
    """Clusters by name, each of one host, on a fake connector."""

    def __init__(self, dispatcher: FakeDispatcher, store: Store, *settings: ClusterSettings) -> None:
        self.connector = FakeConnector()
        self._clusters = {
            each.name: Cluster(
                ClusterInfo(each, store.scope(f"cluster.{each.name}."), FakeRuntime()),
                self.connector,
                dispatcher,
                lambda: 0.5,
                FakeRuntime(),
            )
            for each in settings
        }
        for each in self._clusters.values():
            each.start(StaticDiscovery(each.info), lambda: None)

    def get(self, name: str) -> Cluster | None:
        return self._clusters.get(name)

    def clusters(self) -> Mapping[str, Cluster]:
        return self._clusters


def cluster(name: str, **fields: Any) -> ClusterSettings:
    """A cluster of one host."""
    fields.setdefault("endpoints", (EndpointSettings("10.0.0.1", 80),))
    return ClusterSettings(name, stat_name=name, **fields)


class LogFile:
    """Keeps lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, data: bytes) -> None:
        self.lines += data.decode().splitlines()


def context_of(dispatcher: FakeDispatcher, clusters: Any = None, log: Any = None, http_config: Any = None) -> Any:
    """A context for the settings of network filters."""
    store = Store()
    runtime = FakeRuntime()
    return NetworkFilterFactoryContext(
        dispatcher=dispatcher,  # type: ignore[arg-type]
        store=store,
        listener_scope=store.scope("listener.l."),
        clusters=clusters or Clusters(dispatcher, store, cluster("up")),  # type: ignore[arg-type]
        drain_close=lambda: False,
        buffer_limit=1024,
        random=lambda: 0.5,
        runtime=runtime,
        access_logs=AccessLogFactoryContext(lambda path: log or LogFile(), runtime, lambda: 0.5),
        http=ConnectionManagerConfigs(store, dispatcher, runtime),  # type: ignore[arg-type]
        http_config=http_config,
    )


def reader_of(kind: str, **fields: Any) -> Reader:
    """A reader of a message."""
    if kind.startswith("envoymesh."):
        return own_reader(kind, **fields)
    message_class("envoy.extensions.access_loggers.file.v3.FileAccessLog")
    return Reader(json_format.ParseDict(fields, message_class(kind)()))


class Recorder(NetworkFilter):
    """A filter that notes what it is told in `told`, and answers as told to; `raises` names a step to raise in."""

    def __init__(self, name: str, told: list[Any], **answers: Sequence[FilterStatus]) -> None:
        self.name = name
        self.told = told
        self.raises = ""
        self.then: Any = None
        self._answers = {step: iter(each) for step, each in answers.items()}

    def _note(self, step: str, *what: Any) -> FilterStatus:
        self.told.append((self.name, step, *what))
        if step == self.raises:
            raise RuntimeError("meant to be")
        if self.then is not None:
            self.then(step)
        return next(self._answers.get(step, iter(())), CONTINUE)

    def on_new_connection(self) -> FilterStatus:
        return self._note("new")

    def on_data(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        return self._note("data", buffer.data, end_stream)

    def on_write(self, buffer: Buffer, end_stream: bool) -> FilterStatus:
        return self._note("write", buffer.data, end_stream)

    def on_event(self, event: ConnectionEvent) -> None:
        self._note("event", event)


class RecordingEnd(TerminalNetworkFilter):
    """A terminal filter that notes what it is told, and takes `bite` bytes at a time."""

    def __init__(self, connection: Connection, told: list[Any], bite: int = 1 << 30) -> None:
        super().__init__(connection)
        self.told = told
        self.bite = bite
        self.data = b""

    def on_new_connection(self) -> None:
        self.told.append(("end", "new"))

    def on_data(self, data: bytes) -> int:
        taken = data[: self.bite]
        self.data += taken
        self.told.append(("end", "data", taken))
        return len(taken)

    def on_eof(self) -> None:
        self.told.append(("end", "eof"))

    def on_event(self, event: ConnectionEvent) -> None:
        self.told.append(("end", "event", event))


class RecordingFactory(TerminalFilterFactory):
    """Makes `RecordingEnd`s; `last` is the last."""

    def __init__(self, told: list[Any], bite: int = 1 << 30) -> None:
        self._told = told
        self._bite = bite

    def create(self, connection: Connection) -> RecordingEnd:
        self.last = RecordingEnd(connection, self._told, self._bite)
        return self.last


class Chain:
    """A filter chain of these filters on a fake connection, with a recording end. `told` has what all were told."""

    def __init__(
        self, *factories: FilterFactory, told: list[Any] | None = None, bite: int = 1 << 30, limit: int = 1024
    ) -> None:
        self.dispatcher = FakeDispatcher()
        self.connection = FakeConnection()
        self.told: list[Any] = [] if told is None else told
        terminal = RecordingFactory(self.told, bite)
        chain = NetworkFilterChainFactory(terminal, factories, self.dispatcher, limit)  # type: ignore[arg-type]
        chain.start(self.connection, chain.create(self.connection))  # type: ignore[arg-type]
        self.end = terminal.last

    def turns(self) -> None:
        """Turns of the loop until nothing is given back any more."""
        while self.connection.has_given_back:
            self.connection.take_turn()


def added(filter_: NetworkFilter, how: str = "add_filter") -> FilterFactory:
    """What adds this one filter."""
    return lambda manager: getattr(manager, how)(filter_)
