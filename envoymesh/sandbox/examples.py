"""The examples: folders beside the description, each with a Compose file that is laid over it. They print nothing.

What an example shows stands in its own file (`x-envoymesh`: `title`, `watch`; `try` of the front), and only there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from envoymesh.sandbox.compose import load
from envoymesh.sandbox.errors import SandboxError

FOLDER = "examples"
OVERLAY = "compose.yaml"
EMBEDDED = "envoymesh up --example {name}"
DOCKER = f"docker compose -f docker-compose.yaml -f {FOLDER}/{{name}}/{OVERLAY} up --build -d"
HEAD = """# Examples

Each is the mesh with another configuration of the front proxy: a folder with that configuration (`envoy.yaml`, which
the real Envoy takes too) and a Compose file that puts it in its place. `envoymesh examples` lists them;
`envoymesh examples --format markdown` has written this page out of their Compose files.

    {embedded}       # as local processes, until Ctrl-C; with -d in the background
    {docker}

`x-answered-by` in the answers says which cluster and which host it was. How a service is made to fail stands in
[docs/faults.md](../docs/faults.md)."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example: its name is its folder's; `watch` are sentences, `tries` command lines."""

    name: str
    title: str
    watch: tuple[str, ...]
    tries: tuple[str, ...]


def names(folder: Path) -> list[str]:
    """The names of the examples of a description that lies in `folder`."""
    return sorted(each.parent.name for each in (folder / FOLDER).glob(f"*/{OVERLAY}"))


def find(folder: Path, name: str) -> Path:
    """An example's Compose file. Errors: SandboxError when there is no such example."""
    known = names(folder)
    if name not in known:
        there = ", ".join(known) or f"none in {folder / FOLDER}"
        raise SandboxError(f"there is no example {name}; there are {there}")
    return folder / FOLDER / name / OVERLAY


def find_all(file: Path, environment: Mapping[str, str], name: str = "") -> list[Example]:
    """The examples of a description, or the one of that name. Errors: SandboxError."""
    return [_read(file, each, environment) for each in ([name] if name else names(file.parent))]


def _read(file: Path, name: str, environment: Mapping[str, str]) -> Example:
    project = load(file, environment, [find(file.parent, name)])
    tries = tuple(line for service in project.services.values() for line in service.tries)
    return Example(name, project.title, project.watch, tries)


def shown(examples: Sequence[Example], form: str, *, in_full: bool) -> str:
    """Examples as `text` (a line each unless `in_full`), `json` or `markdown`."""
    if form == "json":
        return json.dumps([asdict(each) for each in examples], indent=2)
    if form == "markdown":
        start = HEAD.format(embedded=EMBEDDED.format(name="NAME"), docker=DOCKER.format(name="NAME"))
        return "\n\n".join([start, *map(_section, examples)])
    if in_full:
        return "\n\n".join(map(_text, examples))
    width = max((len(each.name) for each in examples), default=0)
    return "\n".join(f"{each.name:{width}}  {each.title}" for each in examples)


def _section(example: Example) -> str:
    commands = "\n".join(f"    {line}" for line in example.tries)
    sentences = "\n".join(f"- {line}" for line in example.watch)
    return f"## {example.name}: {example.title}\n\n{sentences}\n\n{commands}"


def _text(example: Example) -> str:
    starts = [EMBEDDED.format(name=example.name), DOCKER.format(name=example.name)]
    parts = {example.title: example.watch, "Start": starts, "Try": example.tries}
    return "\n\n".join(f"{head}:\n" + "\n".join(f"  {line}" for line in lines) for head, lines in parts.items())
