"""Which way is better in files that do not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from ics_bench.core import UsageError

Direction = Literal["lower", "higher"]


@dataclass(frozen=True, slots=True)
class Directions:
    """Answers by name; the last one given wins.

    Parameters
    ----------
    better : tuple of (str, str)
        Pattern that is searched for in a name, and ``"lower"`` or ``"higher"``.
    exact : tuple of str
        Patterns of the names whose numbers are deterministic.
    """

    better: tuple[tuple[str, Direction], ...] = ()
    exact: tuple[str, ...] = ()

    @classmethod
    def parse(cls, better: Sequence[str] = (), exact: Sequence[str] = ()) -> Directions:
        """Read ``lower``, ``higher`` or ``REGEX=lower`` as typed by a user.

        Raises
        ------
        UsageError
            For anything else.
        """
        found = []
        for text in better:
            pattern, separator, direction = text.rpartition("=")
            if direction not in ("lower", "higher") or (separator and not pattern):
                raise UsageError(f"--better {text!r} is not lower, higher, REGEX=lower or REGEX=higher")
            found.append((_checked("--better", pattern), cast("Direction", direction)))
        return cls(tuple(found), tuple(_checked("--exact", pattern) for pattern in exact))

    def __bool__(self) -> bool:
        """Whether anything was given."""
        return bool(self.better or self.exact)

    def of(self, name: str) -> Direction | None:
        """Direction of a benchmark; ``None`` where nobody said."""
        return next((found for pattern, found in reversed(self.better) if re.search(pattern, name)), None)

    def is_exact(self, name: str) -> bool:
        """Whether a benchmark's number was said to be deterministic."""
        return any(re.search(pattern, name) for pattern in self.exact)

    def check_used(self, names: Sequence[str]) -> None:
        """Refuse a pattern that matches no benchmark: it would be a typing error that passes.

        Raises
        ------
        UsageError
            Naming it.
        """
        given = [("--better", pattern) for pattern, _ in self.better] + [("--exact", pattern) for pattern in self.exact]
        for option, pattern in given:
            if not any(re.search(pattern, name) for name in names):
                raise UsageError(f"{option} {pattern!r} matches no benchmark; there is, for example, {names[0]!r:.120}")


def _checked(option: str, pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{option}: {pattern!r} is no regular expression: {error}") from error
    return pattern
