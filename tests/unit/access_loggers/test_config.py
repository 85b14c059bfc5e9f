"""AccessLog messages as loggers: every kind of format and filter, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from envoymesh.access_loggers.config import AccessLogFactoryContext, read_access_log
from envoymesh.config.messages import message_class
from envoymesh.config.reader import Reader
from envoymesh.errors import ConfigError
from envoymesh.formatter import FormatterContext
from envoymesh.http.stream_info import ResponseFlag
from tests.support.fakes import FakeRuntime
from tests.support.logged import bare, full, request

LOGGERS = "type.googleapis.com/envoy.extensions.access_loggers"
WITHOUT_QUERY = "type.googleapis.com/envoy.extensions.formatter.req_without_query.v3.ReqWithoutQuery"
GRPC = f"{LOGGERS}.grpc.v3.HttpGrpcAccessLogConfig"
FILE = f"{LOGGERS}.file.v3.FileAccessLog"

for url in (GRPC, FILE, WITHOUT_QUERY, f"{LOGGERS}.stream.v3.StdoutAccessLog"):
    # Any of a type is parsed only when the type's module is there.
    message_class(url.partition("/")[2])


class Files:
    """Log files in memory, by path."""

    def __init__(self) -> None:
        self.written: dict[str, bytes] = {}

    def open(self, path: str) -> Any:
        files = self

        class File:
            def write(self, data: bytes) -> None:
                files.written[path] = files.written.get(path, b"") + data

        return File()


def written(context: FormatterContext, **settings: Any) -> dict[str, bytes]:
    """What a logger of these settings writes of a request, by path."""
    files = Files()
    message = json_format.ParseDict({"name": "n", **settings}, message_class("envoy.config.accesslog.v3.AccessLog")())
    reader = Reader(message, "log", None)
    log = read_access_log(reader, AccessLogFactoryContext(files.open, FakeRuntime({"limit": 600}), lambda: 0.25))
    reader.finish()
    log.log(context)
    return files.written


def line(**settings: Any) -> bytes:
    return written(full(), typed_config={"@type": FILE, "path": "f", **settings})["f"]


def passes(context: FormatterContext, **chosen: Any) -> bool:
    file = {"@type": FILE, "path": "f"}
    return bool(written(context, typed_config=file, filter=chosen))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"format": "%PROTOCOL%"}, b"HTTP/1.1"),
        ({"log_format": {"text_format": "%PROTOCOL%\n"}}, b"HTTP/1.1\n"),
        ({"log_format": {"text_format_source": {"inline_string": "[%REQ(no)%]"}}}, b"[-]"),
        ({"log_format": {"text_format": "[%REQ(no)%]", "omit_empty_values": True, "content_type": "x"}}, b"[]"),
        ({"log_format": {"json_format": {"b": "%RESPONSE_CODE%", "a": {"c": 5}}}}, b'{"a":{"c":5},"b":200}\n'),
        ({"typed_json_format": {"b": "%RESPONSE_CODE%"}}, b'{"b":200}\n'),
        (
            {
                "log_format": {
                    "text_format": "%REQ_WITHOUT_QUERY(:PATH)% %REQ_WITHOUT_QUERY(no)%",
                    "formatters": [{"name": "w", "typed_config": {"@type": WITHOUT_QUERY}}],
                }
            },
            b"/x -",
        ),
    ],
)
def test_formats(settings: dict[str, Any], expected: bytes) -> None:
    assert line(**settings) == expected


def test_the_default_format_ends_with_a_line_feed() -> None:
    assert line().endswith(b'"9.9.9.9:80"\n')


@pytest.mark.parametrize(("kind", "path"), [("StdoutAccessLog", "/dev/stdout"), ("StderrAccessLog", "/dev/stderr")])
def test_streams(kind: str, path: str) -> None:
    config = {"@type": f"{LOGGERS}.stream.v3.{kind}", "log_format": {"text_format": "x"}}
    assert written(full(), typed_config=config) == {path: b"x"}


def comparison(op: str, value: int, key: str = "unset") -> dict[str, Any]:
    return {"comparison": {"op": op, "value": {"default_value": value, "runtime_key": key}}}


ABSENT = {"header_filter": {"header": {"name": "x-b"}}}


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"status_code_filter": comparison("GE", 200)}, True),
        ({"status_code_filter": comparison("GE", 200, "limit")}, False),
        ({"status_code_filter": comparison("LE", 500)}, True),
        ({"duration_filter": comparison("LE", 4)}, False),
        ({"not_health_check_filter": {}}, True),
        ({"response_flag_filter": {}}, True),
        ({"response_flag_filter": {"flags": ["UH", "DI"]}}, True),
        ({"response_flag_filter": {"flags": ["DI"]}}, False),
        ({"header_filter": {"header": {"name": "x-a", "string_match": {"exact": "1"}}}}, True),
        ({"header_filter": {"header": {"name": "x-b"}}}, False),
        ({"runtime_filter": {"runtime_key": "k", "percent_sampled": {"numerator": 26}}}, True),
        ({"runtime_filter": {"runtime_key": "k", "percent_sampled": {"numerator": 26, "denominator": 1}}}, False),
        ({"runtime_filter": {"runtime_key": "k"}}, False),
        ({"grpc_status_filter": {"statuses": ["OK"]}}, True),
        ({"grpc_status_filter": {"statuses": ["OK"], "exclude": True}}, False),
        ({"runtime_filter": {"runtime_key": "limit"}}, True),
        ({"log_type_filter": {"types": ["DownstreamEnd"]}}, True),
        ({"log_type_filter": {"types": ["DownstreamEnd"], "exclude": True}}, False),
        ({"metadata_filter": {"matcher": {"filter": "f", "value": {"bool_match": True}}}}, True),
        (
            {
                "metadata_filter": {
                    "matcher": {"filter": "f", "value": {"bool_match": True}},
                    "match_if_key_not_found": False,
                }
            },
            False,
        ),
        ({"and_filter": {"filters": [{"not_health_check_filter": {}}, {"response_flag_filter": {}}]}}, True),
        ({"and_filter": {"filters": [{"not_health_check_filter": {}}, ABSENT]}}, False),
        ({"or_filter": {"filters": [{"not_health_check_filter": {}}, ABSENT]}}, True),
        ({"or_filter": {"filters": [{"response_flag_filter": {"flags": ["DI"]}}, {"header_filter": {
            "header": {"name": "x-b"}}}]}}, False),
    ],
)  # fmt: skip
def test_filters(chosen: dict[str, Any], expected: bool) -> None:
    context = full(flags=ResponseFlag.NO_HEALTHY_UPSTREAM)
    assert passes(context, **chosen) is expected


@pytest.mark.parametrize("independent", [True, False])
def test_chance_or_the_request_id_decides_on_a_share(independent: bool) -> None:
    context = full()
    context.request = request((b"x-request-id", b"00000063-0000-4000-8000-000000000000"))
    share = {"runtime_key": "k", "percent_sampled": {"numerator": 26}, "use_independent_randomness": independent}
    assert passes(context, runtime_filter=share) is independent


def test_a_refused_request_has_no_headers_to_filter_by() -> None:
    assert passes(bare(), header_filter={"header": {"name": "x-b", "present_match": False}})
    assert not passes(bare(), header_filter={"header": {"name": ":method", "present_match": True}})


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({}, "log.typed_config: an access log needs a typed_config"),
        ({"typed_config": {"@type": GRPC}}, "is not supported by envoymesh"),
        ({"filter": {"traceable_filter": {}}}, "nothing is traced"),
        ({"filter": {"extension_filter": {"name": "x"}}}, "filter extension_filter is not supported"),
        ({"log_format": {"text_format": "%FOO%"}}, "text_format: Not supported field in StreamInfo: FOO"),
        ({"log_format": {"json_format": {"a": "%FOO%"}}}, "json_format: Not supported field in StreamInfo: FOO"),
        ({"log_format": {"text_format": "x", "formatters": [{"name": "cel"}]}}, "formatter cel () is not supported"),
        ({"json_format": {"a": "b"}}, "json_format: field is set but not supported"),
    ],
)
def test_refused(settings: dict[str, Any], cause: str) -> None:
    file = {"@type": FILE, "path": "f"}
    if "log_format" in settings or "json_format" in settings:
        settings = {"typed_config": {**file, **settings}}
    elif "filter" in settings:
        settings = {"typed_config": file, **settings}
    with pytest.raises(ConfigError) as caught:
        written(full(), **settings)
    assert cause in str(caught.value)
