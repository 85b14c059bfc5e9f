"""Commands that print facts of `StreamInfo` as they are.

It must not look at messages or know what a fact is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envoymesh.formatter.context import NOT_SET, OF_CONNECTIONS, FormatterContext, Operator, Value, as_latin1
from envoymesh.formatter.parse import Syntax
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.stream_info import FLAG_NAMES
from envoymesh.network.api import Address, Connection


def _text(find: Callable[[FormatterContext], str]) -> Operator:
    def show(context: FormatterContext) -> Value:
        value = find(context)
        return as_latin1(value) if value else None

    return show


def _without_spaces(find: Callable[[FormatterContext], str]) -> Operator:
    def show(context: FormatterContext) -> Value:
        value = find(context)
        return as_latin1(value.replace(" ", "_")) if value else None

    return show


def _details(argument: str) -> Operator:
    if argument == "ALLOW_WHITESPACES":
        return _text(lambda context: context.info.response_code_details)
    return _without_spaces(lambda context: context.info.response_code_details)


def _long_flags(context: FormatterContext) -> Value:
    flags = context.info.flags
    return ",".join(long for bit, _, long in FLAG_NAMES if flags & bit) or "-"


def _protocol_name(protocol: HttpProtocol) -> str:
    """`protocol.value`, without the price of an enum's property."""
    if protocol is HttpProtocol.HTTP11:
        return "HTTP/1.1"
    return "HTTP/2" if protocol is HttpProtocol.HTTP2 else "HTTP/1.0"


def _protocol(context: FormatterContext) -> Value:
    protocol = context.info.protocol
    return None if protocol is None else _protocol_name(protocol)


def _upstream_protocol(context: FormatterContext) -> Value:
    protocol = context.info.upstream_protocol
    return None if protocol is None else _protocol_name(protocol)


def _host_name(context: FormatterContext) -> str:
    info = context.info
    return info.upstream_host_name or ("" if info.upstream_host is None else str(info.upstream_host))


def _host_name_without_port(context: FormatterContext) -> str:
    return _without_port(_host_name(context))


def _without_port(name: str) -> str:
    head, colon, port = name.rpartition(":")
    return head if colon and port.isdigit() and (":" not in head or head.endswith("]")) else name


def _upstream_connection_id(context: FormatterContext) -> Value:
    connection = context.info.upstream_connection
    return 0 if connection is None else connection.id


def _if_tried(show: Operator) -> Operator:
    return lambda context: None if context.info.upstream_connection is None else show(context)


def _all_tried(show: Callable[[Address, str, int], str], of_request: Operator) -> Operator:
    """A connection shows all that was tried, a request what `of_request` says of the last try."""
    of_last = _if_tried(of_request)

    def tried(context: FormatterContext) -> Value:
        each = context.info.connections_tried
        return (
            of_last(context)
            if each is None
            else as_latin1(",".join(filter(None, [show(*one) for one in each]))) or None
        )

    return tried


def _name_of(address: Address, name: str, connection_id: int) -> str:
    return name or str(address)


_CLOSE_REASONS = frozenset({
    "deferred_close_on_drained_connection", "on_idle_timeout", "transport_socket_timeout"
})  # fmt: skip
"""Envoy's `LocalCloseReasons`, as far as anything here closes for them."""


def _local_close_reason(context: FormatterContext) -> Value:
    """Why a connection was closed from here; its requests are logged before that is known."""
    connection = context.info.downstream
    if context.log_type not in OF_CONNECTIONS:
        return None
    if context.info.local_close_reason:
        return as_latin1(context.info.local_close_reason.replace(" ", "_"))
    if connection.delayed_close_timed_out:
        return "triggered_delayed_close_timeout"
    return connection.close_details if connection.close_details in _CLOSE_REASONS else None


def _detected_close_type(context: FormatterContext) -> Value:
    return "Normal" if context.log_type not in OF_CONNECTIONS else _close_type(context.info.downstream)


def _close_type(connection: Connection) -> str:
    if connection.reset_by_peer:
        return "RemoteReset"
    return "LocalReset" if connection.aborted else "Normal"


