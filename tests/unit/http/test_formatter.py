"""Substitution formats: every operator, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from envoymesh.http.access_log import DEFAULT_FORMAT, AccessLog
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.formatter import Formatter
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.http.stream_info import FLAG_NAMES, ResponseFlag, StreamInfo
from envoymesh.network.api import Address
from tests.support.fakes import FakeConnection

REQUEST = RequestHeaders(b"GET", b"/x?y", b"a.com", b"http", [(b"x-a", b"1"), (b"x-a", b"2"), (b"user-agent", b"\xe9")])
RESPONSE = ResponseHeaders(200, [(b"server", b"envoy")])
TRAILERS = HeaderMap([(b"grpc-status", b"0")])


def full_info() -> StreamInfo:
    info = StreamInfo(FakeConnection(remote="5.5.5.5:1"), HttpProtocol.HTTP11, 100.0, 1_594_016_400.123456, 42)
    info.response_code, info.response_code_details = 200, "via_upstream"
    info.bytes_received, info.bytes_sent = 3, 4
    info.last_downstream_rx, info.first_upstream_rx, info.end_time = 100.001, 100.002, 100.005
    info.upstream_host, info.upstream_cluster = Address("9.9.9.9", 80), "up"
    info.upstream_failure_reason, info.termination_details = "refused", "gone"
    info.route_name, info.attempt_count = "r", 2
    info.downstream.requested_server_name = "sni"
    return info


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain 100%%", "plain 100%"),
        ("%START_TIME%", "2020-07-06T06:20:00.123Z"),
        ("%START_TIME(%Y/%m/%d %H.%M.%S)%", "2020/07/06 06.20.00"),
        ("%START_TIME(%s.%3f %6f)%", "1594016400.123 123456"),
        ("%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:SCHEME)% %REQ(HOST)%", "GET /x?y a.com http a.com"),
        ("%REQ(X-A)%", "1,2"),
        ("%REQ(X-B?X-A)% %REQ(X-A?X-B)% %REQ(X-B?X-C)%", "1,2 1,2 -"),
        ("%REQ(X-A):1%", "1"),
        ("%REQ(USER-AGENT)%", "\xe9"),
        ("%RESP(SERVER)% %RESP(X)% %RESP(X?SERVER):2%", "envoy - en"),
        ("%TRAILER(GRPC-STATUS)%", "0"),
        ("%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", "HTTP/1.1 200 - via_upstream"),
        ("%BYTES_RECEIVED% %BYTES_SENT%", "3 4"),
        ("%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "5 1 2 3"),
        ("%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "9.9.9.9:80 up 2"),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON% %CONNECTION_TERMINATION_DETAILS%", "refused gone"),
        ("%ROUTE_NAME% %REQUESTED_SERVER_NAME% %STREAM_ID%", "r sni 42"),
        ("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "5.5.5.5:1 5.5.5.5"),
        ("%DOWNSTREAM_LOCAL_ADDRESS%", "127.0.0.1:10000"),
    ],
)
def test_operators(text: str, expected: str) -> None:
    # Durations are cut to whole milliseconds of binary fractions: a hair less than written here.
    line = Formatter(text).format(full_info(), REQUEST, RESPONSE, TRAILERS).decode("latin-1")
    if "DURATION" in text:
        assert [abs(int(a) - int(b)) <= 1 for a, b in zip(line.split(), expected.split(), strict=True)] == [True] * 4
    else:
        assert line == expected


@pytest.mark.parametrize(
    "name",
    [
        "REQ(X)", "RESP(X)", "TRAILER(X)", "RESPONSE_CODE_DETAILS", "DURATION", "RESPONSE_DURATION", "UPSTREAM_HOST",
        "UPSTREAM_CLUSTER", "ROUTE_NAME", "REQUESTED_SERVER_NAME", "CONNECTION_TERMINATION_DETAILS",
    ],
)  # fmt: skip
def test_what_is_not_known_is_a_dash(name: str) -> None:
    info = StreamInfo(FakeConnection(), HttpProtocol.HTTP2, 1.0, 0.0, 1)
    assert Formatter(f"%{name}%").format(info, None, None, None) == b"-"


def test_the_connection_has_its_number() -> None:
    info = full_info()
    assert Formatter("%CONNECTION_ID%").format(info, None, None, None) == b"%d" % info.downstream.id


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("%NONSENSE%", "%NONSENSE% is not a command"),
        ("%PROTOCOL(x)%", "%PROTOCOL% is not a command"),
        ("%REQ%", "needs a header name"),
        ("100% sure", "position 3"),
        ("%START_TIME", "position 0"),
    ],
)
def test_refused(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        Formatter(text)


def test_flags_print_in_their_order() -> None:
    info = full_info()
    info.flags = ResponseFlag.UPSTREAM_CONNECTION_FAILURE | ResponseFlag.UPSTREAM_RETRY_LIMIT_EXCEEDED
    assert Formatter("%RESPONSE_FLAGS%").format(info, None, None, None) == b"URX,UF"
    info.flags = sum(bit for bit, _, _ in FLAG_NAMES)
    assert len(info.flag_names().split(",")) == len(FLAG_NAMES) == len({short for _, short, _ in FLAG_NAMES})


class Lines:
    """A log file in memory."""

    def __init__(self) -> None:
        self.data = b""
        self.write: Callable[[bytes], None] = self._append

    def _append(self, data: bytes) -> None:
        self.data += data


def test_the_default_line() -> None:
    lines = Lines()
    AccessLog(Formatter(DEFAULT_FORMAT), lines).log(full_info(), REQUEST, RESPONSE, None)
    assert lines.data.startswith(b'[2020-07-06T06:20:00.123Z] "GET /x?y HTTP/1.1" 200 - 3 4 ')
    assert lines.data.endswith(b' - "-" "\xe9" "-" "a.com" "9.9.9.9:80"\n')
