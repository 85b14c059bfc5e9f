"""/clusters: each cluster's limits and hosts, as text or JSON. It must not ask anything of a cluster but its status."""

from collections.abc import Iterator

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, Request, Response, bad_request
from envoymesh.admin.proto.answers import clusters_json
from envoymesh.admin.stats_query import InvalidQueryError, compile_filter
from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus, Thresholds

# The reasons why a host is not healthy, in the order of Envoy's health flags: a field of HealthFlags, or a state that
# the configuration gave it.
_FLAGS = {
    "failed_active_health_check": "failed_active_hc",
    "failed_outlier_check": "failed_outlier_check",
    "UNHEALTHY": "failed_eds_health",
    "failed_active_degraded_check": "degraded_active_hc",
    "DEGRADED": "degraded_eds_health",
    "pending_dynamic_removal": "pending_dynamic_removal",
    "pending_active_hc": "pending_active_hc",
    "excluded_via_immediate_hc_fail": "excluded_via_immediate_hc_fail",
    "active_hc_timeout": "active_hc_timeout",
    "DRAINING": "eds_status_draining",
}


def clusters(context: AdminParts, request: Request) -> Response:
    """The clusters whose names match the parameter `filter`."""
    pattern = request.params.get("filter", "")
    try:
        wanted = compile_filter(pattern) if pattern else None
    except InvalidQueryError:
        return bad_request("Invalid re2 regex")
    shown = (cluster for cluster in context.clusters() if wanted is None or wanted.search(cluster.name))
    if request.params.get("format") == "json":
        return Response(clusters_json(shown), content_type=JSON)
    return Response(f"{line}\n" for cluster in shown for line in _lines(cluster))


def _lines(cluster: ClusterStatus) -> Iterator[str]:
    name = cluster.name
    yield f"{name}::observability_name::{cluster.observability_name}"
    if cluster.outlier is not None:
        for key in ("success_rate_average", "success_rate_ejection_threshold"):
            yield f"{name}::outlier::{key}::{getattr(cluster.outlier, key):g}"
        for key in ("success_rate_average", "success_rate_ejection_threshold"):
            yield f"{name}::outlier::local_origin_{key}::{getattr(cluster.outlier, f'local_origin_{key}'):g}"
    yield from _thresholds(f"{name}::default_priority", cluster.default)
    yield from _thresholds(f"{name}::high_priority", cluster.high)
    yield f"{name}::added_via_api::{_word(cluster.added_via_api)}"
    if cluster.eds_service_name:
        yield f"{name}::eds_service_name::{cluster.eds_service_name}"
    for host in cluster.hosts:
        yield from _host_lines(f"{name}::{host.address}", host)


def _thresholds(prefix: str, limits: Thresholds) -> Iterator[str]:
    for key in ("max_connections", "max_pending_requests", "max_requests", "max_retries"):
        yield f"{prefix}::{key}::{getattr(limits, key)}"


def _host_lines(prefix: str, host: HostStatus) -> Iterator[str]:
    for key, value in sorted({**host.counters, **host.gauges}.items()):
        yield f"{prefix}::{key}::{value}"
    yield f"{prefix}::hostname::{host.hostname}"
    yield f"{prefix}::health_flags::{health_flags(host.health)}"
    yield f"{prefix}::weight::{host.weight}"
    yield f"{prefix}::region::{host.region}"
    yield f"{prefix}::zone::{host.zone}"
    yield f"{prefix}::sub_zone::{host.sub_zone}"
    yield f"{prefix}::canary::{_word(host.canary)}"
    yield f"{prefix}::priority::{host.priority}"
    yield f"{prefix}::success_rate::{host.success_rate:g}"
    yield f"{prefix}::local_origin_success_rate::{host.local_origin_success_rate:g}"


def health_flags(health: HealthFlags) -> str:
    """`healthy`, or each reason against it as `/reason`."""
    against = {field for field, value in vars(health).items() if value is True} | {health.eds_health_status}
    reasons = [word for reason, word in _FLAGS.items() if reason in against]
    return "".join(f"/{reason}" for reason in reasons) or "healthy"


def _word(flag: bool) -> str:
    return "true" if flag else "false"


ENDPOINTS = (
    Endpoint(
        "/clusters",
        "upstream cluster status",
        clusters,
        parameters=(
            Parameter(ParameterKind.STRING, "filter", "Regular expression (Google re2) for filtering clusters by name"),
        ),
        shows_counts=True,
    ),
)
