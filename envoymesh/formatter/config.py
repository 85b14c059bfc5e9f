"""envoy.config.core.v3.SubstitutionFormatString -> compiled formats, for access logs and for bodies.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter, JsonFormatter
from envoymesh.formatter.body import BodyFormat, MessageFormatter
from envoymesh.formatter.operators import EXTENSIONS


def read_body_format(reader: Reader) -> BodyFormat:
    """Read the SubstitutionFormatString of a body. Errors: ConfigError in Envoy's words."""
    is_json = reader.which("format") == "json_format"
    content_type = reader.string("content_type") or ("application/json" if is_json else "")
    return BodyFormat(read_format(reader), content_type.encode(), is_json)


def read_format(reader: Reader) -> MessageFormatter:
    """Read an envoy.config.core.v3.SubstitutionFormatString but for its content type. Errors: ConfigError."""
    # Properties are always sorted, which json_format_options may ask for.
    reader.accept("json_format_options")
    omit = reader.boolean("omit_empty_values")
    extensions = [_read_extension(each) for each in reader.repeated("formatters")]
    kind = reader.which("format")
    if kind == "json_format":
        return compile_json(reader, kind, omit, extensions)
    if kind == "text_format_source":
        return compile_text(reader, kind, reader.data_source(kind).decode(), omit, extensions)
    return compile_text(reader, "text_format", reader.string("text_format"), omit, extensions)


def _read_extension(reader: Reader) -> str:
    name = reader.string("name")
    config = reader.any_("typed_config")
    kind = "" if config is None else config.type_name
    if kind not in EXTENSIONS:
        raise reader.error("typed_config", f"formatter {name} ({kind}) is not supported by envoymesh")
    return kind


def compile_json(
    reader: Reader, field: str, omit_empty_values: bool = False, extensions: Sequence[str] = ()
) -> JsonFormatter:
    """Compile a JSON format. Errors: ConfigError in Envoy's words."""
    try:
        return JsonFormatter(reader.struct(field), omit_empty_values, extensions)
    except ValueError as error:
        raise reader.error(field, str(error)) from None


def compile_text(
    reader: Reader, field: str, text: str, omit_empty_values: bool = False, extensions: Sequence[str] = ()
) -> Formatter:
    """Compile a text format. Errors: ConfigError in Envoy's words."""
    try:
        return Formatter(text, omit_empty_values, extensions)
    except ValueError as error:
        raise reader.error(field, str(error)) from None
