"""What a route does (envoy.config.route.v3.Route's actions) -> settings.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from envoymesh.config.reader import Reader
from envoymesh.formatter.config import compile_text, read_body_format
from envoymesh.matching.config import read_header_matcher, read_string_matcher
from envoymesh.matching.tree.config import MatchTreeFactoryContext, read_match_tree
from envoymesh.matching.tree.match_tree import MatchTree
from envoymesh.metadata import MatchCriteria, match_criteria
from envoymesh.router.actions.cluster import NO_UPGRADES, ConnectConfig
from envoymesh.router.actions.durations import GrpcTimeout, StreamDuration
from envoymesh.router.actions.hash_policy import (
    CookieHash,
    FilterStateHash,
    HashMethod,
    HashPolicy,
    HashStep,
    HeaderHash,
    QueryParameterHash,
    SourceIpHash,
)
from envoymesh.router.actions.internal_redirects import REDIRECT_CODES, InternalRedirectPolicy
from envoymesh.router.actions.rewrites import (
    FormatHost,
    FormatPathRewrite,
    HeaderHost,
    HostRewrite,
    LiteralHost,
    PathRegexHost,
    PathRewrite,
    PrefixRewrite,
    RegexRewrite,
    RegexSubstitution,
    Rewrites,
    TemplateRewrite,
)
from envoymesh.router.header_parser import HeaderParser
from envoymesh.router.levels.config import (
    RouteFactoryContext,
    is_protected,
    read_cors,
    read_filter_configs,
    read_header_parsers,
    read_header_to_add,
    read_runtime_share,
)
from envoymesh.router.mirror import MirrorPolicy, RemoveOnMatch
from envoymesh.router.paths import PathMatcher, TemplatePath
from envoymesh.router.retry import KNOWN_CONDITIONS, HostPredicates, RateLimitedBackOff, ResetHeader, RetryPolicy
from envoymesh.router.table import Action, ClusterAction, DirectResponseAction, RedirectAction
from envoymesh.runtime import RuntimeNumber

# What most configurations do not have is imported where it is read.
if TYPE_CHECKING:
    from envoymesh.router.actions.weighted import WeightedClusters, WeightedEntry
    from envoymesh.router.rate_limits.descriptors import RateLimit

REDIRECT_STATUS = {
    "MOVED_PERMANENTLY": 301,
    "FOUND": 302,
    "SEE_OTHER": 303,
    "TEMPORARY_REDIRECT": 307,
    "PERMANENT_REDIRECT": 308,
}
CLUSTER_NOT_FOUND_STATUS = {"SERVICE_UNAVAILABLE": 503, "NOT_FOUND": 404, "INTERNAL_SERVER_ERROR": 500}
MAX_WEIGHT = 2**32 - 1
HOST_PREDICATES = {
    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": "previous_hosts",
    "envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate": "omit_canary_hosts",
    "envoy.extensions.retry.host.omit_host_metadata.v3.OmitHostMetadataConfig": "omit_host_metadata",
    "envoy.retry_host_predicates.previous_hosts": "previous_hosts",
    "envoy.retry_host_predicates.omit_canary_hosts": "omit_canary_hosts",
    "envoy.retry_host_predicates.omit_host_metadata": "omit_host_metadata",
}
"""By the type of their configuration, or, without any, by their name."""
_CLUSTER_SPECIFIER = "envoy.extensions.router.cluster_specifiers.matcher.v3."
CLUSTER_MATCHER = _CLUSTER_SPECIFIER + "MatcherClusterSpecifier"
CLUSTER_ACTION = _CLUSTER_SPECIFIER + "ClusterAction"
TEMPLATE_REWRITE = "envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig"
REWRITER = "envoy.path.rewrite.uri_template.uri_template_rewriter"
MATCHER = "envoy.path.match.uri_template.uri_template_matcher"
PREVIOUS_PRIORITIES = "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"


def read_action(reader: Reader, context: RouteFactoryContext, path: PathMatcher | None = None) -> Action:
    """Read what a route does; `path` is what it wants of a request's. Errors: ConfigError with the field's path."""
    kind = reader.which("action")
    if kind == "route":
        return _read_cluster_action(reader.required("route"), context, reader.string("name"), path)
    if kind == "redirect":
        return _read_redirect(reader.required("redirect"))
    if kind == "direct_response":
        return _read_direct_response(reader.required("direct_response"), context.max_body)
    if kind in ("non_forwarding_action", "filter_action"):
        # As in Envoy: such routes are for other users of route tables; a connection manager finds no cluster there.
        reader.accept(kind)
        return ClusterAction("")
    raise reader.error(kind or "action", "route action is not supported by envoymesh")


def _read_cluster_action(
    reader: Reader, context: RouteFactoryContext, route_name: str, path: PathMatcher | None
) -> ClusterAction:
    # Envoy asks it only of connections with early data of their own, which TCP's are not here.
    reader.accept("early_data_policy")
    # Envoy's API has it, and nothing of Envoy reads it.
    reader.accept("retry_policy_typed_config")
    upgrades, connect = _read_upgrades(reader)
    action = ClusterAction(
        cluster=reader.string("cluster"),
        timeout=reader.duration("timeout", 15.0) or 0.0,
        idle_timeout=reader.duration("idle_timeout"),
        flush_timeout=reader.duration("flush_timeout"),
        cluster_matcher=_read_cluster_matcher(reader, context),
        cluster_not_found_status=CLUSTER_NOT_FOUND_STATUS[reader.enum("cluster_not_found_response_code")],
        retry=read_retry_policy(reader),
        cors=read_cors(reader, context),
        cluster_header=reader.string("cluster_header").lower().encode(),
        rewrites=_read_rewrites(reader, path),
        stream_duration=_read_stream_duration(reader),
        grpc_timeout=_read_grpc_timeout(reader),
        internal_redirect=_read_internal_redirect(reader, route_name),
        hash_policy=_read_hash_policy(reader),
        mirrors=read_mirror_policies(reader, context),
        metadata_match=read_criteria(reader, "metadata_match"),
        rate_limits=read_rate_limits(reader, context),
        high_priority=reader.enum("priority") == "HIGH",
        include_virtual_host_rate_limits=reader.boolean("include_vh_rate_limits"),
        hedges=read_hedge_policy(reader, context.hedges),
        upgrades=upgrades,
        connect=connect,
    )
    weighted = reader.message_("weighted_clusters")
    return (
        action if weighted is None else replace(action, weighted=_read_weighted(weighted, context, action, route_name))
    )


def read_cluster_specifiers(reader: Reader) -> Mapping[str, MatchTree]:
    """Read `cluster_specifier_plugins` of a route configuration, by their names. Errors: ConfigError."""
    read = [_read_cluster_specifier(each) for each in reader.repeated("cluster_specifier_plugins")]
    return dict(read)


def _read_cluster_specifier(reader: Reader) -> tuple[str, MatchTree]:
    reader.accept("is_optional")  # of plugins that nobody knows, which are refused all the same
    extension = reader.required("extension")
    config, name = extension.any_("typed_config"), extension.string("name")
    if config is None or config.type_name != CLUSTER_MATCHER:
        kind = name if config is None else config.type_name
        raise reader.error("extension", f"cluster specifier plugin {kind} is not supported by envoymesh")
    return name, read_match_tree(config.required("cluster_matcher"), MatchTreeFactoryContext(_read_cluster_name))


def _read_cluster_name(reader: Reader) -> str:
    if reader.type_name != CLUSTER_ACTION:
        raise reader.error("", f"Action in cluster matcher should be ClusterAction, not {reader.type_name}")
    return reader.string("cluster")


def _read_cluster_matcher(reader: Reader, context: RouteFactoryContext) -> MatchTree | None:
    """The matcher of a route's cluster specifier plugin, of its own or by name."""
    inline, name = reader.message_("inline_cluster_specifier_plugin"), reader.string("cluster_specifier_plugin")
    if inline is not None:
        return _read_cluster_specifier(inline)[1]
    if name and name not in context.cluster_specifiers:
        raise reader.error(
            "cluster_specifier_plugin", f"Unknown cluster specifier plugin name: {name} is used in the route"
        )
    return context.cluster_specifiers.get(name)


