"""The process-wide structs carry the names that the real Envoy shows."""

from envoymesh.stats import Store
from envoymesh.stats.server import FilesystemStats, ListenerManagerStats, RuntimeStats, ServerStats


def test_the_names_are_envoys() -> None:
    store = Store()
    ServerStats.create(store.scope("server."))
    ListenerManagerStats.create(store.scope("listener_manager."))
    RuntimeStats.create(store.scope("runtime."))
    FilesystemStats.create(store.scope("filesystem."))
    assert {
        "server.live", "server.state", "server.compilation_settings.fips_mode", "listener_manager.workers_started",
        "runtime.num_layers", "filesystem.write_total_buffered",
    } <= store.gauges.by_name.keys()  # fmt: skip
    assert "server.main_thread.watchdog_miss" in store.counters.by_name
    assert "server.initialization_time_ms" in store.histograms.by_name
