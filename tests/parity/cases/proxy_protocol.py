"""The PROXY protocol, both sides: the listener filter, and the transport socket around upstream connections."""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import Any

from tests.integration.exchanges import get
from tests.integration.harness import (
    Peer,
    Until,
    Wait,
    catch_all,
    http_listener,
    socket_address,
    static_cluster,
    to_cluster,
)
from tests.parity.case import Case
from tests.parity.setup import FILE_LOG, TCP_PROXY, Json, MakeUpstream, Places, Setup, bootstrap_of, says
from tests.parity.steps import Admin, Answers, CaseStep, Closed, Connect, in_order
from tests.parity.upstreams import Recorder, TcpRecorder

AREA = "PROXY protocol"
EXTENSIONS = "type.googleapis.com/envoy.extensions."
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOG = (
    "code=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% r=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% "
    "l=%DOWNSTREAM_LOCAL_ADDRESS% direct=%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT% "
    "direct-l=%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%\n"
)
CONNECTION_LOG = (
    "connection l=%DOWNSTREAM_LOCAL_ADDRESS% direct-l=%DOWNSTREAM_DIRECT_LOCAL_ADDRESS% "
    "r=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% meta=%DYNAMIC_METADATA(envoy.filters.listener.proxy_protocol)% "
    "other=%DYNAMIC_METADATA(other)%\n"
)


def _masked(address: str, port: int) -> str:
    """A loopback address's port is chance."""
    return f"{address}:{'N' if address in ('127.0.0.1', '::1') else port}"


class Proxied(Recorder):
    """An HTTP/1 host behind PROXY protocol headers: `seen` has each connection's header, then its requests."""

    def _serve(self, peer: Peer) -> None:
        try:
            self.seen.append(self._header(peer))
        except OSError:
            return
        super()._serve(_Buffered(peer))

    def _header(self, peer: Peer) -> str:
        while len(peer.buffer) < 16 and peer.more():
            pass
        if peer.buffer.startswith(SIGNATURE):
            return self._second(peer)
        while b"\r\n" not in peer.buffer and peer.more():
            pass
        line, _, rest = bytes(peer.buffer).partition(b"\r\n")
        peer.buffer[:] = rest
        words = line.decode("latin-1").split(" ")
        if len(words) == 6:
            words[2:] = [_masked(words[2], int(words[4])), _masked(words[3], int(words[5]))]
        return " ".join(words)

    def _second(self, peer: Peer) -> str:
        length = 16 + struct.unpack(">H", peer.buffer[14:16])[0]
        while len(peer.buffer) < length and peer.more():
            pass
        header, peer.buffer[:] = bytes(peer.buffer[:length]), peer.buffer[length:]
        family, body = header[13] >> 4, header[16:]
        size = {0: 0, 1: 4, 2: 16}[family]
        if not size:
            return f"v2 {header[12]:02x} {header[13]:02x} {body!r}"
        kind = socket.AF_INET if size == 4 else socket.AF_INET6
        hosts = [socket.inet_ntop(kind, body[at : at + size]) for at in (0, size)]
        ports = struct.unpack(">HH", body[2 * size : 2 * size + 4])
        shown = [_masked(host, port) for host, port in zip(hosts, ports, strict=True)]
        return f"v2 {header[12]:02x} {header[13]:02x} {shown} {body[2 * size + 4 :]!r}"


