"""What a user's filter would do with a request, as far as can be said without it."""

from __future__ import annotations

from collections.abc import Sequence

from envoymesh.filters.http.explanation import FILTER, PER_ROUTE, FilterCase, Saying
from envoymesh.scripting.script import RouteSettings


def explain_python(case: FilterCase) -> Sequence[Saying]:
    """Which file and class it is, and whose settings hold."""
    value = case.settings.get("value", {})
    named = f"class {value['class']}" if value.get("class") else "what it defines"
    said = [Saying(f"a filter in Python: {value.get('file')}, {named}; it ran in this dry run", FILTER, "value.file")]
    own = case.per_route[-1] if case.per_route else None
    if isinstance(own, RouteSettings):
        said.append(Saying(f"the route's own settings hold: {own.values}", PER_ROUTE, "value.config"))
    return said
