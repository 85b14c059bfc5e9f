"""What a matcher tree may look at: the inputs that Envoy registers for HTTP, each a small object made at load.

An input gives a text, or None where there is none. Whether what it needs has come yet, `available` says.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from mypy_extensions import trait

from envoymesh.http.headers import HeaderMap
from envoymesh.http.stream_info import StreamInfo
from envoymesh.matching.headers import request_header_value
from envoymesh.matching.queries import parse_query
from envoymesh.matching.tree.data import MatchingData
from envoymesh.matching.values import MISSING, value_at


@trait
class DataInput:
    """Where a text comes from (Envoy's `DataInput`)."""

    __slots__ = ()

    @abstractmethod
    def available(self, data: MatchingData) -> bool:
        """Whether the part of the request that holds the text is here."""

    @abstractmethod
    def text(self, data: MatchingData) -> bytes | None:
        """The text, or None where there is none."""


class RequestHeaderInput(DataInput):
    """envoy.type.matcher.v3.HttpRequestHeaderMatchInput: all values of a header, joined with commas."""

    __slots__ = ("name",)

    def __init__(self, name: bytes) -> None:
        self.name = name

    def available(self, data: MatchingData) -> bool:
        """Whether there are request headers."""
        return data.request_headers is not None

    def text(self, data: MatchingData) -> bytes | None:
        """The header's value."""
        return None if data.request_headers is None else request_header_value(data.request_headers, self.name)


class FieldInput(DataInput):
    """The same of trailers and of response headers.

    Args:
        part: gives the part that has the field, or None as long as it has not come.
    """

    __slots__ = ("_part", "name")

    def __init__(self, name: bytes, part: Callable[[MatchingData], HeaderMap | None]) -> None:
        self.name = name
        self._part = part

    def available(self, data: MatchingData) -> bool:
        """Whether the part is here."""
        return self._part(data) is not None

    def text(self, data: MatchingData) -> bytes | None:
        """The field's value."""
        part = self._part(data)
        return None if part is None else part.joined(self.name)


class StatusInput(DataInput):
    """envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput, and its class as ``2xx`` where `as_class`."""

    __slots__ = ("as_class",)

    def __init__(self, as_class: bool) -> None:
        self.as_class = as_class

    def available(self, data: MatchingData) -> bool:
        """Whether there is a response."""
        return data.response_headers is not None

    def text(self, data: MatchingData) -> bytes | None:
        """The code or its class; there is no class beyond the five."""
        if data.response_headers is None:
            return None
        status = data.response_headers.status
        if not self.as_class:
            return b"%d" % status
        return b"%dxx" % (status // 100) if 100 <= status < 600 else None


class QueryParameterInput(DataInput):
    """envoy.type.matcher.v3.HttpRequestQueryParamMatchInput: the first value of a parameter, decoded."""

    __slots__ = ("name",)

    def __init__(self, name: bytes) -> None:
        self.name = name

    def available(self, data: MatchingData) -> bool:
        """Whether there are request headers."""
        return data.request_headers is not None

    def text(self, data: MatchingData) -> bytes | None:
        """The parameter's value; a path that cannot be taken apart has none."""
        if data.request_headers is None:
            return None
        value = parse_query(data.request_headers.path).get(self.name)
        return None if value is None else unquote_to_bytes(value)


class ConnectionInput(DataInput):
    """A fact of the connection, or of what filters have left: always available.

    Args:
        fact: gives the text, or "" for none.
    """

    __slots__ = ("_fact",)

    def __init__(self, fact: Callable[[StreamInfo], str]) -> None:
        self._fact = fact

    def available(self, data: MatchingData) -> bool:
        """Yes."""
        return True

    def text(self, data: MatchingData) -> bytes | None:
        """The fact."""
        fact = "" if data.info is None else self._fact(data.info)
        return fact.encode() if fact else None


class ConstantInput(DataInput):
    """A text that was known at load (an environment variable)."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | None) -> None:
        self.value = value

    def available(self, data: MatchingData) -> bool:
        """Yes."""
        return True

    def text(self, data: MatchingData) -> bytes | None:
        """The text."""
        return self.value


class FilterStateInput(DataInput):
    """envoy.extensions.matching.common_inputs.network.v3.FilterStateInput: the text of what a filter left."""

    __slots__ = ("key",)

    def __init__(self, key: str) -> None:
        self.key = key

    def available(self, data: MatchingData) -> bool:
        """Yes."""
        return True

    def text(self, data: MatchingData) -> bytes | None:
        """The object's text."""
        states = None if data.info is None else data.info.filter_state
        state = None if states is None else states.get(self.key)
        text = None if state is None else state.as_text()
        return None if text is None else text.encode()


class MetadataInput:
    """envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput: a value, which is no text."""

    __slots__ = ("namespace", "path")

    def __init__(self, namespace: str, path: Sequence[str]) -> None:
        self.namespace = namespace
        self.path = tuple(path)

    def value(self, data: MatchingData) -> Any:
        """The value at the path, or `MISSING`."""
        return MISSING if data.info is None else value_at(data.info.dynamic_metadata, self.namespace, self.path)


def destination_ip(info: StreamInfo) -> str:
    """The address that the connection came to."""
    address = info.downstream.local_address
    return "" if address is None else address.ip


def destination_port(info: StreamInfo) -> str:
    """The port that the connection came to."""
    address = info.downstream.local_address
    return "" if address is None or not address.ip else str(address.port)


def source_ip(info: StreamInfo) -> str:
    """The trusted client's address, which x-forwarded-for may name."""
    address = info.trusted_remote
    return "" if address is None else address.ip


def source_port(info: StreamInfo) -> str:
    """The client's port; 0 where x-forwarded-for named the client."""
    address = info.trusted_remote
    return "" if address is None or not address.ip else str(address.port)


def direct_source_ip(info: StreamInfo) -> str:
    """The peer's address."""
    address = info.downstream.remote_address
    return "" if address is None else address.ip


def source_type(info: StreamInfo) -> str:
    """``local`` where the peer is this machine, as the peer of a Unix domain socket is."""
    peer, here = info.trusted_remote, info.downstream.local_address
    if peer is None or here is None:
        return ""
    return "local" if peer.ip in ("", here.ip, "::1") or peer.ip.startswith("127.") else ""


def server_name(info: StreamInfo) -> str:
    """The name that the client asked for in its TLS hello."""
    return info.downstream.requested_server_name


def uri_san(info: StreamInfo) -> str:
    """The URIs of the client's certificate, joined with commas."""
    tls = info.downstream.tls
    return "" if tls is None or tls.peer is None else ",".join(tls.peer.uri_sans)


def dns_san(info: StreamInfo) -> str:
    """The DNS names of the client's certificate, joined with commas."""
    tls = info.downstream.tls
    return "" if tls is None or tls.peer is None else ",".join(tls.peer.dns_sans)


def subject(info: StreamInfo) -> str:
    """The subject of the client's certificate."""
    tls = info.downstream.tls
    return "" if tls is None or tls.peer is None else tls.peer.subject


CONNECTION_FACTS: Final[dict[str, Callable[[StreamInfo], str]]] = {
    "network.v3.DestinationIPInput": destination_ip,
    "network.v3.DestinationPortInput": destination_port,
    "network.v3.SourceIPInput": source_ip,
    "network.v3.SourcePortInput": source_port,
    "network.v3.DirectSourceIPInput": direct_source_ip,
    "network.v3.SourceTypeInput": source_type,
    "network.v3.ServerNameInput": server_name,
    "ssl.v3.UriSanInput": uri_san,
    "ssl.v3.DnsSanInput": dns_san,
    "ssl.v3.SubjectInput": subject,
}
"""By the message's name below envoy.extensions.matching.common_inputs."""
