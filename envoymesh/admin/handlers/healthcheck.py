"""/healthcheck/fail and /healthcheck/ok: what health checks of this server hear. It must not drain anything itself."""

from envoymesh.admin import messages
from envoymesh.admin.context import AdminContext
from envoymesh.admin.endpoint import Endpoint
from envoymesh.admin.messages import Request, Response


def fail(context: AdminContext, _request: Request) -> Response:
    """Fail health checks from now on."""
    context.server.fail_health_check(True)
    return messages.OK


def ok(context: AdminContext, _request: Request) -> Response:
    """Pass health checks again."""
    context.server.fail_health_check(False)
    return messages.OK


FAIL = Endpoint("/healthcheck/fail", "cause the server to fail health checks", fail, mutates=True)
OK = Endpoint("/healthcheck/ok", "cause the server to pass health checks", ok, mutates=True)
