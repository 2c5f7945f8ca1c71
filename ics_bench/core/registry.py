"""Names for things that can be plugged in: ours by file name, others by entry point or by path."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from ics_bench.core.errors import UsageError, unknown


@dataclass
class Registry:
    """A kind of subject, found by name.

    Built-in entries are the modules of ``package``, one a file, each holding ``attribute``. Other
    distributions add entries through the entry-point group ``group``. Anything else is reached as
    ``module:attribute``. Third-party code is imported only when its name is asked for.

    Parameters
    ----------
    thing : str
        What is being named, for error messages.
    package : str
        Dotted name of the package that holds the built-in entries.
    attribute : str
        The name that each built-in module defines.
    group : str, optional
        Entry-point group.
    check : str, optional
        ``module:function`` that loads an entry by name and raises `UsageError` if it cannot serve.
        It is called for what others wrote before anything is measured.
    """

    thing: str
    package: str
    attribute: str
    group: str = ""
    check: str = ""
    _objects: dict[str, object] = field(default_factory=dict, repr=False)
    _found: tuple[tuple[str, ...], dict[str, EntryPoint]] | None = field(default=None, repr=False)

    def builtin(self) -> tuple[str, ...]:
        """Names of the built-in entries."""
        path = importlib.import_module(self.package).__path__
        return tuple(sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith("_")))

    def _entry_points(self) -> dict[str, EntryPoint]:
        """Find the group's entry points, again only when the search path has changed: it takes milliseconds."""
        if not self.group:
            return {}
        path = tuple(sys.path)
        if self._found is None or self._found[0] != path:
            self._found = (path, {point.name: point for point in entry_points(group=self.group)})
        return self._found[1]

    def names(self) -> tuple[str, ...]:
        """Every name that can be given, built-in first."""
        ours = self.builtin()
        return ours + tuple(sorted(name for name in self._entry_points() if name not in ours))

    def summaries(self) -> dict[str, str]:
        """One line for every name, read from the source: nothing is imported."""
        lines = {name: self._summary(name) for name in self.builtin()}
        for name, point in sorted(self._entry_points().items()):
            package = point.dist.name if point.dist is not None else point.value
            lines.setdefault(name, f"from {package}")
        return lines

    def _summary(self, name: str) -> str:
        spec = importlib.util.find_spec(f"{self.package}.{name}")
        if spec is None or spec.origin is None:
            return ""
        tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
        return (ast.get_docstring(tree) or "").partition("\n")[0]

    def verify(self, name: str, *uses: object) -> None:
        """Check, before it is used, an entry that is not built in.

        Parameters
        ----------
        name : str
        *uses
            How it will be used, for a ``check`` that takes more than the name.

        Raises
        ------
        UsageError
            If it cannot be imported or cannot serve.
        """
        if name in self.builtin() and name not in self._objects:
            return
        if not self.check:
            self.load(name)
            return
        module, _, function = self.check.partition(":")
        getattr(importlib.import_module(module), function)(name, *uses)

    def canonical(self, name: str) -> str:
        """Check that ``name`` exists and return it as it will stand in results.

        Raises
        ------
        UsageError
            If it is neither known nor of the form ``module:attribute``.
        """
        if name in self._objects or name in self.names():
            return name
        if ":" in name:
            self.load(name)
            return name
        raise unknown(self.thing, name, self.names())

    def load(self, name: str) -> object:
        """Return what ``name`` stands for.

        Raises
        ------
        UsageError
            If it is unknown or cannot be imported.
        """
        if name in self._objects:
            return self._objects[name]
        if name in self.builtin():
            return getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute)
        points = self._entry_points()
        if name in points:
            return self._load_entry_point(points[name])
        if ":" not in name:
            raise unknown(self.thing, name, self.names())
        return self._load_path(name)

    def _load_entry_point(self, point: EntryPoint) -> object:
        try:
            return point.load()
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self.thing} {point.name!r}: importing {point.value!r} failed: {error!r}") from error

    def _load_path(self, name: str) -> object:
        module_name, _, path = name.partition(":")
        try:
            if os.getcwd() not in sys.path:  # a console script does not put the working folder there
                sys.path.insert(0, os.getcwd())
            found: object = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:
            raise UsageError(f"{self.thing} {name!r}: importing {module_name!r} failed: {error!r}") from error
        for part in path.split("."):
            if not hasattr(found, part):
                raise UsageError(f"{self.thing} {name!r}: module {module_name!r} has no {path!r}")
            found = getattr(found, part)
        return found

    def add_all(self, items: Iterable[object], *, replace: bool) -> tuple[str, ...]:
        """Register several objects given from Python; return their names, each once.

        Parameters
        ----------
        items : iterable
        replace : bool
            Whether a name registered earlier may go over to another object, as when a definition is
            edited and run again.

        Raises
        ------
        UsageError
            If two different objects go by one name: they could not be told apart in results.
        """
        held = {} if replace else self._objects
        names: dict[str, object] = {}
        for item in items:
            if isinstance(item, str):
                names.setdefault(self.canonical(item), item)
                continue
            name = self._name_of(item)
            if names.get(name, held.get(name, item)) is not item:
                raise UsageError(f"two {self.thing}s go by the name {name!r}; give each a name of its own with def")
            names[self.add(item)] = item
        return tuple(names)

    def add(self, item: object) -> str:
        """Register an object given from Python; return the name that it goes by in results."""
        if isinstance(item, str):
            return self.canonical(item)
        name = self._name_of(item)
        self._objects[name] = item
        return name

    @staticmethod
    def _name_of(item: object) -> str:
        named = item if hasattr(item, "__qualname__") else type(item)
        return f"{getattr(named, '__module__', '?')}:{named.__qualname__}"
