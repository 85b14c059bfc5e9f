from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from envoymesh.testing.answers import REFUSE, Reply, Request, Reset, Script, as_answer, as_handler, hosts
from envoymesh.testing.errors import TestingError

REQUEST = Request("GET", "/", "a", [("x-a", "1"), ("x-a", "2")], b'{"a": 1}')


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (503, Reply(503)),
        ("text", Reply(200, "text")),
        (b"bytes", Reply(200, b"bytes")),
        ((404, "gone"), Reply(404, "gone")),
        ({"a": 1}, Reply(200, '{"a": 1}', {"content-type": "application/json"})),
        (Reset(1.0), Reset(1.0)),
    ],
)
def test_plain_values_stand_for_answers(value: Any, expected: Any) -> None:
    assert as_answer(value) == expected


@pytest.mark.parametrize("value", [None, True, 1.5, REFUSE, ("a", 200), [200]])
def test_others_do_not(value: Any) -> None:
    with pytest.raises(TestingError, match="is no answer"):
        as_answer(value)


def test_a_list_of_nothing_and_no_hosts_are_errors() -> None:
    with pytest.raises(TestingError, match="at least one"):
        as_handler([])
    with pytest.raises(TestingError, match="for each host"):
        hosts()


def test_a_script_gives_each_answer_once_and_keeps_the_last() -> None:
    script = Script([*range(200, 300), 500])
    found: Counter[int] = Counter()
    lock = threading.Lock()

    def ask() -> None:
        for _ in range(30):
            answer = script(REQUEST)
            with lock:
                found[answer.status] += 1

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {**dict.fromkeys(range(200, 300), 1), 500: 50}


@pytest.mark.parametrize(
    ("size", "pieces", "expected"), [(0, 3, []), (10, 1, [10]), (10, 3, [4, 4, 2]), (2, 5, [1, 1]), (4, 0, [4])]
)
def test_a_body_in_pieces(size: int, pieces: int, expected: list[int]) -> None:
    assert [len(each) for each in Reply(body=bytes(size), pieces=pieces).split()] == expected


def test_a_request_is_easy_to_ask() -> None:
    assert (REQUEST.header("X-A"), REQUEST.header("x-b"), REQUEST.header("x-b", "none")) == ("1", None, "none")
    assert (REQUEST.text, REQUEST.json()) == ('{"a": 1}', {"a": 1})
