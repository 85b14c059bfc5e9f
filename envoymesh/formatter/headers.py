"""Commands that look at header maps: ``%REQ(A?B):n%``, paths, queries, gRPC's status.

The first value of a header counts, as in Envoy's formatter. It must not know stream facts but the response code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import unquote_to_bytes

from envoymesh.formatter.context import FormatterContext, Operator, Value
from envoymesh.formatter.parse import Syntax
from envoymesh.http.headers import PSEUDO_HEADERS, HeaderMap, RequestHeaders, is_grpc

_Find = Callable[[FormatterContext], bytes | None]

_ORIGINAL_PATH = b"x-envoy-original-path"


def _header(make: Callable[[bytes], _Find]) -> Callable[[str], Operator]:
    """A maker for ``NAME`` and ``NAME?ALTERNATIVE``."""

    def make_both(argument: str) -> Operator:
        names = argument.split("?")
        if len(names) > 2:
            raise ValueError(f"More than 1 alternative header specified in token: {argument}")
        if "\n" in argument:
            raise ValueError("Invalid header configuration. Format string contains newline.")
        finds = [make(name.strip().lower().encode()) for name in names if name] or [_no_header]
        return _first(finds[0], finds[1] if len(finds) > 1 else None)

    return make_both


def _no_header(context: FormatterContext) -> bytes | None:
    """What ``?`` alone asks for."""
    return None


def _first(find: _Find, otherwise: _Find | None) -> Operator:
    def one(context: FormatterContext) -> Value:
        found = find(context)
        return None if found is None else found.decode("latin-1")

    def either(context: FormatterContext) -> Value:
        found = find(context)
        if found is None:
            found = alternative(context)
        return None if found is None else found.decode("latin-1")

    if otherwise is None:
        return one
    alternative = otherwise
    return either


def _in_request(name: bytes) -> _Find:
    pseudo = PSEUDO_HEADERS.get(name)
    if name in (b":scheme", b":path") and pseudo is not None:
        # A request that was refused at once may have none yet.
        return lambda context: None if context.request is None else pseudo(context.request) or None
    if pseudo is not None:
        return lambda context: None if context.request is None else pseudo(context.request)
    return lambda context: None if context.request is None else context.request.get(name)


def _without_query(name: bytes) -> _Find:
    find = _in_request(name)
    return lambda context: None if (found := find(context)) is None else found.partition(b"?")[0]


def _in_response(name: bytes) -> _Find:
    if name == b":status":
        return lambda context: None if context.response is None else b"%d" % context.response.status
    return lambda context: None if context.response is None else context.response.get(name)


def _in_trailers(name: bytes) -> _Find:
    return lambda context: None if context.trailers is None else context.trailers.get(name)


# Paths and queries


def _original(headers: RequestHeaders) -> bytes:
    return headers.get(_ORIGINAL_PATH) or b""


_PATHS: Mapping[str, Callable[[RequestHeaders], bytes]] = {
    "ORIG": _original,
    "PATH": lambda headers: headers.path,
    "ORIG_OR_PATH": lambda headers: _original(headers) or headers.path,
}


def _path(argument: str) -> Operator:
    query, _, which = argument.partition(":")
    if query not in ("", "WQ", "NQ"):
        raise ValueError(f"Invalid PATH option: '{query}', only 'WQ'/'NQ' are allowed")
    if (which or "ORIG_OR_PATH") not in _PATHS:
        raise ValueError(f"Invalid PATH option: '{which}', only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed")
    choose = _PATHS[which or "ORIG_OR_PATH"]
    bare = query == "NQ"

    def path(context: FormatterContext) -> Value:
        found = b"" if context.request is None else choose(context.request)
        if bare:
            found = found.partition(b"?")[0]
        return found.decode("latin-1") or None

    return path


def _query(context: FormatterContext) -> bytes:
    return b"" if context.request is None else context.request.path.partition(b"?")[2]


def _query_parameter(argument: str) -> Operator:
    wanted = argument.encode()

    def parameter(context: FormatterContext) -> Value:
        for pair in _query(context).split(b"&"):
            name, _, value = pair.partition(b"=")
            if unquote_to_bytes(name) == wanted:
                return unquote_to_bytes(value).decode("latin-1")
        return None

    return parameter


def _query_parameters(argument: str) -> Operator:
    if argument == "DECODED":
        raise ValueError("QUERY_PARAMS(DECODED) is not supported by envoymesh")
    if argument not in ("", "ORIG"):
        raise ValueError(f"Invalid QUERY_PARAMS option: '{argument}', only 'ORIG'/'DECODED' are allowed")

    def parameters(context: FormatterContext) -> Value:
        if context.request is None or b"?" not in context.request.path:
            return None
        return _query(context).decode("latin-1")

    return parameters


def _server_name(argument: str) -> Operator:
    """``%REQUESTED_SERVER_NAME%``: the SNI, or the Host where asked for."""
    choice, _, original = argument.partition(":")
    if choice not in ("", "SNI_ONLY", "SNI_FIRST", "HOST_FIRST"):
        allowed = "'SNI_ONLY'/'SNI_FIRST'/'HOST_FIRST'"
        raise ValueError(f"Invalid REQUESTED_SERVER_NAME option: '{choice}', only {allowed} are allowed")
    if original not in ("", "ORIG"):
        raise ValueError(f"Invalid REQUESTED_SERVER_NAME option: '{original}', only 'ORIG' is allowed")

    def sni(context: FormatterContext) -> str:
        return context.info.downstream.requested_server_name

    def host(context: FormatterContext) -> str:
        if context.request is None or original:
            return ""
        return (context.request.authority or b"").decode("latin-1")

    if choice == "SNI_FIRST":
        return lambda context: sni(context) or host(context) or None
    if choice == "HOST_FIRST":
        return lambda context: host(context) or sni(context) or None
    return lambda context: sni(context) or None


# gRPC

_GRPC_NAMES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
    "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
    "Internal", "Unavailable", "DataLoss", "Unauthenticated",
)  # fmt: skip
_GRPC_SNAKE_NAMES = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_HTTP_TO_GRPC = {200: 2, 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
"""grpc/doc/http-grpc-status-mapping.md; others are UNKNOWN (2)."""


def grpc_status(context: FormatterContext) -> int | None:
    """The status of a gRPC answer: of the trailers, else of the headers, else what its HTTP status stands for."""
    for fields in (context.trailers, context.response):
        value = None if fields is None else fields.get(b"grpc-status")
        if value is not None:
            return int(value) if value.isdigit() else -1
    code = context.info.response_code
    return None if code is None else _HTTP_TO_GRPC.get(code, 2)


def _grpc_number(context: FormatterContext) -> Value:
    return grpc_status(context) if context.request is not None and is_grpc(context.request) else None


def _grpc_status(argument: str) -> Operator:
    if argument not in ("", "CAMEL_STRING", "SNAKE_STRING", "NUMBER"):
        raise ValueError(f"GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: {argument}")
    if argument == "NUMBER":
        return _grpc_number
    names = _GRPC_SNAKE_NAMES if argument == "SNAKE_STRING" else _GRPC_NAMES

    def name(context: FormatterContext) -> Value:
        status = _grpc_number(context)
        return names[status] if isinstance(status, int) and 0 <= status < len(names) else _as_text(status)

    return name


def _as_text(status: Value) -> str | None:
    return None if status is None else str(status)


# Sizes


def _request_bytes(context: FormatterContext) -> Value:
    request = context.request
    if request is None:
        return 0
    pseudo = sum(len(name) + len(get(request) or b"") for name, get in _SENT_PSEUDO if get(request) is not None)
    return request.byte_size() + pseudo


_SENT_PSEUDO = [(name, get) for name, get in PSEUDO_HEADERS.items() if name != b"host"]


def _response_bytes(context: FormatterContext) -> Value:
    return 0 if context.response is None else context.response.byte_size() + len(b":status200")


def _trailer_bytes(context: FormatterContext) -> Value:
    trailers: HeaderMap | None = context.trailers
    return 0 if trailers is None else trailers.byte_size()


def _stream_id(context: FormatterContext) -> Value:
    """Envoy's stream id is the request id that the request carries."""
    found = None if context.request is None else context.request.get(b"x-request-id")
    return None if found is None else found.decode("latin-1")


