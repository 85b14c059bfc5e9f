"""The home page (/) and /help: every endpoint, as a form and as text. It must not know any of them by name."""

from collections.abc import Sequence

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.html import endpoint_rows, page
from envoymesh.admin.messages import HTML, Request, Response

_HEAD = """
  <table class='home-table'>
    <thead>
      <tr>
        <th class='home-data'>Command</th>
        <th class='home-data'>Description</th>
      </tr>
    </thead>
    <tbody>
"""
_FOOT = """
    </tbody>
  </table>
"""


def help_text(endpoints: Sequence[Endpoint]) -> str:
    """The help text of these endpoints."""
    ordered = sorted(endpoints, key=lambda endpoint: endpoint.path)
    return "admin commands are:\n" + "".join(endpoint.help_lines() for endpoint in ordered)


def help_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """/help over a list that may still grow."""

    def handle(_context: AdminParts, _request: Request) -> Response:
        return Response(help_text(endpoints))

    return Endpoint("/help", "print out list of admin commands", handle)


def home_endpoint(endpoints: Sequence[Endpoint]) -> Endpoint:
    """The home page over a list that may still grow."""

    def handle(_context: AdminParts, _request: Request) -> Response:
        ordered = sorted(endpoints, key=lambda endpoint: endpoint.path)
        shown = [(index, each) for index, each in enumerate(ordered, 1) if each.path != "/"]
        rows = "".join(endpoint_rows(each, index, gray=bool(row % 2)) for row, (index, each) in enumerate(shown))
        return Response(page(_HEAD + rows + _FOOT), content_type=HTML)

    return Endpoint("/", "Admin home page", handle)
