"""Breaks the proxy on purpose, one fault at a time, and tells which faults no test notices.

    .venv/bin/python -m tests.mutate             # all of tests/mutations/*.toml
    .venv/bin/python -m tests.mutate NAME...     # some of them
    .venv/bin/python -m tests.mutate --list      # their names, and what each would do to a user
    .venv/bin/python -m tests.mutate --check     # does the list fit the code? Runs no test

A mutation names a file, a text that stands in it exactly once, the text that takes its place, and the tests that must
fail then. Everything happens in copies of this tree; two mutations are tried at a time. The named tests run first as
the tree is: a test that fails anyway tells nothing. The exit code is 0 when every mutation was noticed.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "tests" / "mutations"
AT_ONCE = 2
LONGEST_RUN = 600.0
"""Seconds that a mutation's tests may take. One test that hangs fails long before (`timeout` in pyproject.toml)."""

TESTS_FAILED = 1
"""pytest's exit code where tests ran and some failed; 0 is that all passed."""

NO_END = -1
"""In its place where LONGEST_RUN was over."""


class MutationError(Exception):
    """The list does not fit the tree, or the tree's own tests fail: nothing can be said about the mutation."""


class Verdict(Enum):
    """What became of a mutation."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    ERROR = "ERROR"


@dataclass(frozen=True)
class Mutation:
    """One fault.

    Args:
        file: from the root of the tree.
        old: stands in the file exactly once.
        tests: pytest's names of files or tests; at least one must fail with the fault.
        why: what a user would suffer from.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    why: str

    def applied(self, text: str) -> str:
        """The file's text with the fault. Errors: MutationError."""
        count = text.count(self.old)
        if count != 1:
            raise MutationError(f"{self.name}: the old text stands {count} times in {self.file}, not once")
        if self.new == self.old:
            raise MutationError(f"{self.name}: the new text is the old one")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Result:
    """A mutation's verdict, with what there is to say about it."""

    mutation: Mutation
    verdict: Verdict
    said: str = ""


def read_mutations(folder: Path = FOLDER) -> list[Mutation]:
    """All mutations, in the order of their files. Errors: MutationError for a name that stands twice."""
    found: dict[str, Mutation] = {}
    for file in sorted(folder.glob("*.toml")):
        for name, fields in tomllib.loads(file.read_text(encoding="utf-8")).items():
            if name in found:
                raise MutationError(f"{file.name}: there is another mutation {name}")
            found[name] = Mutation(name=name, **(fields | {"tests": tuple(fields["tests"])}))
    return list(found.values())


class Tree:
    """A copy of this tree, in which tests run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._changes = 0
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            source, target = ROOT / name, folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def run(self, tests: Sequence[str]) -> tuple[int, str]:
        """Run tests until one fails: pytest's exit code (or NO_END) and its output."""
        # Compiled modules of this tree are not copied; the copy must not be shadowed by the installed package either.
        environment = {**os.environ, "PYTHONPATH": str(self.folder), "ENVOYMESH_NATIVE": "0"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN
            )
        except subprocess.TimeoutExpired:
            return NO_END, f"no end after {LONGEST_RUN:g} s: is the machine busy?"
        return done.returncode, done.stdout + done.stderr

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """Have the fault in the tree for a while. Errors: MutationError."""
        file = self.folder / mutation.file
        if not file.is_file():
            raise MutationError(f"there is no file {mutation.file}")
        text = file.read_text(encoding="utf-8")
        self._write(file, mutation.applied(text))
        try:
            yield
        finally:
            self._write(file, text)

    def _write(self, file: Path, text: str) -> None:
        """Python tells compiled files by size and whole seconds of the source's time: each version needs its own."""
        self._changes += 1
        before = file.stat().st_mtime
        file.write_text(text, encoding="utf-8")
        os.utime(file, (before + self._changes, before + self._changes))

    def check(self, tests: Sequence[str]) -> None:
        """The tests pass, and they are about the copy. Errors: MutationError."""
        code, output = self.run(tests)
        if code:
            raise MutationError(f"the tests fail as the tree is (pytest's exit code {code}):\n{last_lines(output, 30)}")
        where = [sys.executable, "-c", "import envoymesh; print(envoymesh.__file__)"]
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        found = subprocess.run(where, cwd=self.folder, env=environment, capture_output=True, text=True, check=True)
        if not found.stdout.startswith(str(self.folder)):
            raise MutationError(f"the tests would import {found.stdout.strip()} in place of the copy")


def last_lines(output: str, count: int) -> str:
    """The end of a program's output."""
    return "\n".join(output.strip().splitlines()[-count:])


def first_failure(output: str) -> str:
    """The test that noticed, of pytest's output."""
    lines = (line for line in output.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    return next(lines, last_lines(output, 1)).partition(" - ")[0].removeprefix("FAILED ")


def judge(mutation: Mutation, tree: Tree) -> Result:
    """Try one mutation."""
    try:
        with tree.mutated(mutation):
            code, output = tree.run(mutation.tests)
    except MutationError as error:
        return Result(mutation, Verdict.ERROR, str(error))
    if code == 0:
        return Result(mutation, Verdict.SURVIVED, f"{mutation.why}, and {' '.join(mutation.tests)} would not notice")
    if code != TESTS_FAILED:
        return Result(mutation, Verdict.ERROR, f"pytest's exit code is {code}: {last_lines(output, 3)}")
    return Result(mutation, Verdict.KILLED, first_failure(output))


def judge_all(mutations: Sequence[Mutation]) -> Iterator[Result]:
    """Try mutations, AT_ONCE at a time, as they come to an end. Errors: MutationError."""
    with tempfile.TemporaryDirectory(prefix="envoymesh-mutate-") as folder:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        made = [Tree(Path(folder) / str(number)) for number in range(AT_ONCE)]
        made[0].check(sorted({test for mutation in mutations for test in mutation.tests}))
        for tree in made:
            trees.put(tree)

        def one(mutation: Mutation) -> Result:
            tree = trees.get()
            try:
                return judge(mutation, tree)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in as_completed([pool.submit(one, mutation) for mutation in mutations]):
                yield done.result()


def chosen(mutations: Sequence[Mutation], names: Sequence[str]) -> list[Mutation]:
    """Those of these names, all for none. Errors: MutationError."""
    known = {mutation.name: mutation for mutation in mutations}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MutationError(f"there is no mutation {unknown[0]}; see --list")
    return [known[name] for name in names] if names else list(mutations)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutate", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutations to try (default: all)")
    parser.add_argument("--list", action="store_true", help="show the mutations and try none")
    parser.add_argument("--check", action="store_true", help="see that every mutation fits the code, and try none")
    options = parser.parse_args(arguments)
    try:
        mutations = chosen(read_mutations(), options.names)
        if options.list:
            for each in mutations:
                print(f"{each.name}: {each.why}")
            return 0
        if options.check:
            for each in mutations:
                each.applied((ROOT / each.file).read_text(encoding="utf-8"))
            print(f"{len(mutations)} mutations fit")
            return 0
        killed = report(judge_all(mutations))
    except MutationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{killed} of {len(mutations)} killed")
    return 0 if killed == len(mutations) else 1


def report(results: Iterator[Result]) -> int:
    """Print each result as it comes; the number of those that were noticed."""
    killed = 0
    for result in results:
        killed += result.verdict is Verdict.KILLED
        print(f"{result.verdict.value:9}{result.mutation.name}: {result.said}", flush=True)
    return killed


if __name__ == "__main__":
    sys.exit(main())
