"""Status lines."""

from envoymesh.http.http1.reason import STATUS_LINES_10, STATUS_LINES_11, reason_phrase


def test_every_status_has_a_line() -> None:
    assert STATUS_LINES_11[413] == b"HTTP/1.1 413 Payload Too Large\r\n"
    assert STATUS_LINES_10[511] == b"HTTP/1.0 511 Network Authentication Required\r\n"
    assert STATUS_LINES_11[999] == b"HTTP/1.1 999 Unknown\r\n"
    assert reason_phrase(418) == "Unknown"
    assert len(STATUS_LINES_11) == 900
