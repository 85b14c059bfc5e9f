"""Lines of the event log, as the real Envoy's."""

from __future__ import annotations

import pytest

from envoymesh.network.api import Address, PipeAddress
from envoymesh.upstream.health.event_log import HealthEventLog
from envoymesh.upstream.host import Host
from envoymesh.upstream.settings import EndpointSettings, Locality
from tests.support.fakes import FakeDispatcher

PLACE = (
    '{"socket_address":{"protocol":"TCP","address":"10.0.0.1","port_value":80,"resolver_name":"","ipv4_compat":false,'
    '"network_namespace_filepath":""}}'
)
LOCALITY = '"locality":{"region":"r","zone":"z","sub_zone":""}'
TIME = '"timestamp":"2023-11-14T22:13:20Z"'


class Log:
    """A log, and its last line."""

    def __init__(self, *, has_metadata: bool = False) -> None:
        self.lines: list[bytes] = []
        self.dispatcher = FakeDispatcher()
        self.log = HealthEventLog("HTTP", "c", self.dispatcher, self.lines.append, has_metadata)
        self.host = Host(Address("10.0.0.1", 80), EndpointSettings("10.0.0.1", 80, locality=Locality("r", "z")))

    @property
    def line(self) -> str:
        assert self.lines[-1].endswith(b"\n")
        return self.lines[-1].decode().removesuffix("\n")


BEFORE = f'{{"health_checker_type":"HTTP","host":{PLACE},"cluster_name":"c",'


def test_events_before_the_time() -> None:
    log = Log()
    log.log.eject_unhealthy(log.host, "ACTIVE", 503)
    event = '"eject_unhealthy_event":{"failure_type":"ACTIVE","http_status_code":503}'
    assert log.line == f"{BEFORE}{event},{TIME},{LOCALITY}}}"
    log.log.add_healthy(log.host, True)
    assert log.line == f'{BEFORE}"add_healthy_event":{{"first_check":true}},{TIME},{LOCALITY}}}'


def test_events_after_the_time() -> None:
    log = Log()
    log.log.failure(log.host, "NETWORK", False, 0)
    event = '"health_check_failure_event":{"failure_type":"NETWORK","first_check":false,"http_status_code":0}'
    assert log.line == f"{BEFORE}{TIME},{event},{LOCALITY}}}"
    log.log.degraded(log.host, True)
    assert log.line == f'{BEFORE}{TIME},"degraded_healthy_host":{{}},{LOCALITY}}}'
    log.log.degraded(log.host, False)
    assert log.line == f'{BEFORE}{TIME},"no_longer_degraded_host":{{}},{LOCALITY}}}'
    log.log.success(log.host)
    assert log.line == f'{BEFORE}{TIME},{LOCALITY},"successful_health_check_event":{{}}}}'


def test_metadata() -> None:
    log = Log(has_metadata=True)
    log.log.success(log.host)
    assert '"metadata":{"filter_metadata":{},"typed_filter_metadata":{}},"locality"' in log.line
    log = Log()
    log.host.metadata = {"UPSTREAM_HOST": {"envoy.lb": {"a": "ä"}}}
    log.log.success(log.host)
    assert '"metadata":{"filter_metadata":{"envoy.lb":{"a":"ä"}},"typed_filter_metadata":{}}' in log.line


@pytest.mark.parametrize(("seconds", "text"), [(0.0, "20Z"), (0.25, "20.250Z"), (0.0015, "20.001Z")])
def test_the_time_has_the_digits_that_it_needs(seconds: float, text: str) -> None:
    log = Log()
    log.dispatcher.advance(seconds)
    log.log.success(log.host)
    assert f':{text}"' in log.line


def test_a_pipe() -> None:
    log = Log()
    log.log.success(Host(PipeAddress("/a"), EndpointSettings("/a", 0, is_pipe=True)))
    assert '"host":{"pipe":{"path":"/a","mode":0}}' in log.line
