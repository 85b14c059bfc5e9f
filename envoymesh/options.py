"""The proxy's command line options: one field each, with its default, its help and whether it has any effect.

The command line is made from these fields, and the server and /server_info read them. This module must not parse
anything, nor import anything of the package.
"""

from __future__ import annotations

import os
from dataclasses import Field, dataclass, field, fields
from typing import Any

LOG_LEVELS = ("trace", "debug", "info", "warning", "warn", "error", "critical", "off")
LOG_FORMAT = "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v"
MODES = ("serve", "validate")
DRAIN_STRATEGIES = ("gradual", "immediate")
IP_VERSIONS = ("v4", "v6")


def processors() -> int:
    """How many processors this process may run on, where the system tells (else how many there are)."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


NO_EFFECT = "Accepted for compatibility; it has no effect."


def _flag(default: Any, text: str, *, choices: tuple[str, ...] = (), error: str = "", effect: bool = True) -> Any:
    text = text if effect else f"{text}. {NO_EFFECT}"
    return field(default=default, metadata={"help": text, "choices": choices, "error": error})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What `envoymesh proxy` was started with; field `some_name` is Envoy's flag `--some-name`.

    Times carry their unit in the name. Defaults are Envoy's.
    """

    config_path: str = _flag("", "Path to configuration file")
    config_yaml: str = _flag("", "Inline YAML configuration, merges with the contents of --config-path")
    mode: str = _flag(
        "serve",
        "One of 'serve' (default; validate configs and then serve traffic normally) or 'validate' (validate configs "
        "and exit)",
        choices=MODES,
        error="unknown mode",
    )
    log_level: str = _flag(
        "info",
        "Log levels: " + "".join(f"[{each}]" for each in LOG_LEVELS) + ". Default is [info]",
        choices=LOG_LEVELS,
        error="invalid log level specified",
    )
    component_log_level: str = _flag(
        "", "Comma-separated list of component log levels. For example upstream:debug,config:trace"
    )
    log_format: str = _flag(LOG_FORMAT, f'Log message format in spdlog syntax. Default is "{LOG_FORMAT}"')
    log_path: str = _flag("", "Path to logfile")
    concurrency: int = _flag(
        processors(), "# of worker processes to run, 1 at least. Default is the number of processors"
    )
    service_cluster: str = _flag("", "Cluster name")
    service_node: str = _flag("", "Node name")
    service_zone: str = _flag("", "Zone name")
    admin_address_path: str = _flag("", "Admin address path")
    drain_time_s: int = _flag(600, "Drain time in seconds; a stopping server waits no longer for its connections")
    drain_strategy: str = _flag(
        "gradual",
        "Drain sequence behaviour, one of 'gradual' (default) or 'immediate'",
        choices=DRAIN_STRATEGIES,
        error="unknown drain-strategy",
    )
    parent_shutdown_time_s: int = _flag(900, "Hot restart parent shutdown time in seconds", effect=False)
    base_id: int = _flag(0, "Base ID so that multiple envoys can run on the same host if needed", effect=False)
    use_dynamic_base_id: bool = _flag(False, "The server chooses a base ID dynamically", effect=False)
    disable_hot_restart: bool = _flag(False, "Disable hot restart functionality", effect=False)
    allow_unknown_static_fields: bool = _flag(False, "Allow unknown fields in static configuration")
    reject_unknown_dynamic_fields: bool = _flag(
        False, "Reject unknown fields in dynamic configuration, which is not supported yet", effect=False
    )
    local_address_ip_version: str = _flag(
        "v4",
        "The local IP address version (v4 or v6)",
        choices=IP_VERSIONS,
        error="unknown local address IP version",
    )
    filter: str = _flag("", "A Python file whose HTTP filter runs before each router (docs/filters.md)")
    file_flush_interval_msec: int = _flag(10000, "Interval for log flushing in msec")

    def command_line_options(self) -> dict[str, object]:
        """The `command_line_options` of /server_info (envoy.admin.v3.CommandLineOptions), by the message's names."""
        return {
            **_SHOWN_AND_NOT_GIVEN,
            **{name: getattr(self, name) for name in _SHOWN_AS_THEY_ARE},
            "concurrency": max(1, self.concurrency),
            "base_id": str(self.base_id),
            "mode": self.mode.capitalize(),
            "drain_strategy": self.drain_strategy.capitalize(),
            "log_level": "warning" if self.log_level == "warn" else self.log_level,
            "file_flush_interval": _duration(self.file_flush_interval_msec),
            "drain_time": f"{self.drain_time_s}s",
            "parent_shutdown_time": f"{self.parent_shutdown_time_s}s",
        }


_SHOWN_AS_THEY_ARE = (
    "concurrency",
    "config_path",
    "config_yaml",
    "allow_unknown_static_fields",
    "reject_unknown_dynamic_fields",
    "admin_address_path",
    "local_address_ip_version",
    "component_log_level",
    "log_format",
    "log_path",
    "service_cluster",
    "service_node",
    "service_zone",
    "disable_hot_restart",
    "use_dynamic_base_id",
)


# Envoy's options that cannot be given here, with the values that /server_info shows where they are not given.
_SHOWN_AND_NOT_GIVEN: dict[str, object] = {
    "socket_path": "@envoy_domain_socket",
    "file_flush_min_size": 0,
    "log_stacktrace_single_entry": False,
}


def _duration(milliseconds: int) -> str:
    """A google.protobuf.Duration in JSON, which has 0, 3, 6 or 9 decimals."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds}.{rest:03}s" if rest else f"{seconds}s"


def flags() -> tuple[Field[Any], ...]:
    """The fields of Options; each one's metadata has `help` (text), `choices` and `error` (said of a wrong choice)."""
    return fields(Options)
