"""Several configuration errors reported as one, a line each.

This module only carries errors; it must not decide what is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.errors import ConfigError


class MultipleConfigError(ConfigError):
    """More than one problem in a configuration; path and line are those of the first.

    Args:
        errors: the problems, at least one, in the order in which they are shown.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        first = errors[0]
        super().__init__(first.message, first.path, first.source, first.line)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


def raise_all(errors: Sequence[ConfigError]) -> None:
    """Raise nothing for no errors, the error itself for one, and `MultipleConfigError` for more."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise MultipleConfigError(errors)
