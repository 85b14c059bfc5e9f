"""Findings as text, JSON, GitHub workflow commands and SARIF 2.1.0. It must not judge."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from envoymesh.lint.finding import ERROR, Finding


def as_text(findings: Sequence[Finding]) -> str:
    """A line a finding, as compilers write them, and a sum."""
    lines = [f"{_place(each)}: {each.severity}: {_told(each)} [{each.rule}]" for each in findings]
    errors = sum(each.severity == ERROR for each in findings)
    lines.append(f"errors: {errors}, warnings: {len(findings) - errors}")
    return "\n".join(lines) + "\n"


def _place(each: Finding) -> str:
    return ":".join(str(part) for part in (each.file, each.line) if part) or "configuration"


def _told(each: Finding) -> str:
    return f"{each.path}: {each.message}" if each.path else each.message


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects with rule, severity, message, path, file and line."""
    return json.dumps([{name: getattr(each, name) for name in Finding.__slots__} for each in findings], indent=2) + "\n"


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    return "".join(
        f"::{each.severity} file={each.file},line={each.line or 1},title={each.rule}::{_escaped(_told(each))}\n"
        for each in findings
    )


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def as_sarif(findings: Sequence[Finding], rules: Mapping[str, str]) -> str:
    """SARIF 2.1.0, which code scanning takes. `rules` are their descriptions by name."""
    results = [_result(each) for each in findings]
    described = [{"id": name, "shortDescription": {"text": text}} for name, text in rules.items()]
    driver = {"name": "envoymesh", "informationUri": "https://www.envoyproxy.io/docs", "rules": described}
    run = {"tool": {"driver": driver}, "results": results}
    whole = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(whole, indent=2) + "\n"


def _result(each: Finding) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": each.file or "configuration"}}
    if each.line is not None:
        location["region"] = {"startLine": each.line}
    return {
        "ruleId": each.rule,
        "level": each.severity,
        "message": {"text": _told(each)},
        "locations": [{"physicalLocation": location}],
    }


FORMATS: Final[dict[str, Callable[[Sequence[Finding], Mapping[str, str]], str]]] = {
    "text": lambda findings, rules: as_text(findings),
    "json": lambda findings, rules: as_json(findings),
    "github": lambda findings, rules: as_github(findings),
    "sarif": as_sarif,
}
