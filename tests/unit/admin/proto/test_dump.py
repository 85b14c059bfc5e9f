"""/config_dump: parts, masks, names and redaction, in the shapes of the real Envoy 1.40."""

import json

import pytest
from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2

from envoymesh.admin.proto import dump
from envoymesh.admin.views import ClusterStatus, HealthFlags, HostStatus, SocketAddress, Thresholds
from tests.support.steps import finished

WHEN = 1_000_000_000.25
SECRET = "not for anybody's eyes"

STATUS = ClusterStatus(
    "a",
    "a",
    Thresholds(),
    Thresholds(),
    [
        HostStatus(SocketAddress("10.0.0.1", 80), {}, {}, hostname="app", has_metadata=True),
        HostStatus(SocketAddress("10.0.0.2", 80), {}, {}, zone="z", health=HealthFlags(eds_health_status="DRAINING")),
        HostStatus(SocketAddress("10.0.0.3", 80), {}, {}, zone="z"),
    ],
)


def cluster(name: str) -> cluster_pb2.Cluster:
    return cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.STRICT_DNS)


def tls_listener() -> listener_pb2.Listener:
    context = tls_pb2.DownstreamTlsContext()
    certificate = context.common_tls_context.tls_certificates.add()
    certificate.certificate_chain.filename = "/c.pem"
    certificate.private_key.inline_string = SECRET
    listener = listener_pb2.Listener(name="tls")
    listener.filter_chains.add().transport_socket.typed_config.Pack(context)
    return listener


def scopes() -> http_connection_manager_pb2.ScopedRoutes:
    made = http_connection_manager_pb2.ScopedRoutes(name="s")
    made.scoped_route_configurations_list.scoped_route_configurations.add(name="one")
    return made


@pytest.fixture
def dumps() -> dict[str, object]:
    bootstrap = bootstrap_pb2.Bootstrap(node={"id": "n1", "cluster": "c1"})
    bootstrap.static_resources.listeners.append(tls_listener())
    secret = secret_pb2.Secret(name="s1", generic_secret={"secret": {"inline_bytes": SECRET.encode()}})
    return {
        "config_dumps": [
            lambda: dump.bootstrap_dump(bootstrap, bootstrap.node, WHEN),
            lambda: dump.clusters_dump([(cluster("a"), WHEN), (cluster("ab"), WHEN)]),
            lambda: dump.listeners_dump([(tls_listener(), WHEN)]),
            lambda: dump.scoped_routes_dump([(scopes(), WHEN)]),
            lambda: dump.routes_dump([(route_pb2.RouteConfiguration(name="local_route"), WHEN)]),
            lambda: dump.secrets_dump([("s1", secret)]),
        ],
        "endpoint_dump": lambda: dump.endpoints_dump([STATUS]),
    }


def kinds(body: str) -> list[str]:
    return [config["@type"].rpartition(".")[2] for config in json.loads(body)["configs"]]


def test_the_whole_in_order(ask, dumps) -> None:
    response = ask("/config_dump", **dumps)
    assert response.content_type == "application/json"
    assert kinds(response.body) == [
        "BootstrapConfigDump", "ClustersConfigDump", "ListenersConfigDump", "ScopedRoutesConfigDump",
        "RoutesConfigDump", "SecretsConfigDump",
    ]  # fmt: skip
    clusters = json.loads(response.body)["configs"][1]["static_clusters"]
    assert clusters[0] == {
        "cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a", "type": "STRICT_DNS"},
        "last_updated": "2001-09-09T01:46:40.250Z",
    }


def test_scoped_routes_are_shown_where_they_stand(ask, dumps) -> None:
    scoped = json.loads(ask("/config_dump", **dumps).body)["configs"][3]
    kind = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
    assert scoped["inline_scoped_route_configs"] == [
        {
            "name": "s",
            "scoped_route_configs": [{"@type": kind, "name": "one"}],
            "last_updated": "2001-09-09T01:46:40.250Z",
        }
    ]


def test_no_secret_is_shown_and_none_is_lost(ask, dumps) -> None:
    for _ in range(2):
        body = ask("/config_dump", **dumps).body
        assert SECRET not in body
        assert body.count('"inline_string": "[redacted]"') == 2
        assert '"inline_bytes": "W3JlZGFjdGVkXQ=="' in body
        assert body.count('"filename": "/c.pem"') == 2
    assert SECRET not in ask("/config_dump?resource=static_secrets", **dumps).body
    assert SECRET not in ask("/config_dump?mask=static_listeners", **dumps).body


