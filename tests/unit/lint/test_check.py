"""`envoymesh check`: each rule on a configuration that has the fault and on one that has not, formats, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envoymesh.cli import main
from envoymesh.errors import ConfigError
from envoymesh.lint.command import RULES, check, descriptions
from envoymesh.lint.finding import Finding
from envoymesh.lint.report import FORMATS
from tests.support.loggers import loggers_restored

MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
UPSTREAM_TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


@pytest.fixture(autouse=True)
def _loggers() -> Iterator[None]:
    with loggers_restored():
        yield


def bootstrap(*routes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A configuration with nothing to say about, but for the routes and what is changed."""
    host = {"name": "all", "domains": changes.get("domains", ["*"]), "routes": [*routes, {
        "match": {"prefix": "/last/", "headers": [{"name": "x", "present_match": True}]}, "route": {"cluster": "one"},
    }]}  # fmt: skip
    manager = {
        "@type": MANAGER,
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{**host, **changes.get("host", {})}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        **changes.get("manager", {}),
    }
    endpoint = {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 1}}}}
    cluster = {
        "name": "one",
        "load_assignment": {"cluster_name": "one", "endpoints": [{"lb_endpoints": [endpoint]}]},
        **changes.get("cluster", {}),
    }
    address = {"socket_address": {"address": changes.get("admin", "127.0.0.1"), "port_value": 0}}
    filters = [{"name": "hcm", "typed_config": manager}]
    return {
        "admin": {"address": address},
        "static_resources": {
            "listeners": [{"name": "l", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                           "filter_chains": [{"filters": filters}]}],
            "clusters": [cluster, *changes.get("clusters", ())],
        },
    }  # fmt: skip


def nothing_refused(path: str) -> list[ConfigError]:
    return []


def found(folder: Path, content: dict[str, Any]) -> list[Finding]:
    file = folder / "envoy.json"
    file.write_text(json.dumps(content, indent=1))
    return check(str(file), nothing_refused)


def to(prefix: str, **more: Any) -> dict[str, Any]:
    return {"match": {"prefix": prefix, **more.pop("match", {})}, "route": {"cluster": "one", **more}}


def path(text: str, **match: Any) -> dict[str, Any]:
    return {"match": {"path": text, **match}, "route": {"cluster": "one"}}


HEADER = {"headers": [{"name": "v", "string_match": {"exact": "2"}}]}
REGEX = {"match": {"safe_regex": {"regex": "/x.*"}}, "route": {"cluster": "one"}}
WEIGHTED = {"weighted_clusters": {"clusters": [{"name": "one", "weight": 1}, {"name": "one", "weight": 0}]}}
NO_VALIDATION = {"name": "tls", "typed_config": {"@type": UPSTREAM_TLS, "common_tls_context": {}}}

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("route-shadowed", bootstrap(to("/a/"), path("/a/b")), "can never match: the route at line"),
    ("route-shadowed", bootstrap(to("/a/"), to("/a/b/", match=HEADER)), "can never match"),
    ("route-shadowed", bootstrap(path("/a", case_sensitive=False), path("/A")), "can never match"),
    ("route-shadowed", bootstrap(REGEX, REGEX), "can never match"),
    ("domain-unreachable", bootstrap(domains=["a:80", "b"], manager={"strip_any_host_port": True}), "'a:80'"),
    ("virtual-host-empty", bootstrap(host={"routes": []}), "404 NR"),
    ("prefix-takes-more", bootstrap(to("/api")), "'/apis' too"),
    ("prefix-takes-more", bootstrap(to("/v/1")), "'/v/10' too"),
    ("weights", bootstrap({"match": {"prefix": "/w/"}, "route": WEIGHTED}), "the weight 0"),
    ("retry-timeout", bootstrap(to("/r/", timeout="2s", retry_policy={"retry_on": "5xx", "num_retries": 2,
                                                                       "per_try_timeout": "1s"})), "3 tries of 1 s"),
    ("retry-timeout", bootstrap(to("/r/", retry_policy={"retry_on": "5xx"})), "whole timeout of 15 s"),
    ("stream-timeout", bootstrap(to("/g/", match={"grpc": {}})), "end after 15 s"),
    ("cluster-unused", bootstrap(clusters=[{"name": "two", "type": "STATIC"}]), "'two'"),
    ("dns-on-address", bootstrap(cluster={"type": "STRICT_DNS"}), "'127.0.0.1' is an address"),
    ("admin-open", bootstrap(admin="0.0.0.0"), "listens on 0.0.0.0"),
    ("tls-version", bootstrap(cluster={"transport_socket": {"name": "tls", "typed_config": {
        "@type": UPSTREAM_TLS, "common_tls_context": {"tls_params": {"tls_minimum_protocol_version": "TLSv1_0"},
                                                      "validation_context": {}}}}}), "TLSv1_0"),
    ("tls-unverified", bootstrap(cluster={"transport_socket": NO_VALIDATION}), "nobody checks"),
    ("deprecated", bootstrap(cluster={"http2_protocol_options": {}}), "write typed_extension_protocol_options"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "content", "words"), CASES)