def _read_upgrades(reader: Reader) -> tuple[dict[bytes, bool], ConnectConfig | None]:
    """`upgrade_configs`: what is taken by kind, and whether tunnels end here."""
    upgrades: dict[bytes, bool] = {}
    connect = None
    for each in reader.repeated("upgrade_configs"):
        name = each.string("upgrade_type")
        kind = name.lower().encode()
        if kind in upgrades:
            raise each.error("upgrade_type", f"Duplicate upgrade {name}")
        upgrades[kind] = each.boolean("enabled", True)
        config = each.message_("connect_config")
        if config is None:
            continue
        if kind == b"connect-udp":
            raise each.error("connect_config", "datagrams in tunnels are not supported by envoymesh")
        if kind != b"connect":
            raise each.error("connect_config", f"Non-CONNECT upgrade type {name} has ConnectConfig")
        config.refuse("proxy_protocol_config", "is not supported by envoymesh: it writes no PROXY protocol")
        connect = ConnectConfig(config.boolean("allow_post"))
    return upgrades or NO_UPGRADES, connect


def _read_weighted(
    reader: Reader, context: RouteFactoryContext, action: ClusterAction, route_name: str
) -> WeightedClusters:
    from envoymesh.router.actions.weighted import WeightedClusters

    # Deprecated, and of no effect in Envoy: the total is the sum.
    reader.accept("total_weight")
    prefix = reader.string("runtime_key_prefix")
    entries = reader.each("clusters", lambda each: _read_weighted_entry(each, context, prefix))
    total = sum(entry.weight.value for entry in entries)
    if total > MAX_WEIGHT:
        raise reader.error(
            "clusters", f"The sum of weights of all weighted clusters of route {route_name} exceeds {MAX_WEIGHT}"
        )
    if not total:
        raise reader.error("clusters", "Sum of weights in the weighted_cluster must be greater than 0.")
    return WeightedClusters(
        entries=entries,
        start=context.random(),
        header_name=reader.string("header_name").lower().encode(),
        hash_policy=action.hash_policy if reader.boolean("use_hash_policy") else None,
    )


