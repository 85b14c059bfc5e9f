"""`envoymesh explain`: what it says of a request, and that each place it names is where that stands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from envoymesh.cli import main
from envoymesh.config.load import load_bootstrap
from envoymesh.config.source import path_key
from envoymesh.explain.explanation import ROUTER, SCHEMA
from envoymesh.explain.question import QuestionError, read_question
from envoymesh.explain.text import as_text
from envoymesh.filters.http.registry import FILTERS
from envoymesh.server.explaining import Explainer
from tests.support.loggers import loggers_restored

SHOP = Path(__file__).parent / "data/shop.yaml"
LINES = SHOP.read_text().splitlines()


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    with loggers_restored():
        yield


@pytest.fixture(scope="module")
def shop() -> Iterator[Explainer]:
    with loggers_restored():
        yield Explainer(str(SHOP))


def ask(shop: Explainer, url: str, *headers: str, **more: Any) -> dict[str, Any]:
    return shop.explain(read_question(url, headers=headers, **more))


def at(place: dict[str, Any]) -> str:
    """The line of the file that a place names."""
    assert place["file"] == str(SHOP)
    return LINES[place["line"] - 1].strip()


def test_routes_say_why_they_do_not_match_and_where(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/cart?debug=0", "x-user: anna", "x-canary: yes")
    host = told["virtual_host"]
    assert (host["name"], host["domain"], host["looked_up"]) == ("shop", "shop.example", "shop.example")
    assert at(host["place"]) == "- name: shop"
    first = told["routes"][0]
    assert (first["name"], first["matches"]) == ("canary", False)
    assert first["why_not"]["text"] == "the query has debug='0', and the route wants exact '1'"
    assert at(first["why_not"]["place"]) == '- { name: debug, string_match: { exact: "1" } }'
    assert [each["matches"] for each in told["routes"]] == [False] * 5 + [True]
    assert told["routes"][1]["why_not"]["text"] == "the path '/cart' does not fit path '/upload'"
    assert at(told["routes"][5]["place"]) == "- name: sticky"


@pytest.mark.parametrize(
    ("headers", "why", "line"),
    [
        ([], "there is no x-user, which must be present", "- { name: x-user, present_match: true }"),
        (
            ["x-user: a", "x-canary: no"],
            "x-canary is 'no', and the route wants exact 'yes'",
            '- { name: x-canary, string_match: { exact: "yes" } }',
        ),
        (["x-user: a"], "there is no x-canary, and the route wants exact 'yes'", None),
    ],
)
def test_headers_say_what_they_want(shop: Explainer, headers: list[str], why: str, line: str | None) -> None:
    first = ask(shop, "http://shop.example:8080/?debug=1", *headers)["routes"][0]["why_not"]
    assert first["text"] == why
    assert line is None or at(first["place"]) == line


def test_what_is_sent_upstream_is_what_the_proxy_sends(shop: Explainer) -> None:
    told = ask(shop, "http://www.shop.example:8080//cart/./1", "x-user: anna")
    assert told["connection_manager"]["path"] == {"asked": "//cart/./1", "normalised": "/cart/1"}
    sent = dict(map(tuple, told["upstream"]["sent"]))
    assert (sent[":path"], sent["x-envoy-original-path"], sent["x-edge"]) == ("/v2/cart/1", "/cart/1", "1")
    router = told["filters"][-1]
    assert {"name": ":path", "before": ["/cart/1"], "after": ["/v2/cart/1"]} in router["request_changes"]
    assert told["action"]["hash_key"] is not None
    assert told["upstream"]["by_hash"]
    assert told["upstream"]["host"] in ("10.1.0.1:80", "10.1.0.2:80")
    again = ask(shop, "http://www.shop.example:8080/cart/2", "x-user: anna")
    assert again["upstream"]["host"] == told["upstream"]["host"], "the same user stays"
    assert told["action"]["retry"] == {"retry_on": ["5xx"], "num_retries": 2}
    assert told["action"]["timeouts"]["overall"] == 15.0


def test_weights_are_a_table_of_chances(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/split")
    table = [(each["cluster"], each["chance"], each["taken"]) for each in told["action"]["clusters"]]
    assert table == [("shop", 0.9, True), ("canary", 0.1, False)]
    assert at(told["action"]["clusters"][0]["place"]) == "- { name: shop, weight: 90 }"
    other = ask(shop, "http://shop.example:8080/split", chance=0.95)
    assert (other["action"]["cluster"], other["upstream"]["cluster"]) == ("canary", "canary")
    assert ["x-variant", "b"] in other["upstream"]["sent"]
    assert other["upstream"]["host"] == "canary.internal:81 (an address of this name)"


def test_filters_say_for_themselves(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/upload", body="too much")
    cors, buffer, router = told["filters"]
    assert at(cors["per_route"][0]["place"]).startswith("cors:")
    assert (cors["per_route"][0]["level"], buffer["per_route"][0]["level"]) == ("virtual_host", "route")
    said = buffer["says"][0]
    assert said["text"] == "the request is kept until it is whole; a body of more than 4 bytes is answered 413"
    assert at(said["place"]) == "buffer: { max_request_bytes: 4 }"
    assert (buffer["answers"], router["part"], router["says"]) == (True, "not reached", [])
    assert (told["answer"]["status"], told["answer"]["details"]) == (413, "request_payload_too_large")
    fine = ask(shop, "http://shop.example:8080/upload", body="few")
    assert (fine["answer"]["status"], fine["filters"][2]["part"]) == (200, "reached")
    preflight = ask(
        shop, "http://shop.example:8080/split", "origin: https://front.example", "access-control-request-method: GET",
        method="OPTIONS",
    )  # fmt: skip
    assert preflight["filters"][0]["answers"]
    assert ["access-control-allow-origin", "https://front.example"] in preflight["answer"]["headers"]
    assert preflight["filters"][0]["says"][0]["text"].startswith("the origin 'https://front.example' is allowed")
    other = ask(shop, "http://shop.example:8080/split", "origin: https://evil.example")
    assert "is not allowed" in other["filters"][0]["says"][0]["text"]


def test_a_filter_that_says_nothing_is_shown_all_the_same(shop: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = "envoy.extensions.filters.http.buffer.v3.Buffer"
    monkeypatch.setitem(FILTERS, kind, replace(FILTERS[kind], explain=None))
    told = ask(shop, "http://shop.example:8080/upload", body="few")
    buffer = told["filters"][1]
    assert (buffer["explains"], buffer["says"], buffer["settings"]) == (False, [], {"max_request_bytes": 1000})
    assert buffer["per_route"][0]["settings"] == {"buffer": {"max_request_bytes": 4}}
    assert '    settings {"max_request_bytes": 1000}\n' in as_text(told)


def test_answers_of_the_proxy(shop: Explainer) -> None:
    for path, status, details in (
        ("/old/x", 302, "direct_response"),
        ("/ping", 200, "direct_response"),
        ("/nothing", 404, "route_not_found"),
        ("/ghost", 503, "cluster_not_found"),
    ):
        answer = ask(shop, f"http://shop.example:8080{path}")["answer"]
        assert (answer["status"], answer["details"], answer["local"]) == (status, details, True)
    assert ask(shop, "http://shop.example:8080/ping")["answer"]["body"] == "pong\n"
    assert ask(shop, "http://shop.example:8080/nothing")["answer"]["why"]["word"] == "NR"
    secure = ask(shop, "http://secure.example:8080/x")
    assert secure["action"]["by_require_tls"]
    assert at(secure["action"]["place"]) == "require_tls: ALL"
    bad = ask(shop, "http://shop.example:8080/x", "transfer-encoding: nonsense", method="BAD METHOD")
    assert (bad["answer"]["status"], bad["filters"]) == (400, [])


def test_a_request_that_comes_to_no_filter(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/cart", "connection: upgrade", "upgrade: websocket")
    assert (told["answer"]["status"], told["answer"]["details"]) == (403, "upgrade_failed")
    assert told["answer"]["why"]["word"] == "upgrade_failed"
    assert (told["routes"][-1]["name"], told["routes"][-1]["matches"]) == ("sticky", True)
    assert told["action"]["cluster"] == "carts"
    assert [each["part"] for each in told["filters"]] == ["not reached"] * 3
    shown = as_text(told)
    assert "The route would send it to the cluster carts" in shown
    assert "The proxy answers itself: 403 upgrade_failed" in shown
    refused = ask(shop, "http://shop.example:8080/a%00b")
    assert (refused["answer"]["status"], refused["answer"]["details"]) == (400, "path_normalization_failed")


def test_filter_chains(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/", source="10.0.0.7")
    assert told["filter_chain"]["name"] == "internal"
    assert told["filter_chain"]["others"][0]["why"] == "another chain matches source_prefix_ranges more exactly"
    assert told["network_filters"][0]["settings"]["cluster"] == "shop"
    assert "answer" not in told
    outside = ask(shop, "http://shop.example:8080/")["filter_chain"]
    why = "it wants source_prefix_ranges 10.0.0.0/8, and the connection has 127.0.0.1"
    assert (outside["name"], outside["others"][0]["why"]) == ("web", why)
    assert at(outside["others"][0]["place"]).startswith("source_prefix_ranges:")
    wrong = ask(shop, "https://other.example:8443/")
    assert wrong["problem"].startswith("no filter chain matches")
    why = "it wants server_names shop.example, and the connection has other.example"
    assert wrong["filter_chain"]["others"][0]["why"] == why
    assert ask(shop, "https://other.example:8443/split", sni="shop.example")["filter_chain"]["name"] == "shop-tls"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://shop.example:8080/", "the client speaks TLS and the filter chain does not"),
        ("http://shop.example:8443/", "no filter chain matches"),
    ],
)
def test_tls_where_there_is_none_and_the_other_way_round(shop: Explainer, url: str, problem: str) -> None:
    assert ask(shop, url)["problem"].startswith(problem)


def test_every_place_is_in_the_file(shop: Explainer) -> None:
    def places(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if set(value) == {"file", "line", "path"}:
                yield value
            for each in value.values():
                yield from places(each)
        elif isinstance(value, list):
            for each in value:
                yield from places(each)

    for url in ("http://shop.example:8080/split", "http://shop.example:8080/upload", "https://shop.example:8443/cart"):
        found = list(places(ask(shop, url, "x-user: a")))
        assert len(found) > 15
        for each in found:
            assert (each["file"], 0 < (each["line"] or 0) <= len(LINES)) == (str(SHOP), True), each
            line = LINES[each["line"] - 1].strip()
            names = [str(part) for part in path_key(each["path"])[-3:]]
            assert line.startswith("-") or any(name in line for name in names), each


def test_a_run_leaves_nothing_for_the_next(shop: Explainer) -> None:
    first = ask(shop, "http://shop.example:8080/split")
    for _ in range(3):
        ask(shop, "http://shop.example:8080/upload", body="too much")
        assert ask(shop, "http://shop.example:8080/split")["answer"]["status"] == first["answer"]["status"]
    cluster = shop.server.clusters.get("shop")
    assert cluster is not None
    assert cluster.resource_manager().requests.count == 0
    assert not any(list(each.pools) for each in shop.server.clusters.clusters().values())


def test_nothing_is_opened_or_asked(shop: Explainer, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("a dry run opens no socket")

    monkeypatch.setattr(socket, "socket", refuse)
    told = ask(shop, "http://shop.example:8080/split", chance=0.95)
    assert told["answer"]["status"] == 200


def test_hosts_of_other_clusters(tmp_path: Path) -> None:
    aggregate = """
  - name: both
    lb_policy: CLUSTER_PROVIDED
    cluster_type:
      name: envoy.clusters.aggregate
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.clusters.aggregate.v3.ClusterConfig
        clusters: [canary, shop]
