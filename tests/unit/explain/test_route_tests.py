"""`envoymesh check -t`: route tests pass and fail for the right reason, and what none of them reached is listed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from envoymesh.cli import main
from envoymesh.errors import ConfigError
from envoymesh.explain.route_test_file import load_tests
from envoymesh.explain.route_tests import Results, run_tests
from envoymesh.server.explaining import Explainer
from tests.support.loggers import loggers_restored

DATA = Path(__file__).parent / "data"
SHOP = DATA / "shop.yaml"


UNKNOWN_FIELD = """tests:
- test_name: t
  input: { authority: a, path: / }
  validate:
    request_header_matches:
    - { name: x, string_match: { exactly: y } }
"""


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    with loggers_restored():
        yield


@pytest.fixture(scope="module")
def shop() -> Iterator[Explainer]:
    with loggers_restored():
        yield Explainer(str(SHOP))


def results(shop: Explainer, folder: Path, text: str) -> Results:
    file = folder / "tests.yaml"
    file.write_text(text)
    return run_tests(load_tests(str(file)), shop.ask, shop.items())


def test_the_shops_own_tests_pass(shop: Explainer) -> None:
    found = run_tests(load_tests(str(DATA / "shop_tests.yaml")), shop.ask, shop.items())
    assert [(each.test.name, each.message) for each in found.failures] == []
    assert (found.passed, found.total) == (8, 8)
    assert [item.text for item in found.coverage.missing] == ["shop, route 7 (ghost)", "secure, route 1"]
    assert round(found.coverage.percent, 1) == 84.6


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("cluster_name: carts", "cluster_name is 'shop', and 'carts' was expected"),
        ('cluster_name: ""', "cluster_name is 'shop', and 'none' was expected"),
        ("virtual_host_name: other", "virtual_host_name is 'shop', and 'other' was expected"),
        ("route_name: sticky", "route_name is 'split', and 'sticky' was expected"),
        ("path_rewrite: /other", "path_rewrite is '/split', and '/other' was expected"),
        ("host_rewrite: other", "host_rewrite is 'shop.example', and 'other' was expected"),
        ("path_redirect: /x", "path_redirect is 'none', and '/x' was expected"),
        ("virtual_cluster_name: v", "virtual_cluster_name is 'none', and 'v' was expected"),
        ("details: route_not_found", "details is 'via_upstream', and 'route_not_found' was expected"),
        ("host: 10.1.0.9:80", "and '10.1.0.9:80' was expected"),
        ("status: 404", "status is 200, and 404 was expected"),
        (
            "request_header_matches: [{ name: x-edge, string_match: { exact: '2' } }]",
            "the request upstream: x-edge is '1', and the test wants exact '2'",
        ),
        (
            "response_header_matches: [{ name: x-pong, present_match: true }]",
            "the answer: there is no x-pong, which must be present",
        ),
        (
            "request_header_fields: [{ key: x-edge, value: '3' }]",
            "the request upstream: x-edge is '1', and '3' was expected",
        ),
        (
            "response_header_fields: [{ key: server, value: '' }]",
            "the answer: server is 'envoy', and 'none' was expected",
        ),
    ],
)
def test_what_is_not_as_expected_is_said(shop: Explainer, tmp_path: Path, expected: str, message: str) -> None:
    head = "tests:\n- test_name: t\n  input: { authority: shop.example, path: /split }\n  validate:\n    "
    found = results(shop, tmp_path, f"{head}{expected}\n")
    assert len(found.failures) == 1
    assert message in found.failures[0].message
    assert (found.failures[0].line, found.passed) == (5, 0)


def test_what_is_as_expected_passes(shop: Explainer, tmp_path: Path) -> None:
    text = """tests:
- test_name: all at once
  input: { authority: shop.example, path: /split, method: PUT, ssl: true, listener: tls, random_value: 99 }
  validate:
    cluster_name: canary
    virtual_cluster_name: ""
    request_header_matches:
    - { name: ":method", string_match: { exact: PUT } }
    - { name: x-variant, string_match: { exact: b } }
    request_header_fields: [{ key: x-edge, value: 1 }, { key: x-forwarded-proto, value: https }]
    response_header_matches: [{ name: ":status", string_match: { exact: "200" } }]
