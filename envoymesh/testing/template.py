"""A process that has imported the proxy, and forks for each one that a test starts: a tenth of a second instead of one.

It has one thread and no loop, so that a fork is a proxy as a new process would be. It reads one JSON line for each
command and writes one: ``start`` (program, words, folder, environment, outputs) -> pid; ``pid`` -> its exit code, or
null while it runs, which ``wait`` waits for, after the ``signal`` that may be given. Its children stay unreaped until
they are asked for, so that a pid is never another process's. When its input ends, as it does when the test run dies, it
kills what is left.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from typing import Any

Command = dict[str, Any]


def main() -> int:
    """Serve commands until there are no more."""
    if sys.argv[1:]:
        _import_proxy(sys.argv[1])
    children: dict[int, int | None] = {}
    try:
        for line in sys.stdin:
            answer = _obey(json.loads(line), children)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        for pid, code in children.items():
            if code is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    return 0


def _import_proxy(configuration: str) -> None:
    """What a proxy of this configuration imports; one of another imports by itself what else that has."""
    from envoymesh.native.loader import activate

    # Compiled modules must be in place before the first of them is imported.
    activate()
    from envoymesh.server.main import refusals

    refusals(configuration)
    _forget_loggers()


def _forget_loggers() -> None:
    """That was a proxy which logged; each of those to come sets up loggers for itself."""
    known = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "envoymesh"]
    for logger in map(logging.getLogger, known):
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)


def _obey(command: Command, children: dict[int, int | None]) -> Any:
    if "start" in command:
        pid = _start(command["start"])
        children[pid] = None
        return pid
    pid = command["pid"]
    if children[pid] is None and "signal" in command:
        os.kill(pid, command["signal"])
    if children[pid] is None:
        ended, status = os.waitpid(pid, 0 if command.get("wait") else os.WNOHANG)
        if ended:
            children[pid] = os.waitstatus_to_exitcode(status)
    return children[pid]


def _start(given: Command) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        code = _be_proxy(given)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  the copy of this process must not go on as a second template
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _be_proxy(given: Command) -> int:
    for number, path in ((1, given["stdout"]), (2, given["stderr"])):
        target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(target, number)
        os.close(target)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.chdir(given["folder"])
    if given["program"] is not None:
        os.execve(given["program"], [given["program"], *given["words"]], given["environment"])
    os.environ.clear()
    os.environ.update(given["environment"])
    # Not at the top: its words come first.
    from envoymesh.cli import main as command_line

    return command_line(given["words"])


if __name__ == "__main__":
    sys.exit(main())