def _upstream_close_type(context: FormatterContext) -> Value:
    """How the upstream connection ended; a request is logged before its own does."""
    info = context.info
    if context.log_type in OF_CONNECTIONS and context.log_type != NOT_SET:
        connection = info.upstream_connection
        return "RemoteReset" if connection is not None and connection.reset_by_peer else "Normal"
    return None if info.upstream_host is None else "Normal"


def _upstream_close_reason(context: FormatterContext) -> Value:
    """Why a connection's upstream connection was closed from here: for the same reason as the downstream one."""
    info = context.info
    if context.log_type in OF_CONNECTIONS and info.upstream_connection is not None and info.local_close_reason:
        return as_latin1(info.local_close_reason)
    return None


def _nothing(context: FormatterContext) -> Value:
    """What no part of this proxy ever sets: the ids of traces and spans."""


STREAM: Mapping[str, Operator] = {
    "PROTOCOL": _protocol,
    "UPSTREAM_PROTOCOL": _upstream_protocol,
    "RESPONSE_CODE": lambda context: context.info.logged_code,
    "RESPONSE_FLAGS": lambda context: context.info.flag_names(),
    "RESPONSE_FLAGS_LONG": _long_flags,
    "CONNECTION_TERMINATION_DETAILS": _text(lambda context: context.info.termination_details),
    "BYTES_RECEIVED": lambda context: context.info.bytes_received,
    "BYTES_SENT": lambda context: context.info.bytes_sent,
    "UPSTREAM_HOST_NAME": _text(_host_name),
    "UPSTREAM_HOST_NAME_WITHOUT_PORT": _text(_host_name_without_port),
    "UPSTREAM_HOST_NAMES_ATTEMPTED": _all_tried(_name_of, _text(_host_name)),
    "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT": _all_tried(
        lambda address, name, connection_id: _without_port(_name_of(address, name, 0)), _text(_host_name_without_port)
    ),
    "UPSTREAM_CONNECTION_IDS_ATTEMPTED": _all_tried(
        lambda address, name, connection_id: str(connection_id or ""),
        lambda context: str(_upstream_connection_id(context)),
    ),
    "UPSTREAM_CLUSTER": _text(lambda context: context.info.upstream_cluster),
    "UPSTREAM_CLUSTER_RAW": _text(lambda context: context.info.upstream_cluster),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _without_spaces(lambda context: context.info.upstream_failure_reason),
    "DOWNSTREAM_TRANSPORT_FAILURE_REASON": _without_spaces(lambda context: context.info.downstream.failure_reason),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": lambda context: context.info.attempt_count,
    "UPSTREAM_CONNECTION_ID": _upstream_connection_id,
    "DOWNSTREAM_DETECTED_CLOSE_TYPE": _detected_close_type,
    "DOWNSTREAM_LOCAL_CLOSE_REASON": _local_close_reason,
    "UPSTREAM_DETECTED_CLOSE_TYPE": _upstream_close_type,
    "UPSTREAM_LOCAL_CLOSE_REASON": _upstream_close_reason,
    "LISTENER_NAME": _text(lambda context: context.info.downstream.listener_name),
    "CONNECTION_ID": lambda context: context.info.downstream.id,
    "ROUTE_NAME": _text(lambda context: context.info.route_name),
    "ACCESS_LOG_TYPE": lambda context: context.log_type,
    "LOCAL_REPLY_BODY": lambda context: context.local_reply_body.decode("latin-1"),
    "CUSTOM_FLAGS": lambda context: "",
    # Only Envoy's internal addresses have an endpoint id.
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID": lambda context: "",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID": lambda context: "",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID": _if_tried(lambda context: ""),
    "VIRTUAL_CLUSTER_NAME": _text(lambda context: context.info.virtual_cluster_name),
    "TRACE_ID": _nothing,
    "SPAN_ID": _nothing,
}

STREAM_MAPS: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    "RESPONSE_CODE_DETAILS": (Syntax.OPTIONAL, _details),
}
