import json
from pathlib import Path

import pytest

from envoymesh.cli import main
from envoymesh.sandbox.compose import load
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.examples import find, find_all, names, shown

ROOT = Path(__file__).resolve().parents[3]
NAMES = names(ROOT)


@pytest.mark.parametrize("name", NAMES)
def test_each_says_in_sentences_what_there_is_to_see(name: str) -> None:
    (example,) = find_all(ROOT / "docker-compose.yaml", {}, name)
    assert example.title
    assert len(example.watch) == 3
    assert all(each.endswith(".") and len(each) < 200 for each in example.watch)
    assert example.tries


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_configuration_of_its_own_in_its_place(name: str) -> None:
    project = load(ROOT / "docker-compose.yaml", {}, [find(ROOT, name)])
    for service in project.services.values():
        for place, source in [*service.configs.items(), *service.files.items()]:
            assert (ROOT / source).is_file(), place
    assert (ROOT / project.services["front-envoy"].configs["/etc/envoy.yaml"]).parent.name == name


def test_the_page_is_what_the_examples_say() -> None:
    written = (ROOT / "examples/README.md").read_text()
    said = shown(find_all(ROOT / "docker-compose.yaml", {}), "markdown", in_full=False)
    assert written == said + "\n", "envoymesh examples --format markdown > examples/README.md"


def test_the_readme_names_each() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [name for name in NAMES if name not in text]


def test_a_list_and_one_in_full(capsys: pytest.CaptureFixture[str]) -> None:
    place = ["--file", str(ROOT / "docker-compose.yaml")]
    assert main(["examples", *place]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES
    assert main(["examples", "mirror", *place]) == 0
    assert "  envoymesh up --example mirror\n" in capsys.readouterr().out
    assert main(["examples", "mirror", "--format", "json", *place]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["mirror"]


def test_an_example_that_there_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SandboxError, match=r"there is no example nope; there are none in .*/examples$"):
        find(tmp_path, "nope")
    for words in (["examples", "../mirror"], ["up", "--example", "nope"]):
        assert main([*words, "--file", str(ROOT / "docker-compose.yaml")]) == 1
        assert f"there is no example {words[-1]}; there are {', '.join(NAMES)}\n" in capsys.readouterr().err
