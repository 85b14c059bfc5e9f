"""What the health check filter would do with a request, for people."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.http.explanation import FilterCase, Saying

_ANSWERS = {
    "health_check_ok": "answered here, with 200",
    "health_check_ok_cluster_healthy": "answered here, with 200: the clusters have enough healthy hosts",
    "health_check_failed": "answered here, with 503: /healthcheck/fail was asked for",
    "health_check_failed_no_cluster_found": "answered here, with 503: there is no such cluster",
    "health_check_failed_cluster_empty": "answered here, with 503: a cluster has no hosts",
    "health_check_failed_cluster_unhealthy": "answered here, with 503: a cluster has too few healthy hosts",
    "health_check_cached": "answered here, as the upstream answered last",
}
_BY_CLUSTERS = ("ok_cluster_healthy", "failed_no_cluster_found", "failed_cluster_empty", "failed_cluster_unhealthy")


def explain_health_check(case: FilterCase) -> Sequence[Saying]:
    """Whether the request is a check of this proxy, and who answers it."""
    if not case.info.health_check:
        return [Saying("the request is no check of this proxy: not all headers fit, so it passes", field="headers")]
    is_check = Saying("the request is a check of this proxy: all headers fit", field="headers")
    details = case.info.response_code_details
    if details in _ANSWERS:
        by_clusters = details.removeprefix("health_check_") in _BY_CLUSTERS
        return [is_check, Saying(_ANSWERS[details], field="cluster_min_healthy_percentages" if by_clusters else "")]
    if case.settings.get("pass_through_mode"):
        kept = f", and its answer is kept for {case.settings['cache_time']}" if "cache_time" in case.settings else ""
        return [is_check, Saying(f"it goes on to the upstream{kept}", field="pass_through_mode")]
    return [is_check, Saying("answered here when it has come whole")]
