"""Installs a wheel into a new environment, and says what came of it as JSON: from nothing to the first 200.

    python trial.py WHEEL [OPTION OF PIP]...
    python trial.py --compiled      # what this very environment has installed; it must run compiled (or --source)

It imports the standard library alone: it runs in containers too, where nothing else is. It must not import the package.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path

CONFIGURATION = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: http
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: tea}}}}}}]
          http_filters:
          - name: router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
"""
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
OWN = Path(sys.executable).with_name("envoymesh")
"""The program of the environment that runs this."""
LINKED = "envoymesh__mypyc"
"""Part of the name of the library that all compiled modules share: it is mapped where they are in use."""


def try_wheel(wheel: str, *options: str) -> dict[str, object]:
    """Install a wheel (a file, or what pip takes) and run its proxy to the first 200. Gives figures and facts.

    Errors: subprocess.CalledProcessError for what cannot be installed; TimeoutError for a proxy that does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="envoymesh-trial-") as name:
        folder = Path(name) / "venv"
        began = time.monotonic()
        venv.create(folder, with_pip=True, symlinks=True)
        made = time.monotonic()
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--quiet", wheel, *options]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        installed = time.monotonic()
        facts = try_program(folder / "bin/envoymesh")
        figures = {
            "seconds": time.monotonic() - began,
            "environment_seconds": made - began,
            "pip_seconds": installed - made,
        }
        return {**{name: round(value, 1) for name, value in figures.items()}, **facts}


def try_program(program: Path) -> dict[str, object]:
    """Run an installed proxy to the first 200. Errors: TimeoutError."""
    with tempfile.TemporaryDirectory(prefix="envoymesh-trial-") as name:
        folder = Path(name)
        began = time.monotonic()
        with proxy(program, folder) as (process, port):
            first = until_200(port, process)
            maps = Path(f"/proc/{process.pid}/maps")
            linked = LINKED in maps.read_text() if maps.exists() else None
        return {
            "start_seconds": round(first - began, 1),
            "data_path": _line_of((folder / "log").read_text(), "data path: "),
            "compiled_in_use": linked,
            "version": _output(program, "--version"),
            "python": ".".join(map(str, sys.version_info[:3])),
        }


@contextlib.contextmanager
def proxy(program: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The installed proxy, on a port that was free a moment ago; it is stopped in order."""
    port = free_port()
    (folder / "envoy.yaml").write_text(CONFIGURATION.format(port=port))
    words = [str(program), "proxy", "-c", str(folder / "envoy.yaml"), "--concurrency", "1"]
    # What is tried is the wheel, not the folder that this was started in.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ENVOYMESH"))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, cwd=folder, env=environment)
    try:
        yield process, port
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def until_200(
    port: int, process: subprocess.Popen[bytes], path: str = "/", patience: float = PATIENCE_SECONDS
) -> float:
    """Ask until the answer is 200; gives the time of that. Errors: TimeoutError, also when the process has ended."""
    until = time.monotonic() + patience
    while time.monotonic() < until and process.poll() is None:
        if status(port, path) == http.client.OK:
            return time.monotonic()
        time.sleep(POLL_SECONDS)
    raise TimeoutError(f"no 200 on port {port}; the process's exit code is {process.poll()}")


def status(port: int, path: str) -> int:
    """The status of a GET, 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _line_of(log: str, words: str) -> str:
    return next((line.partition(words)[2] for line in log.splitlines() if words in line), "")


def _output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """trial.py WHEEL [OPTION OF PIP]... | trial.py --compiled | trial.py --source. Returns the exit code."""
    wanted = arguments[0].removeprefix("--") if arguments and arguments[0] in ("--compiled", "--source") else ""
    if not arguments or (arguments[0].startswith("-") and not wanted):
        print("usage: trial.py WHEEL [OPTION OF PIP]... | --compiled | --source", file=sys.stderr)
        return 2
    try:
        facts = try_program(OWN) if wanted else try_wheel(*arguments)
    except (subprocess.CalledProcessError, TimeoutError) as error:
        print(f"trial.py: {error}", file=sys.stderr)
        return 1
    print(json.dumps(facts))
    return 1 if wanted and facts["data_path"] != wanted else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
