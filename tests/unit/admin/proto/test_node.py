"""The node message."""

from envoy.config.core.v3 import base_pb2

from envoymesh.admin.proto.answers import to_json_value
from envoymesh.admin.proto.node import Build, Extension, local_node

BUILD = Build((1, 40, 0), {"build.type": "RELEASE"})


def test_the_command_line_goes_before_the_bootstrap() -> None:
    configured = base_pb2.Node(id="n", cluster="c", locality={"zone": "z", "region": "r"})
    node = local_node(configured, BUILD, [], service_cluster="cc", service_zone="zz")
    assert (node.id, node.cluster) == ("n", "cc")
    assert (node.locality.zone, node.locality.region) == ("zz", "r")
    assert configured.cluster == "c"


def test_version_and_extensions_are_shown() -> None:
    extension = Extension("envoy.filters.http.router", "envoy.filters.http", ("type.googleapis.com/x.Router",))
    assert to_json_value(local_node(base_pb2.Node(), BUILD, [extension])) == {
        "user_agent_name": "envoy",
        "user_agent_build_version": {
            "version": {"major_number": 1, "minor_number": 40},
            "metadata": {"build.type": "RELEASE"},
        },
        "extensions": [
            {
                "name": "envoy.filters.http.router",
                "category": "envoy.filters.http",
                "type_urls": ["type.googleapis.com/x.Router"],
            }
        ],
    }
