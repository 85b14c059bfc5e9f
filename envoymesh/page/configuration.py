"""What a proxy's configuration tells the page: listeners, weights, and the text itself without its secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

NOT_SHOWN = "[not shown]"
_SECRET_FIELDS = ("private_key", "password", "session_ticket_keys", "token_secret", "hmac_secret", "auth_password")
_SECRET_HEADERS = ("authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key")


@dataclass(frozen=True, slots=True)
class Weight:
    """One weighted cluster whose weight is a runtime key."""

    key: str
    cluster: str
    weight: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a bootstrap says.

    Attributes:
        listeners: (address, port, whether it speaks TLS).
        weights: those that can be changed while it runs.
        admin_layer: whether the runtime can be changed.
    """

    listeners: tuple[tuple[str, int, bool], ...] = ()
    weights: tuple[Weight, ...] = ()
    admin_layer: bool = False


def configuration_of(bootstrap: dict[str, Any]) -> Configuration:
    """A bootstrap as the admin prints it."""
    static = bootstrap.get("static_resources", {})
    layers = bootstrap.get("layered_runtime", {}).get("layers", [])
    return Configuration(
        tuple(filter(None, map(_listener, static.get("listeners", [])))),
        tuple(_weights(static.get("listeners", []))),
        any("admin_layer" in each for each in layers),
    )


def _listener(listener: dict[str, Any]) -> tuple[str, int, bool] | None:
    socket = listener.get("address", {}).get("socket_address", {})
    if "port_value" not in socket:
        return None
    tls = any("transport_socket" in chain for chain in listener.get("filter_chains", []))
    return socket.get("address", ""), socket["port_value"], tls


def _weights(part: Any) -> Iterator[Weight]:
    """Every weighted cluster below a part of the configuration, each key once."""
    seen: set[str] = set()
    for found in _mappings(part):
        weighted = found.get("weighted_clusters")
        prefix = weighted.get("runtime_key_prefix", "") if isinstance(weighted, dict) else ""
        for each in found["weighted_clusters"].get("clusters", []) if prefix else ():
            key = f"{prefix}.{each.get('name', '')}"
            if key not in seen:
                seen.add(key)
                yield Weight(key, each.get("name", ""), each.get("weight", 0))


def _mappings(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        yield part
        for each in part.values():
            yield from _mappings(each)
    elif isinstance(part, list):
        for each in part:
            yield from _mappings(each)


def cluster_text(text: str, name: str) -> tuple[int, str] | None:
    """(line, text) of one cluster in a configuration's text; None where it is not in it."""
    clusters = _get(_get(_root(text), "static_resources"), "clusters")
    for node in clusters.value if isinstance(clusters, SequenceNode) else ():
        found = _get(node, "name")
        if isinstance(found, ScalarNode) and found.value == name:
            lines = text.splitlines()[node.start_mark.line : node.end_mark.line or None]
            return node.start_mark.line + 1, "\n".join(lines).rstrip() + "\n"
    return None


def without_secrets(text: str) -> str:
    """A configuration's text with every secret replaced; nothing of one that is no YAML."""
    root = _root(text)
    if root is None:
        return NOT_SHOWN
    places = sorted({(node.start_mark.index, node.end_mark.index) for node in _secrets(root, False)}, reverse=True)
    for begin, end in places:
        text = text[:begin] + f'"{NOT_SHOWN}"' + ("\n" if text[begin:end].endswith("\n") else "") + text[end:]
    return text


def _root(text: str) -> Node | None:
    try:
        found: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        return found
    except yaml.YAMLError:
        return None


def _get(node: Node | None, key: str) -> Node | None:
    if isinstance(node, MappingNode):
        return next((value for name, value in node.value if name.value == key), None)
    return None


def _secrets(node: Node, secret: bool) -> Iterator[ScalarNode]:
    """The scalars below a node that must not be shown; where a secret is a file's name, that may be."""
    if isinstance(node, ScalarNode):
        if secret:
            yield node
    elif isinstance(node, SequenceNode):
        for each in node.value:
            yield from _secrets(each, secret)
    elif isinstance(node, MappingNode):
        header = _get(node, "key") or _get(node, "header") or _get(node, "name")
        sensitive = isinstance(header, ScalarNode) and header.value.lower() in _SECRET_HEADERS
        for key, value in node.value:
            named = str(key.value)
            below = secret or named in _SECRET_FIELDS or (sensitive and named != "key")
            if named not in ("filename", "key", "name", "header", "append_action") or isinstance(value, MappingNode):
                yield from _secrets(value, below)
