"""The machinery of tests.mutate: what counts as noticed. Whether the list fits the code, `--check` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutate import FOLDER, Mutation, MutationError, Tree, Verdict, chosen, judge, read_mutations

FAULT = Mutation("off-by-one", "a.py", "<=", "<", ("test_a.py",), "one too few")


class FakeTree(Tree):
    """A tree of one file, whose tests end as the test says."""

    def __init__(self, folder: Path, code: int, output: str = "") -> None:
        self.folder = folder
        self._changes = 0
        self._end = code, output
        self.seen: list[str] = []
        (folder / "a.py").write_text("x <= y\n")

    def run(self, tests: Sequence[str]) -> tuple[int, str]:
        self.seen.append((self.folder / "a.py").read_text())
        return self._end


@pytest.mark.parametrize(
    ("code", "output", "verdict", "said"),
    [
        (1, "...\nFAILED test_a.py::test_x[1] - assert\n1 failed", Verdict.KILLED, "test_a.py::test_x[1]"),
        (0, "1 passed", Verdict.SURVIVED, "one too few, and test_a.py would not notice"),
        (2, "1 error", Verdict.ERROR, "pytest's exit code is 2: 1 error"),
        (4, "not found", Verdict.ERROR, "pytest's exit code is 4: not found"),
        (-1, "no end", Verdict.ERROR, "pytest's exit code is -1: no end"),
    ],
)
def test_verdicts(tmp_path: Path, code: int, output: str, verdict: Verdict, said: str) -> None:
    tree = FakeTree(tmp_path, code, output)
    result = judge(FAULT, tree)
    assert (result.verdict, result.said) == (verdict, said)
    assert tree.seen == ["x < y\n"]
    assert (tmp_path / "a.py").read_text() == "x <= y\n", "the fault is taken out again"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"old": "="}, ""),
        ({"old": ">="}, "stands 0 times"),
        ({"old": " "}, "stands 2 times"),
        ({"new": "<="}, "the new text is the old one"),
        ({"file": "b.py"}, "there is no file b.py"),
    ],
)
def test_a_mutation_that_does_not_fit_is_an_error(tmp_path: Path, change: dict[str, str], why: str) -> None:
    tree = FakeTree(tmp_path, 1)
    result = judge(replace(FAULT, **change), tree)
    assert (result.verdict is Verdict.ERROR, why in result.said) == (bool(why), True)
    assert bool(tree.seen) is not bool(why)


def test_each_version_of_a_file_has_its_own_time(tmp_path: Path) -> None:
    tree = FakeTree(tmp_path, 1)
    times = {int((tmp_path / "a.py").stat().st_mtime)}
    for _ in range(3):
        with tree.mutated(FAULT):
            times.add(int((tmp_path / "a.py").stat().st_mtime))
        times.add(int((tmp_path / "a.py").stat().st_mtime))
    assert len(times) == 7, "else Python would run what it compiled before"


def test_names() -> None:
    other = replace(FAULT, name="other")
    assert chosen([FAULT, other], ["other"]) == [other]
    assert chosen([FAULT, other], []) == [FAULT, other]
    with pytest.raises(MutationError, match="there is no mutation x; see --list"):
        chosen([FAULT], ["x"])


def test_a_name_may_stand_once(tmp_path: Path) -> None:
    text = "[a]\nfile = 'a'\nold = 'b'\nnew = 'c'\ntests = ['d']\nwhy = 'e'\n"
    (tmp_path / "one.toml").write_text(text)
    assert read_mutations(tmp_path) == [Mutation("a", "a", "b", "c", ("d",), "e")]
    (tmp_path / "two.toml").write_text(text)
    with pytest.raises(MutationError, match=r"two\.toml: there is another mutation a"):
        read_mutations(tmp_path)


def test_every_mutation_of_the_list_says_what_it_is_for() -> None:
    mutations = read_mutations()
    assert FOLDER.is_dir()
    assert len(mutations) > 90
    for each in mutations:
        assert each.file.startswith("envoymesh/")
        assert each.tests
        assert each.why
