"""What a handler is given and what it gives back. It must not know a filter, a socket or a header map."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote

from envoymesh.admin.guard import UNKNOWN, Sender

TEXT = "text/plain; charset=UTF-8"
BARE_TEXT = "text/plain"
HTML = "text/html; charset=UTF-8"
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Request:
    """One admin request. `params` are the query's, or a form body's when there is no query; `target` is path and query
    as they came."""

    method: str
    path: str
    params: dict[str, str] = field(default_factory=dict)
    target: str = ""
    sender: Sender = UNKNOWN

    def flag(self, name: str) -> bool:
        """Whether a boolean parameter is there, whatever its value."""
        return name in self.params


@dataclass(frozen=True)
class Response:
    """One admin answer; `body` is sent as UTF-8.

    A body that may be long is an iterator: it makes a piece of the body at each step, which should take a small part of
    a millisecond, and others are served in between. What it shows may change meanwhile: it walks over its own list.
    """

    body: str | Iterator[str]
    status: int = HTTPStatus.OK
    content_type: str = TEXT


Preparation = Generator[None, None, Response]
"""Makes a response, in such steps, where its status is known only after long work."""


OK = Response("OK\n")


def bad_request(body: str) -> Response:
    """A 400 that says what was wrong."""
    return Response(body, HTTPStatus.BAD_REQUEST)


def parse_target(target: str) -> tuple[str, dict[str, str]]:
    """A request target as (path, query parameters)."""
    path, _, query = target.partition("?")
    return path, parse_params(query)


def parse_params(text: str) -> dict[str, str]:
    """A query or a form body, percent-decoded; the first value of a name wins.

    `+` stays a plus, since it may be part of a regular expression.
    """
    params: dict[str, str] = {}
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if name:
            params.setdefault(unquote(name), unquote(value))
    return params
