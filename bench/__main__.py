"""The benchmark: python -m bench. See CONTRIBUTING.md, Measure.

Timings are reported, never judged: the exit code tells only whether everything ran.
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bench import report, scenarios, subjects
from bench.processes import BenchError
from bench.run import Outcome, run_scenario
from bench.scenarios import Bench
from bench.subjects import OURS, PEER_PYTHON, Site
from bench.upstream import Upstream
from certs.generate import CERTIFICATE_FILE, KEY_FILE, generate

ROOT = Path(__file__).parent
TOOLS = ("wrk", "h2load", "nginx", "taskset")
QUICK = ("h1-16", "chain", "h2", "tls", "up-64k", "start")
"""Each kind of load and of subject once."""


class _Closeable:
    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self.close = upstream.stop


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Compare proxies, in CPU per request.")
    parser.add_argument("--quick", action="store_true", help="short and few, to see that it works")
    parser.add_argument("--scenario", action="append", default=[], help="only this one (more than once for more)")
    parser.add_argument("--subject", action="append", default=[], help="only this one (more than once for more)")
    parser.add_argument("--rounds", type=int, help="of each scenario (default 5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="of each load (default 4; quick: 1)")
    parser.add_argument("--output", type=Path, help="folder for REPORT.md and the plot (default: bench; quick: none)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run; 0 when our proxy was measured in every scenario."""
    options = arguments(argv)
    try:
        outcomes = measure(options)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    output = options.output or (None if options.quick else ROOT)
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    drawn = None if output is None else draw(outcomes, output)
    text = report.markdown(outcomes, conditions(options), drawn)
    if output is None:
        print(text)
    else:
        (output / "REPORT.md").write_text(text)
        print(f"bench: wrote {output / 'REPORT.md'}")
    failed = [outcome.scenario.name for outcome in outcomes if OURS in outcome.absent]
    if failed:
        print(f"bench: {OURS} failed in {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def measure(options: argparse.Namespace) -> list[Outcome]:
    """All chosen scenarios.

    Raises:
        BenchError: a tool is missing, or a name is unknown.
    """
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise BenchError(
            f"not installed: {', '.join(missing)} (Debian: apt-get install wrk nghttp2-client nginx-light util-linux)"
        )
    chosen = scenarios.choose(options.scenario or (list(QUICK) if options.quick else []))
    contenders = subjects.choose(options.subject)
    rounds = options.rounds or (1 if options.quick else 5)
    # As the first start of any installed copy does; not so where PYTHONDONTWRITEBYTECODE is set.
    for tree in subjects.trees():
        compileall.compile_dir(tree / "envoymesh", quiet=1)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="envoymesh-bench-") as name:
        folder = Path(name)
        # nginx' worker may have given up root's rights.
        folder.chmod(0o755)
        generate(folder, datetime.now(UTC))
        bench = Bench(options.seconds or (1.0 if options.quick else 4.0), folder)
        with closing(_Closeable(Upstream(folder))) as started:
            site = Site(folder, started.upstream, (folder / CERTIFICATE_FILE, folder / KEY_FILE))
            for scenario in chosen:
                outcomes.append(run_scenario(scenario, contenders, rounds, site, bench))
                print(summary(outcomes[-1]), flush=True)
    return outcomes


def summary(outcome: Outcome) -> str:
    """One line for whoever watches."""
    column = outcome.scenario.columns[0]
    shown = []
    for name in outcome.rounds:
        middle, ratio = outcome.median(name, column.key), outcome.ratio(name, column.key)
        if middle is not None:
            shown.append(f"{name} {middle:.{column.digits}f}" + (f" ({ratio:.2f})" if ratio is not None else ""))
    failed = [f"{name}: {reason}" for name, reason in outcome.absent.items() if name == OURS]
    return f"{outcome.scenario.name:15} {column.title}: {', '.join([*shown, *failed])}"


def draw(outcomes: Sequence[Outcome], output: Path) -> str | None:
    """Draw the plot; returns its name, None where the peers' environment (with matplotlib) is not there."""
    data = report.plot_data(outcomes)
    if not (PEER_PYTHON.exists() and data):
        return None
    picture = output / "report.png"
    subprocess.run([PEER_PYTHON, ROOT / "plot.py", picture], input=json.dumps(data), text=True, check=True)
    return picture.name


def _data_path() -> str:
    """What our proxy runs, compiled modules or their source; asked of a process of its own, as each proxy is one."""
    script = "from envoymesh.native.loader import activate; print(activate())"
    asked = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT.parent)
    return asked.stdout.strip()


def conditions(options: argparse.Namespace) -> list[tuple[str, str]]:
    """What was run on what."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = len(os.sched_getaffinity(0))
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    revision = subprocess.run(asked, check=False, capture_output=True, text=True)
    return [
        ("when", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {revision.stdout.strip() or 'unknown'}"),
        ("machine", f"{model}, {cores} cores: one for the subject, the others for load and upstream"),
        ("software", f"CPython {platform.python_version()}, Linux {platform.release()}"),
        ("envoymesh", f"data path: {_data_path()}"),
        ("command", "python -m bench " + " ".join(sys.argv[1:])),
    ]


if __name__ == "__main__":
    sys.exit(main())
