"""/logging: listing, changing, refusing; and /reopen_logs."""

import pytest


def test_levels_are_listed(ask) -> None:
    assert ask("/logging", "POST").body == "active loggers:\n  admin: info\n  http: info\n  main: warning\n\n"


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("http=debug", {"admin": "info", "http": "debug", "main": "warning"}),
        ("level=off", {"admin": "off", "http": "off", "main": "off"}),
        ("paths=http:trace,main:error", {"admin": "info", "http": "trace", "main": "error"}),
        ("paths=&group=&level=debug", {"admin": "debug", "http": "debug", "main": "debug"}),
        ("level=", {"admin": "info", "http": "info", "main": "warning"}),
    ],
)
def test_levels_are_changed(ask, context, query: str, levels: dict[str, str]) -> None:
    assert ask(f"/logging?{query}", "POST").status == 200
    assert context.log_levels.levels() == levels


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("level=loud", "unknown logger level"),
        ("http=loud", "unknown logger level"),
        ("nobody=debug", "unknown logger name"),
        ("paths=http:debug,nobody:debug", "unknown logger name"),
        ("paths=http", "empty logger name or empty logger level"),
        ("group=http:debug", "group parameter requires fine-grain logging to be enabled"),
        ("http=debug&level=info", "invalid number of parameters"),
    ],
)
def test_what_cannot_be_set_changes_nothing(ask, context, query: str, error: str) -> None:
    response = ask(f"/logging?{query}", "POST")
    assert response.status == 400
    assert response.body.startswith(f"error: {error}\n\nusage: /logging?<name>=<level> (change single level)\n")
    assert "levels: trace debug info warning error critical off \nactive loggers:\n  admin: info\n" in response.body
    assert context.log_levels.levels() == {"admin": "info", "http": "info", "main": "warning"}


def test_logs_are_reopened(ask, server) -> None:
    response = ask("/reopen_logs", "POST")
    assert (response.status, response.body) == (200, "OK\n")
    assert server.calls == ["reopen_logs"]
