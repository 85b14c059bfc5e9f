"""Stats of outlier detection, by Envoy's names."""

from __future__ import annotations

from envoymesh.stats import ConstantStats, Counter, Gauge, StatsStruct, stats_struct


@stats_struct
class UnusedOutlierDetectionStats(ConstantStats):
    """Of `detect_degraded_hosts`, a field that the API's Python messages do not have."""

    ejections_detected_degradation: Counter


@stats_struct
class OutlierDetectionStats(StatsStruct):
    """``cluster.<name>.outlier_detection.``; Envoy calls the last three counters deprecated."""

    ejections_active: Gauge
    ejections_enforced_total: Counter
    ejections_overflow: Counter
    ejections_detected_consecutive_5xx: Counter
    ejections_detected_consecutive_gateway_failure: Counter
    ejections_detected_consecutive_local_origin_failure: Counter
    ejections_detected_failure_percentage: Counter
    ejections_detected_local_origin_failure_percentage: Counter
    ejections_detected_local_origin_success_rate: Counter
    ejections_detected_success_rate: Counter
    ejections_enforced_consecutive_5xx: Counter
    ejections_enforced_consecutive_gateway_failure: Counter
    ejections_enforced_consecutive_local_origin_failure: Counter
    ejections_enforced_failure_percentage: Counter
    ejections_enforced_local_origin_failure_percentage: Counter
    ejections_enforced_local_origin_success_rate: Counter
    ejections_enforced_success_rate: Counter
    ejections_consecutive_5xx: Counter
    ejections_success_rate: Counter
    ejections_total: Counter
    unused: UnusedOutlierDetectionStats
