"""`make audit`: whether what a wheel brings along may be brought along.

- no two packages of it contradict each other;
- every licence is one of LICENCES, or was read by a person (READ);
- the oldest versions that pyproject.toml allows serve a request;
- no known vulnerability, where an advisory service can be asked; where none can, that is said, and is no pass.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from release import sbom
from release.environment import conflicts, frozen, with_pure_wheel
from release.wheels import ROOT, TOOLS, loud

# SPDX names; each may be used, changed and handed on with this package's own licence.
LICENCES = frozenset({"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "PSF-2.0", "Python-2.0"})
# How older metadata says the same.
OLDER = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
}
READ = {"protobuf": "its metadata names no licence; its LICENSE file is the BSD one of three clauses"}


def refused_licences(bill: Mapping[str, Any]) -> list[str]:
    """A line for each component of a CycloneDX document whose licence is not among those that are allowed."""
    return [
        f"{each['name']} {each['version']}: {' AND '.join(_licences(each)) or 'no licence is named'}"
        for each in bill["components"]
        if each["name"] not in READ and not allowed(_licences(each))
    ]


def _licences(component: Mapping[str, Any]) -> list[str]:
    found = [each.get("expression") or each["license"] for each in component.get("licenses", [])]
    return [each if isinstance(each, str) else each.get("id") or each.get("name", "") for each in found]


def allowed(expressions: Iterable[str]) -> bool:
    """Whether there is an expression, and each has nothing but allowed licences, or one to choose."""
    given = [OLDER.get(each, each) for each in expressions]
    return bool(given) and all(_allowed(each) for each in given)


def _allowed(expression: str) -> bool:
    choices = re.split(r"\bOR\b", expression)
    return any(all(word.strip(" ()") in LICENCES for word in re.split(r"\bAND\b", choice)) for choice in choices)


def advisories(packages: Iterable[str], folder: Path) -> tuple[list[str], list[str]]:
    """What pip-audit says of NAME==VERSION lines: a line for each vulnerability, and the names it could not ask about.

    Errors: subprocess.CalledProcessError when it says nothing at all.
    """
    (folder / "frozen.txt").write_text("\n".join(packages))
    command = [str(TOOLS / "pip-audit"), "-r", str(folder / "frozen.txt"), "--no-deps", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)
    found = json.loads(done.stdout)["dependencies"]
    known = [f"{each['name']} {each['version']}: {bad['id']}" for each in found for bad in each.get("vulns", [])]
    return known, [each["name"] for each in found if "skip_reason" in each]


def check_newest(folder: Path) -> list[str]:
    """What is wrong with the newest dependencies, a line each."""
    python = with_pure_wheel(folder)
    sbom.write(python, folder / "bill.json")
    wrong = refused_licences(json.loads((folder / "bill.json").read_text()))
    clash = conflicts(python)
    packages = frozen(python)
    print(f"{len(packages)} packages; {'conflicts' if clash else 'no conflicts'}; licences: {len(wrong)} refused")
    return [*([clash] if clash else []), *wrong, *_vulnerabilities(packages, folder)]


def _vulnerabilities(packages: list[str], folder: Path) -> list[str]:
    try:
        known, unasked = advisories(packages, folder)
    except subprocess.CalledProcessError as error:
        last = error.stderr.strip().splitlines()[-1:] or [f"pip-audit ended with {error.returncode}"]
        loud(f"VULNERABILITIES NOT CHECKED: {last[0]}")
        return []
    if unasked:
        loud(f"VULNERABILITIES NOT CHECKED of {len(unasked)} of {len(packages)} packages: no advisory service answers")
    print(f"known vulnerabilities: {len(known)} in {len(packages) - len(unasked)} packages that could be asked about")
    return known


def check_oldest(folder: Path) -> list[str]:
    """What is wrong with the oldest dependencies that are allowed, a line each."""
    python = with_pure_wheel(folder, "--resolution", "lowest-direct", "--only-binary", ":all:")
    # A program of its own: it must see that environment's packages alone.
    trial = subprocess.run([str(python), str(ROOT / "release/trial.py"), "--source"], check=False)
    print(f"oldest allowed dependencies: {'a request is answered' if trial.returncode == 0 else 'failed'}")
    return (
        [] if trial.returncode == 0 else ["the oldest dependencies that pyproject.toml allows do not serve a request"]
    )


def main() -> int:
    """Check everything. Returns 1 where something is wrong."""
    wrong = []
    for check in (check_newest, check_oldest):
        with tempfile.TemporaryDirectory(prefix="envoymesh-audit-") as name:
            wrong += check(Path(name))
    for line in wrong:
        loud(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
