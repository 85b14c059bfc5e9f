"""Header maps: what is looked up and changed by name."""

import pytest

from envoymesh.http.headers import ResponseHeaders


@pytest.mark.parametrize(
    ("values", "joined"),
    [([b"a"], b"a"), ([b"a", b"b"], b"a,b"), ([b"", b"a"], b"a"), ([b"a", b""], b"a"), ([], b""), ([b""], b"")],
)
def test_fields_of_one_name_become_one(values: list[bytes], joined: bytes) -> None:
    headers = ResponseHeaders(200, [(b"x", b"1"), *((b"n", value) for value in values), (b"y", b"2")])
    assert headers.join(b"n") == joined
    assert headers.get_all(b"n") == ([joined] if values else [])
    assert [name for name, _ in headers.fields if name != b"n"] == [b"x", b"y"]
