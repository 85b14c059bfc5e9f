"""Makes the `ConnectionManagerConfig` of each connection manager filter. It must not know single connections."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

from envoymesh.filters.network.http_connection_manager.date import DateProvider
from envoymesh.filters.network.http_connection_manager.manager_config import ConnectionManagerConfig
from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.filters.network.http_connection_manager.stats import HttpConnectionManagerStats, ListenerHttpStats
from envoymesh.http.failed_requests import FailedRequests
from envoymesh.http.recent_requests import RecentRequests
from envoymesh.http.stats import Http1CodecStats, Http2CodecStats
from envoymesh.network.api import Dispatcher
from envoymesh.runtime import RuntimeReader
from envoymesh.stats import Scope, Store, sanitize


class ConnectionManagerConfigs:
    """What all connection managers of a process share: codec stats, ids and the date, and what is known of requests."""

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        runtime: RuntimeReader,
        next_stream_id: Callable[[], int] | None = None,
    ) -> None:
        self.failed = FailedRequests()
        self.recent = RecentRequests()
        self._store = store
        self._dispatcher = dispatcher
        self._runtime = runtime
        self._http1 = Http1CodecStats.create(store.scope("http1."))
        self._http2: Http2CodecStats | None = None
        self._dates = DateProvider(dispatcher)
        self._ids = RequestIdGenerator(os.urandom)
        self._next_stream_id: Callable[[], int] = next_stream_id or itertools.count(1).__next__

    def make(
        self, settings: HttpConnectionManagerSettings, listener_scope: Scope, drain_close: Callable[[], bool]
    ) -> ConnectionManagerConfig:
        """The configuration that the connections of one connection manager filter share."""
        store = self._store
        if self._http2 is None:
            self._http2 = Http2CodecStats.create(store.scope("http2."))
        prefix = f"http.{sanitize(settings.stat_prefix)}."
        return ConnectionManagerConfig(
            settings=settings,
            stats=HttpConnectionManagerStats.create(store.scope(prefix)),
            listener_stats=ListenerHttpStats.create(listener_scope.scope(prefix)),
            http1_stats=self._http1,
            http2_stats=self._http2,
            dispatcher=self._dispatcher,
            dates=self._dates,
            request_ids=self._ids,
            drain_close=drain_close,
            next_stream_id=self._next_stream_id,
            runtime=self._runtime,
            failed=self.failed,
            recent=self.recent,
        )
