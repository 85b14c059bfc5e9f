"""The adapted copy of a proxy configuration: the same document, with a replica's addresses and paths in it.

Works on YAML's nodes, so that every scalar keeps its spelling and its type. It must not know what the fields mean, but
for `socket_address`, the place of the listeners, and the clusters' `dns_refresh_rate`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from envoymesh.sandbox.addresses import LOCAL, Placement
from envoymesh.sandbox.errors import SandboxError

STRING = "tag:yaml.org,2002:str"
DEFAULT_REFRESH_SECONDS = 5.0
V6_SUFFIX = "_ipv6"


@dataclass(frozen=True, slots=True)
class Adapted:
    """An adapted configuration: its text, and every (address, port) that the replica will listen on."""

    text: str
    sockets: tuple[tuple[str, int], ...]


def adapt(text: str, source: str, placement: Placement, path: Callable[[str], str]) -> Adapted:
    """Adapt a configuration (YAML or JSON) to a placement.

    Local addresses become the placement's, ports those that it says; each listener on a local address gets a twin
    on the placement's IPv6 address, if it has one. Other strings go through `path`.

    Args:
        source: the file's name, for errors.
        path: a path in the image -> the path here; any other string must come back as it is.

    Errors: SandboxError for text that is not a YAML mapping.
    """
    root = parse(text, source)
    _adapt_paths(root, path)
    twins = list(_add_twins(root, placement)) if placement.address_v6 else []
    sockets = [_move(each, placement) for each in list(_local_sockets(root))]
    return Adapted(yaml.serialize(root, Dumper=yaml.SafeDumper, width=120), tuple(dict.fromkeys([*sockets, *twins])))


def refresh_seconds(text: str, source: str) -> float:
    """The longest `dns_refresh_rate` of the clusters: after so long every proxy has seen a change of names."""
    clusters = get(get(parse(text, source), "static_resources"), "clusters")
    rates = [get(each, "dns_refresh_rate") for each in (clusters.value if isinstance(clusters, SequenceNode) else [])]
    return max((_seconds(each) for each in rates), default=DEFAULT_REFRESH_SECONDS)


def _seconds(rate: Node | None) -> float:
    if not isinstance(rate, ScalarNode):
        return DEFAULT_REFRESH_SECONDS
    try:
        return float(rate.value.removesuffix("s"))
    except ValueError:
        return DEFAULT_REFRESH_SECONDS


def parse(text: str, source: str) -> MappingNode:
    """The document's root node, with every alias replaced by a copy of what it stands for. Errors: SandboxError."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise SandboxError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(root, MappingNode):
        raise SandboxError(f"{source}: a configuration is expected, which is a mapping")
    copied = copy(root)
    assert isinstance(copied, MappingNode)
    return copied


def copy(node: Node) -> Node:
    """A tree of new nodes: none stands in two places, so one place can be changed alone."""
    if isinstance(node, SequenceNode):
        return SequenceNode(node.tag, [copy(each) for each in node.value], flow_style=node.flow_style)
    if isinstance(node, MappingNode):
        pairs = [(copy(key), copy(value)) for key, value in node.value]
        return MappingNode(node.tag, pairs, flow_style=node.flow_style)
    assert isinstance(node, ScalarNode)
    return ScalarNode(node.tag, node.value, style=node.style)


def get(node: Node | None, key: str) -> Node | None:
    """The value of a key; None when the node is not a mapping or does not have the key."""
    if isinstance(node, MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    return None


def nodes(root: Node) -> Iterator[Node]:
    """Every node below and including `root`."""
    yield root
    if isinstance(root, SequenceNode):
        for each in root.value:
            yield from nodes(each)
    elif isinstance(root, MappingNode):
        for pair in root.value:
            yield from nodes(pair[0])
            yield from nodes(pair[1])


def _adapt_paths(root: Node, path: Callable[[str], str]) -> None:
    for node in nodes(root):
        if isinstance(node, ScalarNode) and node.tag == STRING:
            node.value = path(node.value)


def _local_sockets(root: Node) -> Iterator[MappingNode]:
    """Every `socket_address` of a local address."""
    for node in nodes(root):
        socket = get(node, "socket_address")
        address = get(socket, "address")
        if isinstance(socket, MappingNode) and isinstance(address, ScalarNode) and address.value in LOCAL:
            yield socket


def _move(socket: MappingNode, placement: Placement) -> tuple[str, int]:
    """Give a local socket address its place, and say which; a twin's is already right."""
    address, port = get(socket, "address"), get(socket, "port_value")
    assert isinstance(address, ScalarNode)
    if address.value != placement.address_v6:
        address.value = placement.address
        if isinstance(port, ScalarNode):
            port.value = str(placement.port(int(port.value)))
    return address.value, int(port.value) if isinstance(port, ScalarNode) else 0


def _add_twins(root: MappingNode, placement: Placement) -> Iterator[tuple[str, int]]:
    """Append to the listeners a copy of each local one, on the IPv6 address; yields where they listen."""
    listeners = get(get(root, "static_resources"), "listeners")
    if not isinstance(listeners, SequenceNode):
        return
    for listener in list(listeners.value):
        socket = get(get(listener, "address"), "socket_address")
        address, port = get(socket, "address"), get(socket, "port_value")
        if isinstance(address, ScalarNode) and address.value in LOCAL and isinstance(port, ScalarNode):
            here = placement.port(int(port.value))
            listeners.value.append(_twin(listener, placement.address_v6, here))
            yield placement.address_v6, here


def _twin(listener: MappingNode, address: str, port: int) -> MappingNode:
    place = _mapping(
        {"socket_address": _mapping({"address": _scalar(address), "port_value": _scalar(str(port), "int")})}
    )
    changed = []
    for key, value in listener.value:
        if key.value == "address":
            value = place
        elif key.value == "name":
            value = _scalar(value.value + V6_SUFFIX)
        changed.append((copy(key), copy(value)))
    return MappingNode(listener.tag, changed, flow_style=listener.flow_style)


def _mapping(fields: dict[str, Node]) -> MappingNode:
    return MappingNode(
        "tag:yaml.org,2002:map", [(_scalar(key), value) for key, value in fields.items()], flow_style=False
    )


def _scalar(value: str, kind: str = "str") -> ScalarNode:
    return ScalarNode(f"tag:yaml.org,2002:{kind}", value)
