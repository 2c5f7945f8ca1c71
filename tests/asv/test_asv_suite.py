import importlib
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from asv_runner.benchmarks._base import get_setup_cache_key

from ics_bench.asv import TimeSuite, TrackSuite
from ics_bench.asv.declaration import require_as_discovered
from ics_bench.asv.tracking import by_seed
from ics_bench.core import Axis, Metric, UsageError, Workload
from ics_bench.subjects import NORMS
from ics_bench.workloads import WORKLOADS, load_workload

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"

ACCURACY = Metric("accuracy", "1", "higher", "seeded")
LOSS = Metric("loss", "nat", "lower", "seeded")


def workload(**changes):
    """A registered workload of two cases and four metrics."""

    class Small(Workload):
        name = "small"
        version = 1
        summary = "for these tests"
        metrics = (
            ACCURACY,
            LOSS,
            Metric("mean", "1", "neutral", "seeded"),
            Metric("more", "1", "lower", "seeded", "", False),
        )
        axes = (Axis("size", "how large", quick=(1, 2, 4)),)
        seeds: ClassVar = {"quick": 3, "standard": 5, "full": 5}

        def cost(self, case):
            return case["size"]

        def measure(self, case, seeds, device):
            for seed in seeds:
                yield self.measurement(case, seed, "loss", case["size"] + seed)

    for name, value in changes.items():
        setattr(Small, name, value)
    return WORKLOADS.add(Small())


def suite(base=TrackSuite, *, named=None, **attributes):
    return type("Suite", (base,), {"workload": named or workload(), **attributes})


def tracks(found):
    return {name for name in dir(found) if name.startswith("track_") and getattr(found, name) is not None}


