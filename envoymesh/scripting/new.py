"""`envoymesh new filter NAME`: writes a filter, its test, and tells the YAML to paste. It must not run either."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

FILTER = '''"""What {name} does, in a sentence."""

from dataclasses import dataclass

from envoymesh.api import HttpFilter, Reply, Request, Response


@dataclass
class Settings:
    """What the YAML's `config` may say."""

    greeting: str = "hello"


class {cls}(HttpFilter[Settings]):
    """One request and its response; docs/filters.md lists the other steps."""

    def on_request(self, request: Request) -> Reply | None:
        if request.headers.get("x-{dashed}") == "no":
            return Reply(403, "{name} says no\\n")
        request.headers["x-{dashed}"] = self.config.greeting
        return None

    def on_response(self, response: Response) -> None:
        self.stats.counter("responses").inc()
        response.headers["x-{dashed}"] = self.config.greeting
'''

TEST = '''"""{cls} alone, and on a proxy (the fixture `envoymesh`, of pip's envoymesh[testing])."""

from pathlib import Path

from {name} import {cls}

from envoymesh.api import Reply, Request, Response
from envoymesh.scripting.trial import Trial


def test_it_greets_both_sides() -> None:
    trial = Trial({cls}, config={{"greeting": "hi"}})
    request, response = trial.request("/any"), trial.response(200)
    assert isinstance(request, Request) and request.headers["x-{dashed}"] == "hi"
    assert isinstance(response, Response) and response.headers["x-{dashed}"] == "hi"
    assert trial.stats.counter("responses").value == 1


def test_it_can_say_no() -> None:
    answer = Trial({cls}).request("/any", headers={{"x-{dashed}": "no"}})
    assert isinstance(answer, Reply) and answer.status == 403


def test_it_serves(envoymesh) -> None:
    route = {{"match": {{"prefix": "/"}}, "direct_response": {{"status": 200}}}}
    package = "type.googleapis.com/envoy.extensions.filters"
    manager = {{
        "@type": f"{{package}}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {{"virtual_hosts": [{{"name": "all", "domains": ["*"], "routes": [route]}}]}},
        "http_filters": [{{"name": "router", "typed_config": {{"@type": f"{{package}}.http.router.v3.Router"}}}}],
    }}
    listener = {{
        "name": "http",
        "address": {{"socket_address": {{"address": "127.0.0.1", "port_value": 8080}}}},
        "filter_chains": [{{"filters": [{{"name": "http", "typed_config": manager}}]}}],
    }}
    flags = ["--concurrency", "1", "--filter", str(Path(__file__).with_name("{name}.py"))]
    proxy = envoymesh({{"static_resources": {{"listeners": [listener]}}}}, flags=flags)
    assert proxy.get("/").headers["x-{dashed}"] == "hello"
    assert proxy.get("/", headers={{"x-{dashed}": "no"}}).status_code == 403
'''

YAML = """\
# In http_filters, before the router. `is_optional` lets the real Envoy, which has no such filter, leave it out.
- name: {name}
  is_optional: true
  typed_config:
    "@type": type.googleapis.com/xds.type.v3.TypedStruct
    type_url: type.googleapis.com/envoymesh.http.PythonFilter
    value: {{file: {file}, config: {{greeting: hello}}}}
"""


def new_filter(name: str, folder: Path) -> tuple[str, int]:
    """Write NAME.py and test_NAME.py into a folder. Gives the YAML, or what is wrong, and the exit code."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        return f"'{name}' is not a name for a Python file: small letters, digits and _ are\n", 1
    cls = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "cls": cls, "dashed": name.replace("_", "-"), "file": str(folder / f"{name}.py")}
    files = {folder / f"{name}.py": FILTER, folder / f"test_{name}.py": TEST}
    for path in files:
        if path.exists():
            return f"{path} is there already: nothing was written\n", 1
    try:
        for path, text in files.items():
            path.write_text(text.format(**words))
    except OSError as error:
        return f"cannot write {path}: {error.strerror}\n", 1
    return f"# wrote {' and '.join(map(str, files))}\n{YAML.format(**words)}", 0
