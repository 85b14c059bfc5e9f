"""What the router filter would do with a request, for people: timeouts, retries, redirects, mirrors, the hash key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoymesh.filters.http.explanation import ROUTE, VIRTUAL_HOST, FilterCase, Saying
from envoymesh.filters.http.router.timeouts import final_timeouts
from envoymesh.http.headers import RequestHeaders
from envoymesh.router.actions.hash_policy import CookieHash, new_cookie_value
from envoymesh.router.retry import RetryPolicy, effective_policy
from envoymesh.router.table import ClusterAction, DirectResponseAction, Route
from envoymesh.upstream.timeouts import Timeouts


def explain_router(case: FilterCase) -> Sequence[Saying]:
    """What becomes of the route's action."""
    route = case.route
    if route is None:
        return [Saying("no route matched: 404, and the log says NR route_not_found")]
    action = route.action
    if isinstance(action, DirectResponseAction):
        return [Saying(f"the route answers itself, with {action.status}", ROUTE, "direct_response")]
    if not isinstance(action, ClusterAction):
        return [Saying(f"the route redirects, with {action.status}", ROUTE, "redirect")]
    return [*_of_times(case, route, action), *_of_retries(case, route, action), *_of_the_rest(case, route, action)]


def timeouts_of(case: FilterCase, route: Route, action: ClusterAction, headers: RequestHeaders) -> Timeouts:
    """The timeouts of a request; consumes headers as the router does."""
    respect = bool(case.settings.get("respect_expected_rq_timeout"))
    return final_timeouts(action, action.retry or route.virtual_host.retry, headers, respect)


def retries_of(route: Route, action: ClusterAction, headers: RequestHeaders) -> RetryPolicy | None:
    """The retry policy of a request; consumes headers as the router does."""
    return effective_policy(action.retry or route.virtual_host.retry, headers)


def hash_of(case: FilterCase, action: ClusterAction) -> int | None:
    """The hash that a balancer gets; a client without its cookie is given one."""

    def add_cookie(cookie: CookieHash) -> bytes:
        return new_cookie_value(case.info)

    policy = action.hash_policy
    return None if policy is None else policy.generate_hash(case.headers, case.info, add_cookie)


def _of_times(case: FilterCase, route: Route, action: ClusterAction) -> Iterator[Saying]:
    times = timeouts_of(case, route, action, case.headers.copy())
    if action.stream_duration is not None:
        yield Saying("max_stream_duration takes the place of timeout", ROUTE, "route.max_stream_duration")
    elif times.overall == action.timeout:
        text = f"{_seconds(times.overall)} for the whole answer" if times.overall else "no limit for the whole answer"
        yield Saying(f"{text}, from the request's end (timeout; unset is 15 s)", ROUTE, "route.timeout")
    else:
        yield Saying(f"{_seconds(times.overall)} for the whole answer, as the request itself asks")
    if times.per_try:
        yield Saying(f"{_seconds(times.per_try)} for each try (per_try_timeout)", *_place_of_retries(action))
    if times.per_try_idle:
        text = f"{_seconds(times.per_try_idle)} without progress for each try (per_try_idle_timeout)"
        yield Saying(text, *_place_of_retries(action))
    if action.idle_timeout is not None:
        text = f"{_seconds(action.idle_timeout)} without progress (idle_timeout)" if action.idle_timeout else "no limit"
        yield Saying(f"{text}, in the place of stream_idle_timeout", ROUTE, "route.idle_timeout")


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"


def _place_of_retries(action: ClusterAction) -> tuple[str, str]:
    return (ROUTE, "route.retry_policy") if action.retry is not None else (VIRTUAL_HOST, "retry_policy")


def _of_retries(case: FilterCase, route: Route, action: ClusterAction) -> Iterator[Saying]:
    configured = action.retry or route.virtual_host.retry
    policy = retries_of(route, action, case.headers.copy())
    if policy is None:
        if configured is not None:
            yield Saying("the retry policy does not apply to this request", *_place_of_retries(action))
        else:
            yield Saying("no retries: neither the route nor its virtual host has a retry_policy")
        return
    times = "once" if policy.num_retries == 1 else f"up to {policy.num_retries} times"
    conditions = ", ".join(sorted(policy.retry_on))
    place = _place_of_retries(action) if configured is not None else ()
    yield Saying(f"tried again {times}, on {conditions}", *place)


def _of_the_rest(case: FilterCase, route: Route, action: ClusterAction) -> Iterator[Saying]:
    if action.internal_redirect is not None:
        codes = ", ".join(str(code) for code in sorted(action.internal_redirect.codes))
        text = f"answers of status {codes} are followed here, {action.internal_redirect.max_redirects} at most"
        yield Saying(text, ROUTE, "route.internal_redirect_policy")
    for place, mirror in enumerate(route.mirrors):
        name = mirror.cluster_of(case.headers) or "no cluster: the header that names it is not there"
        own = (ROUTE, f"route.request_mirror_policies[{place}]") if action.mirrors else ()
        yield Saying(f"a copy goes to {name}, whose answer nobody waits for", *own)
    if action.hash_policy is not None:
        key = hash_of(case, action)
        text = "the request has nothing of what is hashed" if key is None else f"hash key {key:#018x}"
        yield Saying(text, ROUTE, "route.hash_policy")
