"""The page's libraries are what the lock file says, have their licences, and are small."""

import gzip
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from vendoring.libraries import FOLDER, HASHES, Package, VendoringError, for_browsers, hashes, locked, verify

STATIC = FOLDER.parent
MOST_BYTES = 300_000
TEXT = {".html", ".css", ".js", ".svg"}
MODULES = sorted(path for path in STATIC.rglob("*.js"))


def test_what_is_committed_is_what_the_lock_file_says() -> None:
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.name != HASHES}
    assert (FOLDER / HASHES).read_text() == hashes(files)


def test_every_file_of_the_lock_file_is_there_and_no_other() -> None:
    packages, _ = locked()
    wanted = {name for package in packages for name in package.files.values()} | {HASHES}
    assert {path.name for path in FOLDER.iterdir()} == wanted


def test_each_library_has_its_licence() -> None:
    packages, _ = locked()
    for package in packages:
        licence = FOLDER / next(name for name in package.files.values() if name.endswith(".LICENSE"))
        assert re.search("MIT|Permission is hereby granted|Apache License", licence.read_text()), package.name


def test_all_of_the_page_is_small() -> None:
    sizes = {path: len(gzip.compress(path.read_bytes(), 9)) for path in STATIC.rglob("*") if path.suffix in TEXT}
    assert len(sizes) > 20
    assert sum(sizes.values()) < MOST_BYTES


def test_another_archive_is_not_taken() -> None:
    package = Package("preact", "1", "sha512-AAAA", {})
    with pytest.raises(VendoringError, match=r"preact 1: sha512 is .*, and lock.toml wants AAAA"):
        verify(package, b"something else")


def test_imports_become_files() -> None:
    made = for_browsers(
        "import{a}from\"preact\";export * from 'preact'\n//# sourceMappingURL=x.map", {"preact": "p.js"}, "x"
    )
    assert made == 'import{a}from"./p.js";export * from"./p.js"\n'


def test_an_import_that_is_not_locked_is_an_error() -> None:
    with pytest.raises(VendoringError, match=r"x\.js imports lodash"):
        for_browsers('import a from "lodash"', {}, "x.js")


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_modules_import_files_that_are_there_and_evaluate_no_text(module: Path) -> None:
    text = module.read_text()
    for name in re.findall(r'^(?:import|export)[^"\n]*?from ?"([^"]+)"', text, re.MULTILINE):
        assert name.startswith("."), name
        assert (module.parent / name).is_file(), name
    assert not re.search(r"\beval\(|new Function\(", text)


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", page)


def test_modules_are_javascript() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the browser's tests load the same modules")
    for module in MODULES:
        done = subprocess.run(
            [node, "--check", "--input-type=module"], input=module.read_bytes(), capture_output=True, check=False
        )
        assert done.returncode == 0, f"{module}: {done.stderr.decode()}"
