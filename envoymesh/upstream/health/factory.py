"""Makes a cluster's health checker from its settings: the list of the kinds of checks. It must not check anything."""

from __future__ import annotations

from collections.abc import Callable

from envoymesh.network.api import ClientTls, Connector, Dispatcher
from envoymesh.network.settings import UpstreamTlsSettings
from envoymesh.runtime import RuntimeReader
from envoymesh.upstream.cluster_info import ClusterInfo
from envoymesh.upstream.health.checker import CheckSession, HealthChecker
from envoymesh.upstream.health.connection import CheckNetwork, CheckTls
from envoymesh.upstream.health.event_log import HealthEventLog
from envoymesh.upstream.health.grpc import GrpcCheckSession
from envoymesh.upstream.health.http import HttpCheckSession
from envoymesh.upstream.health.settings import HealthCheckSettings, HttpHealthCheckSettings, TcpHealthCheckSettings
from envoymesh.upstream.health.tcp import TcpCheckSession
from envoymesh.upstream.host import Host
from envoymesh.upstream.host_set import PrioritySet

_HAVE_METADATA = ("STRICT_DNS", "LOGICAL_DNS")
"""Types of clusters whose hosts have metadata, if empty."""


def make_health_checker(
    settings: HealthCheckSettings,
    info: ClusterInfo,
    hosts: PrioritySet,
    connector: Connector,
    dispatcher: Dispatcher,
    random: Callable[[], float],
    runtime: RuntimeReader,
    make_tls: Callable[[UpstreamTlsSettings], ClientTls],
    on_host_failure: Callable[[Host], None],
    on_host_success: Callable[[Host], None],
) -> HealthChecker:
    """A checker of a cluster's hosts, which begins with the first of them."""
    network = CheckNetwork(info, connector, dispatcher, settings.timeout, CheckTls(info, settings, make_tls))
    kind = _kind(settings)

    def make_session(checker: HealthChecker, host: Host) -> CheckSession:
        check = settings.check
        if isinstance(check, HttpHealthCheckSettings):
            return HttpCheckSession(checker, host, network, check)
        if isinstance(check, TcpHealthCheckSettings):
            return TcpCheckSession(checker, host, network, check)
        return GrpcCheckSession(checker, host, network, check)

    log = None
    if settings.log_event is not None:
        has_metadata = info.settings.discovery_type in _HAVE_METADATA
        log = HealthEventLog(kind, info.name, dispatcher, settings.log_event, has_metadata)
    return HealthChecker(
        settings, info, hosts, dispatcher, random, runtime, make_session, log, on_host_failure, on_host_success
    )


def _kind(settings: HealthCheckSettings) -> str:
    if isinstance(settings.check, HttpHealthCheckSettings):
        return "HTTP"
    return "TCP" if isinstance(settings.check, TcpHealthCheckSettings) else "GRPC"
