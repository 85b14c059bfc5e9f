from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from envoymesh.testing.certificates import Authority
from envoymesh.testing.client import Listeners, Listening
from envoymesh.testing.errors import TestingError
from envoymesh.testing.rewriting import Configuration, ListenerPlace, Rewritten

TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3."
HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def cluster(*hosts: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {
        "name": "up",
        "type": "STRICT_DNS",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"priority": 1, "lb_endpoints": list(hosts)}]},
        **options,
    }


def rewritten(folder: Path, fakes: dict[str, Any], **resources: Any) -> Rewritten:
    config = {"static_resources": resources}
    before = deepcopy(config)
    path = folder / "given.json"
    path.write_text(json.dumps(config))
    given = Configuration(path)
    found = given.rewritten(fakes, folder, Authority())
    assert given.value == before
    return found


def test_a_fake_takes_the_place_of_each_host(tmp_path: Path) -> None:
    host = {"endpoint": {"address": address("a.internal", 80), "hostname": "a"}, "metadata": {"a": 1}}
    given = cluster(host, host, lb_policy="RING_HASH", transport_socket={"name": "tls"}, dns_refresh_rate="1s")
    found = rewritten(tmp_path, {"up": [("127.0.0.1", 1), ("127.0.0.1", 2)]}, clusters=[given])
    made = found.config["static_resources"]["clusters"][0]
    locality = made["load_assignment"]["endpoints"][0]
    assert [each["endpoint"]["address"] for each in locality["lb_endpoints"]] == [
        address("127.0.0.1", 1),
        address("127.0.0.1", 2),
    ]
    assert (locality["priority"], locality["lb_endpoints"][1]["metadata"]) == (1, {"a": 1})
    assert (made["type"], made["lb_policy"], made["dns_refresh_rate"]) == ("STATIC", "RING_HASH", "1s")
    assert "transport_socket" not in made


def test_another_number_of_hosts_is_one_locality(tmp_path: Path) -> None:
    given = {"name": "up", "clusterType": {"name": "any"}, "lbPolicy": "CLUSTER_PROVIDED"}
    found = rewritten(tmp_path, {"up": [("127.0.0.1", 1)]}, clusters=given).config["static_resources"]["clusters"]
    assert found == {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "up",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address("127.0.0.1", 1)}}]}],
        },
    }


def test_a_protocol_that_tls_would_choose_is_http2(tmp_path: Path) -> None:
    options = {OPTIONS: {"auto_config": {"http2_protocol_options": {"max_concurrent_streams": 5}}}}
    given = cluster(typed_extension_protocol_options=options)
    found = rewritten(tmp_path, {"up": [("127.0.0.1", 1)]}, clusters=[given]).config["static_resources"]["clusters"][0]
    assert found["typed_extension_protocol_options"] == {
        OPTIONS: {"explicit_http_config": {"http2_protocol_options": {"max_concurrent_streams": 5}}}
    }


def test_what_nobody_names_stays(tmp_path: Path) -> None:
    given = cluster({"endpoint": {"address": address("a", 80)}}, transport_socket={"name": "tls"})
    assert rewritten(tmp_path, {}, clusters=[given]).config["static_resources"]["clusters"] == [given]


def test_listeners_are_moved_and_known(tmp_path: Path) -> None:
    context = {
        "@type": TLS + "DownstreamTlsContext",
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": "/no/c"}, "private_key": {"filename": "/no/k"}}],
            "validation_context": {"trusted_ca": {"filename": "/no/ca"}},
        },
    }
    manager = {"filters": [{"name": "hcm", "typed_config": {"@type": HCM}}]}
    log = {"@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/var/a.log"}
    listeners = [
        {"address": address("0.0.0.0", 80),
         "filter_chains": [{**manager, "transport_socket": {"typed_config": context}}]},
        {"name": "two", "address": address("::", 81), "additional_addresses": [{"address": address("10.0.0.1", 82)}],
         "filter_chains": [manager], "access_log": [{"typed_config": log}]},
        {"name": "pipe", "address": {"pipe": {"path": "/tmp/x"}}, "filter_chains": []},
    ]  # fmt: skip
    found = rewritten(tmp_path, {}, listeners=listeners)
    assert found.listeners == [
        ListenerPlace("listener-0", (80,), tls=True, http=True),
        ListenerPlace("two", (81, 82), tls=False, http=True),
        ListenerPlace("pipe", (), tls=False, http=False),
    ]
    one, two, pipe = found.config["static_resources"]["listeners"]
    assert (one["address"], two["address"]) == (address("127.0.0.1", 0), address("::1", 0))
    assert two["additional_addresses"] == [{"address": address("127.0.0.1", 0)}]
    assert pipe["address"] == {"pipe": {"path": "/tmp/x"}}
    pair = one["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]["tls_certificates"][0]
    assert "BEGIN CERTIFICATE" in Path(pair["certificate_chain"]["filename"]).read_text()
    assert Path(pair["private_key"]["filename"]).stat().st_mode & 0o077 == 0
    assert found.clients_are_asked
    assert "BEGIN CERTIFICATE" in found.trusted
    assert found.logs == {"/var/a.log": tmp_path / "access-0.log"}
    assert found.config["admin"] == {"address": address("127.0.0.1", 0)}


def test_clusters_are_chosen_by_name(tmp_path: Path) -> None:
    path = tmp_path / "given.json"
    path.write_text(json.dumps({"static_resources": {"clusters": [{"name": "a"}, {"name": "b"}]}}))
    given = Configuration(path)
    assert given.choose({"*": 404, "a": 200}) == {"a": 200, "b": 404}
    with pytest.raises(TestingError, match="no cluster c; there are a, b"):
        given.choose({"c": 200})


def test_a_url_finds_its_listener() -> None:
    found = Listeners(
        [
            Listening(ListenerPlace("raw", (9000,), tls=False, http=False), (("127.0.0.1", 1),)),
            Listening(ListenerPlace("plain", (8080, 8081), tls=False, http=True), (("127.0.0.1", 2), ("::1", 3))),
            Listening(ListenerPlace("tls", (443,), tls=True, http=True), (("127.0.0.1", 4),)),
        ]
    )
    assert found.base_url(None) == "http://localhost:8080"
    assert found.base_url("tls") == "https://localhost"
    assert found.base_url(8081) == "http://localhost:8081"
    assert found.address(None, "http", 8081) == ("::1", 3)
    assert found.address(None, "https", None) == ("127.0.0.1", 4)
    assert found.address(None, "http", None) == ("127.0.0.1", 2)
    assert found.address("raw") == ("127.0.0.1", 1)
    assert found.address(9000) == ("127.0.0.1", 1)
    for name, scheme, port in (("none", "http", None), (1, "http", None), (None, "http", 9), (None, "ftp", None)):
        with pytest.raises(TestingError, match=r"there are raw \(9000\), plain \(8080, 8081\), tls \(443\)"):
            found.address(name, scheme, port)