def test_a_rule_finds_its_fault(tmp_path: Path, rule: str, content: dict[str, Any], words: str) -> None:
    findings = found(tmp_path, content)
    assert [each.rule for each in findings] == [rule]
    assert words in findings[0].message
    assert findings[0].line is not None
    assert findings[0].path


def test_every_rule_has_a_case_and_a_description() -> None:
    assert {rule for rule, _, _ in CASES} == set(RULES)
    assert all(descriptions().values())


@pytest.mark.parametrize(
    "content",
    [
        bootstrap(),
        bootstrap(path("/a/b"), to("/a/")),
        bootstrap(to("/a/", match=HEADER), to("/a/b/")),
        bootstrap(path("/A"), path("/a", case_sensitive=False)),
        bootstrap(to("/a/"), {"match": {"path_separated_prefix": "/a"}, "route": {"cluster": "one"}}),
        bootstrap(to("/r/", timeout="3s", retry_policy={"retry_on": "5xx", "per_try_timeout": "1s"})),
        bootstrap(to("/g/", match={"grpc": {}}, timeout="0s")),
        bootstrap(clusters=[{"name": "two"}], host={"routes": [to("/", cluster_header="x")]}),
    ],
)
def test_what_is_well_is_not_mentioned(tmp_path: Path, content: dict[str, Any]) -> None:
    assert found(tmp_path, content) == []


YAML = """
static_resources:
  clusters:
  - name: a{0}
    type: STATIC
  # envoymesh: ignore[cluster-unused]
  - name: b
"""


def test_a_comment_silences_a_rule(tmp_path: Path) -> None:
    file = tmp_path / "envoy.yaml"
    file.write_text(YAML.format(""))
    assert [each.message for each in check(str(file), nothing_refused)] == ["nothing names the cluster 'a'"]
    file.write_text(YAML.format(" # envoymesh: ignore[weights, cluster-unused]"))
    assert check(str(file), nothing_refused) == []


def test_what_the_proxy_refuses_is_an_error_and_the_rules_speak_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "envoy.json"
    content = bootstrap(to("/api"), cluster={"lb_policy": "CLUSTER_PROVIDED"})
    file.write_text(json.dumps(content))
    assert main(["check", "-c", str(file), "--format", "json"]) == 1
    findings = json.loads(capsys.readouterr().out)
    assert {each["rule"]: each["severity"] for each in findings} == {
        "invalid": "error",
        "prefix-takes-more": "warning",
    }


@pytest.mark.parametrize(("content", "code"), [(bootstrap(), 0), (bootstrap(to("/api")), 2)])
def test_exit_codes(tmp_path: Path, content: dict[str, Any], code: int) -> None:
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(content))
    assert main(["check", "-c", str(file)]) == code


def test_a_file_that_is_not_there_is_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-c", "/nowhere.yaml"]) == 1
    assert capsys.readouterr().out.startswith("/nowhere.yaml: error: cannot read the file")


def test_formats() -> None:
    each = Finding("weights", "warning", "100%\nof it", "a.b", "f.yaml", 3)
    shown = {name: make([each], descriptions()) for name, make in FORMATS.items()}
    assert shown["text"] == "f.yaml:3: warning: a.b: 100%\nof it [weights]\nerrors: 0, warnings: 1\n"
    assert shown["github"] == "::warning file=f.yaml,line=3,title=weights::a.b: 100%25%0Aof it\n"
    assert json.loads(shown["json"])[0]["line"] == 3
    sarif = json.loads(shown["sarif"])
    assert sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 3}
    assert {rule["id"] for rule in sarif["runs"][0]["tool"]["driver"]["rules"]} >= set(RULES)
