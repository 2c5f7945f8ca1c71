import math

import pytest
from synthetic_runs import ceiling_record, kernel_record, layer_record, record, write_run

from ics_bench.report.drawing import draw_figures
from ics_bench.report.figure import FIGURES, Styles, figures_of
from ics_bench.workloads import load_workload


def drawn(tmp_path, records, workload):
    run = write_run(tmp_path / "run", records)
    figures, left_out = draw_figures(run, workload, "here", Styles.of([run.frame()]))
    return {figure.title: figure for figure in figures}, left_out


def traces(plot, label=None, symbol=None):
    def fits(trace):
        return (label is None or trace["name"] == label) and (
            symbol is None or trace.get("marker", {}).get("symbol") == symbol
        )

    return [trace for trace in plot.data["data"] if fits(trace)]


@pytest.mark.parametrize("name", FIGURES.builtin())
def test_a_figure_needs_only_what_its_workload_declares(name):
    figure = FIGURES.load(name)
    workload = load_workload(figure.workload)
    assert set(figure.metrics) <= {metric.name for metric in workload.metrics}
    assert set(figure.keys) <= {axis.name for axis in workload.axes}


def test_an_unknown_workload_has_no_figures():
    assert figures_of("no such workload") == []


class TestLayers:
    TITLE = "Signal through the layers, by initializer"

    def test_the_lines_are_the_measured_curves(self, tmp_path):
        records = [layer_record(2.0, init="normal-1"), layer_record(0.5, init="normal-0.01")]
        figures, _ = drawn(tmp_path, records, "init_scale")
        (plot,) = figures[self.TITLE].plots
        assert traces(plot, "normal-1")[0]["y"] == [2.0**layer for layer in range(1, 11)]
        assert traces(plot, "normal-0.01")[0]["y"] == pytest.approx([0.5**layer for layer in range(1, 11)], rel=1e-5)
        assert plot.data["layout"]["yaxis"]["type"] == "log"
        assert [entry.label for entry in figures[self.TITLE].legend] == ["normal-1", "normal-0.01"]

    def test_the_middle_one_of_three_seeds_is_drawn(self, tmp_path):
        made = [layer_record(factor, seeds=(seed,)) for seed, factor in enumerate((1.0, 3.0, 2.0))]
        joint = record("init_scale", made[0].case, [], seeds=(0, 1, 2))
        joint = type(joint)(
            joint.workload, 1, joint.case, joint.seeds, "measured", "", 1.0, sum((r.measurements for r in made), ())
        )
        figures, _ = drawn(tmp_path, [joint, layer_record(1.0, init="normal-1")], "init_scale")
        assert traces(figures[self.TITLE].plots[0], "he")[0]["y"] == [2.0**layer for layer in range(1, 11)]

    def test_overflow_and_underflow_are_marked_and_named(self, tmp_path):
        up = (1.0, 1e300, *([math.inf] * 4), *([math.nan] * 4))
        down = (1.0, *([0.0] * 9))
        records = [layer_record(curve=up, init="normal-1"), layer_record(curve=down, init="normal-0.01")]
        figures, _ = drawn(tmp_path, records, "init_scale")
        (plot,) = figures[self.TITLE].plots
        assert traces(plot, "normal-1", "triangle-up-open")[0]["x"] == [3.0]
        assert traces(plot, "normal-0.01", "triangle-down-open")[0]["x"] == [2.0]
        low, high = plot.data["layout"]["yaxis"]["range"]
        for symbol in ("triangle-up-open", "triangle-down-open"):
            (marker,) = traces(plot, symbol=symbol)
            assert low < math.log10(marker["y"][0]) < high
        assert "normal-1: not finite from layer 3 on." in figures[self.TITLE].notes
        assert "normal-0.01: zero or below from layer 2 on." in figures[self.TITLE].notes

    def test_what_is_held_fixed_is_said(self, tmp_path):
        records = [layer_record(1.0, init=i, norm=n) for i in ("he", "normal-1") for n in ("none", "batch")]
        figures, _ = drawn(tmp_path, records, "init_scale")
        assert figures[self.TITLE].notes == ("Shown for norm none; the table has the other cases.",)
        assert len(traces(figures[self.TITLE].plots[0])) == 2

    def test_more_plots_than_fit_are_counted(self, tmp_path):
        records = [
            layer_record(1.0, init=init, activation=f"activation-{place}")
            for place in range(9)
            for init in ("he", "normal-1")
        ]
        figures, _ = drawn(tmp_path, records, "init_scale")
        assert len(figures[self.TITLE].plots) == 6
        assert "3 more combinations left to the table." in figures[self.TITLE].notes

    def test_nothing_to_compare_is_said(self, tmp_path):
        figures, left_out = drawn(tmp_path, [layer_record(1.0)], "init_scale")
        assert self.TITLE not in figures
        assert f"{self.TITLE}: it compares values of init, and the run has 1 value." in left_out


