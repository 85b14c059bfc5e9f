"""What a user writes: configurations, format strings; and what the admin is asked.

Files that a fuzzed configuration names are never written: access logs go to /dev/null here.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from hypothesis import strategies as st

from envoymesh.admin.filter import _request
from envoymesh.admin.messages import Response
from envoymesh.admin.registry import Admin, all_endpoints
from envoymesh.config.load import load_bootstrap
from envoymesh.config.yaml_loader import load_json, load_yaml
from envoymesh.errors import ConfigError
from envoymesh.formatter import Formatter, JsonFormatter
from envoymesh.formatter.operators import PLAIN, WITH_ARGUMENT
from envoymesh.http.headers import RequestHeaders
from envoymesh.network.loop.dispatcher import new_event_loop
from envoymesh.options import Options
from envoymesh.server.access_log_file import BufferedLogFile
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server
from tests.fuzz.target import Target, mutated
from tests.support.fakes import FakeConnection
from tests.support.logged import bare, full
from tests.support.steps import finished
from tests.unit.admin.conftest import FakeServer, admin_context

# YAML and JSON

SCALARS = st.sampled_from([
    "a", "~", "", "1", "-0x10", "08", "1e3", "yes", "'q'", '"\\x41\\u263a"', '"\\ud800"', "2026-01-01", "*a", "&a b",
    "!ignore x", "!!str 1", "! 1", "<<", "|\n  block\n", ">-\n  folded\n", "\ufeff", "%TAG", "- x", "? k", "[1, 2]",
    "{a: b}", "{a: b, a: c}", "99999999999999999999", "# c", "é", "\U0001f600", "\x85", "\u2028", "@", "`", "key: v",
])  # fmt: skip


@st.composite
def documents(draw: Any, depth: int = 3) -> str:
    """Block YAML."""
    kind = draw(st.sampled_from(["scalar", "map", "list"])) if depth else "scalar"
    if kind == "scalar":
        return draw(SCALARS)
    inner = [draw(documents(depth - 1)).replace("\n", "\n  ") for _ in range(draw(st.integers(1, 3)))]
    if kind == "list":
        return "".join(f"\n- {each}" for each in inner)
    keys = st.sampled_from(["a", "b", "!ignore c", "*a", "&k d", "? x", "1", "''", "[x]", "on"])
    return "".join(f"\n{draw(keys)}: {each}" for each in inner)


YAML_TOKENS = [b":", b"- ", b"&a ", b"*a", b"!ignore ", b"{", b"}", b"[", b"]", b"\n", b"\t", b"---\n", b"...", b'"',
               b"'", b"|", b"%YAML 1.1\n", b"\0", b"\x80", b"? ", b"#", b"\r", b"\\", b"  "]  # fmt: skip


def check_yaml(data: bytes) -> None:
    """Any text gives a document or a ConfigError, of one line, with a line number that the text has."""
    text = data.decode("utf-8", "surrogateescape")
    for load in (load_yaml, load_json):
        try:
            document = load(text, "f")
        except ConfigError as error:
            _check_error(error, text)
            continue
        assert all(1 <= line <= _count_lines(text) for line in document.lines.values())
        repr(document.value)


def _check_error(error: ConfigError, text: str) -> None:
    assert "\n" not in str(error), error
    assert error.line is None or 1 <= error.line <= _count_lines(text)


def _count_lines(text: str) -> int:
    return len(text.splitlines()) + 1


# Whole configurations

_ROOT = Path(__file__).resolve().parents[3]
BOOTSTRAPS = [yaml.safe_load(path.read_text()) for path in sorted(_ROOT.glob("*-envoy/*.yaml"))]
ODD_VALUES = st.sampled_from([
    None, True, 0, -1, 2**31, 2**40, 1.5, "", "x", "1s", "-1s", "0s", "99999999999s", [], {}, [None], [[]], [{}], "é",
    {"@type": "type.googleapis.com/google.protobuf.Struct"}, {"a": 1}, "::1", "1.2.3.4", "*", "%REQ(", "/", "(", "\0",
    {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}, "a" * 300, "\ud800", 1e308,
    "x\ny", {"numerator": 200}, ["*", "*"], "/a%2", "\\1", {"@type": ""}, {"value": {}}, {"inline_string": "x"},
])  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in items for place in _places(inner, (*path, key)))]


@st.composite
def bootstraps(draw: Any) -> bytes:
    """One of the sandbox's configurations with some of its values changed, doubled, moved or taken out."""
    value = json.loads(json.dumps(draw(st.sampled_from(BOOTSTRAPS))))
    for _ in range(draw(st.integers(0, 3))):
        places = _places(value)[1:]
        *path, last = draw(st.sampled_from(places))
        parent = value
        for key in path:
            parent = parent[key]
        kind = draw(st.sampled_from(["odd", "odd", "drop", "double", "move"]))
        if kind == "drop":
            del parent[last]
        elif kind == "double" and isinstance(parent, list):
            parent.append(parent[last])
        elif kind == "move":
            source: Any = value
            for key in draw(st.sampled_from(places)):
                source = source[key] if isinstance(source, dict) and key in source else source
            parent[last] = json.loads(json.dumps(source))
        else:
            parent[last] = json.loads(json.dumps(draw(ODD_VALUES)))
        if not isinstance(value, dict) or len(_places(value)) < 2:
            break
    return json.dumps(value).encode()


