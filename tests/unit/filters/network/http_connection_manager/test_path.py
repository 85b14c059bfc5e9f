"""Path normalisation, against Envoy's answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envoymesh.filters.network.http_connection_manager import path


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [
        (b"/", b"/"),
        (b"/a/b", b"/a/b"),
        (b"/a/../b", b"/b"),
        (b"/a/./b", b"/a/b"),
        (b"/a/..", b"/"),
        (b"/a/.", b"/a/"),
        (b"/../../x", b"/x"),
        (b"/a//b", b"/a//b"),
        (b"/a//../b", b"/a/b"),
        (b"/a\\b", b"/a/b"),
        (b"/%41%2e%7E", b"/A.~"),
        (b"/a/%2e%2e/b", b"/b"),
        (b"/%2f%5C%20", b"/%2f%5C%20"),
        (b"/%zz%4", b"/%zz%4"),
        (b"/%%32f", b"/%252f"),
        (b"/%%34%31", b"/%2541"),
        (b"/%%341%%", b"/%2541%%"),
        (b"/%%32e%%32e/x", b"/%252e%252e/x"),
        (b"/%2541", b"/%2541"),
        (b"/a/%%2e", b"/a/%."),
        (b'/"<>^`{|}', b"/%22%3C%3E%5E%60%7B%7C%7D"),
        (b"/[a]'!$&()*+,;=:@", b"/[a]'!$&()*+,;=:@"),
        (b"/a/..?x=/../%00", b"/?x=/../%00"),
        (b"/...", b"/..."),
        (b"/%00", None),
        (b"/a\x00", None),
    ],
)
def test_normalize(given_path: bytes, expected: bytes | None) -> None:
    assert path.normalize(given_path) == expected


@given(st.text("/.%245eEfF\\ab?", max_size=20))
def test_normalizing_leaves_no_dot_segment_and_is_stable(text: str) -> None:
    once = path.normalize(b"/" + text.encode())
    assert once is not None
    bare, query = path.split_query(once)
    assert bare.startswith(b"/")
    assert not {b".", b".."} & set(bare.split(b"/"))
    assert path.normalize(once) == bare + query


@pytest.mark.parametrize(
    ("given_path", "expected"),
    [(b"//a///b?c=//d", b"/a/b?c=//d"), (b"/a/", b"/a/"), (b"/", b"/"), (b"/?//", b"/?//")],
)
def test_merge_slashes(given_path: bytes, expected: bytes) -> None:
    assert path.merge_slashes(given_path) == expected


@pytest.mark.parametrize(
    ("given_path", "found", "expected"),
    [
        (b"/a%2Fb%5cc", True, b"/a/b\\c"),
        (b"/a?b=%2f", False, b"/a?b=%2f"),
        (b"/%2f?%2f", True, b"//?%2f"),
        (b"/%252f", False, b"/%252f"),
    ],
)
def test_escaped_slashes(given_path: bytes, found: bool, expected: bytes) -> None:
    assert path.has_escaped_slashes(given_path) is found
    assert path.unescape_slashes(given_path) == expected