def discover(folder):
    """List benchmarks as asv does, in a fresh process, and whether that imported torch."""
    script = (
        "import sys, asv_runner.discovery as d\n"
        "d.list_benchmarks(sys.argv[1], sys.stdout)\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return {found["name"]: found for found in json.loads(done.stdout)}, done.stderr.strip() == "True"


def test_discovering_our_benchmarks_imports_no_torch():
    found, torch_imported = discover(BENCHMARKS)
    assert not torch_imported
    modules = {name.split(".")[0] for name in found}
    files = {path.stem for path in BENCHMARKS.glob("*.py") if '__name__ == "__main__"' not in path.read_text()}
    files -= {"__init__"}
    assert modules == files >= {"claims", "init_scale", "kernel_throughput", "lr_ceiling"}


def test_each_of_our_suites_has_a_cache_of_its_own():
    found, _ = discover(BENCHMARKS)
    suites = {name.rpartition(".")[0] for name in found if ".track_" in name}
    keys = {found[name]["setup_cache_key"] for name in found if ".track_" in name}
    assert len(keys) == len(suites) > 1


def test_our_benchmarks_are_unrolled_into_few_processes():
    found, _ = discover(BENCHMARKS)
    combinations = sum(math.prod(len(values) for values in one["params"]) for one in found.values())
    assert combinations <= 400


@pytest.fixture
def tracked_metrics(monkeypatch):
    """Metrics of ours that a suite tracks: by default the headline ones, and those that it names."""
    monkeypatch.syspath_prepend(ROOT)
    files = [path for path in BENCHMARKS.glob("*.py") if "TrackSuite)" in path.read_text()]
    modules = [importlib.import_module(f"benchmarks.{path.stem}") for path in files]
    suites = [s for m in modules for s in vars(m).values() if isinstance(s, type) and issubclass(s, TrackSuite)]
    found = {}
    for name in {s.workload for s in suites} - {""}:
        declared = load_workload(name)
        named = [s.metrics for s in suites if s.workload == name]
        chosen = {m.name for m in declared.metrics if m.headline}.union(*named)
        found |= {(name, m.name): m for m in declared.metrics if m.name in chosen and m.better != "neutral"}
    return found


def test_every_tracked_seeded_metric_says_what_change_matters(tracked_metrics):
    """Else no change of it, however large, could be called a regression."""
    metrics = {key: metric for key, metric in tracked_metrics.items() if metric.kind == "seeded"}
    assert len(metrics) > 50
    silent = [key for key, m in metrics.items() if m.smallest_effect is None and m.smallest_ratio is None]
    assert silent == []


def test_a_metric_of_all_seeds_names_the_one_of_each_seed(tracked_metrics):
    named = {key: metric for key, metric in tracked_metrics.items() if metric.of_each_seed}
    assert {key[0] for key in named} == {"lr_ceiling"}
    for (name, _), metric in named.items():
        own = load_workload(name).metric(metric.of_each_seed)
        assert (own.unit, own.better, own.kind) == (metric.unit, metric.better, "seeded")


def test_the_gate_pairs_what_is_said_of_each_seed():
    together = replace(LOSS, of_each_seed="own", smallest_ratio=1.1)
    outcome = {"failed": {}, "trajectories": {"size=1": {"loss": [(None, [5.0])], "own": [(0, [4.0]), (1, [6.0])]}}}
    assert by_seed(outcome, "size=1", together) == {0: [4.0], 1: [6.0]}
    track = suite(named=workload(metrics=(together,)), cases={"size": 1}).track_loss
    assert (track.smallest_ratio, hasattr(track, "smallest_effect")) == (1.1, False)


def test_what_change_matters_is_no_part_of_a_version():
    def versions(loss):
        name = workload(metrics=(ACCURACY, loss))
        return load_workload(name).digest("quick"), suite(named=name).track_loss.version

    assert versions(LOSS) == versions(replace(LOSS, smallest_effect=0.5, of_each_seed="accuracy"))


def test_infinity_is_best_where_there_is_a_direction_and_the_gate_is_told():
    with pytest.raises(ValueError, match="infinity_is_best needs a direction"):
        Metric("layer", "1", "neutral", "seeded", infinity_is_best=True)
    for declared in (False, True):
        metric = replace(ACCURACY, infinity_is_best=declared)
        track = suite(named=workload(metrics=(metric,)), cases={"size": 1}).track_accuracy
        assert getattr(track, "infinity_is_best", False) is declared


@pytest.mark.parametrize("ratio", [1.0, 0.5, math.nan, math.inf])
def test_a_ratio_that_is_none_is_refused(ratio):
    with pytest.raises(ValueError, match="smallest_ratio"):
        Metric("loss", "1", "lower", "seeded", smallest_ratio=ratio)
    with pytest.raises(ValueError, match="smallest_ratio"):
        Metric("loss", "1", "lower", "seeded", smallest_effect=0.1, smallest_ratio=1.1)


def test_headline_metrics_with_a_direction_are_tracked():
    assert tracks(suite()) == {"track_accuracy", "track_loss"}


def test_other_metrics_are_tracked_when_named():
    assert tracks(suite(metrics=("more",))) == {"track_more"}


def test_a_suite_derived_from_another_tracks_what_it_names_itself():
    parent = suite()
    assert tracks(suite(parent, metrics=("loss",))) == {"track_loss"}


def test_a_benchmark_that_the_author_wrote_is_kept():
    def track_loss(self, outcome, case):
        return 7.0

    assert suite(track_loss=track_loss).track_loss is track_loss


def test_params_are_the_cases_that_the_metric_applies_to():
    named = workload(applies=lambda self, metric, case: metric != "loss" or case["size"] > 1)
    found = suite(named=named, cases={"size": [1, 2]})
    assert found.track_accuracy.params == ["size=1", "size=2"]
    assert found.track_loss.params == ["size=2"]


def test_suites_made_by_one_line_have_caches_of_their_own():
    keys = set()
    for name in ("One", "Two"):
        made = type(name, (TrackSuite,), {"workload": workload()})
        keys.add(get_setup_cache_key(made().setup_cache))
    child = type("Child", (made,), {})
    keys.add(get_setup_cache_key(child().setup_cache))
    assert len(keys) == 3


def test_the_base_classes_bring_no_benchmarks_of_their_own(tmp_path):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from ics_bench.asv import TimeSuite, TrackSuite\nclass Base(TrackSuite): pass\n"
    )
    assert discover(folder)[0] == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"recipe": {"steps": 300}},
        {"seeds": {"quick": 4, "standard": 5, "full": 5}},
        {"axes": (Axis("size", "how large", quick=(1, 2)),)},
        {"metrics": (ACCURACY, Metric("loss", "bit", "lower", "seeded"))},
        {"metrics": (ACCURACY, Metric("loss", "nat", "higher", "seeded"))},
        {"metrics": (ACCURACY, Metric("loss", "nat", "lower", "seeded", asv_ceiling=9.0))},
    ],
)
def test_a_changed_meaning_changes_the_version(changes):
    assert suite(named=workload(**changes)).track_loss.version != suite().track_loss.version


@pytest.mark.parametrize(
    "changes",
    [
        {"summary": "other words"},
        {"metrics": (Metric("loss", "nat", "lower", "seeded", "other words"), Metric("new", "1", "lower", "seeded"))},
        {"measure": lambda self, case, seeds, device: iter(())},
    ],
)
def test_an_edit_that_changes_no_meaning_keeps_the_version(changes):
    assert suite(named=workload(**changes)).track_loss.version == suite().track_loss.version


