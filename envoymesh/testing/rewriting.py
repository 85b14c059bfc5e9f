"""A copy of a configuration for a test: free ports on the loopback, fakes for clusters, certificates that exist.

All else stays, also the order of lists, so that field paths are those of the file. It works on plain values, before
anything is known of their messages, and takes both of protobuf's spellings (port_value, portValue). It must not start
anything.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envoymesh.config.load import read_document
from envoymesh.config.source import Source
from envoymesh.testing.certificates import Authority
from envoymesh.testing.errors import TestingError

Json = dict[str, Any]
Address = tuple[str, int]
HTTP_MANAGER = "HttpConnectionManager"
STANDARD_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/null")
EVERY_OTHER = "*"
"""In `upstreams`: every cluster that is not named."""
_DISCOVERY = ("type", "cluster_type", "load_assignment", "eds_cluster_config", "original_dst_lb_config")
_TLS = ("transport_socket", "transport_socket_matches")
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True)
class ListenerPlace:
    """A listener of the file.

    Args:
        ports: where it listens according to the file.
        tls: whether all its chains speak TLS.
        http: whether one of its chains ends in an HTTP connection manager.
    """

    name: str
    ports: tuple[int, ...]
    tls: bool
    http: bool


@dataclass(frozen=True)
class Rewritten:
    """A configuration for a test.

    Args:
        logs: files of access logs, by their names in the configuration.
        trusted: PEM of the certificates that listeners use.
    """

    config: Json
    listeners: list[ListenerPlace]
    source: Source
    logs: dict[str, Path]
    trusted: str
    clients_are_asked: bool


class Configuration:
    """A configuration file, read. Errors: ConfigError for one that cannot be."""

    def __init__(self, path: Path) -> None:
        document = read_document(str(path))
        if not isinstance(document.value, dict):
            raise TestingError(f"{path}: not a configuration: a mapping is expected")
        self.path = path
        self.value: Json = document.value
        self.source = Source(str(path), document.lines, aliases=document.aliases)

    def clusters(self) -> dict[str, int]:
        """The names of the static clusters, and how many endpoints each has."""
        return {str(get(each, "name")): len(list(_endpoints(each))) for each in _resources(self.value, "clusters")}

    def choose(self, upstreams: Mapping[str, Any]) -> dict[str, Any]:
        """What each named cluster is to be; ``*`` is spelt out. Errors: TestingError for an unknown name."""
        known = self.clusters()
        for name in upstreams:
            if name not in known and name != EVERY_OTHER:
                raise TestingError(f"{self.path}: no cluster {name}; there are {', '.join(known) or 'none'}")
        chosen = {name: upstreams[name] for name in upstreams if name != EVERY_OTHER}
        if EVERY_OTHER in upstreams:
            chosen = {**dict.fromkeys(known, upstreams[EVERY_OTHER]), **chosen}
        return chosen

    def rewritten(self, fakes: Mapping[str, list[Address]], folder: Path, authority: Authority) -> Rewritten:
        """The copy, for the fakes' addresses by cluster. Certificates and logs go into the folder."""
        config = deepcopy(self.value)
        put(config, "admin", {**(get(config, "admin") or {}), "address": _loopback(None)})
        get(config, "admin").pop("access_log_path", None)
        places = [_place(each, number) for number, each in enumerate(_resources(config, "listeners"))]
        for cluster in _resources(config, "clusters"):
            if get(cluster, "name") in fakes:
                _replace(cluster, fakes[get(cluster, "name")])
        files = Files(folder, authority)
        for each in walk(config):
            files.mend(each)
        return Rewritten(config, places, self.source, files.logs, files.trusted, files.asks_clients)


# Plain values, in both spellings


def camel(name: str) -> str:
    """port_value -> portValue."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def get(message: Json, name: str) -> Any:
    """A field, or None."""
    return message.get(name, message.get(camel(name)))


def put(message: Json, name: str, value: Any) -> None:
    """Set a field, in the place of either spelling."""
    message.pop(camel(name), None)
    message[name] = value


def drop(message: Json, *names: str) -> None:
    """Take fields away."""
    for name in names:
        message.pop(name, None)
        message.pop(camel(name), None)


def messages(value: Any) -> list[Json]:
    """A repeated message; Envoy takes a single one for it too."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def walk(value: Any) -> Iterator[Json]:
    """Every mapping below, itself included."""
    if isinstance(value, dict):
        yield value
        for each in list(value.values()):
            yield from walk(each)
    elif isinstance(value, list):
        for each in value:
            yield from walk(each)


def _resources(config: Json, kind: str) -> list[Json]:
    return messages(get(get(config, "static_resources") or {}, kind))


# Listeners


def _loopback(address: Json | None) -> Json:
    """The address with a free port of the loopback, in the same family."""
    host = str(get(get(address or {}, "socket_address") or {}, "address") or "")
    try:
        parsed = ipaddress.ip_address(host or "127.0.0.1")
    except ValueError:
        parsed = ipaddress.ip_address("127.0.0.1")
    loopback = "::1" if parsed.version == 6 else "127.0.0.1"
    given = {} if address is None else dict(get(address, "socket_address") or {})
    drop(given, "port_value", "named_port", "ipv4_compat", "address")
    return {"socket_address": {**given, "address": loopback, "port_value": 0}}