def _read_weighted_entry(reader: Reader, context: RouteFactoryContext, prefix: str) -> WeightedEntry:
    from envoymesh.router.actions.weighted import WeightedEntry

    name, header = reader.string("name"), reader.string("cluster_header")
    if bool(name) == bool(header):
        several = "Only one of name or cluster_header can be specified"
        raise reader.error("name", several if name else "At least one of name or cluster_header need to be specified")
    if not reader.has("weight"):
        raise reader.error("weight", "Field 'weight' is missing")
    weight = reader.integer("weight")
    return WeightedEntry(
        cluster=name,
        weight=context.runtime.number(f"{prefix}.{name}", weight) if prefix else RuntimeNumber("", weight, None),
        cluster_header=header.lower().encode(),
        header_parsers=read_header_parsers(reader),
        filter_configs=read_filter_configs(reader, context),
        host_rewrite=reader.string("host_rewrite_literal").encode(),
        metadata_match=read_criteria(reader, "metadata_match"),
    )


# Rewrites


def _read_rewrites(reader: Reader, path: PathMatcher | None) -> Rewrites | None:
    made = Rewrites(
        path=_read_path_rewrite(reader, path),
        host=_read_host_rewrite(reader),
        auto_host=reader.boolean("auto_host_rewrite"),
        append_x_forwarded_host=reader.boolean("append_x_forwarded_host"),
    )
    return made if made.path is not None or made.host is not None or made.auto_host else None


