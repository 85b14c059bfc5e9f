"""The Date header changes with the second."""

from envoymesh.filters.network.http_connection_manager.date import DateProvider
from tests.support.fakes import FakeDispatcher


def test_the_date_is_made_once_a_second() -> None:
    dispatcher = FakeDispatcher(wall_time=1_594_016_400.25)
    dates = DateProvider(dispatcher)
    first = dates.value()
    assert first == b"Mon, 06 Jul 2020 06:20:00 GMT"
    dispatcher.advance(0.5)
    assert dates.value() is first
    dispatcher.advance(0.5)
    assert dates.value() == b"Mon, 06 Jul 2020 06:20:01 GMT"