class _NoLog(ProcessLog):
    """Leaves the process's loggers, which other tests look at, as they are."""

    def __init__(self) -> None:
        pass


def check_config(data: bytes) -> None:
    """Any bytes in a file are a configuration that a server can be made of, or a ConfigError."""
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file, mock.patch.object(BufferedLogFile, "_open", _nowhere):
        file.write(data)
        file.flush()
        loop = new_event_loop()
        try:
            Server(Options(mode="validate"), load_bootstrap(file.name), _NoLog(), loop)
        except ConfigError as error:
            str(error)
        finally:
            loop.close()


def _nowhere(self: BufferedLogFile) -> int:
    return 1


# Formats

ARGUMENTS = st.sampled_from([
    "", "A", "A?B", "A?B?C", ":path", "X-Request-ID", "%Y-%m-%d", "%s.%3f", "%E*S", "%n", "%", "NQ:ORIG", "y",
    "DECODED", "DS_RX_BEG:DS_TX_END:us", "PLAIN", "k:FIELD:f", "DYNAMIC:a:b", "24", "999", "SNI_FIRST", "x)",
    "%f%E0S%z%Ez", "\n", "%_-100Y", "%E4Y%ET%9f", "\0", "\u00e9\ud7ff", "%+", "%Q%:z", "V", "SNAKE_STRING", "HOME", "/",
])  # fmt: skip


@st.composite
def commands(draw: Any) -> str:
    """One command, mostly with an argument that some command takes."""
    name = draw(st.sampled_from([*PLAIN, *WITH_ARGUMENT, *WITH_ARGUMENT, "NONSENSE"]))
    argument = f"({draw(ARGUMENTS)})" if name in WITH_ARGUMENT or draw(st.integers(0, 9)) == 0 else ""
    return f"%{name}{argument}{draw(st.sampled_from(['', '', ':3', ':0', ':99999999999999999999', ':x']))}%"


FORMATS = st.lists(st.one_of(commands(), st.sampled_from(["text", "%%", "\u00e9", "%", '"', "\n", "\0"])), max_size=5)
_CONTEXTS = [bare(), full()]


def check_format(data: bytes) -> None:
    """A format is refused with ValueError, or makes a line of whatever request; as JSON, one that is JSON."""
    text = data.decode("utf-8", "replace")
    try:
        formatter = Formatter(text, omit_empty_values=len(data) % 2 == 1)
        structure = JsonFormatter({"k": text, "l": [text, {text: 1}]}, omit_empty_values=len(data) % 2 == 1)
    except ValueError:
        return
    for context in _CONTEXTS:
        line = formatter.format(context)
        assert formatter.constant in (None, line)
        written = structure.format(context)
        assert written.endswith(b"}\n")
        assert isinstance(json.loads(written), dict)


# The admin's queries

PATHS = [endpoint.path for endpoint in all_endpoints()]
PARAMETERS = st.sampled_from([
    "usedonly", "filter=.*", "filter=(", "filter=%5B", "format=json", "format=html", "format=prometheus", "format=x",
    "type=Counters", "type=x", "histogram_buckets=detailed", "histogram_buckets=summary", "hidden=only", "level=info",
    "paths=a:b", "http=debug", "http=x", "resource=static_clusters", "mask=name", "mask=%00", "name_regex=(", "a=%ff",
    "include_eds", "graceful", "inboundonly", "enable=y", "enable=x", "text_readouts", "k=v&k=w", "=", "&&", "%", "=x",
    "filter=%C3%28", "filter=a%00b", "paths=,:,", "paths=http:debug,main:x", "x" * 50, "prom_stats_per_family=1", "ü",
])  # fmt: skip


@st.composite
def questions(draw: Any) -> bytes:
    """Method, target, and a form's body behind a line feed."""
    query = "&".join(draw(st.lists(PARAMETERS, max_size=4)))
    target = draw(st.sampled_from(PATHS)) + draw(st.sampled_from(["?", "?", "", "/", "%"]))
    return f"{draw(st.sampled_from(['GET', 'POST', 'HEAD']))} {target}{query}\n{query}".encode()


def check_admin(data: bytes) -> None:
    """Every question is answered."""
    start, _, body = data.partition(b"\n")
    method, _, target = start.partition(b" ")
    headers = RequestHeaders(method, target, fields=[(b"content-type", b"application/x-www-form-urlencoded")])
    made = Admin(admin_context(FakeServer())).handle(_request(headers, body, FakeConnection()))
    answer = made if isinstance(made, Response) else finished(made)
    assert answer.status in (200, 400, 404, 405, 500, 501, 503), answer
    "".join(answer.body).encode()
    answer.content_type.encode("ascii")


TARGETS_HERE = [
    Target(
        "yaml", check_yaml, mutated(documents().map(lambda text: text.encode("utf-8", "surrogatepass")), YAML_TOKENS)
    ),
    Target("config", check_config, bootstraps(), 4096),
    Target("format", check_format, mutated(FORMATS.map("".join).map(str.encode), [b"%", b"(", b")", b":", b"?"]), 128),
    Target("admin", check_admin, mutated(questions(), [b"&", b"=", b"%", b"?", b"%00", b"\xff"]), 256),
]