def _read_path_rewrite(reader: Reader, path: PathMatcher | None) -> PathRewrite | None:
    fields = ("prefix_rewrite", "regex_rewrite", "path_rewrite_policy", "path_rewrite")
    chosen = [field for field in fields if reader.has(field)]
    if len(chosen) > 1:
        message = "Specify only one of prefix_rewrite, regex_rewrite or path_rewrite_policy"
        raise reader.error(chosen[1], message)
    if not chosen:
        return None
    if chosen[0] == "prefix_rewrite":
        return PrefixRewrite(reader.string("prefix_rewrite").encode())
    if chosen[0] == "regex_rewrite":
        return RegexRewrite(_read_substitution(reader.required("regex_rewrite")))
    if chosen[0] == "path_rewrite":
        return FormatPathRewrite(compile_text(reader, "path_rewrite", reader.string("path_rewrite"), True))
    return _read_rewrite_policy(reader, path)


def _read_rewrite_policy(reader: Reader, path: PathMatcher | None) -> PathRewrite:
    """Read `path_rewrite_policy`. Errors: ConfigError, in Envoy's words."""
    policy = reader.any_("path_rewrite_policy")
    if policy is None or policy.type_name != TEMPLATE_REWRITE:
        raise reader.error("path_rewrite_policy", "path rewrite policy is not supported by envoymesh")
    if not isinstance(path, TemplatePath):
        raise reader.error("path_rewrite_policy", f"unable to use {REWRITER} extension without {MATCHER} extension")
    text = policy.string("path_template_rewrite")
    try:
        return TemplateRewrite(path.template, text)
    except KeyError:
        names = f"path_match_policy {path.template.template} and path_rewrite_policy {text}"
        raise policy.error("path_template_rewrite", f"mismatch between variables in {names}") from None
    except ValueError:
        raise policy.error(
            "path_template_rewrite", f"path_rewrite_policy.path_template_rewrite {text} is invalid"
        ) from None


def _read_host_rewrite(reader: Reader) -> HostRewrite | None:
    kind = reader.which("host_rewrite_specifier")
    if kind == "host_rewrite_literal":
        literal = reader.string(kind).encode()
        return LiteralHost(literal) if literal else None
    if kind == "host_rewrite_header":
        name = reader.string(kind).lower().encode()
        return HeaderHost(name) if name else None
    if kind == "host_rewrite_path_regex":
        return PathRegexHost(_read_substitution(reader.required(kind)))
    if kind == "host_rewrite" and reader.string(kind):
        return FormatHost(compile_text(reader, kind, reader.string(kind)))
    return None


def _read_substitution(reader: Reader) -> RegexSubstitution:
    """Read an envoy.type.matcher.v3.RegexMatchAndSubstitute. Errors: ConfigError with RE2's reason."""
    pattern = reader.required("pattern")
    # RE2 is the only engine there is, here and in Envoy.
    pattern.accept("google_re2")
    try:
        return RegexSubstitution(pattern.string("regex"), reader.string("substitution"))
    except ValueError as error:
        raise pattern.error("regex", f"invalid regex: {error}") from None


# Time


def _read_stream_duration(reader: Reader) -> StreamDuration | None:
    duration = reader.message_("max_stream_duration")
    if duration is None:
        return None
    return StreamDuration(
        longest=duration.duration("max_stream_duration"),
        grpc_longest=duration.duration("grpc_timeout_header_max"),
        grpc_offset=duration.duration("grpc_timeout_header_offset", 0.0) or 0.0,
    )


def _read_grpc_timeout(reader: Reader) -> GrpcTimeout | None:
    longest, offset = reader.duration("max_grpc_timeout"), reader.duration("grpc_timeout_offset", 0.0)
    return None if longest is None else GrpcTimeout(longest, offset or 0.0)


# Retries