"""
    assert results(shop, tmp_path, text).failures == []


@pytest.mark.parametrize("value", range(0, 300, 7))
def test_a_random_value_has_its_place_among_the_weights(shop: Explainer, tmp_path: Path, value: int) -> None:
    wanted = "shop" if value % 100 < 90 else "canary"
    text = f"""tests:
- test_name: t
  input: {{ authority: shop.example, path: /split, random_value: {value} }}
  validate: {{ cluster_name: {wanted} }}
"""
    assert results(shop, tmp_path, text).failures == []


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("tests:\n- test_name: t\n  input: { authority: a, path: / }\n", "a test that expects nothing cannot fail", 2),
        ("tests:\n- input: { authority: a, path: / }\n  validate: { status: 1 }\n", "test_name is missing", 2),
        ("tests:\n- test_name: t\n  input: { path: / }\n  validate: { status: 1 }\n", "authority is missing", 3),
        ("tests:\n- test_name: t\n  inputs: {}\n  validate: { status: 1 }\n", "unknown key; known are: input,", 3),
        (
            "tests:\n- test_name: t\n  input: { authority: a, path: / }\n  validate:\n    cluster: x\n",
            "unknown key",
            5,
        ),
        (
            "tests:\n- test_name: t\n  input: { authority: a, path: /, internal: true }\n  validate: { status: 1 }\n",
            "is decided by the client's address",
            3,
        ),
        (
            UNKNOWN_FIELD,
            "unknown field of envoy.type.matcher.v3.StringMatcher",
            6,
        ),
        ("tests:\n- test_name: t\n  input: { authority: a, path: / }\n  validate: { status: x }\n", "a number", 4),
        ("tests: 1\n", "expected a list", 1),
    ],
)
def test_a_wrong_test_is_an_error_with_its_line(tmp_path: Path, text: str, message: str, line: int) -> None:
    file = tmp_path / "tests.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_tests(str(file))
    assert message in str(raised.value)
    assert raised.value.line == line


def test_a_runtime_key_can_be_set(tmp_path: Path) -> None:
    config = SHOP.read_text().replace(
        "match: { path: /ping }",
        "match: { path: /ping, runtime_fraction: { default_value: { numerator: 0 }, runtime_key: ping.on } }",
    )
    file = tmp_path / "shop.yaml"
    file.write_text(config)
    explainer = Explainer(str(file))
    line = "- test_name: t{0}\n  input: {{ authority: shop.example, path: /ping{1} }}\n  validate: {{ status: {2} }}\n"
    text = "tests:\n" + line.format(1, "", 404) + line.format(2, ", runtime: ping.on", 200) + line.format(3, "", 404)
    assert results(explainer, tmp_path, text).failures == []


# The command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(["check", "-c", str(SHOP), *arguments])
    return code, capsys.readouterr().out


def test_the_command_tells_people(capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run(capsys, "-t", str(DATA / "shop_tests.yaml"))
    assert code == 1, "a certificate is not here, which the proxy refuses"
    assert "route tests: 8 of 8 passed\ncoverage: 84.6% (11 of 13)\n  not reached: shop, route 7 (ghost)  " in shown
    assert "route-coverage" not in shown


def test_too_little_coverage_and_failures_are_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tests.yaml"
    file.write_text(
        "tests:\n- test_name: t\n  input: { authority: shop.example, path: /ping }\n  validate: { status: 201 }\n"
    )
    code, shown = run(capsys, "-t", str(file), "--fail-under", "50", "--format", "json")
    found = {each["rule"]: each for each in json.loads(shown) if each["rule"].startswith("route-")}
    assert code == 1
    assert found["route-test"]["message"] == "t: status is 200, and 201 was expected"
    assert (found["route-test"]["file"], found["route-test"]["line"]) == (str(file), 4)
    assert found["route-coverage"]["message"] == "route tests reach 23.1%, less than 50%"


def test_fail_under_alone_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", str(SHOP), "--fail-under", "50"]) == 1
    assert "--fail-under needs --tests" in capsys.readouterr().err


def test_a_file_of_tests_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = run(capsys, "-t", str(tmp_path / "none.yaml"))
    assert code == 1
    assert "cannot read the file" in shown
