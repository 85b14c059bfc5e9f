"""The texts that people see of a mesh. It must not print them."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from envoymesh.sandbox.state import State
from envoymesh.sandbox.supervisor import Row, Supervisor

COLUMNS = ("NAME", "STATE", "LISTENS ON", "PIDS")


def table(rows: Sequence[Row]) -> str:
    """The replicas, one a line, under a head."""
    cells = [COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cells(row: Row) -> tuple[str, str, str, str]:
    health = f" ({row['Health']})" if row["Health"] else ""
    pids = " ".join(f"{name}:{pid}" for name, pid in row["Pids"].items())
    return row["Name"], row["State"] + health, " ".join(row["Sockets"]), pids


def banner(supervisor: Supervisor, state: State) -> str:
    """What is printed when the mesh is up: who listens where, what was generated, and what to try."""
    program = program_name()
    tries = [line for service in supervisor.project.services.values() for line in service.tries]
    watch = supervisor.project.watch
    parts = [
        table(supervisor.rows()),
        "Generated:\n" + _indented(supervisor.written()),
        f"Logs: {state.logs}/ ({program} logs -f)",
        *([f"{supervisor.project.title}:\n" + _indented(watch)] if watch else []),
        "Try:\n" + _indented([*tries, *_commands(supervisor, program)]),
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _commands(supervisor: Supervisor, program: str) -> list[str]:
    scalable = next((name for name, service in supervisor.project.services.items() if not service.ports), None)
    return [*([f"{program} scale {scalable}=3"] if scalable else []), f"{program} ps", f"{program} down"]


def program_name() -> str:
    """How a person in this folder calls this program: by its name where the shell finds it, else by its path."""
    own = Path(sys.executable).with_name("envoymesh")
    if shutil.which("envoymesh") or not own.exists():
        return "envoymesh"
    return os.path.relpath(own) if own.is_relative_to(Path.cwd()) else str(own)
