"""`envoymesh why`: every flag and detail has its explanation, and log lines are understood."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from envoymesh.cli import main
from envoymesh.explain.why import answer, document, explain, reasons, words_of
from envoymesh.http.stream_info import FLAG_NAMES

ROOT = Path(__file__).resolve().parents[3]
LINE = '[2026-11-30T10:00:00.000Z] "GET /x HTTP/1.1" 503 {} 0 111 3 - "-" "curl/8" "id" "host" "10.0.0.1:80"\n'


@pytest.mark.parametrize(("flag", "long_name"), [(short, name) for _, short, name in FLAG_NAMES])
def test_every_flag_that_a_log_can_have_is_explained(flag: str, long_name: str) -> None:
    found = explain(flag)
    assert found is not None
    assert found.title == f"{flag} ({long_name})"
    assert explain(long_name) is found


def details_in_the_code() -> set[str]:
    """What is given to `send_local_reply` and its kin as details, and what codecs raise."""
    found = set()
    for file in [*(ROOT / "envoymesh/http").rglob("*.py"), *(ROOT / "envoymesh/filters").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                place = {"send_local_reply": 2, "reply_locally": 2, "time_out": 2, "CodecProtocolError": 0}.get(name)
                if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
                    found.add(str(node.args[place].value))
    return found


def test_every_detail_that_the_code_gives_is_explained() -> None:
    found = details_in_the_code()
    assert {"route_not_found", "stream_idle_timeout", "http1.headers_too_large"} <= found
    assert [each for each in sorted(found) if explain(each) is None] == []


def test_the_text_of_each_reason_is_whole() -> None:
    for reason in reasons().values():
        assert reason.causes, reason.word
        for sentence in (reason.what, reason.look, *reason.causes):
            assert re.search(r"[.:`)?]$", sentence), (reason.word, sentence)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (LINE.format("UF,URX"), ["UF", "URX", "503"]),
        (LINE.format("-"), ["503"]),
        (LINE.format("UC").replace(" 0 111", " upstream_reset_before_response_started{connection_termination} 0 111"),
         ["UC", "upstream_reset_before_response_started{connection_termination}", "503"]),
        ('{"response_flags":"UT","response_code_details":"response_timeout","response_code":504}\n',
         ["UT", "response_timeout", "504"]),
        ('{"not": "closed"\n', []),
        ("UH\n", ["UH"]),
        ("nothing of the kind\n", []),
    ],
)  # fmt: skip
def test_a_log_line_gives_its_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


def test_words_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["why", "uc"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("UC (UpstreamConnectionTermination), the client gets 503\n")
    assert "  1. The upstream's keep-alive timeout" in shown
    assert main(["why", "no-such-thing"]) == 1
    assert "no-such-thing: not a response flag" in capsys.readouterr().err


def test_lines_of_a_log_are_explained_one_by_one() -> None:
    text, code = answer([], iter([LINE.format("UF"), "\n", LINE.format("NR").replace(" 503 ", " 404 ")]))
    assert code == 0
    assert [line.split()[0] for line in text.splitlines() if line.startswith(("UF ", "NR "))] == ["UF", "NR"]
    assert answer([], iter(["\n"])) == ("no response flag, details or status was found in what was read\n", 1)


def test_details_are_found_by_their_beginning() -> None:
    for word in ("upstream_reset_before_response_started{remote_reset}", "http1.codec_error", "http2.too_many_headers"):
        assert explain(word) is not None
    assert explain("via_upstream_or_not") is None


def test_the_document_is_as_generated() -> None:
    assert (ROOT / "docs/why.md").read_text() == document(), "run: python -m envoymesh.explain.why > docs/why.md"
