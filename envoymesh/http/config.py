"""envoy.config.core.v3.Http1ProtocolOptions, Http2ProtocolOptions -> settings of the codecs, down- and upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.http.http1 import HeadersWithUnderscoresAction, Http1Settings
from envoymesh.http.http2 import Http2Settings


def read_http1_options(
    options: Reader | None, common: Reader | None, *, max_headers_kb: int, max_headers_count: int
) -> Http1Settings:
    """Read an envoy.config.core.v3.Http1ProtocolOptions and the common options (None for the defaults)."""
    count = common.integer("max_headers_count", max_headers_count) if common else max_headers_count
    underscores = common.enum("headers_with_underscores_action") if common else "ALLOW"
    action = HeadersWithUnderscoresAction[underscores]
    if options is None:
        return Http1Settings(
            max_request_headers_kb=max_headers_kb, max_headers_count=count, headers_with_underscores_action=action
        )
    # It chooses among Envoy's two parsers; here there is only one.
    options.accept("use_balsa_parser")
    return Http1Settings(
        max_request_headers_kb=max_headers_kb,
        max_headers_count=count,
        headers_with_underscores_action=action,
        accept_http_10=options.boolean("accept_http_10"),
        default_host_for_http_10=options.string("default_host_for_http_10").encode(),
        allow_chunked_length=options.boolean("allow_chunked_length"),
        enable_trailers=options.boolean("enable_trailers"),
        allow_absolute_url=options.boolean("allow_absolute_url", True),
        proper_case_words=_read_key_format(options),
    )


def _read_key_format(options: Reader) -> bool:
    key_format = options.message_("header_key_format")
    if key_format is None:
        return False
    if key_format.which("header_format") != "proper_case_words":
        raise key_format.error("stateful_formatter", "only proper_case_words is supported by envoymesh")
    key_format.message_("proper_case_words")
    return True


HTTP2_INTEGERS = (
    "hpack_table_size",
    "max_concurrent_streams",
    "initial_stream_window_size",
    "initial_connection_window_size",
    "max_outbound_frames",
    "max_outbound_control_frames",
    "max_consecutive_inbound_frames_with_empty_payload",
    "max_inbound_priority_frames_per_stream",
    "max_inbound_window_update_frames_per_data_frame_sent",
)


def read_http2_options(options: Reader | None, *, max_headers_kb: int, max_headers_count: int) -> Http2Settings:
    """Read an envoy.config.core.v3.Http2ProtocolOptions (None for the defaults)."""
    settings = Http2Settings(max_request_headers_kb=max_headers_kb, max_headers_count=max_headers_count)
    if options is None:
        return settings
    # It chooses among Envoy's two codecs; here there is only one.
    options.accept("use_oghttp2_codec")
    integers: dict[str, Any] = {field: options.integer(field) for field in HTTP2_INTEGERS if options.has(field)}
    override = options.boolean("override_stream_error_on_invalid_http_message")
    override = override or options.boolean("stream_error_on_invalid_http_messaging")
    return replace(
        settings,
        allow_connect=options.boolean("allow_connect"),
        override_stream_error_on_invalid_http_message=override,
        **integers,
    )
