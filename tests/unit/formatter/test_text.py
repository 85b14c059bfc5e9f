"""Text formats: what every command prints, and how missing values do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from envoymesh.formatter import Formatter, FormatterContext, JsonFormatter
from envoymesh.formatter.operators import PLAIN
from envoymesh.http.headers import RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import FLAG_NAMES, ResponseFlag
from envoymesh.network.api import PipeAddress
from tests.support.logged import bare, full, request


def shown(text: str) -> str:
    return Formatter(text).format(full()).decode("latin-1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain 100%%", "plain 100%"),
        ("%START_TIME%", "2020-07-06T06:20:00.123Z"),
        ("%EMIT_TIME%", "2020-07-06T06:20:00.128Z"),
        ("%START_TIME(%Y/%m/%d %H.%M.%S)%", "2020/07/06 06.20.00"),
        ("%START_TIME(%s.%3f %6f %1f)%", "1594016400.123 123456 1"),
        ("%START_TIME(%E3S %E*S %E4f %E0S %ET %E4Y)%", "00.123 00.123456 1234 00 T 2020"),
        ("%START_TIME(a\0%Y%\0%Q)%", "a\x002020%\0%Q"),
        ("%REQ(?)%", "-"),
        ("%START_TIME(%z %Z %Ez %E*z %Q %%)%", "+0000 UTC +00:00 +00:00:00 %Q %"),
        ("%REQ(:METHOD)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(HOST)%", "GET a.com http a.com"),
        ("%REQ(X-A)% %REQUEST_HEADER(X-A)%", "1 1"),
        ("%REQ(X-B?X-A)% %REQ(X-A?X-B)% %REQ(X-B?X-C)%", "1 1 -"),
        ("%REQ(USER-AGENT)%", "\xe9"),
        ("%RESP(SERVER)% %RESP(X)% %RESP(X?SERVER):2% %RESP(:STATUS)%", "envoy - en 200"),
        ("%TRAILER(GRPC-STATUS)%", "0"),
        ("%DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_1%", "CN=ca 0a " + "cd" * 20),
        ("%DOWNSTREAM_PEER_IP_SAN% %DOWNSTREAM_PEER_EMAIL_SAN%", "10.0.0.1,::1 a@peer.example"),
        ("%DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_EMAIL_SAN%", "spiffe://a,spiffe://b a@peer.example"),
        ("%DOWNSTREAM_LOCAL_DNS_SAN% %DOWNSTREAM_LOCAL_IP_SAN%", "peer.example 10.0.0.1,::1"),
        (
            "%DOWNSTREAM_PEER_CERT%",
            "-----BEGIN%20CERTIFICATE-----%0AAB%2B%2F%3D%0A-----END%20CERTIFICATE-----%0A",
        ),
        ("%DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END(%Y)%", "2020-07-06T00:00:00.000Z 2021"),
        ("%UPSTREAM_PEER_ISSUER% %UPSTREAM_PEER_CERT_V_START% %UPSTREAM_LOCAL_IP_SAN%", "- - -"),
        ("[%DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID%] [%UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID%]", "[] []"),
        ("%PROTOCOL% %UPSTREAM_PROTOCOL% %RESPONSE_CODE%", "HTTP/1.1 HTTP/2 200"),
        ("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% %RESPONSE_CODE_DETAILS%", "- - via_upstream"),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "3 4"),
        ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "5 1 2 3"),
        ("%REQUEST_TX_DURATION% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "1 5000"),
        ("%COMMON_DURATION(DS_RX_BEG:NEVER)% %COMMON_DURATION(DS_TX_END:DS_RX_BEG)%", "- -"),
        ("%UPSTREAM_HOST% %UPSTREAM_HOST_NAME% %UPSTREAM_CLUSTER%", "9.9.9.9:80 9.9.9.9:80 up"),
        ("%UPSTREAM_LOCAL_ADDRESS% %UPSTREAM_REMOTE_PORT%", "7.7.7.7:5 80"),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2"),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON% %CONNECTION_TERMINATION_DETAILS%", "was_refused gone"),
        ("%ROUTE_NAME% %STREAM_ID% %ACCESS_LOG_TYPE%", "r id DownstreamEnd"),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "5.5.5.5:1 5.5.5.5"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)% %DOWNSTREAM_DIRECT_REMOTE_PORT%", "5.0.0.0/8 1"),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "127.0.0.1:10000"),
        ("%FILTER_CHAIN_NAME%", "chain"),
        ("%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(HOST_FIRST)%", "sni a.com"),
        ("%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_PEER_SUBJECT%", "TLSv1.3 CN=peer"),
        ("%DOWNSTREAM_PEER_URI_SAN% %UPSTREAM_TLS_VERSION%", "spiffe://a,spiffe://b -"),
        ("%PATH% %PATH(NQ)% %QUERY_PARAM(z)% %QUERY_PARAM(no)% %QUERY_PARAMS%", "/x?y=1&z=%20 /x   - y=1&z=%20"),
        ("%GRPC_STATUS%", "-"),
        ("%REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%", "86 21 12"),
        ("%METADATA(ROUTE:a)% %DYNAMIC_METADATA(a)% %FILTER_STATE(a)% %TRACE_ID%", "- - - -"),
    ],
)
def test_commands(text: str, expected: str) -> None:
    assert shown(text) == expected


EMPTY = frozenset({
    "CUSTOM_FLAGS", "LOCAL_REPLY_BODY", "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
})  # fmt: skip
"""Commands that are known to be nothing, which is other than not known."""

UNKNOWN = frozenset({
    "DOWNSTREAM_LOCAL_CLOSE_REASON", "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "GRPC_STATUS_NUMBER", "LISTENER_NAME",
    "ROUNDTRIP_DURATION", "SPAN_ID", "TRACE_ID", "UPSTREAM_LOCAL_CLOSE_REASON", "VIRTUAL_CLUSTER_NAME",
})  # fmt: skip
"""Commands whose fact even `full()` does not have."""

UPSTREAM_TLS = frozenset({
    "UPSTREAM_TLS_VERSION", "UPSTREAM_TLS_CIPHER", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_PEER_CERT", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PEER_DNS_SAN", "UPSTREAM_PEER_IP_SAN",
    "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_LOCAL_DNS_SAN", "UPSTREAM_LOCAL_IP_SAN",
})  # fmt: skip
"""Facts of TLS upstream, where `full()` speaks plain text."""


@pytest.mark.parametrize("name", PLAIN)
def test_every_plain_command_prints_something_for_any_request(name: str) -> None:
    of_full, of_bare = (Formatter(f"%{name}%").format(context).decode("latin-1") for context in (full(), bare()))
    if name in EMPTY:
        assert of_full == ""
    else:
        is_dash = name in UNKNOWN or name in UPSTREAM_TLS or name.startswith("RESPONSE_FLAGS")
        assert (of_full == "-") is is_dash, of_full
    for text in (of_full, of_bare):
        assert text or name in EMPTY
        assert not text.startswith(("<", "None", "b'")), "a Python object is not for people"
        assert text.isprintable()


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("make", [full, bare])
def test_a_command_that_prints_a_dash_can_print_nothing(name: str, make: Callable[[], FormatterContext]) -> None:
    context = make()
    usual, omitting = (Formatter(f"%{name}%", omit_empty_values=omit).format(context) for omit in (False, True))
    if usual == b"-" and not name.startswith("RESPONSE_FLAGS"):
        assert omitting == b""
    else:
        assert omitting == usual or name == "UNIQUE_ID"  # which is another one each time


@pytest.mark.parametrize(
    "name",
    [
        "REQ(X)", "RESP(X)", "TRAILER(X)", "RESPONSE_CODE_DETAILS", "RESPONSE_DURATION", "UPSTREAM_HOST", "PATH",
        "UPSTREAM_CLUSTER", "ROUTE_NAME", "REQUESTED_SERVER_NAME", "CONNECTION_TERMINATION_DETAILS", "STREAM_ID",
        "UPSTREAM_PROTOCOL", "UPSTREAM_LOCAL_PORT", "QUERY_PARAMS",
    ],
)  # fmt: skip
def test_what_is_not_known_is_a_dash_or_nothing(name: str) -> None:
    assert Formatter(f"%{name}%").format(bare()) == b"-"
    assert Formatter(f"%{name}%", omit_empty_values=True).format(bare()) == b""


def test_text_beyond_ascii_is_utf8() -> None:
    context = full(route_name="\u00fc")
    assert Formatter("\u00e9 %ROUTE_NAME% %START_TIME(\u00e8)%").format(context).decode() == "\u00e9 \u00fc \u00e8"


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_TEST", "value")
    formatter = Formatter("%ENVIRONMENT(MESH_TEST)% %ENVIRONMENT(MESH_TEST):2% %ENVIRONMENT(MESH_NONE)%")
    monkeypatch.setenv("MESH_TEST", "other")
    assert formatter.format(bare()) == b"value va -"


def test_seconds_change_between_lines() -> None:
    formatter = Formatter("%START_TIME%")
    lines = [formatter.format(full(start_wall_time=moment)) for moment in (59.9995, 60.0, 59.9995)]
    assert lines == [b"1970-01-01T00:00:59.999Z", b"1970-01-01T00:01:00.000Z", b"1970-01-01T00:00:59.999Z"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(b"0", b"OK OK 0"), (b"5", b"NotFound NOT_FOUND 5"), (b"99", b"99 99 99"), (b"x", b"-1 -1 -1")],
)
def test_grpc_status_of_a_grpc_request(status: bytes, expected: bytes) -> None:
    context = full()
    context.request = request((b"content-type", b"application/grpc"))
    context.trailers = None
    context.response = ResponseHeaders(200, [(b"grpc-status", status)])
    line = Formatter("%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%").format(context)
    assert line == expected


def test_grpc_without_a_status_is_what_http_says() -> None:
    context = full(response_code=503)
    context.request = request((b"content-type", b"application/grpc+proto"))
    context.trailers = context.response = None
    assert Formatter("%GRPC_STATUS%").format(context) == b"Unavailable"


def test_the_original_path_comes_first() -> None:
    context = full()
    context.request = RequestHeaders(b"GET", b"/new?a", b"h", b"http", [(b"x-envoy-original-path", b"/old?b")])
    line = Formatter("%PATH% %PATH(NQ)% %PATH(WQ:PATH)% %PATH(NQ:ORIG)% %QUERY_PARAMS%").format(context)
    assert line == b"/old?b /old /new?a /old a"


def test_host_names_lose_their_port() -> None:
    texts = [("a.example:80", b"a.example"), ("a.example", b"a.example"), ("[::1]:80", b"[::1]"), ("::1", b"::1")]
    for name, expected in texts:
        assert Formatter("%UPSTREAM_HOST_NAME_WITHOUT_PORT%").format(full(upstream_host_name=name)) == expected


def test_flags_print_in_their_order() -> None:
    context = full(flags=ResponseFlag.UPSTREAM_CONNECTION_FAILURE | ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED)
    line = Formatter("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%").format(context)
    assert set(line.split()[0].split(b",")) == {b"URX", b"UF"}
    assert set(line.split()[1].split(b",")) == {b"UpstreamRetryLimitExceeded", b"UpstreamConnectionFailure"}
    context.info.flags = sum(bit for bit, _, _ in FLAG_NAMES)
    names = context.info.flag_names().split(",")
    # One has two bits: a connection's attempts are set behind what made them fail.
    assert len(names) == len(FLAG_NAMES) == len({short for _, short, _ in FLAG_NAMES}) + 1


PIPE = PipeAddress("/run/\xe9.sock")


def at_a_pipe() -> FormatterContext:
    context = full(upstream_host=PIPE, trusted_remote=PIPE)
    context.info.downstream.local_address = PIPE
    return context


def test_addresses_of_pipes() -> None:
    text = (
        "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% [%DOWNSTREAM_LOCAL_PORT%] %UPSTREAM_HOST%"
    )
    path = "/run/\xe9.sock".encode()
    assert Formatter(text).format(at_a_pipe()) == path + b" " + path + b" [] " + path
    assert Formatter("[%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(24)%]").format(at_a_pipe()) == b"[]"
    assert JsonFormatter({"port": "%DOWNSTREAM_REMOTE_PORT%"}).format(at_a_pipe()) == b'{"port":null}\n'
