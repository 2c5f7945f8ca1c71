"""Scores and the table that is made of them; the campaign's script, on a problem of a few elements."""

import importlib.util
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ics_bench.kernels.check import Verdict
from ics_bench.kernels.scores import HEADINGS, Score, score, table
from ics_bench.kernels.shapes import CLIFFS, COLUMNS, ROWS, small_table, whole_table
from ics_bench.kernels.spec import KERNEL_NORMS, Problem, floor_bytes
from ics_bench.kernels.throughput import Throughput

PROBLEM = Problem("batch", "forward", (8, 4, 16, 16))
FLOOR = floor_bytes(PROBLEM)


def _timed(seconds: float, copy_seconds: float, in_cache: bool = False) -> Throughput:
    rounds = 31
    return Throughput((seconds,) * rounds, (copy_seconds,) * rounds, FLOOR, in_cache, ("noted",))


def _score(**timed: Throughput) -> list[Score]:
    verdicts = {"ours": Verdict(0.5, "y"), "theirs": Verdict(0.25, "y"), "broken": Verdict(3.0, "y at 1x8")}
    return score(PROBLEM, timed, verdicts, on_chip_bytes=2**30, vendor_bandwidth=1e12)


def test_shares_ratios_and_bandwidths_agree_with_the_times() -> None:
    ours, theirs, broken = _score(ours=_timed(2e-6, 1e-6), theirs=_timed(1e-6, 1e-6))
    assert ours.bandwidth == pytest.approx(FLOOR / 2e-6 / 1e9)
    assert ours.copy_share == ours.roof_share == pytest.approx(0.5)
    assert theirs.copy_share == pytest.approx(1.0)
    assert ours.rival_ratio == pytest.approx(0.5)
    assert theirs.rival_ratio == pytest.approx(2.0)
    assert ours.vendor_share == pytest.approx(FLOOR / 2e-6 / 1e12)
    assert ours.warnings == ("noted",)
    assert broken == Score("broken", 3.0, warnings=broken.warnings)
    assert "wrong, so not timed" in broken.warnings[0]
    assert json.loads(json.dumps(broken.as_json()))["error_over_bound"] == 3.0
    assert "time" not in broken.as_json()


def test_a_set_that_does_not_fit_is_measured_by_the_streaming_roof() -> None:
    verdicts = {"ours": Verdict(0.5, "y")}
    (ours,) = score(PROBLEM, {"ours": _timed(2e-6, 1e-6)}, verdicts, on_chip_bytes=1)
    assert ours.copy_share == pytest.approx(0.5)
    assert ours.roof_share == pytest.approx(0.5 * (FLOOR + PROBLEM.tensor_bytes) / FLOOR)
    assert ours.rival_ratio is None
    assert ours.vendor_share is None


def test_a_working_set_inside_the_cache_is_timed_and_not_scored() -> None:
    ours, *_ = _score(ours=_timed(2e-6, 1e-6, in_cache=True))
    assert ours.time == 2e-6
    assert ours.copy_share is ours.roof_share is None
    row = dict(zip(HEADINGS, table([ours])[0], strict=True))
    assert row["of copy"] == row["of roof"] == ""
    assert row["time"] == "2 µs"


@pytest.mark.parametrize(("seconds", "words"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-7, "456 ns")])
def test_times_are_written_in_a_unit_that_suits(seconds: float, words: str) -> None:
    assert table([Score("a", 0.1, seconds)])[0][1] == words
    assert table([Score("a", 9.0)])[0][1] == "wrong, not timed"


def test_the_table_has_every_norm_both_ways_and_the_known_cliffs() -> None:
    for chosen in (list(whole_table()), list(small_table())):
        assert {(p.norm, p.direction) for p in chosen} == {
            (n, d) for n in KERNEL_NORMS for d in ("forward", "backward")
        }
        assert len(set(chosen)) == len(chosen)
        assert any(p.layout == "channels_last" for p in chosen)
        assert any(not p.training for p in chosen)
    whole = {(p.norm, p.shape) for p in whole_table()}
    assert {("rms", (m, n)) for m in ROWS for n in COLUMNS} <= whole
    assert {(norm, shape) for norm, shapes in CLIFFS.items() for shape in shapes} <= whole


@pytest.fixture
def campaign(monkeypatch: pytest.MonkeyPatch):
    path = Path(__file__).parents[2] / "benchmarks/kernel_campaign.py"
    spec = importlib.util.spec_from_file_location("kernel_campaign", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    problems = [Problem("layer", "forward", (64, 96)), Problem("layer", "backward", (64, 96), "bfloat16")]
    monkeypatch.setattr(module, "small_table", lambda dtypes: iter(problems))
    monkeypatch.setattr(module, "MEMORY_BYTES", {"cpu": 2**20})
    return module


def test_the_campaign_checks_races_and_keeps_what_it_found(campaign, tmp_path: Path) -> None:
    kept = tmp_path / "campaign.json"
    arguments = ["--device", "cpu", "--provider", "torch_eager", "--no-check", "--json", str(kept)]
    outcome = CliRunner().invoke(campaign.main, arguments)
    assert outcome.exit_code == 0, outcome.output
    assert "2 problems, 0 left out" in outcome.output
    assert "wrong, not timed" in outcome.output  # PyTorch sums bfloat16 gradients of the parameters in bfloat16
    found = json.loads(kept.read_text())
    assert found["failures"] == "not checked"
    right, wrong = (row["scores"][0] for row in found["table"])
    assert right["time"] > 0
    assert right["error_over_bound"] <= 1 < wrong["error_over_bound"]


def test_the_campaign_starts_nothing_when_its_time_is_up_and_counts_what_it_left(campaign) -> None:
    outcome = CliRunner().invoke(campaign.main, ["--device", "cpu", "--no-check", "--minutes", "0"])
    assert "0 problems, 2 left out" in outcome.output
    assert not campaign.fits(Problem("layer", "forward", (2**20, 2**12)), free=2**30)


def test_the_campaign_fails_where_ours_is_wrong(campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's kernels stand in for ours on the processor."""
    wrong = Problem("layer", "backward", (64, 96), "bfloat16")
    monkeypatch.setattr(campaign, "checked_problems", lambda: iter([wrong]))
    outcome = CliRunner().invoke(campaign.main, ["--device", "cpu", "--minutes", "0"])
    assert "1 problems checked, 1 wrong" in outcome.output
    assert outcome.exit_code == 1


def test_what_ours_is_checked_on_can_be_planned_for_a_gpu(campaign) -> None:
    from ics_bench.kernels.cuda.geometry import Device
    from ics_bench.kernels.cuda.plan import plan

    problems = list(campaign.checked_problems())
    assert len(problems) > 300
    for problem in problems:
        assert plan(problem, Device(132, True, 227 * 1024), aligned=True).launches