HEADER_FACTS: Mapping[str, Operator] = {
    "STREAM_ID": _stream_id,
    "GRPC_STATUS_NUMBER": _grpc_number,
    "REQUEST_HEADERS_BYTES": _request_bytes,
    "RESPONSE_HEADERS_BYTES": _response_bytes,
    "RESPONSE_TRAILERS_BYTES": _trailer_bytes,
}

HEADERS: Mapping[str, tuple[Syntax, Callable[[str], Operator]]] = {
    "REQ": (Syntax.REQUIRED_LENGTH, _header(_in_request)),
    "REQUEST_HEADER": (Syntax.REQUIRED_LENGTH, _header(_in_request)),
    "RESP": (Syntax.REQUIRED_LENGTH, _header(_in_response)),
    "RESPONSE_HEADER": (Syntax.REQUIRED_LENGTH, _header(_in_response)),
    "TRAILER": (Syntax.REQUIRED_LENGTH, _header(_in_trailers)),
    "RESPONSE_TRAILER": (Syntax.REQUIRED_LENGTH, _header(_in_trailers)),
    "PATH": (Syntax.OPTIONAL_LENGTH, _path),
    "QUERY_PARAM": (Syntax.REQUIRED_LENGTH, _query_parameter),
    "QUERY_PARAMS": (Syntax.OPTIONAL_LENGTH, _query_parameters),
    "REQUESTED_SERVER_NAME": (Syntax.OPTIONAL, _server_name),
    "GRPC_STATUS": (Syntax.OPTIONAL, _grpc_status),
}

REQUEST_WITHOUT_QUERY = (Syntax.REQUIRED_LENGTH, _header(_without_query))
"""``%REQ_WITHOUT_QUERY(A?B):n%``, of the extension of that name."""
