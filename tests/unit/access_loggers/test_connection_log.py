"""The listener's access log: what a line of a connection knows."""

from __future__ import annotations

from typing import Any

import pytest

from envoymesh.access_loggers import AccessLog
from envoymesh.access_loggers.connection_log import ConnectionLog
from envoymesh.formatter import Formatter
from envoymesh.http.codec import HttpProtocol
from envoymesh.http.stream_info import ResponseFlag, StreamInfo
from envoymesh.network.api import EndedConnection
from tests.support.fakes import FakeConnection, FakeDispatcher

FORMAT = (
    "%ACCESS_LOG_TYPE% %PROTOCOL% %BYTES_RECEIVED% %BYTES_SENT% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DURATION% "
    "%CONNECTION_TERMINATION_DETAILS% %START_TIME(%s)%"
)


class Manager:
    """As much of a connection manager as counts here."""

    def __init__(self, protocol: HttpProtocol | None, codec_failed: bool) -> None:
        self.protocol = protocol
        self.codec_failed = codec_failed

    def add_connection_facts(self, info: StreamInfo) -> None:
        info.protocol = self.protocol
        info.flags = ResponseFlag.DOWNSTREAM_PROTOCOL_ERROR if self.codec_failed else 0


@pytest.mark.parametrize(
    ("manager", "unmatched", "details", "expected"),
    [
        (Manager(HttpProtocol.HTTP2, False), False, "", "NotSet HTTP/2 3 4 - - 2500 - 1699999997"),
        (Manager(None, True), False, "", "NotSet - 3 4 DPE - 2500 - 1699999997"),
        (None, False, "", "NotSet - 0 0 - - 2500 - 1699999997"),
        (None, True, "", "NotSet - 0 0 NR filter_chain_not_found 2500 - 1699999997"),
        (
            None, False, "transport_socket_timeout",
            "NotSet - 0 0 - - 2500 transport socket timeout was reached 1699999997",
        ),
    ],
)  # fmt: skip
def test_lines(manager: Any, unmatched: bool, details: str, expected: str) -> None:
    lines: list[bytes] = []

    class File:
        def write(self, data: bytes) -> None:
            lines.append(data)

    connection = FakeConnection()
    connection.bytes_received, connection.bytes_sent, connection.close_details = 3, 4, details
    log = ConnectionLog([AccessLog(Formatter(FORMAT), File())], FakeDispatcher())
    if manager is not None:
        log.on_accept(connection, manager)
    log.on_ended(EndedConnection(connection, 997.5, unmatched))
    assert lines == [expected.encode()]
