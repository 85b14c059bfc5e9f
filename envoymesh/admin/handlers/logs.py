"""/logging and /reopen_logs: log levels, and files after a rotation.

It must not know how a level takes effect, nor which logs there are.
"""

from envoymesh.admin.context import AdminParts, LogLevels
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import OK, Request, Response, bad_request

LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")

_USAGE = f"""
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
levels: {"".join(f"{level} " for level in LEVELS)}
"""


class _RefusedError(Exception):
    """The request asks for something that cannot be set."""


def logging(context: AdminParts, request: Request) -> Response:
    """Make the one change that is asked for, if any, and list the levels."""
    try:
        _change(context.log_levels, request.params)
    except _RefusedError as refused:
        return bad_request(f"error: {refused}\n{_USAGE}{_listing(context.log_levels)}")
    return Response(_listing(context.log_levels))


def _listing(loggers: LogLevels) -> str:
    lines = [f"  {name}: {level}\n" for name, level in loggers.levels().items()]
    return f"active loggers:\n{''.join(lines)}\n"


def _change(loggers: LogLevels, params: dict[str, str]) -> None:
    # A form sends every field it has, filled in or not.
    given = {name: value for name, value in params.items() if value}
    if len(given) > 1:
        raise _RefusedError("invalid number of parameters")
    for name, value in given.items():
        if name == "group":
            raise _RefusedError("group parameter requires fine-grain logging to be enabled")
        if name == "level":
            loggers.set_all(_level(value))
        elif name == "paths":
            _set(loggers, _paths(value))
        else:
            _set(loggers, {name: _level(value)})


def _level(word: str) -> str:
    if word not in LEVELS:
        raise _RefusedError("unknown logger level")
    return word


def _paths(value: str) -> dict[str, str]:
    wanted = {}
    for pair in value.split(","):
        name, _, word = pair.partition(":")
        if not name or not word:
            raise _RefusedError("empty logger name or empty logger level")
        wanted[name] = _level(word)
    return wanted


def _set(loggers: LogLevels, wanted: dict[str, str]) -> None:
    known = loggers.levels()
    if any(name not in known for name in wanted):
        raise _RefusedError("unknown logger name")
    for name, level in wanted.items():
        loggers.set_level(name, level)


def reopen_logs(context: AdminParts, _request: Request) -> Response:
    """Reopen and say OK."""
    context.server.reopen_logs()
    return OK


ENDPOINTS = (
    Endpoint(
        "/logging",
        "query/change logging levels",
        logging,
        mutates=True,
        parameters=(
            Parameter(
                ParameterKind.STRING,
                "paths",
                "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,"
                "<logger_name2>:<desired_level2>. If fine grain logging is enabled, use __FILE__ or a glob experision "
                "as the logger name. For example, source/common*:warning",
            ),
            Parameter(
                ParameterKind.STRING,
                "group",
                "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. "
                "logger_group_name must be a logger name.",
            ),
            Parameter(
                ParameterKind.ENUM,
                "level",
                "desired logging level, this will change all loggers's level",
                ("", *LEVELS),
            ),
        ),
    ),
    Endpoint("/reopen_logs", "reopen access logs", reopen_logs, mutates=True),
)
