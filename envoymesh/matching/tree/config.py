"""xds.type.matcher.v3.Matcher, and envoy.config.common.matcher.v3.Matcher, which has the same fields -> MatchTree.

Whoever uses a tree says which actions it may lead to, and which inputs make sense there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from envoymesh.config.reader import Reader
from envoymesh.matching.addresses import AddressMatcher, Network
from envoymesh.matching.config import read_cidr, read_string_matcher, read_value_matcher
from envoymesh.matching.tree.inputs import (
    CONNECTION_FACTS,
    ConnectionInput,
    ConstantInput,
    DataInput,
    FieldInput,
    FilterStateInput,
    MetadataInput,
    QueryParameterInput,
    RequestHeaderInput,
    StatusInput,
)
from envoymesh.matching.tree.match_tree import (
    AddressRange,
    AddressText,
    AddressTree,
    AllOf,
    AnyOf,
    DomainMap,
    ExactMap,
    ListTree,
    MatchTree,
    MetadataPredicate,
    NeverPredicate,
    Not,
    OnMatch,
    Predicate,
    PrefixMap,
    TextPredicate,
)
from envoymesh.stats.primitives import Counter

REQUEST_HEADER = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
FILTER_STATE = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
ENVIRONMENT_VARIABLE = "envoy.extensions.matching.common_inputs.environment_variable.v3.Config"
_COMMON_INPUTS = "envoy.extensions.matching.common_inputs."
_INPUT_MATCHERS = "envoy.extensions.matching.input_matchers."


@dataclass(frozen=True, slots=True)
class MatchTreeFactoryContext:
    """What a tree needs from its user.

    Args:
        read_action: reads the message of an action.
        refuse_input: given an input's message type, says why it cannot be used here; an empty text where it can.
        keep_matching: whether `keep_matching` has a meaning here.
        counter: gives the counter of a name.
    """

    read_action: Callable[[Reader], object]
    refuse_input: Callable[[str], str] = lambda type_name: ""
    keep_matching: bool = True
    counter: Callable[[str], Counter] = Counter


def read_match_tree(reader: Reader, context: MatchTreeFactoryContext) -> MatchTree:
    """Read a Matcher. Errors: ConfigError."""
    last = reader.message_("on_no_match")
    on_no_match = None if last is None or last.which("on_match") is None else read_on_match(last, context)
    kind = reader.which("matcher_type")
    if kind == "matcher_list":
        matchers = reader.required("matcher_list").repeated("matchers")
        return ListTree([_read_branch(each, context) for each in matchers], on_no_match)
    if kind == "matcher_tree":
        return _read_lookup(reader.required("matcher_tree"), on_no_match, context)
    return ListTree((), on_no_match)


def read_on_match(reader: Reader, context: MatchTreeFactoryContext) -> OnMatch:
    """Read a Matcher.OnMatch. Errors: ConfigError."""
    keep_matching = reader.boolean("keep_matching")
    if keep_matching and not context.keep_matching:
        raise reader.error("keep_matching", "keep_matching is not supported in this context")
    if reader.which("on_match") == "matcher":
        return OnMatch(tree=read_match_tree(reader.required("matcher"), context), keep_matching=keep_matching)
    action = reader.any_("action")
    if action is None:
        raise reader.error("on_match", "field is required")
    return OnMatch(context.read_action(action), keep_matching=keep_matching)


# Predicates


def _read_branch(reader: Reader, context: MatchTreeFactoryContext) -> tuple[Predicate, OnMatch]:
    return _read_predicate(reader.required("predicate"), context), read_on_match(reader.required("on_match"), context)


def _read_predicate(reader: Reader, context: MatchTreeFactoryContext) -> Predicate:
    kind = reader.which("match_type")
    if kind == "or_matcher":
        return AnyOf(_read_predicates(reader.required(kind), context))
    if kind == "and_matcher":
        return AllOf(_read_predicates(reader.required(kind), context))
    if kind == "not_matcher":
        return Not(_read_predicate(reader.required(kind), context))
    return _read_single(reader.required("single_predicate"), context)


def _read_predicates(reader: Reader, context: MatchTreeFactoryContext) -> Sequence[Predicate]:
    return [_read_predicate(each, context) for each in reader.repeated("predicate")]


def _read_single(reader: Reader, context: MatchTreeFactoryContext) -> Predicate:
    source = read_input(reader, context)
    if reader.which("matcher") == "value_match":
        if isinstance(source, MetadataInput):
            raise reader.error("value_match", "Unsupported data input type: it is no string, and value_match needs one")
        return TextPredicate(source, read_string_matcher(reader.required("value_match")))
    return _read_custom(reader, source, context)


def _read_custom(parent: Reader, source: DataInput | MetadataInput, context: MatchTreeFactoryContext) -> Predicate:
    reader = parent.any_("custom_match")
    kind = "" if reader is None else reader.type_name.removeprefix(_INPUT_MATCHERS)
    if reader is not None and kind == "ip.v3.Ip":
        matcher = _read_ranges_of_text(reader, context)
        return NeverPredicate() if isinstance(source, MetadataInput) else TextPredicate(source, matcher)
    if reader is not None and kind == "metadata.v3.Metadata":
        value, invert = read_value_matcher(reader.required("value")), reader.boolean("invert")
        return MetadataPredicate(source, value, invert) if isinstance(source, MetadataInput) else NeverPredicate()
    raise parent.error("custom_match", f"input matcher {kind} is not supported by envoymesh")


def _read_ranges_of_text(reader: Reader, context: MatchTreeFactoryContext) -> AddressText:
    ranges = AddressMatcher([read_cidr(each) for each in reader.repeated("cidr_ranges")])
    prefix = reader.string("stat_prefix")
    return AddressText(ranges, context.counter(f"{prefix}.ip_parsing_failed") if prefix else None)


# Look-ups


def _read_lookup(reader: Reader, on_no_match: OnMatch | None, context: MatchTreeFactoryContext) -> MatchTree:
    source = read_input(reader, context)
    kind = reader.which("tree_type")
    if isinstance(source, MetadataInput):
        raise reader.error("input", "Unsupported data input type: only a string is supported in map matcher")
    if kind == "exact_match_map":
        return ExactMap(source, on_no_match, _read_children(reader.required(kind), context))
    if kind == "prefix_match_map":
        return PrefixMap(source, on_no_match, _read_children(reader.required(kind), context))
    custom = reader.any_("custom_match")
    if custom is not None and custom.type_name == "xds.type.matcher.v3.IPMatcher":
        return AddressTree(source, on_no_match, _read_ranges(custom, context))
    if custom is not None and custom.type_name == "xds.type.matcher.v3.ServerNameMatcher":
        return DomainMap(source, on_no_match, _read_domains(custom, context))
    raise reader.error("custom_match", "custom matcher is not supported by envoymesh")


def _read_children(reader: Reader, context: MatchTreeFactoryContext) -> dict[bytes, OnMatch]:
    return {key.encode(): read_on_match(each, context) for key, each in reader.message_map("map").items()}


def _read_ranges(reader: Reader, context: MatchTreeFactoryContext) -> Sequence[tuple[Network, AddressRange]]:
    found = []
    for each in reader.repeated("range_matchers"):
        branch = AddressRange(read_on_match(each.required("on_match"), context), each.boolean("exclusive"))
        found += [(read_cidr(cidr), branch) for cidr in each.repeated("ranges")]
    return found


def _read_domains(reader: Reader, context: MatchTreeFactoryContext) -> dict[bytes, OnMatch]:
    found: dict[bytes, OnMatch] = {}
    for each in reader.repeated("domain_matchers"):
        on_match = read_on_match(each.required("on_match"), context)
        for domain in each.strings("domains"):
            if domain.encode() in found:
                raise each.error("domains", f"Duplicate domain in ServerNameMatcher: {domain}")
            _check_domain(domain, each)
            found[domain.encode()] = on_match
    return found


def _check_domain(domain: str, reader: Reader) -> None:
    if not domain:
        raise reader.error("domains", "Empty domain in ServerNameMatcher")
    star = domain.rfind("*")
    if domain == "*" or star < 0 or (star == 0 and domain[1:2] == "." and len(domain) > 2):
        return
    form = f"Invalid wildcard domain format: {domain}"
    if domain.startswith("*.") and len(domain) > 2:
        raise reader.error("domains", f"{form}. Multiple wildcards are not supported")
    raise reader.error("domains", f"{form}. Only '*' and '*.domain' patterns are supported")


# Inputs


def read_input(parent: Reader, context: MatchTreeFactoryContext) -> DataInput | MetadataInput:
    """Read the field `input` of a predicate or a look-up. Errors: ConfigError, also where it has no place."""
    reader = parent.any_("input")
    if reader is None:
        raise parent.error("input", "field is required")
    refusal = context.refuse_input(reader.type_name)
    if refusal:
        raise parent.error("input", refusal)
    known = INPUTS.get(reader.type_name)
    if known is not None:
        return known(reader)
    fact = CONNECTION_FACTS.get(reader.type_name.removeprefix(_COMMON_INPUTS))
    if fact is not None:
        return ConnectionInput(fact)
    raise parent.error("input", f"input {reader.type_name} is not supported by envoymesh")


def _name(reader: Reader) -> bytes:
    return reader.string("header_name").lower().encode()


def _read_metadata_input(reader: Reader) -> MetadataInput:
    return MetadataInput(reader.string("filter"), [segment.string("key") for segment in reader.repeated("path")])


INPUTS: dict[str, Callable[[Reader], DataInput | MetadataInput]] = {
    REQUEST_HEADER: lambda reader: RequestHeaderInput(_name(reader)),
    "envoy.type.matcher.v3.HttpRequestTrailerMatchInput": lambda reader: FieldInput(
        _name(reader), lambda data: data.request_trailers
    ),
    "envoy.type.matcher.v3.HttpResponseHeaderMatchInput": lambda reader: FieldInput(
        _name(reader), lambda data: data.response_headers
    ),
    "envoy.type.matcher.v3.HttpResponseTrailerMatchInput": lambda reader: FieldInput(
        _name(reader), lambda data: data.response_trailers
    ),
    "envoy.type.matcher.v3.HttpRequestQueryParamMatchInput": lambda reader: QueryParameterInput(
        reader.string("query_param").encode()
    ),
    "envoy.type.matcher.v3.HttpResponseStatusCodeMatchInput": lambda reader: StatusInput(as_class=False),
    "envoy.type.matcher.v3.HttpResponseStatusCodeClassMatchInput": lambda reader: StatusInput(as_class=True),
    FILTER_STATE: lambda reader: FilterStateInput(reader.string("key")),
    _COMMON_INPUTS + "network.v3.DynamicMetadataInput": _read_metadata_input,
    ENVIRONMENT_VARIABLE: lambda reader: ConstantInput(reader.variable("name")),
}
"""What reads each input, by its message's type."""
