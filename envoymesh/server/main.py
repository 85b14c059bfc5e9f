"""`envoymesh proxy`: from options to an exit code. The only place that handles signals and sets up the loop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from types import FrameType

from envoymesh.config.errors import MultipleConfigError
from envoymesh.config.load import load_bootstrap
from envoymesh.config.trying import add_python_filter
from envoymesh.errors import ConfigError, EnvoymeshError
from envoymesh.native.loader import SOURCE, STALE
from envoymesh.network.loop.dispatcher import new_event_loop
from envoymesh.options import Options
from envoymesh.server import collector
from envoymesh.server.log import ProcessLog
from envoymesh.server.server import Server
from envoymesh.server.version import version_text

_log = logging.getLogger("envoymesh.main")


def run(options: Options, running: str = SOURCE) -> int:
    """Run the proxy. Gives the exit code: 0 after a regular stop, 1 for an error, which has been printed.

    `running` says for the log what the data path runs: compiled modules, or their source.
    """
    try:
        process_log = ProcessLog(options.log_level, options.component_log_level, options.log_format, options.log_path)
    except ConfigError as error:
        return _fail(error)
    if options.mode == "validate":
        return _validate(options, process_log)
    return _serve(options, process_log, running)


def _fail(error: Exception) -> int:
    sys.stderr.write(f"{error}\n")
    return 1


def _make_server(options: Options, process_log: ProcessLog, loop: asyncio.AbstractEventLoop) -> Server:
    loaded = load_bootstrap(options.config_path or None, options.config_yaml, options.allow_unknown_static_fields)
    if options.filter:
        add_python_filter(loaded, options.filter)
    for warning in loaded.warnings:
        logging.getLogger("envoymesh.config").warning("%s", warning)
    if options.concurrency > 1 and options.mode == "serve":
        # Not at the top: with one worker it is not needed.
        from envoymesh.server.workers.parent import Parent

        server: Server = Parent(options, loaded, process_log, loop)
    else:
        server = Server(options, loaded, process_log, loop)
    for layer, key in server.runtime.unread():
        logging.getLogger("envoymesh.runtime").warning("layer '%s': nothing here reads the key '%s'", layer, key)
    return server


def _validate(options: Options, process_log: ProcessLog) -> int:
    loop = new_event_loop()
    try:
        _make_server(options, process_log, loop)
    except ConfigError as error:
        sys.stderr.write(f"error initializing configuration '{options.config_path}': {error}\n")
        return 1
    finally:
        loop.close()
    sys.stdout.write(f"configuration '{options.config_path}' OK\n")
    return 0


def refusals(path: str) -> list[ConfigError]:
    """Why the proxy refuses a configuration file: every reason that is found at once, none where it takes it."""
    options = Options(config_path=path, mode="validate", log_level="off")
    loop = new_event_loop()
    try:
        _make_server(options, ProcessLog(options.log_level, "", options.log_format, ""), loop)
    except MultipleConfigError as error:
        return list(error.errors)
    except ConfigError as error:
        return [error]
    finally:
        loop.close()
    return []


def _serve(options: Options, process_log: ProcessLog, running: str) -> int:
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        _log.info("initializing epoch 0 (version %s)", version_text())
        _log.log(logging.WARNING if running == STALE else logging.INFO, "data path: %s", running)
        server = _make_server(options, process_log, loop)
        _handle_signals(loop, server)
        collector.release()
        loop.run_until_complete(server.run())
    except EnvoymeshError as error:
        _log.critical("error initializing configuration '%s': %s", options.config_path, error)
        return 1
    finally:
        loop.close()
    return 0


def _handle_signals(loop: asyncio.AbstractEventLoop, server: Server) -> None:
    """SIGTERM and SIGINT drain, the second one leaves at once; SIGUSR1 reopens logs; SIGHUP is ignored, as in Envoy."""
    caught: list[int] = []

    def stop(number: int) -> None:
        if caught:
            _log.warning("caught a second signal, exiting at once")
            server.leave_at_once()
            logging.shutdown()
            os._exit(0)
        caught.append(number)
        server.drain_and_stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGUSR1, server.reopen_logs)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, _ignore)


def _ignore(number: int, frame: FrameType | None) -> None:
    """A hang-up means nothing to a server."""
