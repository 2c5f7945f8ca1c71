from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from ics_bench.core import Case, CaseRecord, Curve, Measurement, Metric, UsageError
from ics_bench.results import store
from ics_bench.results.run import Run, plan_key
from ics_bench.results.tables import median, summarize

METRICS = (
    Metric("loss", "nat", "lower", "seeded"),
    Metric("steps", "1", "lower", "seeded"),
    Metric("detail", "1", "neutral", "exact", headline=False),
)


def measured(workload: str, case: Case, *values: tuple[int | None, str, float], warnings=()) -> CaseRecord:
    units = {metric.name: metric.unit for metric in METRICS}
    found = tuple(Measurement(workload, case, s, m, v, units[m], None, tuple(warnings)) for s, m, v in values)
    seeds = tuple({seed for seed, _, _ in values if seed is not None})
    return CaseRecord(workload, 1, case, seeds, "measured", "", 1.0, found)


def run_of(folder: Path, *records: CaseRecord, order: list[str] | None = None) -> Run:
    names = dict.fromkeys(record.workload for record in records)
    header = {
        "settings": {"profile": "quick"},
        "environment": {"cpu": "abacus"},
        "plan": order or [plan_key(record) for record in records],
        "workloads": {name: {"metrics": [asdict(metric) for metric in METRICS]} for name in names},
    }
    store.create_folder(folder, header)
    with store.Writer(folder) as writer:
        for record in records:
            writer.append(record)
    return Run.open(folder)


FIRST = measured("a", Case.of(depth=5, norm="none"), (0, "loss", 1.0), (1, "loss", 3.0), (None, "steps", math.inf))
SECOND = measured("a", Case.of(depth=10, norm="none"), (0, "loss", math.nan), (1, "loss", 2.0), warnings=["w1", "w2"])
OTHER = measured("b", Case.of(scale=0.5, flag=True), (0, "loss", -1.0))


def test_one_row_a_measurement_and_one_column_a_case_key(tmp_path):
    frame = run_of(tmp_path / "run", FIRST, SECOND, OTHER).frame()
    assert list(frame.columns) == [
        *("workload", "version", "case", "depth", "norm", "scale", "flag"),
        *("seed", "metric", "value", "unit", "curve_x", "curve_y", "curve_label", "warnings"),
    ]
    assert len(frame) == 6
    assert frame["depth"].tolist()[:5] == [5, 5, 5, 10, 10]
    assert frame["depth"].isna().tolist() == [False] * 5 + [True]
    assert isinstance(frame["depth"][0].item() if hasattr(frame["depth"][0], "item") else frame["depth"][0], int)
    assert frame["norm"].isna().sum() == frame["scale"].notna().sum() == 1
    assert frame["seed"].isna().tolist() == [False, False, True, False, False, False]
    assert frame["value"].tolist()[:3] == [1.0, 3.0, math.inf]
    assert frame["warnings"].tolist()[3] == ["w1", "w2"]
    assert len(frame[frame["depth"] == 10]) == 2


def test_curves_are_lists_or_nothing(tmp_path):
    case = Case.of(depth=1)
    curve = Curve((0.0, 1.0), (math.inf, math.nan), "step")
    record = CaseRecord(
        "a", 1, case, (0,), "measured", "", 0.0, (Measurement("a", case, 0, "loss", 1.0, "nat", curve),)
    )
    frame = run_of(tmp_path / "run", record, FIRST).frame()
    assert frame["curve_x"][0] == [0.0, 1.0]
    assert frame["curve_y"][0][0] == math.inf
    assert math.isnan(frame["curve_y"][0][1])
    assert frame["curve_label"][0] == "step"
    assert frame["curve_x"][1] is None


def test_rows_follow_the_plan_and_not_the_order_of_completion(tmp_path):
    order = [plan_key(record) for record in (FIRST, SECOND, OTHER)]
    planned = run_of(tmp_path / "planned", FIRST, SECOND, OTHER).frame()
    shuffled = run_of(tmp_path / "shuffled", OTHER, SECOND, FIRST, order=order).frame()
    pd.testing.assert_frame_equal(planned, shuffled[planned.columns])


