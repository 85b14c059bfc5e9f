"""The texts that people see of a mesh. It must not print them."""

from __future__ import annotations

from collections.abc import Sequence

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
    """What stands on the screen when the mesh is up: who listens where, what was generated, and what to try."""
    tries = [line for service in supervisor.project.services.values() for line in service.tries]
    parts = [
        table(supervisor.rows()),
        "Generated:\n" + _indented(supervisor.written()),
        f"Logs: {state.logs}/ (envoymesh logs -f)",
        "Try:\n" + _indented([*tries, *_commands(supervisor)]),
    ]
    return "\n" + "\n\n".join(parts) + "\n"


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)


def _commands(supervisor: Supervisor) -> list[str]:
    scalable = next((name for name, service in supervisor.project.services.items() if not service.ports), None)
    return [*([f"envoymesh scale {scalable}=3"] if scalable else []), "envoymesh ps", "envoymesh down"]