def _place(listener: Json, number: int) -> ListenerPlace:
    """Move a listener to free ports; where it was."""
    if not get(listener, "name"):
        put(listener, "name", f"listener-{number}")
    ports = []
    holders = [listener, *messages(get(listener, "additional_addresses"))]
    for holder in holders:
        address = get(holder, "address")
        if isinstance(address, dict) and isinstance(get(address, "socket_address"), dict):
            ports.append(int(get(get(address, "socket_address"), "port_value") or 0))
            if get(listener, "bind_to_port") is not False:
                put(holder, "address", _loopback(address))
    chains = messages(get(listener, "filter_chains")) + messages(get(listener, "default_filter_chain"))
    tls = [get(each, "transport_socket") or get(each, "tls_context") for each in chains]
    types = [str(each.get("@type", "")) for each in walk(chains)]
    http = any(each.rpartition(".")[2] == HTTP_MANAGER for each in types)
    return ListenerPlace(get(listener, "name"), tuple(ports), bool(tls) and all(map(_is_tls, tls)), http)


def _is_tls(transport_socket: Any) -> bool:
    return any("DownstreamTlsContext" in str(each.get("@type", "")) for each in walk(transport_socket))


# Clusters


def _endpoints(cluster: Json) -> Iterator[Json]:
    """The endpoints of a cluster, from its load assignment."""
    for locality in messages(get(get(cluster, "load_assignment") or {}, "endpoints")):
        for each in messages(get(locality, "lb_endpoints")):
            endpoint = get(each, "endpoint")
            if isinstance(endpoint, dict):
                yield endpoint


def _replace(cluster: Json, hosts: list[Address]) -> None:
    """Have a cluster's hosts be these. Where there were as many, their localities, weights and metadata stay."""
    assignment = get(cluster, "load_assignment")
    endpoints = list(_endpoints(cluster))
    if len(endpoints) == len(hosts):
        for endpoint, host in zip(endpoints, hosts, strict=True):
            put(endpoint, "address", _socket_address(host))
            drop(endpoint, "additional_addresses")
    else:
        made = [{"endpoint": {"address": _socket_address(host)}} for host in hosts]
        policy = get(assignment or {}, "policy")
        assignment = {"cluster_name": get(cluster, "name"), "endpoints": [{"lb_endpoints": made}]}
        if policy is not None:
            assignment["policy"] = policy
    drop(cluster, *_DISCOVERY, *_TLS)
    cluster |= {"type": "STATIC", "load_assignment": assignment}
    if get(cluster, "lb_policy") == "CLUSTER_PROVIDED":
        drop(cluster, "lb_policy")
    _without_alpn(cluster)


def _without_alpn(cluster: Json) -> None:
    """What TLS would have agreed on: a fake has none, and speaks both protocols."""
    options: Json = (get(cluster, "typed_extension_protocol_options") or {}).get(_OPTIONS) or {}
    automatic = get(options, "auto_config")
    if automatic is not None:
        drop(options, "auto_config")
        preferred = get(automatic, "http2_protocol_options")
        put(options, "explicit_http_config", {"http2_protocol_options": preferred or {}})


def _socket_address(host: Address) -> Json:
    return {"socket_address": {"address": host[0], "port_value": host[1]}}


# Files


class Files:
    """Puts files that a test has in the place of those that only the real machine has.

    Attributes:
        trusted: PEM of what a client must trust.
        asks_clients: whether a listener asks for a certificate that our authority signs.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self._folder = folder
        self._authority = authority
        self.logs: dict[str, Path] = {}
        self.trusted = ""
        self.asks_clients = False

    def mend(self, message: Json) -> None:
        """Look at one mapping of the configuration."""
        kind = str(message.get("@type", ""))
        if kind.endswith(".FileAccessLog"):
            self._log(message)
        for each in messages(get(message, "tls_certificates")):
            self._certificate(each)
        authority = get(message, "trusted_ca")
        if isinstance(authority, dict) and _missing(authority):
            put(authority, "filename", str(self._written("ca.pem", lambda: self._authority.certificate)))
            self.asks_clients = True

    def _log(self, message: Json) -> None:
        name = str(get(message, "path") or "")
        if name and name not in STANDARD_STREAMS:
            path = self.logs.setdefault(name, self._folder / f"access-{len(self.logs)}.log")
            put(message, "path", str(path))

    def _certificate(self, message: Json) -> None:
        chain, key = get(message, "certificate_chain"), get(message, "private_key")
        if not isinstance(chain, dict) or not isinstance(key, dict):
            return
        if _missing(chain) or _missing(key):
            put(chain, "filename", str(self._written("server.pem", lambda: self._authority.server_certificate)))
            put(key, "filename", str(self._written("server.key", lambda: self._authority.server_key)))
            self.trusted += self._authority.certificate
        else:
            self.trusted += _content(chain)

    def _written(self, name: str, text: Callable[[], str]) -> Path:
        path = self._folder / name
        if not path.exists():
            path.touch(0o600)
            path.write_text(text())
        return path


def _missing(source: Json) -> bool:
    """Whether a DataSource names a file that is not here."""
    name = get(source, "filename")
    return name is not None and not Path(str(name)).exists()


def _content(source: Json) -> str:
    name = get(source, "filename")
    if name is not None:
        return Path(str(name)).read_text(errors="replace")
    return str(get(source, "inline_string") or "")
