"""The compiled data path that unit tests can run on: the same sources, with traits that tests' classes may stand for.

    python -m tests.support.compiled        # makes .venv/compiled-for-tests; does nothing where it is fresh
    python -m pytest --compiled tests/unit

ENVOYMESH_COMPILED_FOR_TESTS names another folder, for several checkouts with one environment.

It compiles a copy of the package in which traits (each with what it inherits, see `traits.py`) and the classes of
SUBCLASSED are open to interpreted classes, and one module more (`stand_ins.OPENED`). It must not touch what
`envoymesh compile` made, nor change a source.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from envoymesh.native.build import _SCRIPT as SCRIPT
from envoymesh.native.loader import NativeFinder
from envoymesh.native.modules import FOLDER, GROUP, MODULES, PACKAGE, fingerprint, source_of
from tests.support.stand_ins import OPENED, name_of
from tests.support.traits import repeat_inherited

ROOT = Path(__file__).resolve().parents[2]
KEPT = Path(os.environ.get("ENVOYMESH_COMPILED_FOR_TESTS") or ROOT / ".venv" / "compiled-for-tests")
MANIFEST = KEPT / "manifest.json"
SUBCLASSED = {"runtime": "RuntimeReader", "upstream.pool.pools": "ConnectionPools"}
"""Classes that are no traits, and that tests derive from, by module."""

BOTH_ROLES = """\
    def decode_headers(self, headers: RequestHeaders | ResponseHeaders, end_stream: bool) -> None:
        raise NotImplementedError"""
"""What a class needs that decodes requests and responses: each trait has its own idea of headers."""

_USE = re.compile(r"stands_for\(([\w, ]+)\)")
_OPEN = "@mypyc_attr(allow_interpreted_subclasses=True)\n"


def combinations() -> list[tuple[str, ...]]:
    """The traits of each `stands_for(...)` in the tests."""
    files = [path for folder in ("unit", "support") for path in (ROOT / "tests" / folder).rglob("*.py")]
    found = {tuple(re.split(r", *", use)) for path in files for use in _USE.findall(path.read_text())}
    return sorted(each for each in found if all(name[0].isupper() for name in each))


def mark() -> str:
    """What a build must have been made from to be fresh."""
    how = [Path(__file__).with_name(name).read_text() for name in ("compiled.py", "traits.py")]
    return hashlib.sha256(f"{fingerprint()} {combinations()} {how}".encode()).hexdigest()


def fresh() -> bool:
    """Whether there is a build of these sources."""
    return MANIFEST.is_file() and json.loads(MANIFEST.read_text())["mark"] == mark()


def activate() -> None:
    """Have this process import the build.

    Raises:
        FileNotFoundError: there is no fresh one.
    """
    if not fresh():
        raise FileNotFoundError(f"{KEPT} is not there or not fresh: python -m tests.support.compiled")
    files = {name: KEPT / file for name, file in json.loads(MANIFEST.read_text())["modules"].items()}
    sys.meta_path.insert(0, NativeFinder(files))


def make() -> None:
    """Compile.

    Raises:
        CalledProcessError: the compiler's; what it said is printed.
    """
    with tempfile.TemporaryDirectory(prefix="compiled-for-tests-") as folder:
        package = Path(folder) / PACKAGE.name
        shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", FOLDER.name))
        files = [source_of(module).relative_to(PACKAGE.parent) for module in MODULES]
        traits = _open_traits([Path(folder) / file for file in files], package)
        opened = package / f"{OPENED.rpartition('.')[2]}.py"
        opened.write_text(_opened(traits))
        arguments = [GROUP, "out", *map(str, files), str(opened.relative_to(folder))]
        environment = {**os.environ, "MYPY_CACHE_DIR": str(Path(folder) / "cache")}
        subprocess.run([sys.executable, "-c", SCRIPT, *arguments], cwd=folder, env=environment, check=True)
        _keep(Path(folder) / "out")


def _open_traits(files: list[Path], package: Path) -> dict[str, str]:
    """Open the traits in these files, and the classes that tests derive from; gives traits' modules by their names."""
    repeat_inherited(files, package)
    traits = {}
    for file in files:
        text = file.read_text()
        module = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        for name in _traits(text):
            traits[name] = module
        for name in [*_traits(text), *([SUBCLASSED[key]] if (key := module.partition(".")[2]) in SUBCLASSED else [])]:
            text = _opened_class(text, name)
        file.write_text(text)
    return traits


def _traits(text: str) -> list[str]:
    classes = [each for each in ast.parse(text).body if isinstance(each, ast.ClassDef)]
    return [each.name for each in classes if any(ast.unparse(mark) == "trait" for mark in each.decorator_list)]


def _opened_class(text: str, name: str) -> str:
    """The text with the decorator before a class, where it has none."""
    found = re.search(rf"^((?:@.*\n)*)class {name}\b", text, re.M)
    assert found is not None, name
    if "allow_interpreted_subclasses" in found[1]:
        return text
    text = text[: found.start()] + _OPEN + text[found.start() :]
    return text if re.search(r"^from mypy_extensions import .*mypyc_attr", text, re.M) else _with_import(text)


def _with_import(text: str) -> str:
    at = re.search(r"^(from|import) (?!__future__)", text, re.M)
    assert at is not None
    return text[: at.start()] + "from mypy_extensions import mypyc_attr\n" + text[at.start() :]


def _opened(traits: dict[str, str]) -> str:
    """The module of classes that are open to interpreted ones."""
    lines = ['"""Classes that stand for traits in tests."""', "from mypy_extensions import mypyc_attr"]
    used = combinations()
    lines.append("from envoymesh.http.headers import RequestHeaders, ResponseHeaders")
    lines += sorted({f"from {traits[name]} import {name}" for names in used for name in names})
    for names in used:
        body = BOTH_ROLES if {"RequestDecoder", "ResponseDecoder"} <= set(names) else "    pass"
        lines.append(f"\n\n{_OPEN}class {name_of(*names)}({', '.join(names)}):\n{body}")
    return "\n".join(lines) + "\n"


def _keep(made: Path) -> None:
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir(parents=True)
    modules = {}
    for file in sorted(made.rglob(f"*{suffix}")):
        dotted = ".".join(file.relative_to(made).parts).removesuffix(suffix)
        modules[dotted] = dotted + suffix
        shutil.copy(file, KEPT / modules[dotted])
    MANIFEST.write_text(json.dumps({"mark": mark(), "modules": modules}))


if __name__ == "__main__":
    if not fresh():
        make()
    print(f"{len(json.loads(MANIFEST.read_text())['modules'])} modules for tests are in {KEPT}")
