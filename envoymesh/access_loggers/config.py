"""envoy.config.accesslog.v3.AccessLog -> access loggers, and SubstitutionFormatString -> formatters.

Each function reads one message through a `Reader`; a field that is not read here is refused by its path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envoymesh.access_loggers import filters
from envoymesh.access_loggers.filters import LogFilter
from envoymesh.access_loggers.logger import DEFAULT_FORMAT, AccessLog, AccessLogFile, LineFormatter
from envoymesh.config.reader import Reader
from envoymesh.formatter import Formatter
from envoymesh.formatter.config import compile_json, compile_text, read_format
from envoymesh.http.stream_info import FLAG_NAMES
from envoymesh.matching.config import read_header_matcher, read_value_matcher
from envoymesh.runtime import RuntimeNumber, RuntimeReader
from envoymesh.scripting.script import Scripts

FILE_ACCESS_LOG = "envoy.extensions.access_loggers.file.v3.FileAccessLog"
PYTHON_ACCESS_LOG = "envoymesh.access_loggers.PythonAccessLog"
ACCESS_LOG_PATHS = {
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": "/dev/stdout",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog": "/dev/stderr",
}


@dataclass(frozen=True, slots=True)
class AccessLogFactoryContext:
    """What access logs need from the server.

    Args:
        open_log: opens the log file of a path; one path gives one file.
        runtime: gives filters the keys that they name.
        random: gives numbers in [0, 1), for `runtime_filter`.
        scripts: watches users' files; None where there can be none.
    """

    open_log: Callable[[str], AccessLogFile]
    runtime: RuntimeReader
    random: Callable[[], float]
    scripts: Scripts | None = None


def read_access_log(reader: Reader, context: AccessLogFactoryContext) -> AccessLog:
    """Read one access log: file, stdout or stderr. Errors: ConfigError with the field's path."""
    # The name says which extension is meant; the type of typed_config is what decides, as in Envoy.
    reader.accept("name")
    config = reader.any_()
    if config is None:
        raise reader.error("typed_config", "an access log needs a typed_config")
    if config.type_name == FILE_ACCESS_LOG:
        path = config.string("path")
    elif config.type_name in ACCESS_LOG_PATHS:
        path = ACCESS_LOG_PATHS[config.type_name]
    elif config.type_name == PYTHON_ACCESS_LOG and context.scripts is not None:
        return _read_python_log(reader, config, context, context.scripts)
    else:
        raise reader.error("typed_config", f"access logger {config.type_name} is not supported by envoymesh")
    return AccessLog(_read_format(config), context.open_log(path), _read_wanted(reader, context))


def _read_wanted(reader: Reader, context: AccessLogFactoryContext) -> LogFilter | None:
    chosen = reader.message_("filter")
    return None if chosen is None else read_filter(chosen, context)


def _read_python_log(reader: Reader, config: Reader, context: AccessLogFactoryContext, scripts: Scripts) -> AccessLog:
    # Not at the top: only who has one pays for it.
    from envoymesh.access_loggers.python_log import KIND, NoFile, PythonLines
    from envoymesh.scripting.config import read_script, read_text

    script, values = read_script(config, KIND, scripts, "path")
    path = read_text(config, values, "path")
    file = context.open_log(path) if path else NoFile()
    return AccessLog(PythonLines(script, scripts), file, _read_wanted(reader, context))


def default_access_log(path: str, context: AccessLogFactoryContext) -> AccessLog:
    """A file of lines in Envoy's default format. Errors: ConfigError where it cannot be opened."""
    return AccessLog(Formatter(DEFAULT_FORMAT), context.open_log(path))


# Formats


def _read_format(config: Reader) -> LineFormatter:
    if config.type_name == FILE_ACCESS_LOG and config.has("format"):
        return compile_text(config, "format", config.string("format"))
    if config.type_name == FILE_ACCESS_LOG and config.has("typed_json_format"):
        return compile_json(config, "typed_json_format", False, ())
    log_format = config.message_("log_format")
    return Formatter(DEFAULT_FORMAT) if log_format is None else _read_log_format(log_format)


