import json
import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONFIGURATION = json.loads((ROOT / "asv.conf.json").read_text())  # strict JSON: without comments
REQUIREMENTS = CONFIGURATION["matrix"]["req"]

RUNNER = "asv_runner"
"""What asv itself puts into its environments to run benchmarks with."""


def names(requirements):
    return {re.match(r"[A-Za-z0-9_.-]+", requirement).group() for requirement in requirements}


def pins():
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return dict(line.split("==") for line in lines if line)


def test_asv_installs_what_the_project_needs_and_nothing_else():
    needed = names(PROJECT["project"]["dependencies"]) | names(PROJECT["build-system"]["requires"]) | {RUNNER}
    assert {name.removeprefix("pip+") for name in REQUIREMENTS} == needed


def test_asv_measures_with_the_pinned_versions():
    pinned = pins()
    assert {name.removeprefix("pip+"): versions for name, versions in REQUIREMENTS.items()} == {
        name.removeprefix("pip+"): [pinned[name.removeprefix("pip+")]] for name in REQUIREMENTS
    }


def test_everything_that_the_project_and_its_tests_need_is_pinned():
    needed = names(PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["test"])
    assert needed | names(PROJECT["build-system"]["requires"]) <= set(pins())


def test_pinned_versions_satisfy_what_the_project_declares():
    declared = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["test"]
    pinned = pins()
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(pinned[requirement.name]), requirement


def test_what_asv_writes_is_not_committed():
    ignored = (ROOT / ".gitignore").read_text().split()
    for key in ("env_dir", "results_dir", "html_dir"):
        assert f"{CONFIGURATION[key].split('/')[0]}/" in ignored


def test_every_kind_of_benchmark_has_a_threshold():
    thresholds = CONFIGURATION["regressions_thresholds"]
    for name in ("init_scale.InitScale.track_x(1)", "init_scale.InitScaleTime.time_measure"):
        assert any(re.match(pattern, name) for pattern in thresholds), name
