"""Request targets and parameters."""

import pytest

from envoymesh.admin.messages import Request, parse_params, parse_target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/stats", ("/stats", {})),
        ("/stats?", ("/stats", {})),
        ("/stats?usedonly", ("/stats", {"usedonly": ""})),
        ("/stats?filter=a%7Cb&type=All", ("/stats", {"filter": "a|b", "type": "All"})),
        ("/stats?filter=a+b", ("/stats", {"filter": "a+b"})),
        ("/stats?filter=a=b", ("/stats", {"filter": "a=b"})),
        ("/stats?filter=first&filter=second", ("/stats", {"filter": "first"})),
        ("/stats?=x&&", ("/stats", {})),
    ],
)
def test_targets(target: str, expected: tuple[str, dict[str, str]]) -> None:
    assert parse_target(target) == expected


def test_a_flag_counts_by_presence() -> None:
    request = Request("GET", "/stats", parse_params("usedonly=false"))
    assert request.flag("usedonly")
    assert not request.flag("invert_filter")
