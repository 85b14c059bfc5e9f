"""The query parameters of the stats endpoints, read into a Selection. It must not write stats."""

import re2

from envoymesh.admin.messages import Request
from envoymesh.stats.selection import BucketMode, Selection, StatType

_HIDDEN = ("include", "only", "exclude")


class InvalidQueryError(Exception):
    """A parameter has no meaning; the text is the answer's body."""


def selection_of(request: Request) -> Selection:
    """What the request chooses. Raises InvalidQueryError."""
    if (hidden := request.params.get("hidden")) and hidden not in _HIDDEN:
        raise InvalidQueryError(f"usage: /stats?hidden=({'|'.join(_HIDDEN)})\n\n")
    pattern = request.params.get("filter", "")
    return Selection(
        used_only=request.flag("usedonly"),
        matches=compile_filter(pattern).search if pattern else None,
        invert=request.flag("invert_filter"),
        type=_type(request.params.get("type", "")),
        buckets=_buckets(request.params.get("histogram_buckets", "")),
        text_readouts_as_gauges=request.flag("text_readouts"),
    )


def compile_filter(pattern: str) -> "re2.Pattern":
    """An RE2 pattern. Raises InvalidQueryError with RE2's own words."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise InvalidQueryError(f"Invalid re2 regex: {_words(error)}") from None


def _words(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)


def _type(word: str) -> StatType:
    try:
        return StatType(word) if word else StatType.ALL
    except ValueError:
        raise InvalidQueryError("invalid &type= param") from None


def _buckets(word: str) -> BucketMode:
    try:
        return BucketMode(word)
    except ValueError:
        modes = "|".join(mode.value for mode in BucketMode if mode.value)
        raise InvalidQueryError(f"usage: /stats?histogram_buckets=({modes})\n") from None