def read_hedge_policy(parent: Reader, otherwise: bool) -> bool:
    """Read `hedge_on_per_try_timeout` of a `hedge_policy`; `otherwise` is the level's above, where there is none."""
    reader = parent.message_("hedge_policy")
    if reader is None:
        return otherwise
    # Envoy reads and checks these two, and nothing of it uses them.
    reader.accept("initial_requests")
    reader.accept("additional_request_chance")
    return reader.boolean("hedge_on_per_try_timeout")


def read_retry_policy(parent: Reader) -> RetryPolicy | None:
    """Read `retry_policy` of a route action or a virtual host. Errors: ConfigError."""
    reader = parent.message_("retry_policy")
    if reader is None:
        return None
    # As in Envoy a word that nobody knows asks for nothing.
    conditions = frozenset(item.strip() for item in reader.string("retry_on").split(",")) & KNOWN_CONDITIONS
    base, longest = _read_back_off(reader)
    return RetryPolicy(
        retry_on=conditions,
        num_retries=reader.integer("num_retries", 1),
        per_try_timeout=reader.duration("per_try_timeout", 0.0) or 0.0,
        retriable_status_codes=frozenset(int(code) for code in reader.strings("retriable_status_codes")),
        base_interval=base,
        max_interval=longest,
        host_predicates=_read_host_predicates(reader),
        previous_priorities_frequency=_read_retry_priority(reader.message_("retry_priority")),
        host_selection_attempts=reader.integer("host_selection_retry_max_attempts", 1) or 1,
        per_try_idle_timeout=reader.duration("per_try_idle_timeout", 0.0) or 0.0,
        retriable_headers=[read_header_matcher(each) for each in reader.repeated("retriable_headers")],
        retriable_request_headers=[read_header_matcher(each) for each in reader.repeated("retriable_request_headers")],
        rate_limited_back_off=_read_rate_limited_back_off(reader),
    )


def _read_back_off(reader: Reader) -> tuple[float, float]:
    """Base and longest interval; 0 is what the runtime says, and ten times the base."""
    back_off = reader.message_("retry_back_off")
    if back_off is None:
        return 0.0, 0.0
    # As in Envoy, whose timers count milliseconds, the interval is one millisecond at least.
    base = max(back_off.duration("base_interval", 0.0) or 0.0, 0.001)
    longest = back_off.duration("max_interval", 0.0) or 0.0
    if longest and longest < base:
        raise back_off.error(
            "max_interval", "retry_policy.max_interval must greater than or equal to the base_interval"
        )
    return base, longest


def _read_host_predicates(reader: Reader) -> HostPredicates:
    kinds: set[str] = set()
    metadata: list[MatchCriteria] = []
    for predicate in reader.repeated("retry_host_predicate"):
        config, name = predicate.any_("typed_config"), predicate.string("name")
        kind = name if config is None else config.type_name
        if kind not in HOST_PREDICATES:
            raise predicate.error("name", f"Didn't find a registered implementation for name: '{kind}'")
        kinds.add(HOST_PREDICATES[kind])
        if config is not None and HOST_PREDICATES[kind] == "omit_host_metadata":
            labels = read_criteria(config, "metadata_match")
            # As in Envoy an empty list of labels omits no host.
            metadata += [labels] if labels else []
    return HostPredicates("previous_hosts" in kinds, "omit_canary_hosts" in kinds, tuple(metadata))


def _read_retry_priority(reader: Reader | None) -> int:
    """`update_frequency` of `previous_priorities`; 0 where there is no retry priority."""
    if reader is None:
        return 0
    config, name = reader.any_("typed_config"), reader.string("name")
    kind = name if config is None else config.type_name
    if kind != PREVIOUS_PRIORITIES:
        raise reader.error("name", f"Didn't find a registered implementation for name: '{kind}'")
    return config.integer("update_frequency") if config is not None else 0


