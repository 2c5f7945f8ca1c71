import pytest
from synthetic_runs import kernel_record, record, write_run

from ics_bench.report.drawing import draw_figures
from ics_bench.report.figure import Styles

TITLE = "Kernels under the roof"


def _timed(shape: str, provider: str, megabytes: float, speed: float, copy: float, roof: float = 1.0, **case):
    """A case whose kernel moves so many MB at ``speed`` GB/s, under ``roof`` times fewer than the copy's."""
    case = {**kernel_record(0.0).case, "shape": shape, "provider": provider, **case}
    values = [
        ("bandwidth", speed),
        ("time", megabytes / speed / 1e3),
        ("copy_bandwidth", copy),
        ("roof_share", speed / copy * roof),
    ]
    return record("kernel_throughput", case, values)


def _draw(tmp_path, records):
    run = write_run(tmp_path / "run", records)
    figures, left_out = draw_figures(run, "kernel_throughput", "here", Styles.of([run.frame()]))
    return {figure.title: figure for figure in figures}, left_out


def _lines(plot) -> dict:
    return {trace["name"]: (trace["x"], trace["y"]) for trace in plot.data["data"] if trace["mode"] == "lines+markers"}


def test_speeds_rise_over_the_bytes_moved_under_the_roofs_of_each_shape(tmp_path):
    records = [
        _timed("4096x4096", "torch_eager", 128.0, 8.0, 10.0),
        _timed("1024x1024", "torch_eager", 8.0, 4.0, 5.0, roof=1.5),
        _timed("1024x1024", "mine", 8.0, 5.0, 7.0, roof=1.5),
    ]
    figures, _ = _draw(tmp_path, records)
    (plot,) = figures[TITLE].plots
    lines = _lines(plot)
    assert lines["torch_eager"] == ([8.0, 128.0], [4.0, 8.0])
    assert lines["mine"] == ([8.0], [5.0])
    assert lines["copy"] == ([8.0, 128.0], [6.0, 10.0])  # the median over providers
    assert lines["roof of the shape"][1] == pytest.approx([4.0, 10.0])
    assert [entry.label for entry in figures[TITLE].legend] == ["torch_eager", "mine", "copy", "roof of the shape"]


def test_norms_and_directions_have_plots_of_their_own(tmp_path):
    records = [
        _timed("1024x1024", "mine", 8.0, 5.0, 7.0, norm=norm, direction=direction)
        for norm in ("layer", "rms")
        for direction in ("forward", "backward")
    ]
    figures, _ = _draw(tmp_path, records)
    assert len(figures[TITLE].plots) == 4


def test_a_case_without_a_share_has_no_place_under_a_roof(tmp_path):
    cached = _timed("64x64", "mine", 0.1, 50.0, 60.0)
    unscored = record("kernel_throughput", cached.case, [("bandwidth", 50.0), ("time", 1e-6), ("copy_bandwidth", 60.0)])
    figures, left_out = _draw(tmp_path, [unscored])
    assert TITLE not in figures
    assert any("roof_share" in line for line in left_out)
    figures, _ = _draw(tmp_path / "two", [unscored, _timed("1024x1024", "mine", 8.0, 5.0, 7.0)])
    assert _lines(figures[TITLE].plots[0])["mine"] == ([8.0], [5.0])
