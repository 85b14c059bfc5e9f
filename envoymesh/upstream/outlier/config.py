"""envoy.config.cluster.v3.OutlierDetection -> OutlierDetectionSettings."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings

DEFAULT = OutlierDetectionSettings()

_NUMBERS = (
    "consecutive_5xx",
    "max_ejection_percent",
    "enforcing_consecutive_5xx",
    "enforcing_success_rate",
    "success_rate_minimum_hosts",
    "success_rate_request_volume",
    "success_rate_stdev_factor",
    "consecutive_gateway_failure",
    "enforcing_consecutive_gateway_failure",
    "consecutive_local_origin_failure",
    "enforcing_consecutive_local_origin_failure",
    "enforcing_local_origin_success_rate",
    "failure_percentage_threshold",
    "enforcing_failure_percentage",
    "enforcing_failure_percentage_local_origin",
    "failure_percentage_minimum_hosts",
    "failure_percentage_request_volume",
)


def read_outlier_detection(reader: Reader | None) -> OutlierDetectionSettings | None:
    """Read a cluster's `outlier_detection`; None where there is none. Errors: ConfigError with the field's path."""
    if reader is None:
        return None
    base = _seconds(reader, "base_ejection_time", DEFAULT.base_ejection_time)
    longest = _seconds(reader, "max_ejection_time", max(DEFAULT.max_ejection_time, base))
    if longest < base:
        raise reader.error(
            "max_ejection_time", "outlier detector's max_ejection_time cannot be smaller than base_ejection_time"
        )
    return OutlierDetectionSettings(
        interval=_seconds(reader, "interval", DEFAULT.interval),
        base_ejection_time=base,
        max_ejection_time=longest,
        max_ejection_time_jitter=_seconds(reader, "max_ejection_time_jitter", DEFAULT.max_ejection_time_jitter),
        split_external_local_origin_errors=reader.boolean("split_external_local_origin_errors"),
        successful_active_health_check_uneject_host=reader.boolean("successful_active_health_check_uneject_host", True),
        always_eject_one_host=reader.boolean("always_eject_one_host"),
        **{name: reader.integer(name, getattr(DEFAULT, name)) for name in _NUMBERS},
    )


def _seconds(reader: Reader, field: str, default: float) -> float:
    value = reader.duration(field, default)
    return default if value is None else value
