"""The house's measures: functions stay short. How long a file is depends on its idea. Tests are not measured."""

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("envoymesh", "service", "certs", "bench", "release", "vendoring")
LONGEST_FUNCTION = 60
LARGEST_P90 = 40
LARGEST_MEDIAN = 12

FILES = sorted(file for folder in MEASURED for file in (ROOT / folder).rglob("*.py"))


def functions(file: Path) -> list[tuple[str, int]]:
    """Each function of the file with its lines, from `def` to its end."""
    tree = ast.parse(file.read_text(), str(file))
    return [
        (f"{file.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


FUNCTIONS = [pair for file in FILES for pair in functions(file)]


def test_no_function_is_too_long() -> None:
    long = [f"{name}: {lines} lines" for name, lines in FUNCTIONS if lines > LONGEST_FUNCTION]
    assert not long, "\n".join(long)


def test_the_usual_function_is_short() -> None:
    lines = [lines for _, lines in FUNCTIONS]
    assert statistics.median(lines) <= LARGEST_MEDIAN
    assert statistics.quantiles(lines, n=10)[-1] <= LARGEST_P90
