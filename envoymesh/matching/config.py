"""Messages of matchers (envoy.type.matcher.v3, envoy.config.route.v3) -> matchers.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from envoymesh.config.reader import Reader
from envoymesh.matching.addresses import AddressMatcher, Network
from envoymesh.matching.filter_state import FilterStateMatcher
from envoymesh.matching.headers import HeaderMatcher
from envoymesh.matching.queries import QueryParameterMatcher
from envoymesh.matching.strings import BytesMatcher, RangeMatcher, RegexMatcher, StringMatcher
from envoymesh.matching.uri_template import UriTemplate

# What most configurations do not have is not imported before it is read.
if TYPE_CHECKING:
    from envoymesh.matching.values import MetadataMatcher, NumberMatcher, ValueMatcher


def read_regex(reader: Reader, field: str) -> RegexMatcher:
    """Read an envoy.type.matcher.v3.RegexMatcher field. Errors: ConfigError with RE2's reason."""
    regex = reader.required(field)
    # RE2 is the only engine there is; max_program_size is deprecated in Envoy and of no effect there either.
    regex.accept("google_re2")
    try:
        return RegexMatcher(regex.string("regex"))
    except ValueError as error:
        raise regex.error("regex", f"invalid regex: {error}") from None


def read_string_matcher(reader: Reader) -> BytesMatcher:
    """Read an envoy.type.matcher.v3.StringMatcher."""
    kind = reader.which("match_pattern")
    if kind == "safe_regex":
        return read_regex(reader, "safe_regex")
    if kind not in ("exact", "prefix", "suffix", "contains"):
        raise reader.error(kind or "match_pattern", "string matcher is not supported by envoymesh")
    pattern = reader.string(kind).encode()
    ignore_case = reader.boolean("ignore_case")
    return StringMatcher(kind, pattern.lower() if ignore_case else pattern, ignore_case)


def read_header_matcher(reader: Reader) -> HeaderMatcher:
    """Read an envoy.config.route.v3.HeaderMatcher."""
    value, present = _read_header_value(reader)
    return HeaderMatcher(
        name=reader.string("name").lower().encode(),
        value=value,
        present=present,
        invert=reader.boolean("invert_match"),
        missing_as_empty=reader.boolean("treat_missing_header_as_empty"),
    )


def _read_header_value(reader: Reader) -> tuple[BytesMatcher | None, bool]:
    kind = reader.which("header_match_specifier")
    if kind is None:
        return None, True
    if kind == "present_match":
        return None, reader.boolean("present_match")
    if kind == "string_match":
        return read_string_matcher(reader.required("string_match")), True
    if kind == "range_match":
        limits = reader.required("range_match")
        return RangeMatcher(limits.integer("start"), limits.integer("end")), True
    if kind == "safe_regex_match":
        return read_regex(reader, "safe_regex_match"), True
    pattern = reader.string(kind).encode()
    if kind == "exact_match" and not pattern:
        return StringMatcher("prefix", b""), True  # as in Envoy: any value will do
    return StringMatcher(kind.removesuffix("_match"), pattern), True


def read_query_parameter(reader: Reader) -> QueryParameterMatcher:
    """Read an envoy.config.route.v3.QueryParameterMatcher."""
    name = reader.string("name").encode()
    kind = reader.which("query_parameter_match_specifier")
    if kind == "string_match":
        return QueryParameterMatcher(name, read_string_matcher(reader.required("string_match")))
    if kind == "present_match":
        return QueryParameterMatcher(name, present=reader.boolean("present_match"))
    return QueryParameterMatcher(name)


def read_value_matcher(reader: Reader) -> ValueMatcher:
    """Read an envoy.type.matcher.v3.ValueMatcher. Errors: ConfigError."""
    from envoymesh.matching import values

    kind = reader.which("match_pattern") or ""
    if kind == "null_match":
        reader.accept(kind)
        return values.NullMatcher()
    if kind == "bool_match":
        return values.BooleanMatcher(reader.boolean(kind))
    if kind == "present_match":
        return values.PresenceMatcher(reader.boolean(kind))
    if kind == "string_match":
        return values.TextMatcher(read_string_matcher(reader.required(kind)))
    if kind == "list_match":
        return values.ListMatcher(read_value_matcher(reader.required(kind).required("one_of")))
    if kind == "or_match":
        return values.AnyOfMatcher(
            [read_value_matcher(each) for each in reader.required(kind).repeated("value_matchers")]
        )
    return _read_number_matcher(reader.required("double_match"))


def _read_number_matcher(reader: Reader) -> NumberMatcher:
    from envoymesh.matching.values import NumberMatcher

    limits = reader.message_("range")
    if limits is None:
        return NumberMatcher(reader.number("exact"))
    return NumberMatcher(limits.number("start"), limits.number("end"))


def read_metadata_matcher(reader: Reader) -> MetadataMatcher:
    """Read an envoy.type.matcher.v3.MetadataMatcher."""
    from envoymesh.matching.values import MetadataMatcher

    path = [segment.string("key") for segment in reader.repeated("path")]
    value = read_value_matcher(reader.required("value"))
    return MetadataMatcher(reader.string("filter"), path, value, reader.boolean("invert"))


def read_filter_state_matcher(reader: Reader) -> FilterStateMatcher:
    """Read an envoy.type.matcher.v3.FilterStateMatcher. Errors: ConfigError."""
    if reader.which("matcher") == "address_match":
        address = reader.required("address_match")
        ranges = AddressMatcher([read_cidr(each) for each in address.repeated("ranges")])
        return FilterStateMatcher(reader.string("key"), address=ranges)
    return FilterStateMatcher(reader.string("key"), read_string_matcher(reader.required("string_match")))


def read_cidr(reader: Reader) -> Network:
    """Read a CidrRange, of envoy.config.core.v3 or xds.core.v3; as in Envoy a prefix that is too long is the whole.

    Errors: ConfigError where the address is none.
    """
    prefix, length = reader.string("address_prefix"), reader.integer("prefix_len")
    try:
        longest = ipaddress.ip_address(prefix).max_prefixlen
        return ipaddress.ip_network(f"{prefix}/{min(length, longest)}", strict=False)
    except ValueError:
        text = f"invalid ip/mask combo '{prefix}/{length}' (format is <ip>/<# mask bits>)"
        raise reader.error("address_prefix", text) from None


def read_uri_template(reader: Reader) -> UriTemplate:
    """Read an envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig. Errors: ConfigError."""
    template = reader.string("path_template")
    try:
        return UriTemplate(template)
    except ValueError as error:
        text = f"path_match_policy.path_template {template} is invalid: {error}"
        raise reader.error("path_template", text) from None
