"""/server_info, /ready, /hot_restart_version, health checks and the exit."""

import json

import pytest

from envoymesh.admin.views import ServerState


def test_server_info(ask) -> None:
    response = ask("/server_info")
    assert response.content_type == "application/json"
    info = json.loads(response.body)
    assert list(info) == [
        "version", "state", "uptime_current_epoch", "uptime_all_epochs", "hot_restart_version",
        "command_line_options", "node", "hot_restart_initializing",
    ]  # fmt: skip
    assert (info["state"], info["uptime_current_epoch"], info["uptime_all_epochs"]) == ("LIVE", "12s", "3600s")
    options = info["command_line_options"]
    assert (options["concurrency"], options["mode"], options["drain_time"]) == (1, "Serve", "600s")
    assert options["config_yaml"] == ""
    assert options["newer_than_the_message"] is True
    assert list(options)[:3] == ["base_id", "concurrency", "config_path"]
    assert (info["node"]["id"], info["node"]["extensions"]) == ("n1", [])


def test_ready_is_200_only_when_live(ask, server) -> None:
    assert (ask("/ready").status, ask("/ready").body) == (200, "LIVE\n")
    server.state = ServerState.PRE_INITIALIZING
    assert (ask("/ready").status, ask("/ready").body) == (503, "PRE_INITIALIZING\n")


def test_hot_restart_version_has_no_end_of_line(ask) -> None:
    assert ask("/hot_restart_version").body == "11.104"


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/quitquitquit", "shutdown"),
        ("/healthcheck/fail", ("fail_health_check", True)),
        ("/healthcheck/ok", ("fail_health_check", False)),
    ],
)
def test_what_changes_the_server(ask, server, target: str, call: object) -> None:
    response = ask(target, "POST")
    assert (response.status, response.body) == (200, "OK\n")
    assert server.calls == [call]
