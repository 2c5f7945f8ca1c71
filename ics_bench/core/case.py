"""One point of a workload's grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Case(Mapping[str, Scalar]):
    """A frozen point of a workload's grid, read like a mapping.

    Seeds are an axis of their own and never part of a case.

    Examples
    --------
    >>> case = Case.of(depth=20, norm="batch")
    >>> case["depth"], case.id
    (20, 'depth=20,norm=batch')
    """

    items_: tuple[tuple[str, Scalar], ...]

    @classmethod
    def of(cls, mapping: Mapping[str, Scalar] | None = None, /, **values: Scalar) -> Case:
        """Build a case from a mapping, from keywords, or from both."""
        return cls(tuple({**(mapping or {}), **values}.items()))

    def __getitem__(self, key: str) -> Scalar:
        for name, value in self.items_:
            if name == key:
                return value
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.items_)

    def __len__(self) -> int:
        return len(self.items_)

    @property
    def id(self) -> str:
        """Stable, readable identity: ``key=value`` pairs in the order of the declaration."""
        return ",".join(f"{_text(name)}={_text(value)}" for name, value in self.items_)

    def __str__(self) -> str:
        return self.id

    def without(self, *keys: str) -> Case:
        """Return the case with ``keys`` left out."""
        return Case(tuple(item for item in self.items_ if item[0] not in keys))

    def matches(self, **values: Scalar) -> bool:
        """Whether every given key is present with the given value."""
        own = dict(self.items_)
        return all(key in own and own[key] == value for key, value in values.items())

    def integer(self, key: str) -> int:
        """Return the value of ``key``, which must be an integer."""
        value = self[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"case key {key!r} holds {value!r}, not an integer")
        return value

    def text(self, key: str) -> str:
        """Return the value of ``key``, which must be a string."""
        value = self[key]
        if not isinstance(value, str):
            raise TypeError(f"case key {key!r} holds {value!r}, not a string")
        return value


def _text(value: Scalar) -> str:
    text = str(value)
    if isinstance(value, float):
        short = f"{value:g}"
        text = short if float(short) == value else repr(value)  # six digits do not tell all floats apart
    return text.replace("%", "%25").replace(",", "%2C").replace("=", "%3D")
