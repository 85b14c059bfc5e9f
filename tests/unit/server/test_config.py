"""The bootstrap's own parts, as settings."""

import json
from typing import Any

import pytest

from envoymesh.access_loggers.config import AccessLogFactoryContext
from envoymesh.config.load import load_bootstrap
from envoymesh.errors import ConfigError
from envoymesh.options import Options
from envoymesh.server.config import BootstrapSettings, read_bootstrap
from envoymesh.server.watchdog import Watchdogs, WatchdogSettings
from tests.support.fakes import FakeRuntime


def read(**bootstrap: Any) -> BootstrapSettings:
    reader = load_bootstrap(None, json.dumps(bootstrap)).reader()
    context = AccessLogFactoryContext(lambda path: pytest.fail("no log"), FakeRuntime(), lambda: 0.0)
    settings = read_bootstrap(reader, Options(), context)
    reader.finish()
    return settings


EVERYTHING = {
    "miss_timeout": "0.3s",
    "megamiss_timeout": "2s",
    "kill_timeout": "7s",
    "max_kill_timeout_jitter": "1.5s",
    "multikill_timeout": "4s",
    "multikill_threshold": {"value": 60},
}
READ = WatchdogSettings(0.3, 2.0, 7.0, 1.5, 4.0, 0.6)


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        ({}, Watchdogs()),
        ({"watchdogs": {}}, Watchdogs()),
        ({"watchdog": {}}, Watchdogs()),
        ({"watchdog": EVERYTHING}, Watchdogs(READ, READ)),
        ({"watchdogs": {"worker_watchdog": EVERYTHING}}, Watchdogs(WatchdogSettings(), READ)),
        ({"watchdogs": {"main_thread_watchdog": EVERYTHING}}, Watchdogs(READ, WatchdogSettings())),
        ({"watchdog": {"kill_timeout": "0s"}}, Watchdogs(*[WatchdogSettings(kill_timeout=0.0)] * 2)),
    ],
)
def test_watchdogs(bootstrap: dict[str, Any], expected: Watchdogs) -> None:
    assert read(**bootstrap).watchdogs == expected


@pytest.mark.parametrize(
    ("bootstrap", "cause"),
    [
        ({"watchdog": {}, "watchdogs": {}}, "Only one of watchdog or watchdogs should be set!"),
        (
            {"watchdogs": {"worker_watchdog": {"actions": [{"event": "MISS"}]}}},
            r"watchdogs\.worker_watchdog\.actions: .*not supported",
        ),
        ({"watchdogs": {"worker_watchdog": {"kill_timeout": "-1s"}}}, r"worker_watchdog\.kill_timeout"),
        (
            {"watchdogs": {"main_thread_watchdog": {"multikill_threshold": {"value": 101}}}},
            r"main_thread_watchdog\.multikill_threshold\.value",
        ),
    ],
)
def test_refused_watchdogs(bootstrap: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        read(**bootstrap)


def with_local(name: str, priority: int = 0) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}
    assignment = {"cluster_name": "c", "endpoints": [{"priority": priority, "lb_endpoints": [endpoint]}]}
    cluster = {"name": "c", "type": "STATIC", "load_assignment": assignment}
    return {"cluster_manager": {"local_cluster_name": name}, "static_resources": {"clusters": [cluster]}}


def test_the_cluster_that_this_proxy_is_one_of() -> None:
    assert read(**with_local("c")).local_cluster == "c"
    assert read(**with_local("")).local_cluster == read().local_cluster == ""


def test_where_ejected_hosts_are_told_of() -> None:
    manager = {"outlier_detection": {"event_log_path": "/dev/null"}}
    assert read(cluster_manager=manager).outlier_event_log_path == "/dev/null"
    assert read(cluster_manager={}).outlier_event_log_path == read().outlier_event_log_path == ""


@pytest.mark.parametrize(
    ("bootstrap", "cause"),
    [
        (with_local("x"), "local cluster 'x' must be defined"),
        (with_local("c", priority=1), "Unexpected non-zero priority for local cluster 'c'."),
    ],
)
def test_refused_local_clusters(bootstrap: dict[str, Any], cause: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**bootstrap)
    assert (caught.value.path, caught.value.message) == ("cluster_manager.local_cluster_name", cause)
