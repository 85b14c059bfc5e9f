"""envoy.extensions.filters.http.buffer.v3.Buffer -> factory of buffer filters; BufferPerRoute -> settings of routes."""

from __future__ import annotations

from envoymesh.config.reader import Reader
from envoymesh.filters.http.buffer.filter import BufferFilter, BufferSettings
from envoymesh.filters.http.factory_context import HttpFilterFactoryContext
from envoymesh.http.filter import FilterChainFactoryCallbacks, FilterFactory
from envoymesh.router.config import RouteFactoryContext


def buffer_filter_factory(reader: Reader, context: HttpFilterFactoryContext) -> FilterFactory:
    """Read a Buffer. Errors: ConfigError."""
    settings = BufferSettings(reader.integer("max_request_bytes"))

    def add(callbacks: FilterChainFactoryCallbacks) -> None:
        callbacks.add_decoder_filter(BufferFilter(settings))

    return add


def read_buffer_route(reader: Reader, context: RouteFactoryContext) -> BufferSettings:
    """Read a BufferPerRoute. Errors: ConfigError."""
    if reader.which("override") == "disabled":
        reader.boolean("disabled")
        return BufferSettings(0, disabled=True)
    return BufferSettings(reader.required("buffer").integer("max_request_bytes"))