def read_criteria(reader: Reader, field: str) -> MatchCriteria | None:
    """Read what an envoy.config.core.v3.Metadata has for balancers (``envoy.lb``); None where it has nothing."""
    spaces = reader.struct(field)
    return match_criteria(spaces["envoy.lb"]) if "envoy.lb" in spaces else None


def _read_rate_limited_back_off(reader: Reader) -> RateLimitedBackOff | None:
    back_off = reader.message_("rate_limited_retry_back_off")
    if back_off is None:
        return None
    headers = [
        ResetHeader(each.string("name").lower().encode(), each.enum("format") == "UNIX_TIMESTAMP")
        for each in back_off.repeated("reset_headers")
    ]
    longest = back_off.duration("max_interval")
    return RateLimitedBackOff(headers, 300.0 if longest is None else max(longest, 0.001))


# Redirects and answers


PREDICATES = "envoy.extensions.internal_redirect."


def _read_internal_redirect(reader: Reader, route_name: str) -> InternalRedirectPolicy | None:
    """`internal_redirect_policy`, or the two deprecated fields in its place."""
    follows, longest = reader.enum("internal_redirect_action"), reader.integer("max_internal_redirects", 1)
    policy = reader.message_("internal_redirect_policy")
    if policy is None:
        wanted = follows == "HANDLE_INTERNAL_REDIRECT"
        return InternalRedirectPolicy(route_name, longest) if wanted else None
    headers = [name.lower() for name in policy.strings("response_headers_to_copy")]
    if any(is_protected(name) for name in headers):
        raise policy.error("response_headers_to_copy", ":-prefixed headers or Hosts may not be specified here.")
    codes = frozenset(policy.integers("redirect_response_codes"))
    made = InternalRedirectPolicy(
        route_name=route_name,
        max_redirects=policy.integer("max_internal_redirects", 1),
        codes=codes & REDIRECT_CODES if codes else frozenset({302}),
        allow_cross_scheme=policy.boolean("allow_cross_scheme_redirect"),
        headers_to_copy=[name.encode() for name in headers],
    )
    for predicate in policy.repeated("predicates"):
        made = _with_predicate(made, predicate)
    return made


def _with_predicate(policy: InternalRedirectPolicy, reader: Reader) -> InternalRedirectPolicy:
    # The type says which predicate it is, as in Envoy.
    reader.accept("name")
    config = reader.any_("typed_config")
    kind = "" if config is None else config.type_name
    if config is None or not kind.startswith(PREDICATES):
        raise reader.error("typed_config", f"internal redirect predicate {kind} is not supported by envoymesh")
    if kind.endswith("PreviousRoutesConfig"):
        return replace(policy, previous_routes=True)
    if kind.endswith("SafeCrossSchemeConfig"):
        return replace(policy, safe_cross_scheme=True)
    allowed = frozenset(config.strings("allowed_route_names"))
    return replace(policy, allowed_routes=allowed if policy.allowed_routes is None else allowed & policy.allowed_routes)


def _read_direct_response(reader: Reader, max_body: int) -> DirectResponseAction:
    body = reader.data_source("body")
    if len(body) > max_body:
        raise reader.error("body", f"response body size is {len(body)} bytes; maximum is {max_body}")
    body_format = reader.message_("body_format")
    return DirectResponseAction(
        reader.integer("status"), body, None if body_format is None else read_body_format(body_format)
    )


def _read_redirect(reader: Reader) -> RedirectAction:
    scheme = b"https" if reader.boolean("https_redirect") else reader.string("scheme_redirect").encode()
    regex = reader.message_("regex_rewrite")
    return RedirectAction(
        status=REDIRECT_STATUS[reader.enum("response_code")],
        scheme=scheme,
        host=reader.string("host_redirect").encode(),
        port=reader.integer("port_redirect"),
        path=reader.string("path_redirect").encode(),
        prefix_rewrite=reader.string("prefix_rewrite").encode(),
        strip_query=reader.boolean("strip_query"),
        regex_rewrite=None if regex is None else _read_substitution(regex),
    )


