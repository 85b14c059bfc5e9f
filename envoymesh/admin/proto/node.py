"""The node that this process is (envoy.config.core.v3.Node): the bootstrap's, completed by command line and build.

It must not decide what the build or the extensions are.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from envoy.config.core.v3 import base_pb2


@dataclass(frozen=True)
class Build:
    """The proxy's version: the Envoy version whose behaviour it has, and `metadata` about the build itself."""

    version: tuple[int, int, int]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Extension:
    """An extension that is built in: its name, Envoy's category, and the types that configure it."""

    name: str
    category: str
    type_urls: tuple[str, ...] = ()


def local_node(
    configured: base_pb2.Node,
    build: Build,
    extensions: Iterable[Extension],
    service_cluster: str = "",
    service_node: str = "",
    service_zone: str = "",
) -> base_pb2.Node:
    """A completed copy; what the command line gives (not empty) goes before what the bootstrap says."""
    node = base_pb2.Node()
    node.CopyFrom(configured)
    node.id = service_node or node.id
    node.cluster = service_cluster or node.cluster
    if service_zone:
        node.locality.zone = service_zone
    node.user_agent_name = "envoy"
    version = node.user_agent_build_version
    version.version.major_number, version.version.minor_number, version.version.patch = build.version
    version.metadata.update(build.metadata)
    for extension in extensions:
        node.extensions.add(name=extension.name, category=extension.category, type_urls=extension.type_urls)
    return node
