"""What a page in a browser must not be able to do, and what everybody else may go on doing."""

import socket

import pytest

from envoymesh.admin.guard import Sender, is_loopback, refusal


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost", "LocalHost.", "localhost:9901", "app.localhost:9901", "127.0.0.1", "127.0.0.1:9901",
        "127.1:9901", "10.1.2.3", "[::1]", "[::1]:9901", "[::1]:", "[fe80::1%25eth0]:9901", "[::ffff:127.0.0.1]:9901",
        socket.gethostname(), f"{socket.gethostname().upper()}:9901",
    ],
)  # fmt: skip
def test_names_that_are_answered_over_the_loopback(host: str) -> None:
    assert refusal(Sender(host, over_loopback=True), changes=False) == ""


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:9901", "evil.example.", "localhost.evil.example", "127.0.0.1.evil.example",
        "xlocalhost", "127.0.0.1@evil.example", "127.0.0.1 evil.example", "[::1]evil.example", "[evil]",
        "evil,127.0.0.1",        "localhost:9901:80", "\u0661.1.1.1", ".", ":9901", "/127.0.0.1",
    ],
)  # fmt: skip
def test_names_that_are_not(host: str) -> None:
    reason = refusal(Sender(host, over_loopback=True), changes=False)
    assert f"({host})" in reason
    assert refusal(Sender(host), changes=False) == "", "who listens elsewhere may have any name"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:9901", "http://localhost:9901"),
        ("LOCALHOST:9901", "http://localhost.:9901"),
        ("[::1]:9901", "http://[::1]:9901"),
        ("admin.example", "http://admin.example"),
        ("admin.example", "http://admin.example:80"),
        ("admin.example:443", "https://admin.example"),
        ("admin.example", "https://admin.example"),
    ],
)
def test_the_admins_own_pages_change_what_they_like(host: str, origin: str) -> None:
    for site in ("", "same-origin", "none"):
        assert refusal(Sender(host, origin, site, "document"), changes=True) == ""


@pytest.mark.parametrize(
    "origin",
    [
        "null", "http://evil.example", "http://evil.example:9901", "http://localhost", "http://localhost:9902",
        "https://localhost", "http://127.0.0.1:9901", "http://localhost:9901,http://evil.example", "localhost:9901",
        "http://localhost:9901@evil.example", "file://localhost:9901", "moz-extension://localhost:9901", "http://",
        "http://localhost:9901/",
    ],
)  # fmt: skip
def test_pages_of_other_sites_change_nothing(origin: str) -> None:
    sender = Sender("localhost:9901", origin, over_loopback=True)
    assert f"(Origin: {origin})" in refusal(sender, changes=True)
    assert refusal(sender, changes=False) == "", "what they read, the browser keeps from them"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "same-origin,cross-site", "new-word"])
def test_a_browser_that_says_so_is_believed(site: str) -> None:
    assert f"(Sec-Fetch-Site: {site})" in refusal(Sender("127.0.0.1:9901", "", site), changes=True)
    assert refusal(Sender("127.0.0.1:9901", "", site), changes=False) == ""


def test_a_frame_in_another_page_changes_nothing() -> None:
    sender = Sender("127.0.0.1:9901", "http://127.0.0.1:9901", "same-origin", "iframe")
    assert "(Sec-Fetch-Dest: iframe)" in refusal(sender, changes=True)


def test_no_host_is_nobodys_site() -> None:
    assert refusal(Sender("", "http://evil.example"), changes=True)
    assert refusal(Sender("", ""), changes=True) == ""


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
        ("::", False), ("fe80::1%eth0", False), ("::ffff:10.0.0.1", False),
    ],
)  # fmt: skip
def test_the_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