# Hash policies


def read_mirror_policies(reader: Reader, context: RouteFactoryContext) -> tuple[MirrorPolicy, ...]:
    """Read `request_mirror_policies` of one level. Errors: ConfigError, in Envoy's words."""
    return tuple(_read_mirror_policy(each, context) for each in reader.repeated("request_mirror_policies"))


def _read_mirror_policy(reader: Reader, context: RouteFactoryContext) -> MirrorPolicy:
    cluster, header = reader.string("cluster"), reader.string("cluster_header").lower()
    if cluster and header:
        text = f"Only one of cluster '{cluster}' or cluster_header '{header}' in request mirror policy can be specified"
        raise reader.error("cluster", text)
    if not cluster and not header:
        text = "Exactly one of cluster or cluster_header in request mirror policy need to be specified"
        raise reader.error("cluster", text)
    # It decides about tracing, which does not exist here.
    reader.accept("trace_sampled")
    return MirrorPolicy(
        cluster=cluster,
        cluster_header=header.encode(),
        chance=read_runtime_share(reader, "runtime_fraction", context),
        host_rewrite=reader.string("host_rewrite_literal").encode(),
        mutations=[_read_header_mutation(each) for each in reader.repeated("request_headers_mutations")],
        add_suffix=not reader.boolean("disable_shadow_host_suffix_append"),
    )


def _read_header_mutation(reader: Reader) -> HeaderParser | RemoveOnMatch:
    """Read an envoy.config.common.mutation_rules.v3.HeaderMutation. Errors: ConfigError."""
    kind = reader.which("action")
    if kind == "append":
        return HeaderParser([read_header_to_add(reader.required("append"))])
    if kind == "remove_on_match":
        return RemoveOnMatch(read_string_matcher(reader.required("remove_on_match").required("key_matcher")))
    name = reader.string("remove").lower()
    if is_protected(name):
        # Envoy takes it at load, and then loses each request that is mirrored.
        raise reader.error("remove", ":-prefixed or host headers may not be removed")
    return HeaderParser((), [name.encode()])


def _read_hash_policy(reader: Reader) -> HashPolicy | None:
    steps = [step for each in reader.repeated("hash_policy") if (step := _read_hash_step(each)) is not None]
    return HashPolicy(steps) if steps else None


def _read_hash_step(reader: Reader) -> HashStep | None:
    method, terminal = _read_hash_method(reader), reader.boolean("terminal")
    return None if method is None else HashStep(method, terminal)


def _read_hash_method(reader: Reader) -> HashMethod | None:
    kind = reader.which("policy_specifier") or ""
    method = reader.required(kind)
    if kind == "header":
        rewrite = method.message_("regex_rewrite")
        substitution = None if rewrite is None else _read_substitution(rewrite)
        return HeaderHash(method.string("header_name").lower().encode(), substitution)
    if kind == "cookie":
        return _read_cookie(method)
    if kind == "query_parameter":
        return QueryParameterHash(method.string("name").encode())
    if kind == "filter_state":
        return FilterStateHash(method.string("key"))
    return SourceIpHash() if method.boolean("source_ip") else None


def _read_cookie(reader: Reader) -> CookieHash:
    ttl = reader.duration("ttl")
    return CookieHash(
        name=reader.string("name").encode(),
        ttl=None if ttl is None else int(ttl),
        path=reader.string("path").encode(),
        attributes=[
            (each.string("name").encode(), each.string("value").encode()) for each in reader.repeated("attributes")
        ],
    )


# Rate limits


def read_rate_limits(parent: Reader, context: RouteFactoryContext) -> Sequence[RateLimit]:
    """Read `rate_limits` of a route action or a virtual host. Errors: ConfigError with the field's path."""
    if not parent.repeated("rate_limits"):
        return ()
    from envoymesh.router.rate_limits.config import read_rate_limit

    return tuple(parent.each("rate_limits", lambda each: read_rate_limit(each, context)))
