"""Readers by path: every path that a bootstrap's readers have leads back to their messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from envoymesh.config.load import load_bootstrap
from envoymesh.config.places import reader_at
from envoymesh.lint.tree import walk

ROOT = Path(__file__).resolve().parents[3]
FILES = ["tests/unit/explain/data/shop.yaml", "front-envoy/envoy.yaml", "service-envoy/service-envoy.yaml"]


@pytest.mark.parametrize("file", FILES)
def test_every_message_is_found_by_its_path(file: str) -> None:
    loaded = load_bootstrap(str(ROOT / file))
    found = 0
    for reader in walk(loaded.reader()):
        again = reader_at(loaded.reader(), reader.path)
        assert again is not None, reader.path
        # The message in an Any has the Any's path.
        assert (again.type_name, again.message) == (reader.type_name, reader.message), reader.path
        found += 1
    assert found > 20


@pytest.mark.parametrize(
    "path",
    [
        "nothing",
        "static_resources.listeners[9]",
        "static_resources.clusters[0].name",
        "static_resources.listeners[0].x",
    ],
)
def test_what_is_not_there(path: str) -> None:
    assert reader_at(load_bootstrap(str(ROOT / FILES[0])).reader(), path) is None


def test_lines_below_an_alias_are_those_of_its_anchor() -> None:
    loaded = load_bootstrap(str(ROOT / FILES[0]))
    manager = "filters[0].typed_config.route_config.virtual_hosts[0].routes[2].match"
    first = loaded.source.locate(f"static_resources.listeners[0].filter_chains[1].{manager}")
    second = loaded.source.locate(f"static_resources.listeners[1].filter_chains[0].{manager}")
    assert first == second
    assert first[1] is not None
    lines = (ROOT / FILES[0]).read_text().splitlines()
    assert lines[first[1] - 1].strip() == "match: { prefix: /old }"
    at = loaded.source.locate("static_resources.listeners[1].filter_chains[0].filters[0]")[1]
    assert at is not None
    assert lines[at - 1].strip() == "filters: [*web]", "the alias itself is where it is written"