def test_endpoints_when_asked_for(ask, dumps) -> None:
    assert kinds(ask("/config_dump?include_eds", **dumps).body)[2] == "EndpointsConfigDump"
    body = ask("/config_dump?include_eds&resource=static_endpoint_configs", **dumps).body
    (config,) = json.loads(body)["configs"]
    first, second = config["endpoint_config"]["endpoints"]
    assert config["endpoint_config"]["policy"] == {"overprovisioning_factor": 140}
    # As the real Envoy prints a host: with what is empty, and without a weight of its group.
    assert first == {
        "locality": {},
        "lb_endpoints": [
            {
                "endpoint": {
                    "address": {"socket_address": {"address": "10.0.0.1", "port_value": 80}},
                    "health_check_config": {},
                    "hostname": "app",
                },
                "health_status": "HEALTHY",
                "metadata": {},
                "load_balancing_weight": 1,
            }
        ],
        "load_balancing_weight": 0,
    }
    assert second["locality"] == {"zone": "z"}
    assert [each["health_status"] for each in second["lb_endpoints"]] == ["UNHEALTHY", "HEALTHY"]


def test_the_bootstrap_has_the_node_that_it_became() -> None:
    node = bootstrap_pb2.Bootstrap(node={"id": "n1", "user_agent_name": "envoy"}).node
    made = finished(dump.bootstrap_dump(bootstrap_pb2.Bootstrap(node={"id": "n1"}), node, WHEN))
    assert made.bootstrap.node.user_agent_name == "envoy"


def test_one_resource(ask, dumps) -> None:
    body = ask("/config_dump?resource=static_clusters", **dumps).body
    assert [config["cluster"]["name"] for config in json.loads(body)["configs"]] == ["a", "ab"]
    assert kinds(body) == ["StaticCluster", "StaticCluster"]


def test_a_resource_that_is_empty(ask, dumps) -> None:
    assert ask("/config_dump?resource=dynamic_active_clusters", **dumps).body == "{}\n"


def test_a_resource_and_a_mask_look_into_the_resource(ask, dumps) -> None:
    body = ask("/config_dump?resource=static_clusters&mask=cluster.name", **dumps).body
    assert json.loads(body)["configs"][0] == {
        "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.StaticCluster",
        "cluster": {"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a"},
    }


def test_a_mask_takes_the_dumps_that_have_its_path(ask, dumps) -> None:
    body = ask("/config_dump?mask=bootstrap.node.id", **dumps).body
    (config,) = json.loads(body)["configs"]
    assert config["bootstrap"] == {"node": {"id": "n1"}}


def test_names_match_as_a_whole(ask, dumps) -> None:
    body = ask("/config_dump?name_regex=a|local.*", **dumps).body
    configs = {config["@type"].rpartition(".")[2]: config for config in json.loads(body)["configs"]}
    assert [each["cluster"]["name"] for each in configs["ClustersConfigDump"]["static_clusters"]] == ["a"]
    assert "static_listeners" not in configs["ListenersConfigDump"]
    assert "static_route_configs" in configs["RoutesConfigDump"]
    assert "static_secrets" not in configs["SecretsConfigDump"]
    assert "bootstrap" in configs["BootstrapConfigDump"]


@pytest.mark.parametrize(
    ("query", "status", "body"),
    [
        ("resource=node", 404, "node not found in config dump"),
        (
            "resource=bootstrap",
            400,
            "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field",
        ),
        ("mask=foo", 400, "FieldMask foo could not be successfully applied to any configs."),
        (
            "mask=static_clusters.cluster.name",
            400,
            "FieldMask static_clusters.cluster.name could not be successfully applied to any configs.",
        ),
        ("resource=static_clusters&mask=no", 400, 'FieldMask paths: "no" could not be successfully used.'),
        ("name_regex=(", 400, "INVALID_ARGUMENT: Error while parsing name_regex from (: missing ): ("),
    ],
)
def test_what_is_refused(ask, dumps, query: str, status: int, body: str) -> None:
    response = ask(f"/config_dump?{query}", **dumps)
    assert (response.status, response.body, response.content_type) == (status, body, "text/plain")
