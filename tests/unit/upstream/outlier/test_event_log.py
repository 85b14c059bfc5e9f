"""Lines of the event log."""

from __future__ import annotations

from envoymesh.upstream.outlier.api import EjectionType
from envoymesh.upstream.outlier.event_log import OutlierEventLog
from envoymesh.upstream.outlier.host_monitor import ConsecutiveErrorObserver, DetectorHostMonitor
from envoymesh.upstream.outlier.keys import OutlierKeys
from envoymesh.upstream.outlier.settings import OutlierDetectionSettings
from tests.support.balancing import host
from tests.support.fakes import FakeDispatcher, FakeRuntime
from tests.support.stand_ins import stands_for


class Lines:
    """A file."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.lines.append(data)


class Nobody(stands_for(ConsecutiveErrorObserver)):
    """Is told nothing here."""


def logged(wall_time: float, why: EjectionType, average: float = -1.0, limit: float = -1.0, name: str = "c") -> bytes:
    lines = Lines()
    monitor = DetectorHostMonitor(host(1), OutlierKeys(OutlierDetectionSettings(), FakeRuntime()), False, Nobody())
    OutlierEventLog(lines, FakeDispatcher(wall_time=wall_time)).log_eject(name, monitor, why, True, average, limit)
    (line,) = lines.lines
    return line


def test_a_line_is_the_real_envoys() -> None:
    assert logged(1_700_000_000.5, EjectionType.CONSECUTIVE_5XX, name='a"b') == (
        b'{"type":"CONSECUTIVE_5XX","timestamp":"2023-11-14T22:13:20.500Z","cluster_name":"a\\"b",'
        b'"upstream_url":"10.0.0.1:80","action":"EJECT","num_ejections":0,"enforced":true,'
        b'"eject_consecutive_event":{}}\n'
    )


def test_whole_seconds_have_no_fraction() -> None:
    assert b'"timestamp":"2023-11-14T22:13:20Z"' in logged(1_700_000_000.0, EjectionType.CONSECUTIVE_5XX)


def test_a_threshold_below_zero_is_what_an_unsigned_number_makes_of_it() -> None:
    line = logged(1_700_000_000.0, EjectionType.SUCCESS_RATE, 50.0, -20.5)
    assert b'"cluster_average_success_rate":50,"cluster_success_rate_ejection_threshold":4294967276}' in line