"""
    file = tmp_path / "shop.yaml"
    file.write_text(
        SHOP.read_text().replace("{ cluster: canary, timeout: 2s }", "{ cluster: both }") + aggregate.lstrip("\n")
    )
    question = read_question("http://shop.example:8080/?debug=1", headers=["x-user: a", "x-canary: yes"])
    told = Explainer(str(file)).explain(question)
    assert (told["upstream"]["cluster"], told["answer"]["status"]) == ("both", 200)
    assert told["upstream"]["host"] == "canary.internal:81 (an address of this name)"


@pytest.mark.parametrize(
    ("address", "source", "forwarded"),
    [
        ("pipe: { path: /tmp/shop.sock }", "", None),
        ('socket_address: { address: "::", port_value: 8080, ipv4_compat: true }', "2001:db8::7", "2001:db8::7"),
        ('socket_address: { address: "::1", port_value: 8080 }', "", "::1"),
    ],
)
def test_listeners_elsewhere(tmp_path: Path, address: str, source: str, forwarded: str | None) -> None:
    text = SHOP.read_text().replace("socket_address: { address: 0.0.0.0, port_value: 8080 }", address)
    file = tmp_path / "shop.yaml"
    file.write_text(
        text.replace("use_remote_address: true", "use_remote_address: true\n          skip_xff_append: false")
    )
    told = Explainer(str(file)).explain(read_question("http://shop.example/split", listener="plain", source=source))
    assert (told["filter_chain"]["name"], told["answer"]["status"]) == ("web", 200)
    sent = dict(map(tuple, told["upstream"]["sent"]))
    assert forwarded is None or sent["x-envoy-external-address"] == forwarded


def test_the_way_back(shop: Explainer) -> None:
    shown = as_text(ask(shop, "http://shop.example:8080/split", "origin: https://front.example"))
    back = shown[shown.index("On the way back") : shown.index("The upstream answers")]
    steps = [line.split()[0] for line in back.splitlines() if line.startswith("  ") and line[2] != " "]
    assert steps == ["router", "cors", "web"]
    assert "    + access-control-allow-origin: https://front.example\n" in back
    assert "    + server: envoy\n" in back


# The command


def test_the_command_tells_people(capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://shop.example:8080/split"
    assert main(["explain", "-c", str(SHOP), "-H", "x-user: anna", url]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("GET shop.example:8080/split from 127.0.0.1\n")
    assert f"  5. route split (prefix: '/split') matches  {SHOP}:" in shown
    assert "   90.00%  shop (weight 90) taken here" in shown
    assert "\x1b[" not in shown, "no colour into a file"


def test_the_command_gives_data(capsys: pytest.CaptureFixture[str]) -> None:
    url = "http://shop.example:8080/split"
    assert main(["explain", "-c", str(SHOP), "-X", "PUT", "-d", "x", "--json", "--chance", "0.99", url]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["request"]["method"], told["request"]["body_bytes"]) == (SCHEMA, "PUT", 1)
    assert told["action"]["cluster"] == "canary"
    assert told["filters"][-1]["type"] == ROUTER


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["http://shop.example:1/"], "no listener has port 1: plain at 0.0.0.0:8080, tls at 0.0.0.0:8443"),
        (["ftp://shop.example/"], "the URL is neither http nor https"),
        (["http://shop.example:x/"], "the URL's port is not one"),
        (["-H", "no-colon", "http://shop.example:8080/"], "a header is written NAME: VALUE, this is not: no-colon"),
        (["--from", "nowhere", "http://shop.example:8080/"], "--from wants an IP address"),
        (["--listener", "none", "/"], "there is no listener none"),
        (["http://shop.example:8080/a b"], "the URL has a space or a control character"),
    ],
)
def test_what_cannot_be_asked(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "-c", str(SHOP), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_a_refused_configuration_is_refused_here_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(SHOP.read_text().replace("cluster: carts", "cluster: nothing_of_the_kind"))
    assert main(["explain", "-c", str(file), "/"]) == 1
    assert "nothing_of_the_kind" in capsys.readouterr().err


def test_colour_is_only_around_the_text(shop: Explainer) -> None:
    told = ask(shop, "http://shop.example:8080/split")
    plain, coloured = as_text(told), as_text(told, colour=True)
    assert "\x1b[" in coloured
    for code in ("0", "1", "2", "31", "32"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain


def test_a_port_in_the_host_is_pointed_out(tmp_path: Path) -> None:
    file = tmp_path / "port.yaml"
    file.write_text(SHOP.read_text().replace("            ignore_port_in_host_matching: true\n", ""))
    told = Explainer(str(file)).explain(read_question("http://shop.example:8080/"))
    assert told["virtual_host"]["why"].endswith("unless ignore_port_in_host_matching or strip_any_host_port is set")


def test_long_tables_are_shortened(tmp_path: Path) -> None:
    routes = [f"              - {{ match: {{ path: /r/{n} }}, route: {{ cluster: shop }} }}" for n in range(500)]
    file = tmp_path / "long.yaml"
    file.write_text(
        SHOP.read_text().replace("              routes:\n", "\n".join(["              routes:", *routes, ""]), 1)
    )
    told = Explainer(str(file)).explain(read_question("http://shop.example:8080/split"))
    assert len(told["routes"]) < 60
    assert told["routes"][-1]["number"] == 505
    assert "routes whose paths do not fit" in as_text(told)


def test_questions() -> None:
    plain = read_question("localhost:8080/a?b#c", "PUT", ["X-A: 1", "Host: other"], "body")
    assert (plain.host, plain.port, plain.authority, plain.path) == ("localhost", 8080, "other", "/a?b")
    assert (plain.method, plain.headers, plain.body) == ("PUT", [("x-a", "1")], b"body")
    assert (read_question("https://a").port, read_question("https://a").path) == (443, "/")
    assert read_question("http://[::1]:80/x").host == "::1"
    assert read_question("http://a/", body="x").method == "POST"
    assert read_question("/only").authority == "localhost"
    assert (read_question("https://10.0.0.1/").server_name, read_question("https://a/").server_name) == ("", "a")
    with pytest.raises(QuestionError, match="NAME: VALUE"):
        read_question("http://a/", headers=[": x"])


def test_a_file_that_is_not_here_is_said(shop: Explainer) -> None:
    assert ask(shop, "/ping")["notes"] == ["not here, taken as empty: /nowhere/shop.crt, /nowhere/shop.key"]
    assert load_bootstrap(str(SHOP)).source.contents == {}
