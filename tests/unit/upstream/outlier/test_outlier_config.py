"""`outlier_detection` of a cluster, and its event log."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.upstream.outlier.config import read_outlier_detection
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings


def read(**given: Any) -> OutlierDetectionSettings:
    message = json_format.ParseDict(given, message_class("envoy.config.cluster.v3.OutlierDetection")())
    reader = Reader(message)
    settings = read_outlier_detection(reader)
    reader.finish()
    assert settings is not None
    return settings


def test_the_defaults_are_envoys() -> None:
    assert read() == OutlierDetectionSettings()
    assert read_outlier_detection(None) is None


def test_every_field() -> None:
    numbers = {
        each.name: number
        for number, each in enumerate(fields(OutlierDetectionSettings), 1)
        if isinstance(each.default, int) and not isinstance(each.default, bool)
    }
    given = {
        **numbers, "interval": "1s", "base_ejection_time": "2s", "max_ejection_time": "3s",
        "max_ejection_time_jitter": "0.5s", "split_external_local_origin_errors": True,
        "successful_active_health_check_uneject_host": False, "always_eject_one_host": True,
    }  # fmt: skip
    assert read(**given) == OutlierDetectionSettings(
        **numbers, interval=1.0, base_ejection_time=2.0, max_ejection_time=3.0, max_ejection_time_jitter=0.5,
        split_external_local_origin_errors=True, successful_active_health_check_uneject_host=False,
        always_eject_one_host=True,
    )  # fmt: skip


def test_the_longest_time_is_at_least_the_base() -> None:
    assert read(base_ejection_time="400s").max_ejection_time == 400.0
    with pytest.raises(ConfigError, match="max_ejection_time cannot be smaller than base_ejection_time"):
        read(base_ejection_time="4s", max_ejection_time="3s")


def test_monitors_are_refused() -> None:
    with pytest.raises(ConfigError, match="monitors"):
        read(monitors=[{"name": "m"}])
