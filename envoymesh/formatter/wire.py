"""Commands that print bytes on the wire, of the downstream stream and of all tries upstream.

What was counted is the codecs' (`BytesMeter`); over HTTP/2 it depends on how HPACK packs, which two proxies do in two
ways. It must not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from envoymesh.formatter.context import FormatterContext, Operator, Value
from envoymesh.http.codec import BytesMeter

_Count = Callable[[BytesMeter], int]


def _downstream(count: _Count) -> Operator:
    def show(context: FormatterContext) -> Value:
        meter = context.info.downstream_meter
        return 0 if meter is None else count(meter)

    return show


def _upstream(count: _Count) -> Operator:
    return lambda context: sum([count(meter) for meter in context.info.upstream_meters])


_COUNTS: Mapping[str, _Count] = {
    "WIRE_BYTES_RECEIVED": lambda meter: meter.wire_bytes_received,
    "WIRE_BYTES_SENT": lambda meter: meter.wire_bytes_sent,
    "HEADER_BYTES_RECEIVED": lambda meter: meter.header_bytes_received,
    "HEADER_BYTES_SENT": lambda meter: meter.header_bytes_sent,
    "DECOMPRESSED_HEADER_BYTES_RECEIVED": lambda meter: meter.decompressed_header_bytes_received,
    "DECOMPRESSED_HEADER_BYTES_SENT": lambda meter: meter.decompressed_header_bytes_sent,
}

WIRE: Mapping[str, Operator] = {
    **{f"DOWNSTREAM_{name}": _downstream(count) for name, count in _COUNTS.items()},
    **{f"UPSTREAM_{name}": _upstream(count) for name, count in _COUNTS.items()},
    # Only QUIC knows how much it has sent again.
    "BYTES_RETRANSMITTED": lambda context: 0,
    "PACKETS_RETRANSMITTED": lambda context: 0,
    "ROUNDTRIP_DURATION": lambda context: None,
}
