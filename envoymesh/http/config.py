"""envoy.config.core.v3.Http1ProtocolOptions, Http2ProtocolOptions -> settings of the codecs, down- and upstream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from envoymesh.config.reader import Reader
from envoymesh.http.http1 import HeadersWithUnderscoresAction, Http1Settings
from envoymesh.http.http2 import Http2Settings
from envoymesh.http.http2.frames import Setting
from envoymesh.http.http2.settings import KeepaliveSettings


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
        send_fully_qualified_url=options.boolean("send_fully_qualified_url"),
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
        keepalive=_read_keepalive(options.message_("connection_keepalive")),
        custom_settings=_read_custom_settings(options),
        **integers,
    )


def _read_keepalive(reader: Reader | None) -> KeepaliveSettings | None:
    if reader is None:
        return None
    jitter = reader.percent("interval_jitter")
    return KeepaliveSettings(
        interval=reader.duration("interval", 0.0) or 0.0,
        timeout=reader.duration("timeout", 0.0) or 0.0,
        jitter=0.15 if jitter is None else jitter,
        idle_interval=reader.duration("connection_idle_interval", 0.0) or 0.0,
    )


_NAMED = {
    Setting.HEADER_TABLE_SIZE: "hpack_table_size",
    Setting.MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
    Setting.INITIAL_WINDOW_SIZE: "initial_stream_window_size",
}
"""Parameters that fields of the message are for. Where such a field is unset its default comes later, and so counts."""


def _read_custom_settings(options: Reader) -> tuple[tuple[int, int], ...]:
    """Read `custom_settings_parameters`. Errors: ConfigError, in Envoy's words."""
    found: dict[int, int] = {}
    for each in options.repeated("custom_settings_parameters"):
        identifier, value = each.integer("identifier"), each.integer("value")
        if identifier in _NAMED and options.has(_NAMED[identifier]):
            raise each.error(
                "identifier",
                f"the {{{_NAMED[identifier]}}} HTTP/2 SETTINGS parameter(s) can not be configured through both named "
                "and custom parameters",
            )
        if identifier == Setting.ENABLE_PUSH and value:
            raise each.error(
                "value", "server push is not supported by Envoy and can not be enabled via a SETTINGS parameter."
            )
        if identifier == Setting.MAX_FRAME_SIZE:
            raise each.error("identifier", "SETTINGS_MAX_FRAME_SIZE is not supported by envoymesh")
        if found.setdefault(identifier, value) != value:
            raise each.error(
                "value",
                f"inconsistent HTTP/2 custom SETTINGS parameter(s) detected; identifiers = {{0x{identifier:x}}}",
            )
    return tuple(found.items())
