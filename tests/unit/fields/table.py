"""The table of fields and tests, and the fields that the readers can read. It must not judge them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import trustme
from google.protobuf import json_format

from envoymesh.config.load import load_bootstrap
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.matching.tree.config import INPUTS, MatchTreeFactoryContext, read_match_tree
from envoymesh.options import Options
from envoymesh.server.server import Server
from tests.unit.fields.everything import bootstrap
from tests.unit.fields.masking import Place, noting, noting_places, noting_types
from tests.unit.fields.routing import whole_tree

ROOT = Path(__file__).resolve().parents[3]
TABLE = Path(__file__).parent / "tested.toml"
UNIT = "tests/unit"
FILES = (
    *(
        f"{UNIT}/{room}/test_config.py"
        for room in (
            "access_loggers",
            "network",
            "router",
            "router/actions",
            "upstream",
            "filters/http/router",
            "matching",
        )
    ),
    f"{UNIT}/filters/network/test_registry.py",
    f"{UNIT}/filters/listener/test_registry.py",
    f"{UNIT}/filters/listener/test_proxy_protocol.py",
    f"{UNIT}/filters/http/dynamic_forward_proxy/test_filter.py",
    f"{UNIT}/filters/network/tcp_proxy/test_filter.py",
    f"{UNIT}/matching/tree/test_config.py",
    f"{UNIT}/router/match/test_config.py",
    f"{UNIT}/router/test_virtual_hosts.py",
    f"{UNIT}/upstream/discovery/test_discovery_config.py",
    f"{UNIT}/network/connection/test_connection_config.py",
    f"{UNIT}/upstream/health/test_health_config.py",
    f"{UNIT}/filters/http/health_check/test_filter.py",
    f"{UNIT}/upstream/lb/test_lb_config.py",
    f"{UNIT}/fields/test_rows.py",
    f"{UNIT}/config/test_reader.py",
    f"{UNIT}/server/test_runtime_keys.py",
)
"""Where tests for fields are looked for."""


def rows() -> dict[str, str]:
    """The test of each field."""
    return dict(tomllib.loads(TABLE.read_text())["tested"])


def without_effect() -> dict[str, str]:
    """Fields that are taken and change nothing, and why."""
    return dict(tomllib.loads(TABLE.read_text())["without_effect"])


def readable() -> frozenset[str]:
    """Every field that the readers ask for, as ``type.field``."""
    return _reading()[0]


def places() -> frozenset[Place]:
    """Where they ask for them."""
    return _reading()[1]


def extensions_read() -> frozenset[str]:
    """The types that they found in Anys."""
    return _reading()[2]


def _read_tree() -> None:
    """What a matcher tree may hold, wherever it stands."""
    for name in INPUTS:
        message_class(name)
    matcher = message_class("xds.type.matcher.v3.Matcher")()
    json_format.ParseDict(whole_tree(), matcher)
    read_match_tree(Reader(matcher), MatchTreeFactoryContext(lambda action: action))


@functools.cache
def _reading() -> tuple[frozenset[str], frozenset[Place], frozenset[str]]:
    authority = trustme.CA()
    certificate = authority.issue_cert("a.example.com")
    chain, key = certificate.cert_chain_pems[0].bytes().decode(), certificate.private_key_pem.bytes().decode()
    no_log: Any = None
    with (
        contextlib.closing(asyncio.new_event_loop()) as loop,
        tempfile.TemporaryDirectory() as folder,
        noting() as seen,
        noting_places() as places,
        noting_types() as types,
    ):
        authority.cert_pem.write_to_path(f"{folder}/ca.pem")
        file = Path(folder, "everything.json")
        file.write_text(json.dumps(bootstrap(chain, key, f"{folder}/ca.pem")))
        Server(Options(), load_bootstrap(str(file)), no_log, loop)
        _read_tree()
    return frozenset(seen), frozenset(places), frozenset(types)
