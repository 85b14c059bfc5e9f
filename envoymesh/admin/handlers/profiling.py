"""Memory, contention and the profilers. The CPU profiler is real; the others belong to an allocator that is not here.

These answer as an Envoy that was built without TCMalloc. It must not measure or sample anything itself, nor claim to
trace mutexes: there is one thread.
"""

from http import HTTPStatus

from envoymesh.admin.context import AdminParts
from envoymesh.admin.endpoint import Endpoint, Handler, Parameter, ParameterKind
from envoymesh.admin.messages import JSON, OK, Request, Response, bad_request
from envoymesh.admin.proto.answers import memory_json

_SWITCH = ("y", "n")
_USAGE = "?enable=<y|n>\n"
_DISABLED = "Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing."


def cpu(context: AdminParts, request: Request) -> Response:
    """Start the profiler, or stop it and write the profile; doing either twice is OK."""
    wanted = request.params.get("enable")
    if len(request.params) != 1 or wanted not in _SWITCH:
        return bad_request(_USAGE)
    profiler = context.cpu_profiler
    if wanted == "n":
        profiler.stop()
    elif not profiler.start():
        return Response("failure to start the profiler", HTTPStatus.INTERNAL_SERVER_ERROR)
    return OK


def allocations(_context: AdminParts, request: Request) -> Response:
    """Say that this build has no allocation profiler."""
    if len(request.params) != 1 or request.params.get("enable") not in _SWITCH:
        return bad_request(_USAGE)
    return Response("Allocation profile is not implemented in current build", HTTPStatus.NOT_IMPLEMENTED)


def _not_in_build(text: str) -> Handler:
    return lambda _context, _request: Response(text, HTTPStatus.NOT_IMPLEMENTED)


def _switch(text: str) -> tuple[Parameter]:
    return (Parameter(ParameterKind.ENUM, "enable", text, _SWITCH),)


def memory(context: AdminParts, _request: Request) -> Response:
    """Bytes, as strings, by the names of envoy.admin.v3.Memory."""
    return Response(memory_json(context.memory()), content_type=JSON)


def contention(_context: AdminParts, _request: Request) -> Response:
    """The answer of an Envoy that does not trace mutexes."""
    return Response(_DISABLED)


ENDPOINTS = (
    Endpoint(
        "/allocprofiler",
        "enable/disable the allocation profiler (if supported)",
        allocations,
        mutates=True,
        parameters=_switch("enable/disable the allocation profiler"),
    ),
    Endpoint(
        "/cpuprofiler",
        "enable/disable the CPU profiler",
        cpu,
        mutates=True,
        parameters=_switch("enables the CPU profiler"),
    ),
    Endpoint("/contention", "dump current Envoy mutex contention stats (if enabled)", contention),
    Endpoint(
        "/heap_dump",
        "dump current Envoy heap (if supported)",
        _not_in_build("Heap profile is not implemented in current build"),
    ),
    Endpoint(
        "/heapprofiler",
        "enable/disable the heap profiler",
        _not_in_build("The current build does not support heap profiler"),
        mutates=True,
        parameters=_switch("enable/disable the heap profiler"),
    ),
    Endpoint("/memory", "print current allocation/heap usage", memory, shows_counts=True),
    Endpoint(
        "/memory/tcmalloc",
        "print TCMalloc stats",
        _not_in_build("TCMalloc is not in current build"),
    ),
    Endpoint(
        "/peak_heap_dump",
        "dump peak Envoy heap (if supported)",
        _not_in_build("Heap profile is not implemented in current build"),
    ),
)
