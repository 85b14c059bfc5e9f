"""The endpoints of one line: /ready, /hot_restart_version and those that answer OK."""

import pytest

from envoymesh.admin.views import ServerState


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
        ("/reopen_logs", "reopen_logs"),
        ("/healthcheck/fail", ("fail_health_check", True)),
        ("/healthcheck/ok", ("fail_health_check", False)),
        ("/drain_listeners", ("drain_listeners", False, False, False)),
        ("/drain_listeners?graceful&inboundonly", ("drain_listeners", True, True, False)),
        ("/drain_listeners?skip_exit", ("drain_listeners", False, False, True)),
    ],
)
def test_what_changes_the_server(ask, server, target: str, call: object) -> None:
    response = ask(target, "POST")
    assert (response.status, response.body) == (200, "OK\n")
    assert server.calls == [call]


def test_reset_counters(ask, context) -> None:
    counter = context.store.scope("a.").counter("x")
    counter.inc()
    assert ask("/reset_counters", "POST").body == "OK\n"
    assert counter.value == 0


def test_contention_is_not_traced(ask) -> None:
    assert ask("/contention").body.startswith("Mutex contention tracing is not enabled.")