def test_metrics_have_versions_of_their_own():
    assert suite().track_loss.version != suite().track_accuracy.version


def test_setup_cache_measures_every_case_on_every_seed():
    outcome = suite(seeds=2)().setup_cache()
    assert outcome["values"] == {
        "size=1": {"loss": [1.0, 2.0]},
        "size=2": {"loss": [2.0, 3.0]},
        "size=4": {"loss": [4.0, 5.0]},
    }
    assert not outcome["failed"]
    assert not outcome["skipped"]


def test_a_metric_that_was_not_measured_fails():
    found = suite()()
    with pytest.raises(ValueError, match="accuracy was not measured"):
        found.track_accuracy(found.setup_cache(), "size=1")


def test_a_failed_case_fails_with_its_reason():
    def measure(self, case, seeds, device):
        raise ZeroDivisionError("on purpose")

    found = suite(named=workload(measure=measure))()
    with pytest.raises(RuntimeError, match="on purpose"):
        found.track_loss(found.setup_cache(), "size=1")


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"metrics": ("mean",)}, "no direction"),
        ({"metrics": ("los",)}, "did you mean 'loss'"),
        ({"cases": {"sise": 1}}, "did you mean 'size'"),
        ({"norm": "batch"}, "norm"),
        ({"profile": "fast"}, "profile"),
        ({"seeds": 0}, "seeds=0"),
    ],
)
def test_a_wrong_declaration_is_refused_at_once(attributes, message):
    with pytest.raises(UsageError, match=message):
        suite(**attributes)


def factory(scale):
    def build(num_features):
        return scale * num_features

    return build


def test_two_factories_of_one_name_are_refused_in_a_suite_and_across_suites(monkeypatch):
    monkeypatch.setattr(NORMS, "_objects", {})
    monkeypatch.setattr("ics_bench.asv.declaration.resolve", lambda settings: settings)  # the norms need not serve
    one, other = factory(1), factory(2)
    named = workload(axes=(Axis("norm", "a norm", quick=("none",), registry=NORMS),), cost=lambda self, case: 1.0)
    with pytest.raises(UsageError, match="two norms go by the name"):
        suite(named=named, norm=[one, other])
    assert len(suite(named=named, norm=[one, "batch"]).params) == 2
    assert len(suite(named=named, norm=one).params) == 1
    with pytest.raises(UsageError, match="two norms go by the name"):
        suite(named=named, norm=other)


def test_an_unknown_workload_is_refused():
    with pytest.raises(UsageError, match="did you mean 'init_scale'"):
        suite(named="init_scael")


def test_the_case_of_median_cost_is_timed_on_its_first_seed():
    timed = suite(TimeSuite)
    assert (timed.task.case.id, timed.task.seeds) == ("size=2", (0,))


def test_a_workload_that_measures_time_is_not_timed():
    with pytest.raises(UsageError, match="measures time itself"):
        suite(TimeSuite, named=workload(exclusive=True))


def test_a_timed_case_that_cannot_run_here_is_skipped():
    timed = suite(TimeSuite, named=workload(skip=lambda self, case, device: "no such thing here"))
    with pytest.raises(NotImplementedError, match="no such thing"):
        timed().setup()


@pytest.fixture
def discovered(tmp_path, monkeypatch):
    """What asv wrote when it discovered `suite()` as ``benchmarks.x.Suite``."""
    monkeypatch.setenv("ASV_CONF_DIR", str(tmp_path))
    (tmp_path / "asv.conf.json").write_text('{\n  // where results go\n  "results_dir": "kept"\n}')
    (tmp_path / "kept").mkdir()
    listed = {"version": 2, "x.Suite.track_loss": {"version": suite().track_loss.version}}
    (tmp_path / "kept/benchmarks.json").write_text(json.dumps(listed))


@pytest.mark.usefixtures("discovered")
def test_a_commit_that_declares_what_was_discovered_is_measured():
    found = suite(__module__="benchmarks.x")
    assert found().setup_cache()["values"]


@pytest.mark.usefixtures("discovered")
def test_a_commit_that_declares_something_else_is_not_measured():
    found = suite(__module__="benchmarks.x", named=workload(version=2))
    with pytest.raises(UsageError, match=r"x\.Suite\.track_loss is declared otherwise"):
        found().setup_cache()


def test_outside_asv_nothing_is_compared(monkeypatch):
    monkeypatch.delenv("ASV_CONF_DIR", raising=False)
    require_as_discovered(suite(), {"track_loss": "whatever"})
