"""`envoymesh compile`: makes machine code of the data path with mypyc and the machine's C compiler.

It works on a copy in a temporary folder and puts the result beside the package only when all of it is there. It needs
mypy, setuptools, a C compiler and Python's headers, and must not be imported by anything that serves.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from envoymesh.native.modules import (
    FOLDER,
    GROUP,
    MODULES,
    PACKAGE,
    fingerprint,
    manifest_file,
    read_fresh_manifest,
    source_of,
)

# It runs in a process of its own: mypyc must be imported after setuptools, works in the current folder, and ends with
# sys.exit.
_SCRIPT = """
import os, sys, setuptools
from concurrent.futures import ThreadPoolExecutor
from distutils.ccompiler import CCompiler
from mypyc.build import mypycify
group, output, *files = sys.argv[1:]


# distutils compiles one file after the other; here each processor has one.
def compile_files(self, sources, output_dir=None, macros=None, include_dirs=None, debug=0, extra_preargs=None,
                  extra_postargs=None, depends=None):
    prepared = self._setup_compile(output_dir, macros, include_dirs, sources, depends, extra_postargs)
    macros, objects, extra_postargs, pp_opts, build = prepared
    cc_args = self._get_cc_args(pp_opts, debug, extra_preargs)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = [pool.submit(self._compile, each, *build[each], cc_args, extra_postargs, pp_opts) for each in objects]
    for each in done:
        each.result()
    return objects


CCompiler.compile = compile_files
flags = ["--strict", "--ignore-missing-imports", "--allow-subclassing-any", "--allow-untyped-calls",
         "--allow-any-generics", "--no-warn-return-any", "--no-warn-unused-ignores"]
# A C file for each module: one of all takes gcc 14 more than a quarter of an hour.
extensions = mypycify([*flags, *files], group_name=group, target_dir="c", opt_level="2", debug_level="0",
                      multi_file=True)
command = setuptools.Distribution({"name": group, "ext_modules": extensions}).get_command_obj("build_ext")
command.build_lib, command.build_temp = output, "objects"
command.ensure_finalized()
command.run()
"""


def compile_package() -> int:
    """Compile, and say what happens; gives the exit code."""
    if read_fresh_manifest() is not None:
        sys.stdout.write(f"{len(MODULES)} modules are compiled already\n")
        return 0
    missing = _missing()
    if missing:
        sys.stderr.write(f"envoymesh compile: {missing}\n")
        return 1
    sys.stdout.write(
        f"compiling {len(MODULES)} modules for Python {sysconfig.get_python_version()}; takes a minute or two\n"
    )
    sys.stdout.flush()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="envoymesh-compile-") as folder:
        made = Path(folder) / "out"
        failure = _run(Path(folder), made)
        if failure:
            sys.stderr.write(f"{failure}\nenvoymesh compile: failed; the compiler's last words stand above\n")
            return 1
        _keep(made, fingerprint(Path(folder) / PACKAGE.name))
    sys.stdout.write(f"compiled in {time.monotonic() - began:.0f} s; `envoymesh proxy` uses it from now on\n")
    return 0


def _missing() -> str:
    """What is missing that compiling needs, in words; empty when all is there."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ('{compiler}'; on Debian or Ubuntu: apt-get install gcc libc6-dev)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are not installed (on Debian or Ubuntu: apt-get install python3-dev)"
    check = subprocess.run([sys.executable, "-c", "import mypyc, setuptools"], capture_output=True, check=False)
    return "" if check.returncode == 0 else "mypy and setuptools are not installed (pip install 'envoymesh[native]')"


def _run(folder: Path, made: Path) -> str:
    """Compile a copy of the package in `folder`; the end of what was printed if that fails, else nothing."""
    shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__", FOLDER.name))
    files = [str(source_of(module).relative_to(PACKAGE.parent)) for module in MODULES]
    environment = {**os.environ, "MYPY_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, GROUP, str(made), *files],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    return "\n".join(done.stdout.splitlines()[-20:]) if done.returncode else ""


def _keep(made: Path, print_of_sources: str) -> None:
    """Put the libraries in their place; the manifest, which makes them count, last."""
    manifest = manifest_file()
    manifest.unlink(missing_ok=True)
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    modules = {}
    for file in sorted(made.rglob(f"*{suffix}")):
        dotted = ".".join(file.relative_to(made).parts).removesuffix(suffix)
        modules[dotted] = dotted + suffix
        put_file(FOLDER / modules[dotted], file.read_bytes())
    put_file(manifest, json.dumps({"fingerprint": print_of_sources, "modules": modules}, indent=1).encode())


def put_file(path: Path, content: bytes) -> None:
    """Put a whole new file in the old one's place: running processes keep theirs."""
    path.parent.mkdir(exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_bytes(content)
    os.replace(new, path)
