"""The command line. Besides service/, the only user of argparse; it must not do any work itself."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from envoymesh import __version__
from envoymesh.options import Options, flags

if TYPE_CHECKING:
    from envoymesh.sandbox.state import State

PROGRAM = "envoymesh"
STATE_VARIABLE = "ENVOYMESH_STATE"
LARGEST_UINT32 = 2**32 - 1
SHORT_FLAGS = {"config_path": "-c", "log_level": "-l"}
INIT = "Write the built-in sandbox's files into a folder, to change them there."
NO_CONFIGURATION = "At least one of --config-path or --config-yaml should be non-empty"


class Parser(argparse.ArgumentParser):
    """argparse with Envoy's manners: no abbreviated flags, and exit code 1 for a wrong command line."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **arguments})

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read more, and end with 1."""
        print(f"PARSE ERROR: {message}\n\nFor complete USAGE and HELP type:\n   {self.prog} --help", file=sys.stderr)
        sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are those after the program's name. Returns the exit code."""
    given = make_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = given.run
    return run(given)


def make_parser() -> Parser:
    """The whole command line; a parsed one has `run`, which does it."""
    parser = Parser(prog=PROGRAM, description="A two-tier sidecar mesh with its own proxy.")
    parser.add_argument("--version", action="version", version=f"{PROGRAM}  version: {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_proxy(commands)
    add_compile(commands)
    add_check(commands)
    add_why(commands)
    add_explain(commands)
    add_new(commands)
    add_mesh(commands)
    return parser


# The proxy: one flag for each field of Options.


def add_proxy(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh proxy`, with Envoy's flags."""
    text = "Run the proxy on an Envoy v3 configuration."
    parser = commands.add_parser("proxy", help=text, description=text)
    for each in flags():
        add_flag(parser, each)
    parser.add_argument("--version", action=ProxyVersion, help="Displays version information and exits.")
    parser.set_defaults(run=run_proxy)


def add_flag(parser: Parser, option: Field[Any]) -> None:
    """The flag of one field of Options."""
    names = [SHORT_FLAGS[option.name]] if option.name in SHORT_FLAGS else []
    names.append("--" + option.name.replace("_", "-"))
    text = option.metadata["help"].replace("%", "%%")
    if isinstance(option.default, bool):
        parser.add_argument(*names, action="store_true", help=text)
        return
    metavar = "<uint32_t>" if isinstance(option.default, int) else "<string>"
    parser.add_argument(*names, type=_reader(option), default=option.default, metavar=metavar, help=text)


def _reader(option: Field[Any]) -> Callable[[str], object]:
    if isinstance(option.default, int):
        return uint32
    choices, error = option.metadata["choices"], option.metadata["error"]

    def read(value: str) -> str:
        if choices and value not in choices:
            raise argparse.ArgumentTypeError(f"{error} '{value}'; one of {', '.join(choices)} is expected")
        return value

    return read


def uint32(text: str) -> int:
    """A number from 0 to 2**32 - 1. Errors: argparse.ArgumentTypeError in Envoy's words."""
    if not (text.isascii() and text.isdigit() and int(text) <= LARGEST_UINT32):
        raise argparse.ArgumentTypeError(f"Couldn't read argument value from string '{text}'")
    return int(text)


class ProxyVersion(argparse.Action):
    """--version of the proxy, in Envoy's five parts; the parts are looked up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **arguments: Any) -> None:
        super().__init__(option_strings, dest, **{**arguments, "nargs": 0, "default": argparse.SUPPRESS})

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Print it and end with 0."""
        from envoymesh.server.version import version_text

        print(f"{parser.prog}  version: {version_text()}")
        parser.exit()


def read_options(given: argparse.Namespace) -> Options:
    """The proxy's options out of a parsed command line."""
    return Options(**{each.name: getattr(given, each.name) for each in flags()})


def run_proxy(given: argparse.Namespace) -> int:
    """Run the proxy until it is told to stop."""
    options = read_options(given)
    if not (options.config_path or options.config_yaml):
        print(NO_CONFIGURATION, file=sys.stderr)
        return 1
    # Not at the top: the mesh's commands have no need of the proxy, which takes its time to import.
    from envoymesh.native.loader import activate
    from envoymesh.server import collector

    collector.hold()
    # Compiled modules must be in place before the first of them is imported.
    running = activate()
    from envoymesh.server.main import run

    return run(options, running)


def add_compile(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh compile`."""
    text = "Compile the proxy's data path with mypyc and the machine's C compiler."
    parser = commands.add_parser("compile", help=text, description=text)
    parser.set_defaults(run=run_compile)


def run_compile(given: argparse.Namespace) -> int:
    """Compile what the proxy runs."""
    from envoymesh.native.build import compile_package

    return compile_package()


# Checks and explanations.


def add_check(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh check`."""
    text = "Say what is wrong or doubtful in a configuration, before a request meets it."
    more = (
        "Exit codes: 0 for nothing to say, 1 where the proxy refuses the file, 2 for doubts alone. "
        "A comment `# envoymesh: ignore[RULE]` at a line, or alone above it, silences a rule there."
    )
    parser = commands.add_parser("check", help=text, description=text, epilog=more)
    parser.add_argument("-c", "--config-path", required=True, help="the configuration, YAML or JSON")
    text = "route tests in YAML, in the shape of Envoy's router check tool (docs/explain.md)"
    parser.add_argument("-t", "--tests", metavar="FILE", default="", help=text)
    text = "percent of routes, virtual hosts and conditions that route tests must reach"
    parser.add_argument("--fail-under", metavar="PERCENT", type=percent, default=None, help=text)
    parser.add_argument("--format", choices=("text", "json", "github", "sarif"), default="text", help="default: text")
    parser.set_defaults(run=run_check)


def run_check(given: argparse.Namespace) -> int:
    """Check a configuration."""
    from envoymesh.lint.command import run
    from envoymesh.server.main import refusals

    if not given.tests:
        if given.fail_under is not None:
            print("--fail-under needs --tests", file=sys.stderr)
            return 1
        return run(given.config_path, given.format, refusals)
    from envoymesh.server.explaining import test_routes

    return run(
        given.config_path,
        given.format,
        refusals,
        lambda: test_routes(given.config_path, given.tests, given.fail_under),
    )


def percent(text: str) -> float:
    """A number from 0 to 100. Errors: argparse.ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 100.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 100")
    return number


def add_why(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh why`."""
    text = "Explain a response flag, response code details or a status: what happened, why, and what to look at."
    parser = commands.add_parser("why", help=text, description=text)
    words = "such as UC, via_upstream or 503; without any, lines of an access log are read from standard input"
    parser.add_argument("words", metavar="FLAG|DETAILS|STATUS", nargs="*", help=words)
    parser.set_defaults(run=run_why)


def run_why(given: argparse.Namespace) -> int:
    """Explain."""
    from envoymesh.explain.why import answer

    if not given.words and sys.stdin.isatty():
        print("paste lines of an access log, then press Ctrl-D:", file=sys.stderr)
    text, code = answer(given.words, iter(sys.stdin))
    print(text, end="", file=sys.stderr if code and not text.count("\n") > 1 else sys.stdout)
    return code


def add_explain(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh explain`."""
    text = "Say what the proxy would do with a request, without sending anything."
    more = "Nothing is connected to, resolved or written: an upstream is taken to answer 200."
    parser = commands.add_parser("explain", help=text, description=text, epilog=more)
    parser.add_argument("-c", "--config-path", required=True, help="the configuration, YAML or JSON")
    parser.add_argument("-X", "--method", default="", help="default: GET, or POST with -d")
    parser.add_argument("-H", "--header", metavar="NAME: VALUE", action="append", default=[], help="a request header")
    parser.add_argument("-d", "--data", metavar="BODY", default=None, help="the request's body")
    parser.add_argument("--from", dest="source", metavar="ADDRESS", default="", help="the client's address: 127.0.0.1")
    parser.add_argument("--sni", metavar="NAME", default="", help="the name in the TLS handshake: the URL's host")
    parser.add_argument("--listener", metavar="NAME", default="", help="where the URL's port does not say which")
    text = "what is drawn where something is left to chance, such as a weighted cluster, from 0 to 1: 0.5"
    parser.add_argument("--chance", metavar="NUMBER", type=share, default=0.5, help=text)
    parser.add_argument("--json", action="store_true", help="as data; docs/explain.md is its schema")
    parser.add_argument("url", metavar="URL", help="such as http://localhost:8080/service/1")
    parser.set_defaults(run=run_explain)


def share(text: str) -> float:
    """A number from 0 to less than 1. Errors: argparse.ArgumentTypeError."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number < 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to less than 1")
    return number


def run_explain(given: argparse.Namespace) -> int:
    """Explain a request."""
    from envoymesh.explain.question import QuestionError, read_question
    from envoymesh.server.explaining import run

    try:
        question = read_question(
            given.url,
            given.method,
            given.header,
            given.data,
            given.source,
            given.sni,
            given.listener,
            given.chance,
        )
    except QuestionError as error:
        print(error, file=sys.stderr)
        return 1
    return run(given.config_path, question, given.json)


def add_new(commands: argparse._SubParsersAction[Parser]) -> None:
    """`envoymesh new filter`."""
    text = "Write a filter in Python and its test, and say what to paste into the YAML."
    parser = commands.add_parser("new", help=text, description=text)
    parser.add_argument("what", choices=("filter",), help="what to write")
    parser.add_argument("name", metavar="NAME", help="such as stamp: stamp.py and test_stamp.py are written")
    parser.add_argument("--folder", type=Path, default=Path(), help="where: the working directory")
    parser.set_defaults(run=run_new)


def run_new(given: argparse.Namespace) -> int:
    """Write the files."""
    from envoymesh.scripting.new import new_filter

    text, code = new_filter(given.name, given.folder)
    print(text, end="", file=sys.stderr if code else sys.stdout)
    return code


# The mesh as local processes.


def add_mesh(commands: argparse._SubParsersAction[Parser]) -> None:
    """The commands of the embedded runtime."""
    place = place_options()
    up = _mesh_command(commands, place, "up", "Run the mesh as local processes until Ctrl-C.")
    up.add_argument("-d", "--detach", action="store_true", help="run in the background, once everything is healthy")
    up.add_argument("--example", metavar="NAME", default="", help="lay an example over it; `examples` lists them")
    up.add_argument(
        "--scale", metavar="SERVICE=N", type=scale, action="append", default=[], help="replicas of a service"
    )
    ps = _mesh_command(commands, place, "ps", "List the replicas.")
    ps.add_argument("--format", choices=("table", "json"), default="table", help="table (default) or json")
    scaling = _mesh_command(commands, place, "scale", "Run so many replicas of a service.")
    scaling.add_argument("scale", metavar="SERVICE=N", type=scale, nargs="+", help="replicas of a service")
    logs = _mesh_command(commands, place, "logs", "Show what the replicas wrote.")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as more is written")
    logs.add_argument("replica", metavar="REPLICA", nargs="?", default="", help="only this one's")
    for name, text in (
        ("stop", "Stop a replica: it drains, then ends."),
        ("start", "Start a stopped replica."),
        ("kill", "End a replica at once."),
    ):
        _mesh_command(commands, place, name, text).add_argument("replica", metavar="REPLICA", help="such as service1-1")
    page = _mesh_command(commands, place, "page", "Show the running mesh as a live picture in a browser.")
    text = "where to serve it: http://127.0.0.1:8002, or the port of $PORT_PAGE"
    page.add_argument("--listen", metavar="URL", default="", help=text)
    page.add_argument("--url", default="", help="its address for people, where that is another one")
    text = "the mesh runs in Docker on this machine: scale and kill it with the docker command"
    page.add_argument("--docker", action="store_true", help=text)
    text = "find the mesh by these names (in a container), the front first; without any it is the one of `up`"
    page.add_argument("service", metavar="SERVICE", nargs="*", default=[], help=text)
    _mesh_command(commands, place, "down", "Stop the mesh; nothing is left running.")
    init = commands.add_parser("init", help=INIT, description=INIT)
    init.add_argument(
        "folder", metavar="DIR", type=Path, nargs="?", default=Path(), help="where: the working directory"
    )
    init.add_argument("--force", action="store_true", help="overwrite files that are there")
    init.set_defaults(run=run_init)
    examples = _mesh_command(commands, place, "examples", "List the examples, or say what there is to see in one.")
    examples.add_argument("name", metavar="NAME", nargs="?", default="", help="such as canary-by-weight")
    examples.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="default: text")


def place_options() -> Parser:
    """The options that say which mesh is meant."""
    parser = Parser(add_help=False)
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        default=None,
        metavar="FILE",
        help="description of the mesh (docker-compose.yaml); given again, one that is laid over it as Compose does",
    )
    text = f"folder of the running mesh's state (${STATE_VARIABLE}, or .envoymesh beside the description)"
    parser.add_argument("--state-dir", type=Path, default=None, help=text)
    return parser


def _mesh_command(commands: argparse._SubParsersAction[Parser], place: Parser, name: str, text: str) -> Parser:
    parser = commands.add_parser(name, help=text, description=text, parents=[place])
    parser.set_defaults(run=run_mesh, command=name)
    return parser


def scale(text: str) -> tuple[str, int]:
    """SERVICE=N as a pair. Errors: argparse.ArgumentTypeError."""
    service, _, count = text.partition("=")
    if not service or not count.isdigit() or not count.isascii():
        raise argparse.ArgumentTypeError(f"'{text}' is not SERVICE=N, such as service1=3")
    return service, int(count)


def run_mesh(given: argparse.Namespace) -> int:
    """Run one of the embedded runtime's commands."""
    # Not at the top: the proxy has no need of it, and starts the sooner.
    from envoymesh.native.loader import what_runs
    from envoymesh.sandbox import commands
    from envoymesh.sandbox.state import State

    files = [each.absolute() for each in given.file or [Path("docker-compose.yaml")]]
    folder = given.state_dir or os.environ.get(STATE_VARIABLE) or files[0].parent / ".envoymesh"
    if not given.file and not files[0].exists():
        files = []
    state = State(Path(folder).absolute())
    run: dict[str, Callable[[], int]] = {
        "up": lambda: commands.up(
            files, given.example, state, dict(given.scale), detach=given.detach, data_path=what_runs()
        ),
        "ps": lambda: commands.ps(state, as_json=given.format == "json"),
        "scale": lambda: commands.scale(state, dict(given.scale)),
        "logs": lambda: commands.logs(state, given.replica, follow=given.follow),
        "stop": lambda: commands.stop(state, given.replica),
        "start": lambda: commands.start(state, given.replica),
        "kill": lambda: commands.kill(state, given.replica),
        "page": lambda: run_page(given, state, [*files, Path("docker-compose.yaml").absolute()][0]),
        "down": lambda: commands.down(state),
        "examples": lambda: commands.examples(files, given.name, given.format),
    }
    return run[given.command]()


def run_init(given: argparse.Namespace) -> int:
    """Write the built-in sandbox's files."""
    from envoymesh.sandbox import commands

    return commands.init(given.folder, force=given.force)


def run_page(given: argparse.Namespace, state: State, file: Path) -> int:
    """Serve the page."""
    from envoymesh.page.command import run

    listen = given.listen or f"http://127.0.0.1:{os.environ.get('PORT_PAGE') or 8002}"
    return run(state, given.service, listen, given.url, file if given.docker else None)
