"""Names and numbers as a reader sees them."""

from __future__ import annotations

import math
import re

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, delete, C1
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff"  # invisible, or reorders what surrounds it
    "\ud800-\udfff\ufffe\uffff]"  # no text at all
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def visible(text: str) -> str:
    r"""Write control, direction and surrogate characters as escapes, so that none acts on the page.

    Examples
    --------
    >>> visible("red\x1b[31m")
    'red\\x1b[31m'
    """
    return _UNSAFE.sub(lambda found: _escape(ord(found.group())), text)


def _escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def shorten(text: str, limit: int = 40) -> str:
    """Cut the middle out of a long text; both ends tell names apart.

    Examples
    --------
    >>> shorten("package.module:MyVeryLongLayerName", 20)
    'package.mo…LayerName'
    """
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[-tail:]}" if tail else text[:limit]


def number(value: float, digits: int = 4) -> str:
    """Write a number with ``digits`` significant digits; powers of ten where it is very large or small.

    Examples
    --------
    >>> number(0.79341), number(5.561e-48), number(float("inf")), number(1797.0)
    ('0.7934', '5.561×10⁻⁴⁸', '∞', '1797')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == round(value) and abs(value) < 1e6:
        return _signed(f"{value:.0f}")
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{decimals}f}"
        return _signed(text.rstrip("0").rstrip(".") if "." in text else text)
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{_signed(mantissa)}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def _signed(text: str) -> str:
    return text.replace("-", "−")


def words(name: str) -> str:
    """Write a field name as words: ``steps_to_target`` as ``steps to target``."""
    return name.replace("_", " ")


def scalar(value: object) -> str:
    """Write a case value: numbers briefly, everything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return number(float(value))
