from synthetic_runs import kernel_record, record, write_run

from ics_bench.report.drawing import draw_figures
from ics_bench.report.figure import Styles


def test_cases_without_a_share_are_left_out_and_counted(tmp_path):
    scored = kernel_record(0.8)
    unscored = record("kernel_throughput", {**scored.case, "norm": "rms"}, [("time", 2.0), ("time_low", 1.6)])
    run = write_run(tmp_path / "run", [scored, unscored])
    (figure,), left_out = draw_figures(run, "kernel_throughput", "here", Styles.of([run.frame()]))
    assert all(line.startswith("Kernels under the roof: the run has no value") for line in left_out)
    (plot,) = figure.plots
    assert [trace["x"] for trace in plot.data["data"] if trace["type"] == "bar"] == [[0.8]]
    assert figure.notes == ("without a share, as their warnings say why: 1 case",)
