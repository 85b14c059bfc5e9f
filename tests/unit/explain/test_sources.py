"""docs/why-sources.md: every cause that it claims to be told is told, and what it counts is what it lists."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envoymesh.explain.question import read_question
from envoymesh.explain.text import as_text
from envoymesh.explain.why import explain
from envoymesh.server.explaining import Explainer
from tests.integration.harness import bootstrap, hcm_filter, socket_address, static_cluster, to_cluster
from tests.support.loggers import loggers_restored

TEXT = (Path(__file__).resolve().parents[3] / "docs/why-sources.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in TEXT.splitlines()
    if re.match(r"\| \d+ \|", line)
]
HTTP = "type.googleapis.com/envoy.extensions.filters.http."
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
INSPECTOR = "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
CORS = {"@type": HTTP + "cors.v3.CorsPolicy", "allow_origin_string_match": [{"exact": "https://ours"}]}


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    with loggers_restored():
        yield


def configuration(domain: str, *routes: dict[str, Any], **listener: Any) -> dict[str, Any]:
    host = {"name": "site", "domains": [domain], "routes": routes, "typed_per_filter_config": {"cors": CORS}}
    filters = [
        {"name": "cors", "typed_config": {"@type": HTTP + "cors.v3.Cors"}},
        {"name": "router", "typed_config": {"@type": HTTP + "router.v3.Router"}},
    ]
    chain = {"filters": [hcm_filter({"virtual_hosts": [host]}, http_filters=filters)], **listener.pop("chain", {})}
    whole = {"name": "l", "address": socket_address(("0.0.0.0", 80)), "filter_chains": [chain], **listener}
    return bootstrap([whole], [static_cluster("one", ("10.0.0.1", 80)), static_cluster("two", ("10.0.0.2", 80))])


def with_sni(inspected: bool) -> dict[str, Any]:
    chain = {
        "filter_chain_match": {"server_names": ["site"]},
        "transport_socket": {"name": "tls", "typed_config": {"@type": TLS, "common_tls_context": {"tls_certificates": [
            {"certificate_chain": {"inline_string": "c"}, "private_key": {"inline_string": "k"}}]}}},
    }  # fmt: skip
    filters = [{"name": "i", "typed_config": {"@type": INSPECTOR}}] if inspected else []
    return configuration("*", to_cluster("one"), chain=chain, listener_filters=filters)


SITUATIONS: dict[str, tuple[dict[str, Any], str, list[str], str, str]] = {
    "host": (configuration("site", to_cluster("one")), "http://other/", [], "",
             "no virtual host has a domain for 'other'; the domains are: site"),
    "port": (configuration("site", to_cluster("one")), "http://site:80/", [], "",
             "no virtual host has a domain for 'site:80'; the domains are: site; its port is part of the name"),
    "connect": (configuration("site", {"match": {"connect_matcher": {}}, "route": {"cluster": "one"}}),
                "http://site:80/", [], "CONNECT", "its port is part of the name"),
    "order": (configuration("*", to_cluster("one", "/"), to_cluster("two", "/api")), "http://site/api", [], "",
              "  1. route (prefix: '/') matches"),
    "sni": (with_sni(True), "https://other:80/", [], "", "it wants server_names site, and the connection has other"),
    "no sni": (with_sni(True), "https://10.0.0.9:80/", [], "",
               "it wants server_names site, and the connection has no server name"),
    "inspector": (with_sni(False), "https://site:80/", [], "",
                  "it wants server_names site, and the connection has no server name (is there a tls_inspector?)"),
    "cors": (configuration("*", to_cluster("one")), "http://site/", ["origin: https://evil"], "",
             "the origin 'https://evil' is not allowed: the browser will not show the answer to the page"),
}  # fmt: skip


@pytest.mark.parametrize("name", SITUATIONS)
def test_explain_says_the_cause(name: str, tmp_path: Path) -> None:
    config, url, headers, method, cause = SITUATIONS[name]
    file = tmp_path / "envoy.yaml"
    file.write_text(json.dumps(config))
    told = Explainer(str(file)).explain(read_question(url, method, headers))
    assert cause in as_text(told)
    if name == "order":
        assert told["action"]["cluster"] == "one"
    if name == "cors":
        assert told["answer"]["status"] == 200


def said(by: str) -> bool:
    """Whether what the last column names is there."""
    tool, _, what = by.partition(" ")
    if tool == "explain:":
        return what in SITUATIONS
    word, _, number = what.rpartition(": ")
    reason = explain(word)
    return tool == "why" and reason is not None and 0 < int(number) <= len(reason.causes)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_row(row: list[str]) -> None:
    _, question, cause, ours, by = row
    assert re.match(r"\[[\w# -]+\]\(https://\S+\) \w", question)
    assert cause
    assert (ours == "yes" and said(by)) or (ours == "no" and by == "-")


def test_the_sum() -> None:
    assert [row[0] for row in ROWS] == [str(number) for number in range(1, 41)]
    links: Callable[[str], list[str]] = lambda text: re.findall(r"\((https://\S+)\)", text)  # noqa: E731
    assert len({link for row in ROWS for link in links(row[1])}) == 40
    assert f"**{sum(row[3] == 'yes' for row in ROWS)} of 40 get the cause.**" in TEXT
