"""Words and numbers that the command line, the report and the files on disk write alike."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_NAMES = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class MessageGroup:
    """Messages that say the same but for their numbers, each with its case; none twice."""

    entries: tuple[tuple[str, str], ...]

    @property
    def message(self) -> str:
        """The first message, which stands for all."""
        return self.entries[0][0]

    @property
    def uniform(self) -> bool:
        """Whether all of them are the same, numbers included."""
        return len({message for message, _ in self.entries}) == 1

    @property
    def size(self) -> int:
        """Number of cases."""
        return len({case for _, case in self.entries})


def group_messages(pairs: Iterable[tuple[str, str]]) -> tuple[MessageGroup, ...]:
    """Group messages, each with its case, that differ in numbers alone; in the order of the first ones.

    Examples
    --------
    >>> [group.size for group in group_messages([("p = 0.5", "a"), ("p = 1e-05", "b"), ("no p", "a")])]
    [2, 1]
    """
    groups: dict[str, dict[tuple[str, str], None]] = {}
    for message, case in pairs:
        groups.setdefault(_NUMBER.sub("#", message), {})[message, case] = None
    return tuple(MessageGroup(tuple(entries)) for entries in groups.values())


def duration(seconds: float) -> str:
    """Write a duration in the two largest units that matter.

    Examples
    --------
    >>> duration(0.31), duration(42), duration(3 * 3600 + 61)
    ('0.3 s', '42 s', '3 h 1 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s"


def count(amount: int, singular: str, plural: str = "") -> str:
    """Write an amount with its noun.

    Examples
    --------
    >>> count(1, "case"), count(3, "case")
    ('1 case', '3 cases')
    """
    return f"{amount} {singular if amount == 1 else plural or singular + 's'}"


def printable(text: str) -> str:
    r"""Escape control characters, bidirectional overrides, and what a CI runner takes for a command.

    Examples
    --------
    >>> printable("\x1b[31mred")
    '\\x1b[31mred'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return _COMMAND.sub(lambda match: match[0][:-1] + f"\\x{ord(match[0][-1]):02x}", shown)


def why(error: Exception) -> str:
    """Say what went wrong with a file, without the path and the number that an `OSError` adds."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def has_surrogate(text: str) -> bool:
    """Whether a text holds half of a surrogate pair, which no UTF-8 file can."""
    return _SURROGATE.search(text) is not None


def without_surrogates(text: str) -> str:
    r"""Write lone surrogates as escapes.

    Examples
    --------
    >>> without_surrogates("caf\udce9")
    'caf\\udce9'
    """
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def encode_number(value: float) -> float | str:
    """Return a finite number as it is, any other by its name: strict JSON has no number for it.

    Examples
    --------
    >>> encode_number(1.5), encode_number(float("-inf"))
    (1.5, '-Infinity')
    """
    value = float(value)  # numpy's scalars are no JSON
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def decode_number(value: object) -> float:
    """Undo `encode_number`.

    Raises
    ------
    ValueError
        For anything that it does not write, such as a literal too large for a float.
    """
    if isinstance(value, str) and value in _NAMES:
        return _NAMES[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    raise ValueError(f"{value!r:.80} is no number")
