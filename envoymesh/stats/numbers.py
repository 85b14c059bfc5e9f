"""How a floating-point number is spelt in each of the stats formats. It must not know what the number is."""

import math
from decimal import Decimal


def plain(value: float) -> str:
    """The shortest digits that read back the same, without `.0` (text quantiles): 1016.2162162162163, 5, nan."""
    return repr(float(value)).removesuffix(".0")


def brief(value: float) -> str:
    """Six significant digits, as printf's %g (text bucket bounds): 0.5, 100, 1.8e+06."""
    return f"{value:g}"


def exact(value: float) -> str:
    """Up to 32 significant digits, as printf's %.32g (Prometheus sums)."""
    return f"{value:.32g}"


def fixed(value: float) -> str:
    """The shortest digits, never with an exponent (Prometheus bucket bounds): 1800000, 0.5."""
    return f"{Decimal(repr(float(value))):f}".removesuffix(".0")


def json_number(value: float) -> str:
    """The shorter of fixed and scientific spelling, the first where equal; NaN is null: 10000, 3e+05."""
    if math.isnan(value):
        return "null"
    decimal = Decimal(repr(float(value))).normalize()
    _, digits, exponent = decimal.as_tuple()
    simple = fixed(value)
    if not isinstance(exponent, int) or decimal == 0:
        return simple
    head = "".join(map(str, digits))
    mantissa = head[0] + (f".{head[1:]}" if len(head) > 1 else "")
    scientific = f"{'-' if decimal < 0 else ''}{mantissa}e{exponent + len(head) - 1:+03d}"
    return scientific if len(scientific) < len(simple) else simple