def _read_log_format(reader: Reader) -> LineFormatter:
    reader.accept("content_type")  # a log line has none: only the formats of bodies use it
    return read_format(reader)


# Filters

DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


def read_filter(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    """Read an AccessLogFilter. Errors: ConfigError for one that is not supported."""
    kind = reader.which("filter_specifier") or ""
    if kind not in _FILTERS:
        raise reader.error(kind, f"access log filter {kind} is not supported by envoymesh")
    return _FILTERS[kind](reader.required(kind), context)


def _read_comparison(reader: Reader, context: AccessLogFactoryContext) -> tuple[str, RuntimeNumber]:
    comparison = reader.required("comparison")
    value = comparison.required("value")
    return comparison.enum("op"), context.runtime.number(value.string("runtime_key"), value.integer("default_value"))


def _read_status_code(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.status_code_filter(*_read_comparison(reader, context))


def _read_duration(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.duration_filter(*_read_comparison(reader, context))


def _read_flags(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    names = frozenset(reader.strings("flags"))
    # A flag that this proxy never sets matches no request. A filter of such flags alone must not become one of 0,
    # which means "any flag".
    chosen = sum(bit for bit, short, _ in FLAG_NAMES if short in names)
    return filters.constant_filter(False) if names and not chosen else filters.response_flag_filter(chosen)


def _read_header(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.header_filter(read_header_matcher(reader.required("header")))


def _read_runtime(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    share = reader.message_("percent_sampled")
    return filters.RuntimeFilter(
        numerator=context.runtime.number(
            reader.string("runtime_key"), 0 if share is None else share.integer("numerator")
        ),
        denominator=100 if share is None else _denominator(share),
        independent=reader.boolean("use_independent_randomness"),
        random=context.random,
    )


def _denominator(share: Reader) -> int:
    return DENOMINATORS[share.enum("denominator")]


def _read_and(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.and_filter([read_filter(each, context) for each in reader.repeated("filters")])


def _read_or(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.or_filter([read_filter(each, context) for each in reader.repeated("filters")])


GRPC_STATUSES = (
    "OK", "CANCELED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


def _read_grpc_status(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    statuses = frozenset(GRPC_STATUSES.index(name) for name in reader.enums("statuses"))
    return filters.grpc_status_filter(statuses, reader.boolean("exclude"))


def _read_log_type(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.log_type_filter(frozenset(reader.enums("types")), reader.boolean("exclude"))


def _read_not_health_check(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    return filters.not_health_check_filter


def _read_traceable(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    raise reader.error("", "traceable_filter is not supported by envoymesh: nothing is traced")


def _read_metadata(reader: Reader, context: AccessLogFactoryContext) -> LogFilter:
    default = reader.boolean("match_if_key_not_found", True)
    matcher = reader.message_("matcher")
    if matcher is None:
        return filters.constant_filter(default)
    matcher.accept("invert")  # of no effect in Envoy's metadata_filter either
    path = [segment.string("key") for segment in matcher.repeated("path")]
    value = read_value_matcher(matcher.required("value"))
    return filters.metadata_filter(matcher.string("filter"), path, value, default)


_FILTERS: dict[str, Callable[[Reader, AccessLogFactoryContext], LogFilter]] = {
    "status_code_filter": _read_status_code,
    "duration_filter": _read_duration,
    "not_health_check_filter": _read_not_health_check,
    "traceable_filter": _read_traceable,
    "runtime_filter": _read_runtime,
    "and_filter": _read_and,
    "or_filter": _read_or,
    "header_filter": _read_header,
    "response_flag_filter": _read_flags,
    "grpc_status_filter": _read_grpc_status,
    "metadata_filter": _read_metadata,
    "log_type_filter": _read_log_type,
}
