"""The list of endpoints, /help, /, 404 and 405, as the real Envoy answers."""

from envoymesh.admin.messages import HTML
from envoymesh.admin.registry import all_endpoints


def test_endpoints_are_by_path_and_each_once() -> None:
    paths = [endpoint.path for endpoint in all_endpoints()]
    assert paths == sorted(set(paths))
    assert {"/", "/help", "/stats", "/stats/prometheus", "/clusters", "/quitquitquit"} <= set(paths)


def test_help_lists_methods_and_parameters(ask) -> None:
    lines = ask("/help").body.splitlines()
    assert lines[:2] == ["admin commands are:", "  /: Admin home page"]
    assert "  /certs: print certs on machine" in lines
    assert "  /quitquitquit (POST): exit the server" in lines
    assert "      type: Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)" in lines
    assert "      usedonly: Only include stats that have been written by system since restart" in lines


def test_an_unknown_path_gets_the_help(ask) -> None:
    response = ask("/certs/")
    assert response.status == 404
    assert response.body == "invalid path. " + ask("/help").body


def test_a_mutating_path_wants_post(ask, server) -> None:
    response = ask("/quitquitquit")
    assert (response.status, response.body) == (405, "Method GET not allowed, POST required.")
    assert ask("/quitquitquit", "DELETE").body == "Method DELETE not allowed, POST required."
    assert server.calls == []


def test_reading_takes_any_method(ask) -> None:
    assert ask("/ready", "PUT").status == 200


def test_home_has_a_form_for_each_endpoint(ask) -> None:
    response = ask("/")
    assert response.content_type == HTML
    assert "<a href='ready'>ready</a>" in response.body
    assert "<form action='healthcheck/fail' method='post' id='healthcheck/fail' class='home-form'>" in response.body
    assert "name='filter' id='param-" in response.body
    assert "<option value='trace'>trace</option>" in response.body
    assert "&lt;logger_name1&gt;" in response.body
    assert "all loggers&#39;s level" in response.body


def test_what_allow_paths_does_not_name_is_forbidden(ask) -> None:
    def allows(target: str) -> bool:
        return target == "/ready"

    assert ask("/ready", allows=allows).status == 200
    response = ask("/ready?x=1", allows=allows)
    assert (response.status, response.body) == (403, "request to path /ready?x=1 not allowed")
    assert ask("/nowhere", allows=allows).status == 403
