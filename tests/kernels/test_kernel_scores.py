"""Scores and the table that is made of them."""

import json
import math
from dataclasses import replace

import pytest

from ics_bench.kernels.check import Verdict
from ics_bench.kernels.cuda_throughput import _latency
from ics_bench.kernels.gpu_state import GpuState
from ics_bench.kernels.machine import Load
from ics_bench.kernels.rotation import MEBIBYTE, plan_sets
from ics_bench.kernels.score_table import HEADINGS, MARKS, legend, markdown, marks, table
from ics_bench.kernels.scores import Score, rates, score
from ics_bench.kernels.shapes import CLIFFS, COLUMNS, ROWS, small_table, whole_table
from ics_bench.kernels.spec import KERNEL_NORMS, Problem, floor_bytes
from ics_bench.kernels.throughput import Throughput, _cost_warnings

PROBLEM = Problem("batch", "forward", (8, 4, 16, 16))
FLOOR = floor_bytes(PROBLEM)


def _timed(seconds: float, copy_seconds: float, in_cache: bool = False) -> Throughput:
    rounds = 31
    return Throughput((seconds,) * rounds, (copy_seconds,) * rounds, FLOOR, 4 * FLOOR, in_cache, ("noted",))


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
    assert ours.working_set == 4 * FLOOR
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


def test_a_processors_copy_may_read_what_it_overwrites_and_a_gpus_does_not() -> None:
    (on_cpu,) = score(PROBLEM, {"a": _timed(2e-6, 1e-6)}, {"a": Verdict(0.5, "y")}, 2**30)
    assert on_cpu.copy_bandwidth == pytest.approx(FLOOR / 1e-6 / 1e9)
    assert on_cpu.bus_share == pytest.approx(on_cpu.bandwidth / (1.5 * on_cpu.copy_bandwidth))
    on_gpu = replace(_timed(2e-6, 1e-6), state=GpuState(1980.0))
    (scored,) = score(PROBLEM, {"a": on_gpu}, {"a": Verdict(0.5, "y")}, 2**30)
    assert scored.copy_share == on_cpu.copy_share
    assert scored.bus_share is None
    assert rates(PROBLEM, on_gpu, 2**30).bus_bandwidth is None
    assert [dict(zip(HEADINGS, row, strict=True))["of bus"] for row in table([on_cpu, scored])] == ["33 %", ""]


def test_a_working_set_inside_the_cache_is_timed_and_not_scored() -> None:
    ours, *_ = _score(ours=_timed(2e-6, 1e-6, in_cache=True))
    assert ours.time == 2e-6
    assert ours.copy_share is ours.roof_share is ours.bus_share is None
    row = dict(zip(HEADINGS, table([ours])[0], strict=True))
    assert row["of copy"] == row["of roof"] == row["of bus"] == ""
    assert row["time"] == "2 µs"


@pytest.mark.parametrize(("seconds", "words"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-7, "456 ns")])
def test_times_are_written_in_a_unit_that_suits(seconds: float, words: str) -> None:
    assert table([Score("a", 0.1, seconds)])[0][1] == words
    assert table([Score("a", 9.0)])[0][1] == "wrong, not timed"
    assert table([Score("a", 0.9)])[0][1] == "not timed"  # it ran out of memory, say


def test_each_doubt_has_a_mark_that_the_legend_explains() -> None:
    load = Load()
    load.wall_seconds, load.own_seconds, load.others_seconds = 1.0, 0.1, 5.0
    held = GpuState(reasons=0x4).warnings()
    small = plan_sets(MEBIBYTE, 2 * MEBIBYTE, 4 * MEBIBYTE).warnings()
    inside = plan_sets(MEBIBYTE, 2 * MEBIBYTE, MEBIBYTE).warnings()
    faults = _cost_warnings([1.0], 10**6, 10)
    seen = (*Verdict(0.5, "y", shrunk_to=(2, 3)).warnings(), *Verdict(0.5, "y", partly=True).warnings())
    said = {
        "L": _latency(10**6),
        "H": held,
        "C": load.warnings(),
        "W": (*small, *inside),
        "S": seen,
        "P": faults,
        "+": ["noted"],
    }
    assert set(said) == set(MARKS)
    for mark, warnings in said.items():
        assert len(warnings) > 0
        assert marks(warnings) == mark
    one = Score("a", 0.1, 1.0, warnings=("noted", *held))
    assert table([one])[0][-1] == "H+"
    assert legend([one, Score("b", 0.1)]) == f"H: {MARKS['H'][1]}; +: {MARKS['+'][1]}"
    assert legend([Score("b", 0.1)]) == ""


def test_a_score_comes_back_from_json_with_the_gpus_state_and_an_infinite_error() -> None:
    state = GpuState(1980.0, 2619.0, 650.0, 71.0, 0x4)
    (timed,) = score(PROBLEM, {"ours": replace(_timed(2e-6, 1e-6), state=state)}, {"ours": Verdict(0.5, "y")}, 0)
    assert timed.state == state
    for one in (timed, Score("broken", math.inf, warnings=("wrong",))):
        written = json.dumps(one.as_json(), allow_nan=False)
        assert Score.from_json(json.loads(written)) == one
    assert timed.as_json()["state"]["reasons"] == 0x4


def test_the_workload_and_the_table_have_one_arithmetic() -> None:
    found = rates(PROBLEM, _timed(2e-6, 1e-6), on_chip_bytes=1)
    assert found.copy_bandwidth == pytest.approx(FLOOR / 1e-6 / 1e9)
    assert found.copy_share == pytest.approx(found.bandwidth / found.copy_bandwidth)
    (ours,) = score(PROBLEM, {"ours": _timed(2e-6, 1e-6)}, {"ours": Verdict(0.5, "y")}, on_chip_bytes=1)
    assert (ours.bandwidth, ours.copy_share, ours.roof_share) == (
        found.bandwidth, found.copy_share, found.roof_share,
    )  # fmt: skip


def test_markdown_has_a_row_for_each_score_and_explains_its_marks() -> None:
    one = Score("a", 0.1, 1e-3, 1e-3, 1e-3, 12.5, 25.0, 0.5, 0.5, 0.33, 1.25, warnings=("noted",))
    text = markdown([("layer forward", [one])])
    head, rule, row, *_ = text.splitlines()
    assert head.count("|") == rule.count("|") == row.count("|")
    assert row.startswith("| layer forward | a | 1 ms | 12.5 | 50 % | 33 % | 50 % | 1.25 | 0.1 | + |")
    assert f"Doubts: +: {MARKS['+'][1]}." in text


def test_a_column_that_is_empty_throughout_is_left_out_with_its_explanation() -> None:
    one = Score("a", 0.1, 1e-3, 1e-3, 1e-3, 12.5, 25.0, 0.5, 0.5, None, 1.25)
    text = markdown([("layer forward", [one, Score("b", 9.0)])])
    assert "of bus" not in text
    assert text.splitlines()[2].startswith("| layer forward | a | 1 ms | 12.5 | 50 % | 50 % | 1.25 | 0.1 |")
    assert "doubts" not in text
    assert text.splitlines()[3] == "| layer forward | b | wrong, not timed |  |  |  |  | 9 |"
    assert "of bus" in markdown([("layer forward", [replace(one, bus_share=0.3), Score("b", 9.0)])])


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
    tails = {shape[1] for norm, shape in whole if norm == "layer"}
    assert {*range(2040, 2051), 4095} <= tails
