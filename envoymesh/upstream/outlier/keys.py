"""The runtime's keys of outlier detection (``outlier_detection.*``), with a cluster's settings where they are unset.

Asked for once for each cluster that has a detector. This module must not decide anything.
"""

from __future__ import annotations

from envoymesh.runtime import RuntimeNumber, RuntimeReader, RuntimeShare
from envoymesh.upstream.outlier.api import EjectionType
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings


class OutlierKeys:
    """What counts now, by Envoy's names.

    Attributes:
        enforcing: the share of detected outliers that are ejected, by why.
    """

    __slots__ = (
        "base_ejection_time_ms",
        "consecutive_5xx",
        "consecutive_gateway_failure",
        "consecutive_local_origin_failure",
        "enforcing",
        "failure_percentage_minimum_hosts",
        "failure_percentage_request_volume",
        "failure_percentage_threshold",
        "interval_ms",
        "max_ejection_percent",
        "max_ejection_time_jitter_ms",
        "max_ejection_time_ms",
        "success_rate_minimum_hosts",
        "success_rate_request_volume",
        "success_rate_stdev_factor",
    )

    def __init__(self, settings: OutlierDetectionSettings, runtime: RuntimeReader) -> None:
        def number(name: str, default: int) -> RuntimeNumber:
            return runtime.number(f"outlier_detection.{name}", default)

        self.interval_ms = number("interval_ms", _milliseconds(settings.interval))
        self.base_ejection_time_ms = number("base_ejection_time_ms", _milliseconds(settings.base_ejection_time))
        self.max_ejection_time_ms = number("max_ejection_time_ms", _milliseconds(settings.max_ejection_time))
        self.max_ejection_time_jitter_ms = number(
            "max_ejection_time_jitter_ms", _milliseconds(settings.max_ejection_time_jitter)
        )
        self.max_ejection_percent = number("max_ejection_percent", settings.max_ejection_percent)
        self.consecutive_5xx = number("consecutive_5xx", settings.consecutive_5xx)
        self.consecutive_gateway_failure = number("consecutive_gateway_failure", settings.consecutive_gateway_failure)
        self.consecutive_local_origin_failure = number(
            "consecutive_local_origin_failure", settings.consecutive_local_origin_failure
        )
        self.success_rate_minimum_hosts = number("success_rate_minimum_hosts", settings.success_rate_minimum_hosts)
        self.success_rate_request_volume = number("success_rate_request_volume", settings.success_rate_request_volume)
        self.success_rate_stdev_factor = number("success_rate_stdev_factor", settings.success_rate_stdev_factor)
        self.failure_percentage_minimum_hosts = number(
            "failure_percentage_minimum_hosts", settings.failure_percentage_minimum_hosts
        )
        self.failure_percentage_request_volume = number(
            "failure_percentage_request_volume", settings.failure_percentage_request_volume
        )
        self.failure_percentage_threshold = number(
            "failure_percentage_threshold", settings.failure_percentage_threshold
        )
        self.enforcing = _enforcing(settings, runtime)


def _enforcing(settings: OutlierDetectionSettings, runtime: RuntimeReader) -> dict[EjectionType, RuntimeShare]:
    percents = {
        EjectionType.CONSECUTIVE_5XX: ("consecutive_5xx", settings.enforcing_consecutive_5xx),
        EjectionType.CONSECUTIVE_GATEWAY_FAILURE: (
            "consecutive_gateway_failure",
            settings.enforcing_consecutive_gateway_failure,
        ),
        EjectionType.SUCCESS_RATE: ("success_rate", settings.enforcing_success_rate),
        EjectionType.CONSECUTIVE_LOCAL_ORIGIN_FAILURE: (
            "consecutive_local_origin_failure",
            settings.enforcing_consecutive_local_origin_failure,
        ),
        EjectionType.SUCCESS_RATE_LOCAL_ORIGIN: (
            "local_origin_success_rate",
            settings.enforcing_local_origin_success_rate,
        ),
        EjectionType.FAILURE_PERCENTAGE: ("failure_percentage", settings.enforcing_failure_percentage),
        EjectionType.FAILURE_PERCENTAGE_LOCAL_ORIGIN: (
            "failure_percentage_local_origin",
            settings.enforcing_failure_percentage_local_origin,
        ),
    }
    return {
        why: runtime.share(f"outlier_detection.enforcing_{name}", percent / 100)
        for why, (name, percent) in percents.items()
    }


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000 + 1e-6)
