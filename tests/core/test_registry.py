from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from ics_bench.core import UsageError
from ics_bench.core.registry import Registry
from ics_bench.subjects import ARCHITECTURES, DATASETS, INITIALIZERS, NORMS


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry over a package whose members record that they were imported."""
    folder = tmp_path / "shelf_under_test"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "_private.py").touch()
    for name in ("first", "second"):
        (folder / f"{name}.py").write_text(f'"""The {name} thing.\n\nMore."""\nTHING = "{name}"\n')
    monkeypatch.syspath_prepend(tmp_path)
    yield Registry("thing", "shelf_under_test", "THING", "ics_bench.test_things")
    for name in [name for name in sys.modules if name.startswith("shelf_under_test")]:
        del sys.modules[name]


def test_files_are_the_built_in_entries(package):
    assert package.names() == ("first", "second")
    assert package.load("first") == "first"


def test_listing_imports_nothing(package):
    assert package.summaries() == {"first": "The first thing.", "second": "The second thing."}
    assert "shelf_under_test.first" not in sys.modules


def test_an_unknown_name_lists_the_near_ones(package):
    for find in (package.load, package.canonical):
        with pytest.raises(UsageError, match="unknown thing 'frist'; did you mean 'first'"):
            find("frist")
    with pytest.raises(UsageError, match="known: first, second"):
        package.load("zzz")


@pytest.mark.parametrize(
    "name", ["os:", ":path", ":", "os:no.such", "no_such_module:x", "..x:y", "os.path\0:join", "../../etc:x", "a b:c"]
)
def test_a_path_that_leads_nowhere_is_one_clear_line(package, name):
    with pytest.raises(UsageError, match="thing"):
        package.canonical(name)


@pytest.mark.parametrize("body", ["raise RuntimeError('boom')", "import sys; sys.exit(0)", "syntax error here"])
def test_a_module_that_cannot_be_imported_is_a_usage_error(package, tmp_path, body):
    (tmp_path / "broken_plugin_module.py").write_text(body)
    with pytest.raises(UsageError, match="importing 'broken_plugin_module' failed"):
        package.load("broken_plugin_module:x")


def test_a_dotted_attribute_is_followed(package):
    assert package.load("os:path.join") is __import__("os").path.join


def test_an_entry_point_is_imported_only_when_named(package, tmp_path, monkeypatch):
    info = tmp_path / "third_party-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[ics_bench.test_things]\ntheirs = third_party_module:THEIRS\nbroken = third_party_broken:X\n"
    )
    (tmp_path / "third_party_module.py").write_text("THEIRS = 'theirs'\n")
    (tmp_path / "third_party_broken.py").write_text("raise RuntimeError('boom')\n")
    importlib.invalidate_caches()  # a folder that changed within one tick of its clock looks unchanged
    assert package.names() == ("first", "second", "broken", "theirs")
    assert package.summaries()["theirs"] == "from third-party"
    assert "third_party_module" not in sys.modules
    assert package.load("theirs") == "theirs"
    with pytest.raises(UsageError, match="'broken': importing 'third_party_broken:X' failed"):
        package.load("broken")


def test_an_object_goes_by_the_name_of_its_definition(package):
    class Mine:
        pass

    assert package.add(Mine).endswith(":test_an_object_goes_by_the_name_of_its_definition.<locals>.Mine")
    assert package.load(package.add(Mine)) is Mine
    assert " at 0x" not in package.add(Mine())
    assert package.add("first") == "first"


def make(value):
    def thing():
        return value

    return thing


def test_two_objects_of_one_name_are_refused(package):
    one, other = make(1), make(2)
    for replace in (True, False):
        with pytest.raises(UsageError, match=r"two things go by the name '.*:make\.<locals>\.thing'"):
            package.add_all([one, other], replace=replace)
    (name,) = package.add_all([one, one], replace=False)
    assert package.add_all(["first", one], replace=False) == ("first", name)


def test_a_name_goes_over_to_another_object_only_where_that_is_asked_for(package):
    one, other = make(1), make(2)
    (name,) = package.add_all([one], replace=False)
    with pytest.raises(UsageError, match="two things"):
        package.add_all([other], replace=False)
    assert package.load(name) is one
    assert package.add_all([other], replace=True) == (name,)
    assert package.load(name) is other


def test_entry_points_are_looked_up_once_for_a_search_path(package, tmp_path, monkeypatch):
    looked_up = []
    monkeypatch.setattr("ics_bench.core.registry.entry_points", lambda group: looked_up.append(group) or ())
    for _ in range(3):
        assert package.names() == ("first", "second")
    assert len(looked_up) == 1
    monkeypatch.syspath_prepend(tmp_path / "more")
    package.names()
    assert len(looked_up) == 2


@pytest.mark.parametrize("registry", [NORMS, ARCHITECTURES, DATASETS, INITIALIZERS], ids=lambda r: r.thing)
def test_everything_shipped_loads_and_has_a_line(registry):
    for name, summary in registry.summaries().items():
        registry.verify(name)
        assert registry.load(name) is not None
        assert summary
