"""Which requests share an upstream connection, how long it lives, and what HTTP/2 connections agree on."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import Peer, Request, Wait, catch_all, http_listener, static_cluster, to_cluster
from tests.parity import frames as f
from tests.parity.case import Case, Show
from tests.parity.cases.showing import in_turn
from tests.parity.frames import show_http2
from tests.parity.setup import FILE_LOG, Json, MakeUpstream, Places, Setup, bootstrap_of, hosts, says
from tests.parity.steps import Admin, Answers, CaseStep, Closed, Connect, UntilStat, in_order
from tests.parity.upstreams import Http2Peer, Http2Recorder, Recorder

AREA = "pools"
LOG = (
    "code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% cluster=%UPSTREAM_CLUSTER% "
    "host=%UPSTREAM_HOST% protocol=%UPSTREAM_PROTOCOL% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% "
    "failure=%UPSTREAM_TRANSPORT_FAILURE_REASON% sent=%BYTES_SENT% received=%BYTES_RECEIVED%\n"
)
HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def http_options(**options: Any) -> Json:
    """HttpProtocolOptions of a cluster; HTTP/1 unless they say something else."""
    kinds = {"explicit_http_config", "use_downstream_protocol_config", "auto_config"}
    if not kinds & options.keys():
        options["explicit_http_config"] = {"http_protocol_options": {}}
    typed = {"@type": f"type.googleapis.com/{HTTP_OPTIONS}", **options}
    return {"typed_extension_protocol_options": {HTTP_OPTIONS: typed}}


def http2_options(common: Json | None = None, **options: Any) -> Json:
    more = {} if common is None else {"common_http_protocol_options": common}
    return http_options(explicit_http_config={"http2_protocol_options": options}, **more)


def common(**options: Any) -> Json:
    return http_options(common_http_protocol_options=options)


def never_answers(peer: Peer, request: Request) -> None:
    while peer.more():
        pass


def half_an_answer(peer: Peer, request: Request) -> None:
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    while peer.more():
        pass


def answers_late(peer: Peer, request: Request) -> None:
    import time

    time.sleep(0.15)
    peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")


def plain2(peer: Http2Peer, stream: int) -> None:
    peer.send(f.headers([(":status", "200")], stream, end=True))


def data2(peer: Http2Peer, stream: int) -> None:
    peer.send(f.headers([(":status", "200")], stream, end=False) + f.data(b"abc", stream))


def silent2(peer: Http2Peer, stream: int) -> None:
    """Never answers."""


class Pinged(Http2Recorder):
    """An HTTP/2 upstream that answers PINGs; how many there are is a matter of time, and not shown."""

    def handles(self, connection: Http2Peer, each: Any) -> bool:
        if type(each).__name__ != "PingFrame":
            return False
        if "ACK" not in each.flags:
            connection.send(f.frame(f.PING, f.ACK, 0, each.opaque_data))
        return True


UPSTREAMS: dict[str, MakeUpstream] = {
    "one-1": partial(
        Recorder,
        {
            "/": says("one-1"),
            "http://": says("one-1"),
            "/never": never_answers,
            "/half": half_an_answer,
            "/late": answers_late,
        },
    ),
    "two-1": partial(Http2Recorder, {"/never": silent2, "/data": data2, "/": plain2}),
    "two-2": partial(Http2Recorder, {"/": plain2}),
    "pinged": partial(Pinged, {"/never": silent2, "/data": data2, "/": plain2}),
}
OFTEN = {"interval": "0.1s", "interval_jitter": {"value": 0}, "timeout": "0.2s"}
LIMITS = {"thresholds": [{"priority": "HIGH", "max_requests": 1, "max_pending_requests": 1}]}


def _clusters(places: Places) -> list[Json]:
    one, two, pinged = places["one-1"], places["two-1"], places["pinged"]

    def plain(name: str, **more: Any) -> Json:
        return static_cluster(name, one, **more)

    return [
        plain("shared"),
        plain("own", connection_pool_per_downstream_connection=True),
        plain("own-once", connection_pool_per_downstream_connection=True, **common(idle_timeout="0.2s")),
        plain("priorities", circuit_breakers=LIMITS),
        plain("idle", **common(idle_timeout="0.2s")),
        plain("lives", **common(max_connection_duration="0.2s")),
        plain("streams", **common(max_stream_duration="0.25s")),
        plain("streams-retried", **common(max_stream_duration="0.25s")),
        plain(
            "whole-url",
            **http_options(explicit_http_config={"http_protocol_options": {"send_fully_qualified_url": True}}),
        ),
        plain(
            "cased",
            **http_options(
                explicit_http_config={"http_protocol_options": {"header_key_format": {"proper_case_words": {}}}}
            ),
        ),
        plain("few-headers", **common(max_headers_count=2)),
        static_cluster("unanswered", two, **http2_options(connection_keepalive=OFTEN)),
        static_cluster("answered", pinged, **http2_options(connection_keepalive=OFTEN)),
        static_cluster(
            "idle-pings",
            pinged,
            **http2_options(connection_keepalive={"timeout": "1s", "connection_idle_interval": "0.2s"}),
        ),
        static_cluster(
            "idle-unanswered",
            two,
            **http2_options(connection_keepalive={"timeout": "0.2s", "connection_idle_interval": "0.1s"}),
        ),
        static_cluster(
            "custom",
            two,
            **http2_options(
                custom_settings_parameters=[{"identifier": 77, "value": 3}, {"identifier": 6, "value": 9000}]
            ),
        ),
        static_cluster(
            "custom-known",
            two,
            **http2_options(
                custom_settings_parameters=[{"identifier": 3, "value": 7}, {"identifier": 4, "value": 70000}]
            ),
        ),
        static_cluster("few-streams", two, **http2_options(max_concurrent_streams=1)),
        static_cluster("own-2", two, connection_pool_per_downstream_connection=True, **http2_options()),
        static_cluster("http2-idle", two, **http2_options({"idle_timeout": "0.2s"})),
        static_cluster("http2-one-each", two, **http2_options({"max_requests_per_connection": 1})),
    ]


def _configuration(places: Places) -> Json:
    clusters = _clusters(places)
    routes = [to_cluster("priorities", "/priorities/high/", priority="HIGH")]
    retries = {"retry_policy": {"retry_on": "reset", "num_retries": 1}, "timeout": "0s"}
    routes += [
        to_cluster(
            each["name"],
            f"/{each['name']}/",
            **(retries if each["name"] == "streams-retried" else {}),
            prefix_rewrite="/",
        )
        for each in clusters
    ]
    alive = {"codec_type": "HTTP2", "http2_protocol_options": {"connection_keepalive": OFTEN}}
    custom = {
        "codec_type": "HTTP2",
        "http2_protocol_options": {"custom_settings_parameters": [{"identifier": 77, "value": 3}]},
    }
    text = {"text_format_source": {"inline_string": LOG}}
    log = [{"name": "file", "typed_config": {"@type": FILE_LOG, "path": str(places.log), "log_format": text}}]
    listeners = [
        http_listener("main", catch_all(*routes), access_log=log),
        http_listener("alive", catch_all(*routes), access_log=log, **alive),
        http_listener("custom", catch_all(*routes), access_log=log, **custom),
    ]
    return bootstrap_of(listeners, clusters)


SETUP = Setup("pools", _configuration, UPSTREAMS)


def case(
    name: str,
    *steps: CaseStep,
    on: str = "main",
    show: Show | None = None,
    lines: int | None = None,
    quiet: float = 0.0,
    counted: bool = True,
) -> Case:
    made = Case(AREA, name, steps, on, quiet, lines=lines, setup=SETUP, bytes_counted=counted)
    return (
        made
        if show is None
        else Case(AREA, name, steps, on, quiet, show, lines=lines, setup=SETUP, bytes_counted=counted)
    )


def twice(path: str) -> tuple[CaseStep, ...]:
    """The same request over two connections, one after the other."""
    return get(path), Answers(1), Connect(), get(path), Answers(1)


def http2(name: str, *steps: CaseStep, lines: int | None = None) -> Case:
    return case(name, *steps, lines=lines, counted=False)


def ask2(path: str) -> bytes:
    return f.ask(path=path)


SHARED = [
    case("two clients share", *twice("/shared/")),
    case("two clients do not share", *twice("/own/")),
    case("one client shares with itself", *in_order(get("/own/"), 3)),
    case(
        "a pool of its own is forgotten",
        *in_order(get("/own-once/"), 1),
        UntilStat("cluster.own-once.upstream_cx_active", 0, True),
        *in_order(get("/own-once/"), 2)[2:],
    ),
    http2("two clients do not share HTTP/2", *twice("/own-2/")),
    case(
        "both priorities",
        get("/priorities/"),
        Answers(1),
        get("/priorities/high/"),
        Answers(2),
        get("/priorities/"),
        Answers(3),
    ),
    case(
        "the high priority's breaker",
        get("/priorities/high/never"),
        Wait(0.1),
        Connect(),
        get("/priorities/high/"),
        Answers(1),
        Connect(),
        get("/priorities/"),
        Answers(1),
        Admin("GET /stats?filter=cluster.priorities.circuit_breakers.*open"),
    ),
]

LIVES = [
    case(
        "idle for too long",
        *in_order(get("/idle/"), 1),
        UntilStat("cluster.idle.upstream_cx_idle_timeout", 1),
        Wait(0.05),
    ),
    case(
        "not idle",
        *in_order(get("/idle/"), 1),
        Wait(0.1),
        get("/idle/"),
        Answers(2),
        Wait(0.1),
        get("/idle/"),
        Answers(3),
    ),
    case(
        "a connection's longest life",
        *in_order(get("/lives/"), 1),
        UntilStat("cluster.lives.upstream_cx_max_duration_reached", 1),
        get("/lives/"),
        Answers(2),
    ),
    case(
        "a connection's longest life amid a request",
        get("/lives/late"),
        Answers(1),
        Wait(0.15),
        get("/lives/late"),
        Answers(2),
    ),
    http2(
        "HTTP/2, idle for too long",
        *in_order(get("/http2-idle/"), 1),
        UntilStat("cluster.http2-idle.upstream_cx_idle_timeout", 1),
        Wait(0.05),
    ),
    http2("HTTP/2, one request each", *in_order(get("/http2-one-each/"), 3)),
    http2("HTTP/2, one request each, with a body", *in_order(get("/http2-one-each/data"), 3)),
    http2(
        "HTTP/2, one stream at a time",
        get("/few-streams/never"),
        Wait(0.1),
        Connect(),
        get("/few-streams/"),
        Answers(1),
    ),
]

STREAMS = [
    case("a stream's longest life", get("/streams/never"), Answers(1, b"reached")),
    case("a stream's longest life, the answer has begun", get("/streams/half"), Closed()),
    case(
        "a stream's longest life, the request goes on",
        b"POST /streams/never HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc",
        Answers(1, b"reached"),
    ),
    case("a stream's longest life, retried", get("/streams-retried/never"), Answers(1, b"reached")),
    case("a stream that is fast enough", *in_order(get("/streams/late"), 2)),
    case("whole URLs", *in_order(get("/whole-url/a?b=c"), 2)),
    case("names with capitals", get("/cased/")),
    case("a response with too many headers", get("/few-headers/")),
]

PINGS = [
    http2(
        "a PING that is not answered",
        *in_order(get("/unanswered/"), 1),
        UntilStat("cluster.unanswered.http2.keepalive_timeout", 1),
        Wait(0.05),
    ),
    http2("a PING that is not answered, amid a request", get("/unanswered/never"), Answers(1, b"reason")),
    http2("PINGs that are answered", *in_order(get("/answered/"), 1), Wait(0.5), get("/answered/"), Answers(2)),
    http2("a PING after a pause", *in_order(get("/idle-pings/"), 1), Wait(0.3), get("/idle-pings/"), Answers(2)),
    http2(
        "a PING after a pause that is not answered",
        *in_order(get("/idle-unanswered/"), 1),
        Wait(0.3),
        get("/idle-unanswered/never"),
        Answers(2, b"reason"),
    ),
    http2("settings of one's own", get("/custom/"), Answers(1)),
    http2("settings of one's own that have names", get("/custom-known/"), Answers(1)),
    case("a client that answers no PING", f.hello(), Closed(), on="alive", show=show_http2, lines=0, counted=False),
    case(
        "a client that answers no PING amid a request",
        ask2("/shared/never"),
        Closed(),
        on="alive",
        show=show_http2,
        counted=False,
    ),
    case("a server's settings of one's own", ask2("/shared/"), on="custom", show=show_http2, counted=False),
]

CASES = [*SHARED, *LIVES, *STREAMS, *PINGS]


def _predicting(places: Places) -> Json:
    group = places.group("three")
    cluster = static_cluster("ahead", *group, preconnect_policy={"predictive_preconnect_ratio": 1.5})
    return bootstrap_of([http_listener("main", catch_all(to_cluster("ahead")))], [cluster])


PREDICTING = Setup("predicting", _predicting, hosts("three", 3), alone=True)


def ahead(name: str, *steps: CaseStep) -> Case:
    return Case(AREA, name, (*steps, Wait(0.1)), "main", show=in_turn, setup=PREDICTING)


CASES += [
    ahead("hosts that will be next", get("/"), UntilStat("cluster.ahead.upstream_cx_total", 2)),
    ahead("hosts that will be next, twice", *in_order(get("/"), 2)),
    ahead("hosts that will be next, three times", *in_order(get("/"), 3)),
]
