"""Commands of bytes on the wire and of tries: what they make of meters and connections."""

from __future__ import annotations

from envoymesh.formatter import Formatter
from envoymesh.http.codec import BytesMeter
from envoymesh.network.api import Address
from tests.support.fakes import FakeConnection
from tests.support.logged import bare, full
from tests.support.stand_ins import stands_for


class Meter(stands_for(BytesMeter)):
    """Counts that are told apart by their digits."""

    def __init__(self, unit: int) -> None:
        self.wire_bytes_received = unit
        self.wire_bytes_sent = 2 * unit
        self.header_bytes_received = 3 * unit
        self.header_bytes_sent = 4 * unit
        self.decompressed_header_bytes_received = 5 * unit
        self.decompressed_header_bytes_sent = 6 * unit


def names(side: str) -> str:
    kinds = ("WIRE_BYTES", "HEADER_BYTES", "DECOMPRESSED_HEADER_BYTES")
    return " ".join(f"%{side}_{kind}_RECEIVED% %{side}_{kind}_SENT%" for kind in kinds)


def test_downstream() -> None:
    assert Formatter(names("DOWNSTREAM")).format(full(downstream_meter=Meter(1))) == b"1 2 3 4 5 6"


def test_tries_add_up() -> None:
    context = full(upstream_meter=Meter(1))
    context.info.begin_another_try()
    assert Formatter(names("UPSTREAM")).format(context) == b"1 2 3 4 5 6"
    context.info.upstream_meter = Meter(10)
    context.info.begin_another_try()
    context.info.upstream_meter = Meter(100)
    assert Formatter(names("UPSTREAM")).format(context) == b"111 222 333 444 555 666"


def test_nothing_is_zero() -> None:
    assert Formatter(names("UPSTREAM") + " " + names("DOWNSTREAM")).format(bare()) == b"0 " * 11 + b"0"


TRIED = Formatter(
    "%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT% %UPSTREAM_HOST_NAMES_ATTEMPTED% "
    "%UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT% %UPSTREAM_CONNECTION_IDS_ATTEMPTED% %UPSTREAM_DETECTED_CLOSE_TYPE%"
)


def test_the_last_try_is_what_was_attempted() -> None:
    context = full(upstream_host_name="name:80")
    number = b"%d" % context.info.upstream_connection.id  # type: ignore[union-attr]
    assert TRIED.format(context) == b"9.9.9.9:80 9.9.9.9 name:80 name " + number + b" Normal"
    context.info.begin_another_try()
    context.info.upstream_host = Address("8.8.8.8", 1)
    assert TRIED.format(context) == b"- - - - - Normal"
    assert TRIED.format(bare()) == b"- - - - - -"


def test_how_a_connection_closed() -> None:
    close = Formatter("%DOWNSTREAM_DETECTED_CLOSE_TYPE% %DOWNSTREAM_LOCAL_CLOSE_REASON% %LISTENER_NAME%")
    connection = FakeConnection()
    connection.listener_name, connection.reset_by_peer = "l", True
    context = full(downstream=connection)
    assert close.format(context) == b"Normal - l"  # a request does not know yet
    context.log_type = "NotSet"
    assert close.format(context) == b"RemoteReset - l"
    connection.close_details = "on_idle_timeout"
    assert close.format(context) == b"RemoteReset on_idle_timeout l"
    connection.close_details = "a reason of our own"
    assert close.format(context) == b"RemoteReset - l"
    connection.delayed_close_timed_out = True
    assert close.format(context) == b"RemoteReset triggered_delayed_close_timeout l"


def test_an_interim_response_has_a_code_until_there_is_another() -> None:
    assert Formatter("%RESPONSE_CODE%").format(full(response_code=None, interim_code=100)) == b"100"
    assert Formatter("%RESPONSE_CODE%").format(full(interim_code=100)) == b"200"
