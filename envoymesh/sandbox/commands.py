"""The commands of the embedded runtime, as the command line calls them: each prints, and returns the exit code.

It must not parse a command line.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec

from envoymesh.sandbox import runtime, seed
from envoymesh.sandbox.compose import load
from envoymesh.sandbox.control import ask
from envoymesh.sandbox.errors import SandboxError
from envoymesh.sandbox.examples import find, find_all, shown
from envoymesh.sandbox.logs import LogReader, follow
from envoymesh.sandbox.show import table
from envoymesh.sandbox.state import State

INTERRUPTED = 130
POLL_SECONDS = 0.05

P = ParamSpec("P")


def _command(run: Callable[P, None]) -> Callable[P, int]:
    """A command whose SandboxError is one line on stderr and exit code 1."""

    @functools.wraps(run)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            run(*args, **kwargs)
        except SandboxError as error:
            print(f"envoymesh: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return INTERRUPTED
        except BrokenPipeError:
            # Nobody reads our output any more (as behind ``| head``): Python must not write the rest at exit either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0

    return wrapped


@_command
def up(
    files: Sequence[Path], example: str, state: State, scale: Mapping[str, int], *, detach: bool, data_path: str
) -> None:
    """Run the mesh: in this process until Ctrl-C, or in the background when it is healthy.

    Args:
        files: the description, and what is laid over it; empty for the built-in sandbox.
        example: the name of an example, which is laid over it too; empty for none.
        data_path: what the proxies will run, in words.
    """
    files = files or _built_in()
    if example:
        files = [*files, find(files[0].parent, example)]
    project = load(files[0], os.environ, files[1:])
    _say(f"data path: {data_path}")
    if detach:
        print(_detached(files, state, scale))
    else:
        runtime.run(project, state, scale, _say)


def _built_in() -> list[Path]:
    """The built-in sandbox's description, which people are told of: they have not named it."""
    _say(f"there is no {seed.DESCRIPTION} here: this is the built-in sandbox (`envoymesh init` writes its files here)")
    return [seed.folder() / seed.DESCRIPTION]


@_command
def init(target: Path, *, force: bool) -> None:
    """Write the built-in sandbox's files into a folder."""
    written = seed.write(target, force=force)
    print("\n".join(str(target / name) for name in written))
    enter = "" if target.resolve() == Path.cwd() else f"cd {shlex.quote(str(target))} && "
    print(f"\nRun it as local processes, or in Docker:\n  {enter}envoymesh up\n  {enter}docker compose up --build")


@_command
def examples(files: Sequence[Path], name: str, form: str) -> None:
    """Show the examples beside a description (of the built-in sandbox for none), or one of them.

    `form` is text, json or markdown.
    """
    file = files[0] if files else seed.folder() / seed.DESCRIPTION
    print(shown(find_all(file, os.environ, name), form, in_full=bool(name)))


@_command
def ps(state: State, *, as_json: bool) -> None:
    """List the replicas; JSON is an array of objects with Compose's keys. None when no mesh runs."""
    rows = _ask(state, "rows") if state.is_held() else []
    print(json.dumps(rows, indent=2) if as_json else table(rows))


@_command
def scale(state: State, wanted: Mapping[str, int]) -> None:
    """Run so many replicas of each service."""
    for service, count in wanted.items():
        _ask(state, "scale", name=service, count=count)


@_command
def logs(state: State, replica: str, *, follow: bool) -> None:
    """Show what the replicas, or one of them, wrote."""
    reader = LogReader(state.logs, replica)
    if replica and not state.log(replica).exists():
        raise SandboxError(f"there is no log of {replica} in {state.logs}")
    for line in reader.lines():
        print(line, flush=True)
    if follow:
        _follow(reader, state)


@_command
def stop(state: State, replica: str) -> None:
    """Stop a replica in order."""
    _ask(state, "stop", name=replica)


@_command
def start(state: State, replica: str) -> None:
    """Start a stopped replica."""
    _ask(state, "start", name=replica)


@_command
def kill(state: State, replica: str) -> None:
    """End a replica at once."""
    _ask(state, "kill", name=replica)


@_command
def down(state: State) -> None:
    """Stop the mesh; on return nothing of it runs. Nothing to do when none runs."""
    if not state.is_held():
        print(f"no mesh is running ({state.folder})")
        return
    while state.is_held():
        try:
            ask(state.control, "down")
        except (ConnectionError, FileNotFoundError):
            # It does not listen yet, or no longer.
            time.sleep(POLL_SECONDS)


def _follow(reader: LogReader, state: State) -> None:
    follow(reader, lambda line: print(line, flush=True), state.is_held)


def _say(line: str) -> None:
    print(line, flush=True)


def _ask(state: State, command: str, **arguments: Any) -> Any:
    try:
        return ask(state.control, command, **arguments)
    except (ConnectionError, FileNotFoundError):
        raise SandboxError(f"no mesh is running ({state.folder}); `envoymesh up` starts one") from None


def _detached(files: Sequence[Path], state: State, scale: Mapping[str, int]) -> str:
    """Start a supervisor of its own session, wait until the mesh is up, and return what it has to say then."""
    if state.is_held():
        raise SandboxError(f"a mesh runs already ({state.folder}); `envoymesh down` stops it")
    counts = [word for service, count in scale.items() for word in ("--scale", f"{service}={count}")]
    named = [word for file in files for word in ("--file", str(file))]
    words = [sys.executable, "-m", "envoymesh", "up", *named, "--state-dir", str(state.folder), *counts]
    state.folder.mkdir(parents=True, exist_ok=True)
    # Whoever could read the page's address there could change the mesh.
    descriptor = os.open(state.supervisor_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as log:
        os.fchmod(descriptor, 0o600)
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        return _when_up(child, state)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    except SandboxError:
        child.wait()
        raise


def _when_up(child: subprocess.Popen[bytes], state: State) -> str:
    while child.poll() is None:
        try:
            return str(ask(state.control, "wait"))
        except (ConnectionError, FileNotFoundError):
            time.sleep(POLL_SECONDS)
    lines = state.supervisor_log.read_text(errors="replace").strip().splitlines()
    last = lines[-1].removeprefix("envoymesh: ") if lines else f"ended with {child.returncode}"
    raise SandboxError(last)
