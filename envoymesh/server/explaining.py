"""`envoymesh explain`: from a file and a request to the explanation, and what it stands in."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace

from envoymesh.config.load import load_bootstrap
from envoymesh.errors import ConfigError, EnvoymeshError
from envoymesh.explain.explanation import Json, World, explanation
from envoymesh.explain.places import Place, Places
from envoymesh.explain.question import Question
from envoymesh.explain.route_test_file import RouteTest, load_tests
from envoymesh.explain.route_tests import Item, item_key, run_tests
from envoymesh.explain.run import DryListener
from envoymesh.explain.text import as_text, shown_place
from envoymesh.filters.network.http_connection_manager.factory import ConnectionManagerFactory
from envoymesh.lint.finding import ERROR, Finding
from envoymesh.network.api import Address
from envoymesh.options import Options
from envoymesh.router.table import Route, RouteTable
from envoymesh.server.dry_run import DryServer
from envoymesh.server.log import ProcessLog


class Explainer:
    """Explains requests to one configuration, of a file that nobody needs to serve.

    Errors: ConfigError, where the proxy would refuse the configuration.
    """

    def __init__(self, path: str) -> None:
        options = Options(config_path=path, log_level="off", concurrency=1)
        loaded = load_bootstrap(path, "", options.allow_unknown_static_fields)
        self.server = DryServer(options, loaded, ProcessLog("off", "", options.log_format, ""))
        self.places = Places(loaded)

    def explain(self, question: Question) -> Json:
        """The explanation. Errors: QuestionError."""
        return explanation(self.server.run_dry(question), self.world())

    def ask(self, test: RouteTest) -> Json:
        """The explanation of a route test's request. Errors: QuestionError."""
        shares = [each for each in self.server.runtime.reader.shares if test.runtime and each.key == test.runtime]
        try:
            for each in shares:
                each.set(1.0)
            told = self.explain(test.question)
            weights = [each["weight"] for each in (told.get("action") or {}).get("clusters", ())]
            if test.random_value is None or not sum(weights):
                return told
            # The middle of the place that the number has among all weights.
            chance = (test.random_value % sum(weights) + 0.5) / sum(weights)
            return self.explain(replace(test.question, chance=chance))
        finally:
            self.server.runtime.load()

    def items(self) -> list[Item]:
        """All that route tests can reach."""
        found: dict[object, Item] = {}
        for listener in self.server.dry_listeners:
            for path, table in tables_of(listener):
                found |= {item.key: item for item in self._items_of(table, f"{path}.{table.place}")}
        return list(found.values())

    def _items_of(self, table: RouteTable, path: str) -> Iterator[Item]:
        for place, host in enumerate(table.virtual_hosts):
            at = self.places.at(f"{path}.virtual_hosts[{place}]")
            yield Item(item_key("virtual host", at, host.name), f"virtual host {host.name}", at)
            for number, route in enumerate(host.routes):
                here = f"{path}.virtual_hosts[{place}].routes[{number}]"
                yield from self._items_of_route(route, self.places.at(here), f"{host.name}, route {number + 1}")

    def _items_of_route(self, route: Route, at: Place, called: str) -> Iterator[Item]:
        name = f"{called} ({route.name})" if route.name else called
        yield Item(item_key("route", at), name, at)
        conditions = [(f"headers[{place}]", each.name) for place, each in enumerate(route.headers)]
        conditions += [(f"query_parameters[{place}]", each.name) for place, each in enumerate(route.query_parameters)]
        for field, word in conditions:
            text = f"{name}: no request was turned away by {field} ({word.decode('latin-1')})"
            yield Item(item_key("condition", at, field), text, self.places.at(f"{at['path']}.match.{field}"))

    def world(self) -> World:
        """What explanations refer to."""
        server = self.server
        readers = server.settings.cluster_readers
        paths = {reader.string("name"): reader.path for reader in readers}
        return World(self.places, server.clusters.get, paths, self._host_name, self.notes())

    def _host_name(self, address: Address, hostname: str) -> str:
        """A made-up address is shown as the name that it stands for."""
        name = self.server.resolver.names.get(address.host)
        return str(address) if name is None else f"{name}:{address.port} (an address of this name)"

    def notes(self) -> list[str]:
        """What is not as it will be."""
        missing = self.server.missing_files
        return [f"not here, taken as empty: {', '.join(missing)}"] if missing else []


def tables_of(listener: DryListener) -> Iterator[tuple[str, RouteTable]]:
    """The path of each connection manager of a listener, and its route tables."""
    settings = listener.filled
    for chain in (*settings.filter_chains, *filter(None, [settings.default_filter_chain])):
        terminal = chain.factory.terminal
        if isinstance(terminal, ConnectionManagerFactory):
            path = f"{listener.path_of(chain)}.filters[{len(chain.filters) - 1}].typed_config"
            yield from ((path, table) for table in terminal.settings.route_table.tables())


def test_routes(path: str, tests: str, fail_under: float | None) -> tuple[list[Finding], str]:
    """Run the route tests of a file: what is wrong, and a summary for people.

    Args:
        fail_under: percent of coverage that is wanted.
    """
    try:
        explainer, found = Explainer(path), load_tests(tests)
    except ConfigError as error:
        return [Finding("route-test", ERROR, error.message, error.path, error.source, error.line)], ""
    results = run_tests(found, explainer.ask, explainer.items())
    findings = [
        Finding("route-test", ERROR, f"{each.test.name}: {each.message}", "", each.test.file, each.line)
        for each in results.failures
    ]
    coverage = results.coverage
    if fail_under is not None and coverage.percent < fail_under:
        text = f"route tests reach {coverage.percent:.1f}%, less than {fail_under:g}%"
        findings.append(Finding("route-coverage", ERROR, text, "", tests, None))
    reached = len(coverage.items) - len(coverage.missing)
    lines = [f"route tests: {results.passed} of {results.total} passed"]
    lines.append(f"coverage: {coverage.percent:.1f}% ({reached} of {len(coverage.items)})")
    lines += [f"  not reached: {item.text}  {shown_place(item.place)}" for item in coverage.missing]
    return findings, "\n".join(lines) + "\n"


def run(path: str, question: Question, as_json: bool) -> int:
    """Print an explanation. Gives the exit code: 1 where there is none."""
    try:
        told = Explainer(path).explain(question)
    except EnvoymeshError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if as_json:
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
    else:
        colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        sys.stdout.write(as_text(told, colour))
    return 0
