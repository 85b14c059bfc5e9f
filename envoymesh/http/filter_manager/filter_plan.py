"""What is known of a list of filters before a request comes: how they are made, and which of them override which step.

The second is found out once for each list of classes that the factories make (nearly always the same one), so that a
step which a filter does not override costs a request nothing. This module must not hold anything of one request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from envoymesh.http.filter import FilterFactory, StreamFilter

MOST_PLANS: Final = 64
"""Lists of classes that are remembered; a factory that makes a new class for each stream must not fill the memory."""


class NamedFilter:
    """An entry of `http_filters`.

    Args:
        name: the filter's key in `typed_per_filter_config`.
        disabled: it takes part only in requests whose route enables it.
    """

    __slots__ = ("disabled", "factory", "name")

    def __init__(self, name: str, factory: FilterFactory, disabled: bool = False) -> None:
        self.name = name
        self.factory = factory
        self.disabled = disabled


class ChainPlan:
    """Which filters of a chain override which step: their places, in the order in which they are asked.

    Attributes:
        classes: of the chain's filters, as they were added.
        kinds: how each was added, as `FilterChain` notes it.
        decode_headers, decode_data: places among the decoder filters.
        encode_headers, encode_data, encode_1xx_headers: places among the encoder filters, the last added first.
        on_local_reply, on_stream_complete, on_destroy: places among all filters.
    """

    __slots__ = (
        "classes",
        "decode_data",
        "decode_headers",
        "encode_1xx_headers",
        "encode_data",
        "encode_headers",
        "kinds",
        "on_destroy",
        "on_local_reply",
        "on_stream_complete",
    )

    def __init__(
        self,
        kinds: int,
        filters: Sequence[StreamFilter],
        decoders: Sequence[StreamFilter],
        encoders: Sequence[StreamFilter],
    ) -> None:
        self.kinds = kinds
        self.classes = tuple(type(each) for each in filters)
        self.decode_headers = places_of("decode_headers", decoders)
        self.decode_data = places_of("decode_data", decoders)
        self.encode_1xx_headers = places_of("encode_1xx_headers", encoders)
        self.encode_headers = places_of("encode_headers", encoders)
        self.encode_data = places_of("encode_data", encoders)
        self.on_local_reply = places_of("on_local_reply", filters)
        self.on_stream_complete = places_of("on_stream_complete", filters)
        self.on_destroy = places_of("on_destroy", filters)

    def fits(self, kinds: int, filters: list[StreamFilter]) -> bool:
        """Whether these filters are of the classes that the plan was made of, and added in the same way."""
        if kinds != self.kinds:
            return False
        classes = self.classes
        for place, each in enumerate(filters):  # noqa: SIM110 mypyc makes a function of a generator
            if type(each) is not classes[place]:
                return False
        return True


def places_of(step: str, filters: Sequence[StreamFilter]) -> tuple[int, ...]:
    """The places of the filters whose class overrides a step."""
    default = getattr(StreamFilter, step)
    return tuple(place for place, each in enumerate(filters) if getattr(type(each), step) is not default)


class FilterChainFactory:
    """The filters of a connection manager's streams, and the plans of their chains.

    Args:
        filters: in the order of `http_filters`.
        routes_choose: whether any route enables or disables filters (`typed_per_filter_config` with FilterConfig).

    Attributes:
        chooses: whether a stream's route says which filters take part.
        needs_route: whether a stream's route is looked up before its chain is made. As in Envoy it also is where there
            are other filters than the router, so that logs show it when one of those answers.
        plan: the plan of the chain that was made last; the next one mostly has the same.
    """

    __slots__ = ("_plans", "chooses", "filters", "needs_route", "plan")

    def __init__(self, filters: Sequence[NamedFilter], routes_choose: bool = False) -> None:
        self.filters = list(filters)
        self.chooses = routes_choose or any(each.disabled for each in filters)
        self.needs_route = self.chooses or len(filters) > 1
        self.plan = ChainPlan(0, (), (), ())
        self._plans: dict[tuple[int, tuple[type, ...]], ChainPlan] = {}

    @staticmethod
    def of(*factories: FilterFactory) -> FilterChainFactory:
        """Filters without names, which no route can configure."""
        return FilterChainFactory([NamedFilter("", each) for each in factories])

    def plan_of(
        self,
        kinds: int,
        filters: Sequence[StreamFilter],
        decoders: Sequence[StreamFilter],
        encoders: Sequence[StreamFilter],
    ) -> ChainPlan:
        """The plan of a chain that differs from the last one; made once for each list of classes."""
        key = kinds, tuple(type(each) for each in filters)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[key] = ChainPlan(kinds, filters, decoders, encoders)
        self.plan = plan
        return plan