class TestDtypes:
    TITLE = "Where a dtype gives out"

    def test_points_stand_at_the_layer_or_under_never(self, tmp_path):
        over = (1.0, 1e30, *([math.inf] * 8))
        records = [layer_record(curve=over, dtype="float32"), layer_record(1.0, dtype="float64")]
        figures, _ = drawn(tmp_path, records, "init_scale")
        signal, gradient = figures[self.TITLE].plots
        for plot in (signal, gradient):
            (float32,), (float64,) = traces(plot, "float32"), traces(plot, "float64")
            assert (float32["x"], float32["marker"]["symbol"]) == ([3.0], ["triangle-up"])
            assert float64["marker"]["symbol"] == ["circle"]
            axis = plot.data["layout"]["xaxis"]
            assert axis["ticktext"][axis["tickvals"].index(float64["x"][0])] == "never"

    def test_one_dtype_is_not_compared(self, tmp_path):
        _, left_out = drawn(tmp_path, [layer_record(1.0), layer_record(1.0, init="normal-1")], "init_scale")
        assert f"{self.TITLE}: it compares dtypes, and no case was measured in more than one." in left_out


class TestCeilings:
    TITLE = "Learning-rate ceilings against depth"
    CENSORED = ("censored: the top of the grid succeeds, so the ceiling is at least 10",)

    def test_ceilings_stand_at_their_depths(self, tmp_path):
        records = [ceiling_record(1.0, 0.3, [50.0], depth=depth) for depth in (10, 5)]
        figures, _ = drawn(tmp_path, records, "lr_ceiling")
        stable, trainable = figures[self.TITLE].plots
        for plot, value in ((stable, 1.0), (trainable, 0.3)):
            (points,) = traces(plot, "none", "circle-open")
            assert points["customdata"] == [5, 10]
            assert points["y"] == [value, value]

    def test_a_censored_ceiling_is_an_open_triangle_and_no_point(self, tmp_path):
        records = [
            ceiling_record(10.0, 1.0, [50.0], depth=5, norm="batch", stable_warnings=self.CENSORED),
            ceiling_record(3.0, 1.0, [50.0], depth=10, norm="batch"),
        ]
        figures, _ = drawn(tmp_path, records, "lr_ceiling")
        stable, trainable = figures[self.TITLE].plots
        assert traces(stable, "batch", "triangle-up-open")[0]["y"] == [10.0]
        assert traces(stable, "batch", "circle")[0]["y"] == [3.0]
        assert traces(trainable, symbol="triangle-up-open") == []
        assert "stable: at least the value shown for batch at depth 5." in figures[self.TITLE].notes

    def test_no_successful_rate_is_no_number(self, tmp_path):
        figures, _ = drawn(tmp_path, [ceiling_record(1.0, 0.0, [math.inf], depth=20)], "lr_ceiling")
        _, trainable = figures[self.TITLE].plots
        assert len(traces(trainable, "none", "triangle-down-open")) == 1
        assert traces(trainable, "none", "circle-open") == []
        assert "trainable: no tested rate is trainable for none at depth 20." in figures[self.TITLE].notes

    def test_steps_not_reached_are_counted_and_marked(self, tmp_path):
        records = [
            ceiling_record(1.0, 1.0, [40.0, 60.0, math.inf], depth=5),
            ceiling_record(1.0, 1.0, [40.0, math.inf, math.inf], depth=10),
        ]
        figures, _ = drawn(tmp_path, records, "lr_ceiling")
        figure = figures["Steps to target at each arm's best rate"]
        (plot,) = figure.plots
        assert traces(plot, "none", "circle-open")[0]["y"] == [60.0]
        assert len(traces(plot, "none", "triangle-up-open")[0]["x"]) == 1
        assert figure.notes == (
            "none at depth 5: 1 of 3 seeds did not reach the target.",
            "none at depth 10: 2 of 3 seeds did not reach the target.",
        )

    def test_success_and_loss_are_the_curves(self, tmp_path):
        figures, _ = drawn(tmp_path, [ceiling_record(1.0, 1.0, [40.0, 50.0])], "lr_ceiling")
        stable, _ = figures["Success against learning rate"].plots
        assert traces(stable, "none")[0]["x"] == [0.01, 0.1, 1.0, 10.0]
        assert traces(stable, "none")[0]["y"] == [1.0, 1.0, 0.5, 0.0]
        (loss,) = figures["Loss at each arm's best rate"].plots
        assert traces(loss, "none")[0]["y"] == [2.3, 1.0, 0.1, 0.01, None, 2.3, 1.0, 0.1, 0.01]

    def test_a_norm_looks_the_same_in_every_figure(self, tmp_path):
        records = [ceiling_record(1.0, 1.0, [40.0], norm=norm) for norm in ("none", "batch", "layer")]
        figures, _ = drawn(tmp_path, records, "lr_ceiling")
        looks = {label: set() for label in ("none", "batch", "layer")}
        for figure in figures.values():
            for entry in figure.legend:
                looks[entry.label].add(entry.style)
        assert all(len(styles) == 1 for styles in looks.values())
        assert len({next(iter(styles)).colour for styles in looks.values()}) == 3

    def test_a_missing_metric_is_named(self, tmp_path):
        case = ceiling_record(1.0, 1.0, [40.0]).case
        figures, left_out = drawn(tmp_path, [record("lr_ceiling", case, [("best_learning_rate", 0.1)])], "lr_ceiling")
        assert figures == {}
        assert f"{self.TITLE}: the run has no value of 'stable_ceiling'." in left_out
        assert len(left_out) == len(figures_of("lr_ceiling"))

    def test_odd_data_costs_one_figure_and_says_so(self, tmp_path):
        figures, left_out = drawn(tmp_path, [ceiling_record(1.0, 1.0, [40.0], depth="deep")], "lr_ceiling")
        assert any(line.startswith(f"{self.TITLE}: drawing failed with ") for line in left_out)
        assert "Success against learning rate" in figures


class TestKernels:
    TITLE = "Kernels against a copy"

    def test_bars_are_the_shares_with_the_interval_of_the_time(self, tmp_path):
        records = [kernel_record(0.8), kernel_record(0.4, provider="mine"), kernel_record(0.5, norm="rms")]
        figures, _ = drawn(tmp_path, records, "kernel_throughput")
        (plot,) = figures[self.TITLE].plots
        (ours,), (mine,) = traces(plot, "torch_eager"), traces(plot, "mine")
        assert ours["x"] == [0.8, 0.5]
        assert mine["x"] == [0.4]
        assert ours["error_x"]["array"][0] == pytest.approx(0.8 * 2.0 / 1.6 - 0.8)
        assert ours["error_x"]["arrayminus"][0] == pytest.approx(0.8 - 0.8 * 2.0 / 2.5)
        assert plot.data["layout"]["yaxis"]["ticktext"] == ["layer", "rms"]

    def test_a_kernel_faster_than_the_copy_is_not_cut_off(self, tmp_path):
        figures, _ = drawn(tmp_path, [kernel_record(1.9)], "kernel_throughput")
        assert figures[self.TITLE].plots[0].data["layout"]["xaxis"]["range"][1] > 1.9