def test_an_empty_run_has_a_frame_and_no_tables(tmp_path):
    run = run_of(tmp_path / "run")
    assert run.frame().empty
    assert run.tables() == {}
    assert run.complete


def test_changing_the_frame_does_not_change_the_run(tmp_path):
    run = run_of(tmp_path / "run", FIRST)
    frame = run.frame()
    frame["value"] = 0.0
    assert run.frame()["value"].tolist() == [1.0, 3.0, math.inf]


def test_a_run_is_complete_when_nothing_planned_is_missing_or_failed(tmp_path):
    failed = CaseRecord("a", 1, Case.of(depth=20), (0,), "failed", "boom")
    skipped = CaseRecord("a", 1, Case.of(depth=30), (0,), "skipped", "cannot")
    run = run_of(tmp_path / "run", FIRST, failed, skipped)
    assert (len(run.measured), len(run.skipped), len(run.failed)) == (1, 1, 1)
    assert not run.complete
    assert run_of(tmp_path / "other", FIRST, skipped).complete


def test_a_run_is_named_in_one_short_line(tmp_path):
    failed = CaseRecord("a", 1, Case.of(depth=20), (0,), "failed", "boom")
    order = [*(plan_key(record) for record in (FIRST, SECOND, failed)), "a v1 depth=99"]
    run = run_of(tmp_path / "run", FIRST, SECOND, failed, order=order)
    assert repr(run) == f"<Run {str(tmp_path / 'run')!r}: quick, 2 measured, 1 failed, 1 not yet measured>"


def test_the_summary_shows_medians_and_what_varies(tmp_path):
    table = run_of(tmp_path / "run", FIRST, SECOND).summary("a")
    assert table.columns == ("depth", "loss [nat]", "steps", "seeds", "warnings")
    assert table.held == (("norm", "none"),)
    assert table.rows[0] == (5, 2.0, math.inf, 2, 0)
    assert table.rows[1][0] == 10
    assert table.rows[1][2:] == (None, 2, 2)


def test_a_diverged_seed_does_not_drop_out_of_the_median(tmp_path):
    assert math.isnan(run_of(tmp_path / "run", FIRST, SECOND).summary("a").rows[1][1])


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1.0, math.inf], math.inf), ([-math.inf, 1.0, 2.0], 1.0), ([3.0, 1.0, 2.0], 2.0), ([1.0, 2.0], 1.5)],
)
def test_median_of_extended_numbers(values, expected):
    assert median(values) == expected


def test_a_summary_of_one_case_has_no_varying_key():
    table = summarize([FIRST], METRICS)
    assert table.columns == ("loss [nat]", "steps", "seeds", "warnings")
    assert table.held == (("depth", 5), ("norm", "none"))


def test_tables_need_not_import_the_workload(tmp_path):
    foreign = measured("nowhere_module:THING", Case.of(depth=1), (0, "loss", 1.0))
    run = run_of(tmp_path / "run", foreign)
    assert list(run.tables()) == ["nowhere_module:THING"]


def test_a_header_without_metrics_is_one_clear_line(tmp_path):
    run = run_of(tmp_path / "run", FIRST)
    run.header["workloads"]["a"] = {"metrics": [{"name": "x"}]}
    with pytest.raises(UsageError, match="does not declare the metrics of 'a'"):
        run.tables()


def test_a_notebook_shows_tables_with_names_escaped(tmp_path):
    hostile = measured("</h4><img onerror=x>", Case.of(norm="<b>"), (0, "loss", 1.0))
    page = run_of(tmp_path / "run", hostile, measured("</h4><img onerror=x>", Case.of(norm="i"), (0, "loss", 1.0)))
    text = page._repr_html_()
    assert "<img" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
