"""A user's HTTP filter alone, for its tests: no proxy, no socket, no time passes. It must not serve anything."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from envoymesh.api import Answer, FetchError, Headers, HttpFilter, Reply, Request, Response, to_bytes
from envoymesh.http.headers import HeaderMap, RequestHeaders, ResponseHeaders
from envoymesh.scripting.script import config_type_of
from envoymesh.scripting.settings import convert
from envoymesh.scripting.waiting import Running, Wait
from envoymesh.stats import Scope, Store

Answers = Mapping[str, "str | bytes | Answer | Callable[[str], str | bytes | Answer]"]
"""What clusters answer, by name; a function gets the path."""


class Trial:
    """One stream; implements `envoymesh.api.Stream`.

    Args:
        made: the filter's class.
        config: its settings, as the YAML has them. Errors: SettingsError.
        clusters: what they answer to `fetch`; one that is not here is one that does not answer.
    Attributes:
        metadata: what the filter has set.
    """

    def __init__(
        self, made: type[HttpFilter[Any]], config: dict[str, Any] | None = None, clusters: Answers | None = None
    ) -> None:
        self.config: Any = convert(config_type_of(made, HttpFilter), config or {})
        self.metadata: dict[str, Any] = {}
        self.client_address = "192.0.2.1"
        self.log = logging.getLogger("envoymesh.filter")
        self._clusters = clusters or {}
        self._store = Store()
        self.filter = made()
        self.filter._stream = self

    # A message

    def request(
        self, path: str = "/", method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Request | Reply:
        """Send a request through the filter: it as it went on, or the reply. Errors: what the filter raises."""
        request = Request(RequestHeaders(to_bytes(method), to_bytes(path), b"localhost", b"http"))
        request.headers.update(headers or {})
        return self._through(request, "request", body)  # type: ignore[no-any-return]  # what went in, or a Reply

    def response(
        self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response | Reply:
        """Send a response through the filter. Errors: what the filter raises."""
        response = Response(ResponseHeaders(status))
        response.headers.update(headers or {})
        return self._through(response, "response", body)  # type: ignore[no-any-return]  # what went in, or a Reply

    def _through(self, message: Any, which: str, body: bytes) -> Any:
        found = self._run(getattr(self.filter, f"on_{which}")(message))
        if isinstance(found, Reply):
            return found
        self.body = body
        if body:
            for step, arguments in ((f"on_{which}_data", (body, True)), (f"on_{which}_body", (message, body))):
                changed = self._run(getattr(self.filter, step)(*arguments))
                if isinstance(changed, Reply):
                    return changed
                self.body = self.body if changed is None else changed
        return message

    def _run(self, found: Any) -> Any:
        if not inspect.iscoroutine(found):
            return found
        posted: list[Callable[[], None]] = []
        ended: list[tuple[Any, Exception | None]] = []
        running = Running(
            found, posted.append, lambda value: ended.append((value, None)), lambda error: ended.append((None, error))
        )
        running.step()
        while posted and not ended:
            posted.pop(0)()
        if not ended:
            running.close()
            raise RuntimeError("the filter awaits something that a trial does not have: only fetch and sleep are there")
        value, error = ended[0]
        if error is not None:
            raise error
        return value

    # envoymesh.api.Stream

    @property
    def stats(self) -> Scope:
        """The filter's own stats."""
        return self._store.scope("")

    def set_metadata(self, values: dict[str, Any]) -> None:
        """Keep them."""
        self.metadata.update(values)

    def sleep(self, seconds: float) -> Awaitable[None]:
        """No time passes."""
        wait: Wait[None] = Wait()
        wait.succeed(None)
        return wait

    def fetch(
        self, cluster: str, path: str, method: str, headers: Mapping[str, str], body: bytes, timeout: float
    ) -> Awaitable[Answer]:
        """What the cluster is to answer."""
        wait: Wait[Answer] = Wait()
        found = self._clusters.get(cluster)
        if found is None:
            wait.fail(FetchError(f"cluster {cluster} did not answer", "no_healthy_upstream", 503))
            return wait
        answer = found(path) if callable(found) else found
        if isinstance(answer, str):
            answer = answer.encode()
        wait.succeed(answer if isinstance(answer, Answer) else Answer(200, Headers(HeaderMap()), answer))
        return wait
