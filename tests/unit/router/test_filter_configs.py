"""`typed_per_filter_config` at its levels: which settings a route has in the end, and which filters take part."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.errors import ConfigError
from tests.unit.router.test_config import DIRECT, table

TYPE = "type.googleapis.com/"
FILTER_CONFIG = TYPE + "envoy.config.route.v3.FilterConfig"


def settings(value: int) -> dict[str, Any]:
    """Some filter's message."""
    return {"@type": TYPE + "google.protobuf.UInt32Value", "value": value}


def levels(route: Any = None, host: Any = None, whole: Any = None) -> Any:
    """The one route of a table with `f`'s settings at these levels."""
    made = [{} if each is None else {"typed_per_filter_config": {"f": each}} for each in (route, host, whole)]
    only = {"match": {"prefix": "/"}, **DIRECT, **made[0]}
    return table(only, host=made[1], **made[2]).routes()[0]


def test_all_levels_are_kept_the_most_specific_one_last() -> None:
    route = levels(settings(1), settings(2), settings(3))
    assert route.filter_configs == {"f": (("f", 3), ("f", 2), ("f", 1))}
    assert levels(None, settings(2)).filter_configs == {"f": (("f", 2),)}
    assert levels().filter_configs == {}


@pytest.mark.parametrize(
    ("route", "host", "whole", "disabled"),
    [
        ({"disabled": True}, None, None, True),
        ({"config": {}}, {"disabled": True}, None, False),
        (None, {"disabled": True}, {"config": {}}, True),
        (None, None, {"disabled": True}, True),
        ({"disabled": True, "config": settings(1)}, None, None, True),
    ],
)
def test_the_most_specific_level_decides_who_takes_part(route: Any, host: Any, whole: Any, disabled: bool) -> None:
    wrapped = [None if each is None else {"@type": FILTER_CONFIG, **each} for each in (route, host, whole)]
    made = levels(*wrapped)
    assert made.disabled_filters == {"f": disabled}
    assert made.filter_configs == {}


def test_settings_alone_enable_the_filter() -> None:
    made = levels(settings(1), {"@type": FILTER_CONFIG, "disabled": True})
    assert made.disabled_filters == {"f": False}


def test_wrapped_settings() -> None:
    made = levels({"@type": FILTER_CONFIG, "is_optional": True, "config": settings(1)})
    assert (made.filter_configs, made.disabled_filters) == ({"f": (("f", 1),)}, {"f": False})


def test_a_filter_config_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="Empty route/virtual host per filter configuration for f filter") as caught:
        levels({"@type": FILTER_CONFIG})
    assert caught.value.path == "route_config.virtual_hosts[0].routes[0].typed_per_filter_config[f].config"
