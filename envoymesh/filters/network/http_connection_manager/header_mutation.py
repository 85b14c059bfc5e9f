"""What the connection manager does to headers at the edge (Envoy's `ConnectionManagerUtility`).

Pure functions on header maps and settings. The common request and response carry none of the special
names; one set operation finds that out.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from envoymesh.filters.network.http_connection_manager.request_id import RequestIdGenerator
from envoymesh.filters.network.http_connection_manager.settings import HttpConnectionManagerSettings
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.network.api import Connection

HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})
"""RFC 9110 section 7.6.1; `te` is treated apart, trailers are announced end to end."""

INTERNAL_HEADERS: Final = frozenset(
    b"x-envoy-" + name
    for name in (
        b"retriable-status-codes", b"retriable-header-names", b"retry-on", b"retry-grpc-on", b"max-retries",
        b"upstream-alt-stat-name", b"upstream-rq-timeout-ms", b"upstream-rq-per-try-timeout-ms",
        b"upstream-rq-timeout-alt-response", b"expected-rq-timeout-ms", b"force-trace", b"ip-tags",
        b"original-url", b"hedge-on-per-try-timeout", b"internal",
    )
)  # fmt: skip
"""Removed from requests that are not internal (`cleanInternalHeaders`)."""

EDGE_HEADERS: Final = frozenset(
    b"x-envoy-" + name
    for name in (b"decorator-operation", b"downstream-service-cluster", b"downstream-service-node", b"original-path")
)
"""Removed as well from external requests at the edge, where `use_remote_address` is set."""

_CLIENT_CERT: Final = b"x-forwarded-client-cert"
"""Says who a client is; nobody is believed here (`forward_client_cert_details`, SANITIZE)."""

_REQUEST_SPECIAL = HOP_BY_HOP | INTERNAL_HEADERS | {b"te", _CLIENT_CERT}
_RESPONSE_SPECIAL: Final = tuple(sorted(HOP_BY_HOP))
_OF_UPGRADES: Final = tuple(sorted(HOP_BY_HOP - {b"connection", b"upgrade"}))
_TRANSFER_ENCODING: Final = b"transfer-encoding"
_LENGTH: Final = b"content-length"
_SCHEMES: Final = (b"http", b"https")


@dataclass(frozen=True, slots=True)
class Peer:
    """What a connection says of its client.

    Attributes:
        host: its IP address; empty when unknown, and for a Unix domain socket.
        scheme: b"https" with TLS, else b"http".
        port: the local port that it came to, as text; empty for a Unix domain socket.
    """

    host: str
    scheme: bytes
    port: bytes

    @classmethod
    def of(cls, connection: Connection) -> Peer:
        """The facts of a connection."""
        remote, local = connection.remote_address, connection.local_address
        return cls(
            "" if remote is None else remote.ip,
            b"http" if connection.tls is None else b"https",
            b"%d" % local.port if local is not None and local.ip else b"",
        )


def list_tokens(value: bytes) -> list[bytes]:
    """The lower-case tokens of a comma-separated list."""
    return [token.strip().lower() for token in value.split(b",")]


def mutate_request_headers(
    headers: RequestHeaders,
    settings: HttpConnectionManagerSettings,
    peer: Peer,
    request_ids: RequestIdGenerator,
    *,
    is_upgrade: bool,
) -> str:
    """Sanitise a request and add what Envoy adds; gives the trusted client address."""
    index = headers.index
    trusted = peer.host
    single_xff = True
    if settings.use_remote_address:
        trusted, single_xff = _note_remote_address(headers, settings, trusted)
    elif b"x-forwarded-for" in index:
        trusted, single_xff = _last_forwarded(headers, settings.xff_num_trusted_hops, trusted)
    internal = single_xff and settings.is_internal(trusted)
    edge = settings.use_remote_address and not internal
    _set_forwarded_proto(headers, settings, peer)
    if headers.scheme not in _SCHEMES:
        forwarded = headers.get(b"x-forwarded-proto")
        headers.scheme = forwarded if forwarded in _SCHEMES else peer.scheme
    if edge or not _REQUEST_SPECIAL.isdisjoint(index):
        _sanitise(headers, settings, internal=internal, edge=edge, keep_upgrade=is_upgrade)
    if internal:
        headers.set(b"x-envoy-internal", b"true")
    elif edge and trusted:
        headers.set(b"x-envoy-external-address", trusted.encode())
    if settings.user_agent:
        _set_user_agent(headers, settings)
    if settings.via:
        headers.append(b"via", settings.via, b", ")
    _set_request_id(headers, settings, request_ids, edge)
    return trusted


def _set_forwarded_proto(headers: RequestHeaders, settings: HttpConnectionManagerSettings, peer: Peer) -> None:
    if settings.use_remote_address and settings.xff_num_trusted_hops == 0:
        headers.set(b"x-forwarded-proto", peer.scheme)
        if settings.append_x_forwarded_port and peer.port:
            headers.set(b"x-forwarded-port", peer.port)
    elif b"x-forwarded-proto" not in headers.index:
        headers.add(b"x-forwarded-proto", peer.scheme)


def _set_user_agent(headers: RequestHeaders, settings: HttpConnectionManagerSettings) -> None:
    headers.set(b"x-envoy-downstream-service-cluster", settings.user_agent)
    if b"user-agent" not in headers.index:
        headers.add(b"user-agent", settings.user_agent)
    if settings.node_id:
        headers.set(b"x-envoy-downstream-service-node", settings.node_id)


def _set_request_id(
    headers: RequestHeaders, settings: HttpConnectionManagerSettings, request_ids: RequestIdGenerator, edge: bool
) -> None:
    if not settings.generate_request_id:
        return
    if b"x-request-id" not in headers.index:
        headers.add(b"x-request-id", request_ids.generate())
    elif edge and not settings.preserve_external_request_id:
        headers.set(b"x-request-id", request_ids.generate())


def _note_remote_address(
    headers: RequestHeaders, settings: HttpConnectionManagerSettings, remote: str
) -> tuple[str, bool]:
    """Append the peer to x-forwarded-for; gives the trusted address, and whether it is the only one."""
    had_xff = b"x-forwarded-for" in headers.index
    trusted = remote
    if settings.xff_num_trusted_hops > 0 and had_xff:
        trusted, _ = _last_forwarded(headers, settings.xff_num_trusted_hops - 1, remote)
    if remote and not settings.skip_xff_append:
        # A loopback address means nothing to whoever reads the header: as in Envoy the machine's own takes its place.
        shown = settings.local_address if _is_loopback(remote) else remote
        headers.append(b"x-forwarded-for", shown.encode())
    return trusted, not had_xff


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _last_forwarded(headers: RequestHeaders, skip: int, fallback: str) -> tuple[str, bool]:
    """The address `skip` places before the end of x-forwarded-for, and whether the list has one entry."""
    entries = (headers.joined(b"x-forwarded-for") or b"").split(b",")
    if skip >= len(entries):
        return fallback, False
    text = entries[-1 - skip].strip().decode("latin-1")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return fallback, False
    return text, len(entries) == 1


def _sanitise(
    headers: RequestHeaders,
    settings: HttpConnectionManagerSettings,
    *,
    internal: bool,
    edge: bool,
    keep_upgrade: bool,
) -> None:
    gone = {b"x-envoy-internal"} if internal else set(INTERNAL_HEADERS)
    if edge:
        gone |= EDGE_HEADERS
        gone.update(settings.route_table.table_of(headers).internal_only_headers)
    gone |= HOP_BY_HOP
    gone.add(_CLIENT_CERT)
    if keep_upgrade:
        gone -= {b"connection", b"upgrade"}
    nominated = headers.joined(b"connection")
    if nominated is not None and not keep_upgrade:
        _remove_nominated(headers, nominated)
    _keep_only_trailers(headers)
    headers.remove_all(gone)


def _remove_nominated(headers: RequestHeaders, nominated: bytes) -> None:
    """RFC 9110 section 7.6.1: a field that Connection names is for this hop only, and is removed."""
    names = {name for name in list_tokens(nominated) if name not in (b"te", b"upgrade", b"close", b"keep-alive")}
    headers.remove_all(names)


def _keep_only_trailers(headers: RequestHeaders) -> None:
    te = headers.joined(b"te")
    if te is None:
        return
    if b"trailers" in [token.strip() for token in te.split(b",")]:
        headers.set(b"te", b"trailers")
    else:
        headers.remove(b"te")


def mutate_response_headers(
    headers: ResponseHeaders, settings: HttpConnectionManagerSettings, request: RequestHeaders | None, is_upgrade: bool
) -> None:
    """Drop hop-by-hop headers and set the request id and via where asked for.

    `is_upgrade` says that these answer an upgrade, with Connection and Upgrade of their own.
    """
    if is_upgrade:
        if headers.status >= 200 and _TRANSFER_ENCODING not in headers.index and _LENGTH not in headers.index:
            headers.set(_LENGTH, b"0")  # an upgrade that was refused, as in Envoy
        headers.remove_all(_OF_UPGRADES)
    else:
        headers.remove_all(_RESPONSE_SPECIAL)
    if request is not None and (settings.always_set_request_id_in_response or b"x-envoy-force-trace" in request.index):
        request_id = request.get(b"x-request-id")
        if request_id is not None:
            headers.set(b"x-request-id", request_id)
    if settings.via:
        headers.append(b"via", settings.via, b", ")


def set_server(headers: ResponseHeaders, settings: HttpConnectionManagerSettings) -> None:
    """The `server` header by `server_header_transformation`."""
    how = settings.server_header_transformation
    if how == "OVERWRITE" or (how == "APPEND_IF_ABSENT" and b"server" not in headers.index):
        headers.set(b"server", settings.server_name)


def ends_with_connection(protocol: HttpProtocol, headers: ResponseHeaders, end_stream: bool) -> bool:
    """Whether only the connection's end can end the body: HTTP/1.0 has no chunks (RFC 9112 section 6.3)."""
    return protocol is HttpProtocol.HTTP10 and not end_stream and b"content-length" not in headers.index
