"""Which licences may come along, and what an advisory service that does not answer makes of an audit."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from release import audit
from release.audit import advisories, allowed, refused_licences


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        (["MIT"], True),
        (["Apache-2.0 AND MIT"], True),
        (["GPL-3.0-only OR MIT"], True),
        (["(Apache-2.0 OR BSD-3-Clause)"], True),
        (["GPL-3.0-only"], False),
        (["MIT AND GPL-3.0-only"], False),
        (["MIT", "GPL-3.0-only"], False),
        (["License :: OSI Approved :: Apache Software License"], True),
        (["License :: Other/Proprietary License"], False),
        ([], False),
    ],
)
def test_licences(expressions: list[str], expected: bool) -> None:
    assert allowed(expressions) is expected


def test_a_component_whose_licence_is_not_allowed_is_named() -> None:
    bill = {
        "components": [
            {"name": "good", "version": "1", "licenses": [{"license": {"id": "MIT"}}]},
            {"name": "bad", "version": "2", "licenses": [{"expression": "AGPL-3.0-only"}]},
            {"name": "silent", "version": "3"},
            {"name": "protobuf", "version": "4"},
        ]
    }
    assert refused_licences(bill) == ["bad 2: AGPL-3.0-only", "silent 3: no licence is named"]


def _answering(monkeypatch: pytest.MonkeyPatch, output: Any) -> None:
    done = subprocess.CompletedProcess([], 1, json.dumps(output) if output else "", "no route to the service")
    monkeypatch.setattr(audit.subprocess, "run", lambda *_, **__: done)


def test_vulnerabilities_are_told_and_what_could_not_be_asked_about_is_no_pass(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1"}]},
        {"name": "b", "version": "2", "vulns": []},
        {"name": "c", "skip_reason": "not found"},
    ]
    _answering(monkeypatch, {"dependencies": found})
    assert advisories(["a==1", "b==2", "c==3"], tmp_path) == (["a 1: PYSEC-1"], ["c"])
    assert audit._vulnerabilities(["a==1", "b==2", "c==3"], tmp_path) == ["a 1: PYSEC-1"]
    assert "VULNERABILITIES NOT CHECKED of 1 of 3" in capsys.readouterr().err


def test_no_answer_at_all_is_told_loudly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _answering(monkeypatch, None)
    assert audit._vulnerabilities(["a==1"], tmp_path) == []
    assert "!!! VULNERABILITIES NOT CHECKED: no route to the service" in capsys.readouterr().err