class _Buffered(Peer):
    """A peer of which some has been read."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(_Ahead(peer.socket, bytes(peer.buffer)))  # type: ignore[arg-type]


class _Ahead:
    """A socket whose first bytes have been read already."""

    def __init__(self, real: socket.socket, ahead: bytes) -> None:
        self._real = real
        self._ahead = ahead

    def recv(self, size: int) -> bytes:
        ahead, self._ahead = self._ahead, b""
        return ahead or self._real.recv(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __hash__(self) -> int:
        return hash(self._real)

    def __eq__(self, other: object) -> bool:
        return other is self or other is self._real


def _filter(**fields: Any) -> list[Json]:
    kind = EXTENSIONS + "filters.listener.proxy_protocol.v3.ProxyProtocol"
    return [{"name": "envoy.filters.listener.proxy_protocol", "typed_config": {"@type": kind, **fields}}]


def _around(**config: Any) -> Json:
    raw = {"name": "raw", "typed_config": {"@type": EXTENSIONS + "transport_sockets.raw_buffer.v3.RawBuffer"}}
    kind = EXTENSIONS + "transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport"
    return {"name": "proxy", "typed_config": {"@type": kind, "config": config, "transport_socket": raw}}


def _log(places: Places, text: str) -> list[Json]:
    log = {"@type": FILE_LOG, "path": str(places.log), "log_format": {"text_format_source": {"inline_string": text}}}
    return [{"name": "file", "typed_config": log}]


ALL = {"match_type": "INCLUDE_ALL"}
RULES = [
    {"tlv_type": 5, "on_tlv_present": {"key": "five"}},
    {"tlv_type": 6, "on_tlv_present": {"key": "six", "metadata_namespace": "other"}},
]
UPSTREAMS: dict[str, MakeUpstream] = {
    "behind": partial(Proxied, {"/": says("behind")}),
    "bytes": partial(TcpRecorder, Until(b"ask\n"), b"bye\n"),
}


def _clusters(places: Places) -> list[Json]:
    behind, raw = places["behind"], places["bytes"]
    by_zone = {"match": {"zone": "a"}, "name": "matched", "transport_socket": _around(version="V1")}
    labelled = static_cluster(
        "matched", behind, transport_socket_matches=[by_zone], transport_socket=_around(version="V2")
    )
    labelled["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["metadata"] = {
        "filter_metadata": {"envoy.transport_socket_match": {"zone": "a"}}
    }
    return [
        static_cluster("v1", behind, transport_socket=_around(version="V1")),
        static_cluster("v2", behind, transport_socket=_around(version="V2")),
        static_cluster("passes-all", behind, transport_socket=_around(version="V2", pass_through_tlvs=ALL)),
        static_cluster(
            "passes-five",
            behind,
            transport_socket=_around(version="V2", pass_through_tlvs={"match_type": "INCLUDE", "tlv_type": [5]}),
        ),
        static_cluster(
            "adds",
            behind,
            transport_socket=_around(
                version="V2",
                pass_through_tlvs=ALL,
                added_tlvs=[{"type": 5, "value": "YWRk"}, {"type": 224, "value": "eA=="}],
            ),
        ),
        labelled,
        static_cluster("tcp", raw, transport_socket=_around(version="V1")),
    ]


def _configuration(places: Places) -> Json:
    clusters = _clusters(places)
    routes = catch_all(*(to_cluster(each["name"], f"/{each['name']}/") for each in clusters))

    def listener(name: str, filters: list[Json], **more: Any) -> Json:
        made = http_listener(name, routes, access_log=_log(places, LOG), use_remote_address=True, **more)
        return {**made, "listener_filters": filters}

    passing = listener("passing", _filter(pass_through_tlvs=ALL, rules=RULES))
    passing["access_log"] = _log(places, CONNECTION_LOG)
    chosen = listener("chosen", _filter())
    chosen["filter_chains"] = [
        {
            **chosen["filter_chains"][0],
            "filter_chain_match": {"source_prefix_ranges": [{"address_prefix": "1.2.3.0", "prefix_len": 24}]},
        },
    ]
    direct = listener("direct", _filter())
    direct["filter_chains"] = [
        {
            **direct["filter_chains"][0],
            "filter_chain_match": {
                "direct_source_prefix_ranges": [{"address_prefix": "127.0.0.0", "prefix_len": 8}],
                "destination_port": 80,
            },
        },
    ]
    inspector = {
        "name": "tls",
        "typed_config": {"@type": EXTENSIONS + "filters.listener.tls_inspector.v3.TlsInspector"},
    }
    older = listener("older", [])
    older["filter_chains"][0]["use_proxy_proto"] = True
    tcp = {"@type": TCP_PROXY, "stat_prefix": "test", "cluster": "tcp"}
    return bootstrap_of(
        [
            listener("plain", []),
            listener("strict", _filter(stat_prefix="test")),
            listener("lenient", _filter(allow_requests_without_proxy_protocol=True)),
            listener("no-v1", _filter(disallowed_versions=["V1"])),
            listener("no-v2", _filter(disallowed_versions=["V2"])),
            listener("no-v1-lenient", _filter(disallowed_versions=["V1"], allow_requests_without_proxy_protocol=True)),
            listener("inspected", [*_filter(), inspector]),
            older,
            passing,
            chosen,
            direct,
            {
                "name": "tcp",
                "address": socket_address(("127.0.0.1", 0)),
                "listener_filters": _filter(allow_requests_without_proxy_protocol=True),
                "filter_chains": [{"filters": [{"name": "tcp", "typed_config": tcp}]}],
            },
        ],
        clusters,
    )


SETUP = Setup("proxy-protocol", _configuration, UPSTREAMS)


def case(name: str, on: str, *steps: CaseStep, lines: int | None = None, quiet: float = 0.0) -> Case:
    return Case(AREA, name, steps, on, quiet, lines=lines, setup=SETUP, bytes_counted=on != "tcp")


def v2(command: int, family: int, body: bytes, length: int | None = None) -> bytes:
    return (
        SIGNATURE + bytes([0x20 | command, family]) + struct.pack(">H", len(body) if length is None else length) + body
    )


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + struct.pack(">H", len(value)) + value


V1 = b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n"
V1_6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 80\r\n"
IP4 = socket.inet_aton("1.2.3.4") + socket.inet_aton("5.6.7.8") + struct.pack(">HH", 1000, 80)
IP6 = b"".join(socket.inet_pton(socket.AF_INET6, each) for each in ("2001:db8::1", "2001:db8::2")) + struct.pack(
    ">HH", 1000, 80
)
V2 = v2(1, 0x11, IP4)
ASK = get("/v1/")

TAKEN = [
    case("version 1", "strict", V1 + ASK),
    case("version 1, IPv6", "strict", V1_6 + ASK),
    case("version 1, unknown", "strict", b"PROXY UNKNOWN\r\n" + ASK),
    case("version 1, unknown with words behind", "strict", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n" + ASK),
    case(
        "version 1 in pieces",
        "strict",
        b"PRO",
        Wait(0.05),
        b"XY TCP4 1.2.3.4 5.6.7.8 1000 80\r",
        Wait(0.05),
        b"\n" + ASK,
    ),
    case("version 2", "strict", V2 + ASK),
    case("version 2, IPv6", "strict", v2(1, 0x21, IP6) + ASK),
    case("version 2, local", "strict", v2(0, 0, b"") + ASK),
    case("version 2, local with addresses", "strict", v2(0, 0x11, IP4) + ASK),
    case("version 2, datagrams", "strict", v2(1, 0x12, IP4) + ASK),
    case("version 2 in pieces", "strict", V2[:5], Wait(0.05), V2[5:18], Wait(0.05), V2[18:] + ASK),
    case(
        "version 2 with extensions in pieces",
        "strict",
        v2(1, 0x11, IP4 + tlv(5, b"a" * 300))[:200],
        Wait(0.05),
        v2(1, 0x11, IP4 + tlv(5, b"a" * 300))[200:] + ASK,
    ),
    case("requests after the header", "strict", V1 + ASK, Answers(1), ASK, Answers(2)),
    case("a header twice", "strict", V1 + V1 + ASK),
    case("the inspector behind", "inspected", V1 + ASK),
    case("the inspector behind, in pieces", "inspected", V1, Wait(0.05), ASK),
]

REFUSED = [
    case(name, "strict", data, Closed(), lines=0)
    for name, data in {
        "no header": ASK,
        "a short line": b"abc\r\n",
        "a line that is too long": b"PROXY TCP4 " + b"1" * 200 + b"\r\n",
        "version 1, an address that is none": b"PROXY TCP4 1.2.3 5.6.7.8 1000 80\r\n" + ASK,
        "version 1, a port that is none": b"PROXY TCP4 1.2.3.4 5.6.7.8 70000 80\r\n" + ASK,
        "version 1, addresses of the other family": b"PROXY TCP6 1.2.3.4 5.6.7.8 1000 80\r\n" + ASK,
        "version 1, another family": b"PROXY UDP4 1.2.3.4 5.6.7.8 1000 80\r\n" + ASK,
        "version 1, too few words": b"PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n" + ASK,
        "version 1, too many words": b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80 1\r\n" + ASK,
        "version 1, multicast": b"PROXY TCP4 224.0.0.1 5.6.7.8 1000 80\r\n" + ASK,
        "version 1, nobody": b"PROXY TCP4 0.0.0.0 5.6.7.8 1000 80\r\n" + ASK,
        "version 1, small letters": b"proxy tcp4 1.2.3.4 5.6.7.8 1000 80\r\n" + ASK,
        "version 2, another version": SIGNATURE + b"\x31\x11\x00\x0c" + IP4 + ASK,
        "version 2, another command": v2(2, 0x11, IP4) + ASK,
        "version 2, Unix domain sockets": v2(1, 0x31, b"a" * 216) + ASK,
        "version 2, no room for addresses": v2(1, 0x11, IP4, 8) + ASK,
        "version 2, an extension cut short": v2(1, 0x11, IP4 + b"\x05\x00\x09ab") + ASK,
        "version 2, an extension without a length": v2(1, 0x11, IP4 + b"\x05\x00") + ASK,
    }.items()
]

CHOICES = [
    case("no header where none is needed", "lenient", ASK),
    case("a header where none is needed", "lenient", V2 + ASK),
    case("something shorter than a header where none is needed", "lenient", b"G", Wait(0.05), ASK[1:]),
    case("version 1 is not allowed", "no-v1", V1 + ASK, Closed(), lines=0),
    case("version 2 is allowed", "no-v1", V2 + ASK),
    case("version 2 is not allowed", "no-v2", V2 + ASK, Closed(), lines=0),
    case("version 1 is allowed", "no-v2", V1 + ASK),
    case("version 1 is not allowed, and passes as it is", "no-v1-lenient", V1 + ASK, Closed()),
    case(
        "extensions become metadata",
        "passing",
        v2(1, 0x11, IP4 + tlv(5, b"five") + tlv(6, b"\xffsix") + tlv(7, b"x")) + ASK,
        lines=2,
    ),
    case("an extension twice", "passing", v2(1, 0x11, IP4 + tlv(5, b"one") + tlv(5, b"two")) + ASK, lines=2),
    case("the older field", "older", V1 + ASK),
    case("the older field, and no header", "older", ASK, Closed(), lines=0),
    case("a chain by the client's address", "chosen", V1 + ASK),
    case("no chain for the client's address", "chosen", V1.replace(b"1.2.3.4", b"9.2.3.4") + ASK, Closed(), lines=0),
    case("a chain by the peer's address, and the client's port", "direct", V1 + ASK),
    case("a stat's prefix", "strict", V1 + ASK, Answers(1), Admin("GET /stats?filter=proxy_proto.test")),
]

EXTENSIONS_5_6 = v2(1, 0x11, IP4 + tlv(5, b"five") + tlv(6, b"six"))

UPSTREAM = [
    case("upstream, version 1", "plain", get("/v1/")),
    case("upstream, version 2", "plain", get("/v2/")),
    case("upstream, version 1 of another's client", "strict", V1_6 + get("/v1/")),
    case("upstream, version 2 of another's client", "strict", V1_6 + get("/v2/")),
    case("upstream, local", "strict", v2(0, 0, b"") + get("/v2/")),
    case("upstream, extensions are not passed on", "passing", EXTENSIONS_5_6 + get("/v2/"), lines=2),
    case("upstream, extensions are passed on", "passing", EXTENSIONS_5_6 + get("/passes-all/"), lines=2),
    case("upstream, one extension is passed on", "passing", EXTENSIONS_5_6 + get("/passes-five/"), lines=2),
    case("upstream, extensions are added", "passing", EXTENSIONS_5_6 + get("/adds/"), lines=2),
    case("upstream, extensions that are not kept", "strict", EXTENSIONS_5_6 + get("/passes-all/")),
    case("upstream, by the host's labels", "plain", get("/matched/")),
    case("upstream, one client shares with itself", "plain", *in_order(get("/v1/"), 3)),
    case("upstream, two clients do not share", "plain", get("/v1/"), Answers(1), Connect(), get("/v1/"), Answers(1)),
    case("upstream, bytes", "tcp", V1 + b"ask\n", Until(b"bye\n"), Closed(), lines=1),
]

CASES = [*TAKEN, *REFUSED, *CHOICES, *UPSTREAM]
