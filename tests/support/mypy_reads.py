"""A mypy plugin that notes which attributes of the package's classes are read, and which classes are made where.

mypy loads it by its path; what it noted is in `tests.support.mypy_notes`. It must not change what mypy finds.
"""

from __future__ import annotations

from collections.abc import Callable

from mypy.plugin import AttributeContext, FunctionContext, Plugin
from mypy.types import Type

from tests.support.mypy_notes import MADE, PACKAGE, READ


class _Notes(Plugin):
    def get_attribute_hook(self, fullname: str) -> Callable[[AttributeContext], Type] | None:
        """`fullname` is that of the class that has the attribute, and the attribute's name."""
        if not fullname.startswith(PACKAGE + "."):
            return None

        def note(context: AttributeContext) -> Type:
            if not context.is_lvalue:
                READ.add((fullname, _path(context), context.context.line))
            return context.default_attr_type

        return note

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """`fullname` is that of a function, or of a class that is made."""
        if not fullname.startswith(PACKAGE + "."):
            return None

        def note(context: FunctionContext) -> Type:
            MADE.add((fullname, _path(context)))
            return context.default_return_type

        return note


def _path(context: AttributeContext | FunctionContext) -> str:
    return str(getattr(context.api, "path", ""))


def plugin(version: str) -> type[Plugin]:
    """What mypy asks for."""
    return _Notes
