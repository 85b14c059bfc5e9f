"""/explain and /failures: what the proxy would do with a request, and what became of those that failed lately.

Neither is Envoy's, so /help does not list them. This module must not explain anything itself.
"""

from __future__ import annotations

import json
from urllib.parse import unquote

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, Request, Response, bad_request
from envoymesh.errors import EnvoymeshError
from envoymesh.explain.failures import failures_text, failures_told
from envoymesh.explain.question import Question, read_question
from envoymesh.explain.text import as_text

_MOST_HEADERS = 100


def explain(context: AdminParts, request: Request) -> Response:
    """What this proxy would do with a request now."""
    try:
        question = _question(request)
        told = context.explainer.explain(question, context)
    except EnvoymeshError as error:
        return bad_request(f"{error}\n")
    if request.params.get("format") == "json":
        return Response(json.dumps(told, indent=1) + "\n", content_type=JSON)
    return Response(as_text(told))


def _question(request: Request) -> Question:
    """The request that is asked about. Errors: QuestionError."""
    params = request.params
    chance = params.get("chance", "0.5")
    return read_question(
        params.get("url", ""),
        params.get("method", ""),
        _all_of(request, "header"),
        params.get("body"),
        params.get("from", ""),
        params.get("sni", ""),
        params.get("listener", ""),
        float(chance) if chance.replace(".", "", 1).isdecimal() and float(chance) < 1 else 0.5,
    )


def _all_of(request: Request, name: str) -> list[str]:
    """All values of a parameter that may come several times."""
    pairs = [pair.partition("=") for pair in request.target.partition("?")[2].split("&")]
    return [unquote(value) for key, _, value in pairs if key == name][:_MOST_HEADERS]


def failures(context: AdminParts, request: Request) -> Response:
    """The requests that failed lately, the newest first."""
    entries = context.failures()
    if request.params.get("format") == "json":
        return Response(json.dumps(failures_told(entries), indent=1) + "\n", content_type=JSON)
    return Response(failures_text(entries))


_FORMAT = Parameter(ParameterKind.ENUM, "format", "The format of the answer", ("text", "json"))

ENDPOINTS = (
    Endpoint(
        "/explain",
        "say what the proxy would do with a request",
        explain,
        parameters=(
            Parameter(ParameterKind.STRING, "url", "The request's URL, or its path"),
            Parameter(ParameterKind.STRING, "method", "GET unless given"),
            Parameter(ParameterKind.STRING, "header", "NAME: VALUE, as often as there are headers"),
            Parameter(ParameterKind.STRING, "body", "The request's body"),
            Parameter(ParameterKind.STRING, "from", "The client's address"),
            Parameter(ParameterKind.STRING, "sni", "The name in the TLS handshake"),
            Parameter(ParameterKind.STRING, "listener", "The listener's name, where the port does not say which"),
            Parameter(ParameterKind.STRING, "chance", "From 0 to 1: what is drawn for weighted clusters"),
            _FORMAT,
        ),
        shows_counts=True,
        hidden=True,
        prepare=lambda context, then: context.explainer.when_ready(then),
    ),
    Endpoint(
        "/failures",
        "list the requests that failed lately, with why",
        failures,
        parameters=(_FORMAT,),
        shows_counts=True,
        hidden=True,
    ),
)
