"""What is supported and what is refused, written from what the readers ask for: README's table and docs/supported.md.

A field that a reader asks for, of any configuration, is supported; every other field of the same messages is refused by
name when it is set. What the API has, the messages' descriptors say. This file must not know single fields.
"""

from __future__ import annotations

import functools
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.descriptor import Descriptor

from envoymesh.config.messages import message_class
from envoymesh.config.wellknown import OWN_TYPES
from envoymesh.filters.http.registry import FILTERS
from envoymesh.filters.network.registry import NETWORK_FILTERS
from envoymesh.matching.tree.config import INPUTS
from tests.unit.fields.table import ROOT, extensions_read, readable, without_effect

HERE = Path(__file__).parent
README = ROOT / "README.md"
DOCUMENT = ROOT / "docs" / "supported.md"
BEGIN = "<!-- begin: python -m tests.supported -->"
END = "<!-- end -->"

INTRODUCTION = """\
# What is supported, field by field

Every message of Envoy's API v3 that envoymesh reads, with the fields that it reads and those that it refuses. A field
that is refused is an error that names its path, when it is set; a message that is not here is one that only a refused
field could hold. Fields that are taken and change nothing say why. The API is that of Python's messages (`xds-protos`).

This page is written by `python -m tests.supported` from what the readers ask for. README's table is the short of it,
and its "limits worth knowing" are what no list of fields can say.

"""


@dataclass(frozen=True)
class Subject:
    """A row of README's table and a chapter of the document.

    Args:
        supported, besides: by hand; without `supported` it has no row.
        messages: those whose refused fields the row names.
        prefixes: of the messages that belong to the chapter.
    """

    name: str
    prefixes: Sequence[str]
    supported: str = ""
    besides: str = ""
    messages: Sequence[str] = ()


@functools.cache
def subjects() -> tuple[Subject, ...]:
    """As subjects.toml has them."""
    found = tomllib.loads((HERE / "subjects.toml").read_text())["subject"]
    texts = ("supported", "besides")
    return tuple(
        Subject(**{key: " ".join(value.split()) if key in texts else value for key, value in each.items()})
        for each in found
    )


@functools.cache
def reasons() -> Mapping[str, str]:
    """Why a field is refused, where refused.toml says so."""
    groups = tomllib.loads((HERE / "refused.toml").read_text())["refused"]
    return {field: group["why"] for group in groups for field in group["fields"]}


def descriptor(type_name: str) -> Descriptor:
    """Of a message, an inner one too."""
    parts = type_name.split(".")
    outer = next(place for place, part in enumerate(parts) if part[0].isupper())
    found = message_class(".".join(parts[: outer + 1])).DESCRIPTOR
    for name in parts[outer + 1 :]:
        found = found.nested_types_by_name[name]
    return found


def refused(type_name: str) -> list[str]:
    """The fields that nobody reads, as the API orders them."""
    return [field.name for field in descriptor(type_name).fields if f"{type_name}.{field.name}" not in readable()]


# README


def table() -> str:
    """README's table."""
    rows = ["| | supported | refused (by name) |", "|---|---|---|"]
    rows += [f"| {each.name} | {each.supported} | {_refusals(each)} |" for each in subjects() if each.supported]
    return "\n".join(rows)


def _refusals(subject: Subject) -> str:
    """What the row says is refused: by hand, and then the fields."""
    by_message = [(name.partition(".v3.")[2], refused(name)) for name in subject.messages]
    fields = [f"of `{name}`: {_names(found)}" for name, found in by_message if found]
    return "; ".join([*([subject.besides] if subject.besides else []), *fields]) or "nothing"


def _names(fields: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in fields)


def with_table(readme: str) -> str:
    """README with the table between its marks. Errors: ValueError where a mark is missing."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


# The document


def document() -> str:
    """docs/supported.md."""
    return INTRODUCTION + _summary() + "".join(_chapters()) + _extensions()


def _chapters() -> Iterator[str]:
    for subject, messages in _by_subject().items():
        yield f"## {subject}\n\n"
        for name in messages:
            yield _message(name)


def _by_subject() -> dict[str, list[str]]:
    """Messages that are read, by chapter."""
    found: dict[str, list[str]] = {each.name: [] for each in subjects()}
    for name in sorted({field.rpartition(".")[0] for field in readable() if not field.startswith(OWN_TYPES)}):
        fits = [(len(prefix), each.name) for each in subjects() for prefix in each.prefixes if name.startswith(prefix)]
        found[max(fits)[1]].append(name)
    return {name: messages for name, messages in found.items() if messages}


def _summary() -> str:
    """How many fields of how many there are, by chapter."""
    rows = ["| | messages | fields read | refused |", "|---|---|---|---|"]
    for subject, messages in _by_subject().items():
        fields = sum(len(descriptor(name).fields) for name in messages)
        without = sum(len(refused(name)) for name in messages)
        rows.append(
            f"| [{subject}](#{subject.lower().replace(' ', '-')}) | {len(messages)} | {fields - without} | {without} |"
        )
    return "\n".join(rows) + "\n\n"


def _message(name: str) -> str:
    idle, missing = without_effect(), refused(name)
    read = [field.name for field in descriptor(name).fields if field.name not in missing]
    lines = [f"### `{name}`\n", f"- read: {_names([each for each in read if f'{name}.{each}' not in idle])}"]
    lines += [
        f"- taken, without effect: `{each}` ({idle[f'{name}.{each}']})" for each in read if f"{name}.{each}" in idle
    ]
    lines += [f"- refused: {text}" for text in _why(name, missing)]
    return "\n".join(line for line in lines if line != "- read: ") + "\n\n"


def _why(name: str, fields: Sequence[str]) -> list[str]:
    """Refused fields together by their reasons."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for field in fields:
        groups[reasons().get(f"{name}.{field}", "")].append(field)
    return [f"{_names(names)} ({why})" if why else _names(names) for why, names in groups.items()]


def _extensions() -> str:
    """Types that an Any may hold, by their kind."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    known: set[Any] = {*extensions_read(), *FILTERS, *NETWORK_FILTERS, *INPUTS}
    known = {each for each in known if not each.startswith(OWN_TYPES)}  # no .proto describes them
    for name in sorted(known):
        if name.startswith("envoy.extensions."):
            kinds[name.removeprefix("envoy.extensions.").rpartition(".v3.")[0].rpartition(".")[0]].append(name)
    lines = [f"- {kind or 'others'}: {_names(names)}" for kind, names in sorted(kinds.items())]
    return (
        "## Extensions\n\nTypes that stand where Envoy takes an extension; all others are refused by their names.\n\n"
        + "\n".join(lines)
        + "\n"
    )
