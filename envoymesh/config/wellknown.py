"""The message types that stand for plain values: names, and how to turn them into Python's.

This module must not read a configuration or raise its errors.
"""

from __future__ import annotations

from typing import Any

TYPED_EXTENSION_CONFIGS = frozenset(("envoy.config.core.v3.TypedExtensionConfig", "xds.core.v3.TypedExtensionConfig"))
METADATA = "envoy.config.core.v3.Metadata"
ANY = "google.protobuf.Any"
DURATION = "google.protobuf.Duration"
TIMESTAMP = "google.protobuf.Timestamp"
FIELD_MASK = "google.protobuf.FieldMask"
STRUCT = "google.protobuf.Struct"
VALUE = "google.protobuf.Value"
LIST_VALUE = "google.protobuf.ListValue"

TYPED_STRUCTS = frozenset(("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"))

WRAPPERS = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "String", "Bytes", "Int32", "Int64", "UInt32", "UInt64", "Float", "Double")
)

FRACTION_DENOMINATORS = (100, 10_000, 1_000_000)
"""envoy.type.v3.FractionalPercent.DenominatorType by number: HUNDRED, TEN_THOUSAND, MILLION."""


OWN_TYPES = "envoymesh."
"""Where names of types begin that no .proto describes: what they hold stands in a TypedStruct."""


def own_type(message: Any) -> str:
    """The name of the type that only this proxy knows and a TypedStruct stands for; empty for any other message."""
    if message.DESCRIPTOR.full_name not in TYPED_STRUCTS:
        return ""
    name = str(message.type_url).rpartition("/")[2]
    return name if name.startswith(OWN_TYPES) else ""


def struct_to_dict(struct: Any) -> dict[str, Any]:
    """Turn a google.protobuf.Struct into a dict of plain values."""
    return {key: value_to_plain(value) for key, value in struct.fields.items()}


def value_to_plain(value: Any) -> Any:
    """Turn a google.protobuf.Value into None, bool, float (int where it is whole), str, list or dict."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return struct_to_dict(value.struct_value)
    if kind == "list_value":
        return [value_to_plain(element) for element in value.list_value.values]
    if kind == "number_value":
        return int(value.number_value) if value.number_value.is_integer() else value.number_value
    return None if kind in (None, "null_value") else getattr(value, kind)
