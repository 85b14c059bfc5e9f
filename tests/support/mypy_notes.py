"""What `mypy_reads` noted in the last run of mypy in this process. It must not import mypy."""

PACKAGE = "envoymesh"
READ: set[tuple[str, str, int]] = set()
"""Full name of an attribute, and file and line of where it is read."""
MADE: set[tuple[str, str]] = set()
"""Full name of a class (or function), and the file that calls it."""
