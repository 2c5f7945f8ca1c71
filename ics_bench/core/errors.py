"""Errors that a user can act on: each names the thing, the value and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """The request cannot be carried out as asked; the message is one line for the user."""


def unknown(thing: str, name: object, options: Iterable[object]) -> UsageError:
    """Describe an unknown name, with the near ones.

    Parameters
    ----------
    thing : str
        What was being named, such as ``"norm"``.
    name : object
        The name that was not found.
    options : iterable
        The names that exist.

    Examples
    --------
    >>> print(unknown("norm", "bacth", ["batch", "layer"]))
    unknown norm 'bacth'; did you mean 'batch'?
    """
    known = [str(option) for option in options]
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.5)
    meant, all_known = " or ".join(repr(n) for n in near), ", ".join(known) or "none"
    return UsageError(f"unknown {thing} {str(name)!r}; {f'did you mean {meant}?' if near else f'known: {all_known}'}")
