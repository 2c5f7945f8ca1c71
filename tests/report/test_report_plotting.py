import json
import math

from hypothesis import given
from hypothesis import strategies as st

from ics_bench.report.axes import Scale
from ics_bench.report.figure import Style
from ics_bench.report.plotting import Series, encode, line_plot

STYLE = Style("var(--series-0)", "circle")
STEP = Scale("step")
values = st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=30)


def draw(ys, y):
    xs = [float(place) for place in range(len(ys))]
    plot, notes = line_plot([Series("arm", STYLE, [(xs, ys)])], STEP, y)
    return encode(plot), notes


@given(values, st.booleans())
def test_every_value_is_drawn_or_named(ys, log):
    data, notes = draw(ys, Scale("value", log=log))
    json.dumps(data, allow_nan=False)
    fits = [math.isfinite(v) and (v > 0 or not log) for v in ys]
    assert [v is not None for v in data["data"][0]["y"]] == fits
    assert bool(notes) == (not all(fits))
    marked = {x for trace in data["data"][1:] for x in trace["x"]}
    starts = {float(i) for i, ok in enumerate(fits) if not ok and (i == 0 or fits[i - 1])}
    assert starts <= marked


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_the_axis_holds_every_value_that_it_can(ys):
    data, _ = draw(ys, Scale("value", log=True))
    low, high = data["layout"]["yaxis"]["range"]
    assert low <= math.log10(min(ys)) + 1e-3
    assert math.log10(max(ys)) <= high + 1e-3
    for trace in data["data"]:
        assert all(v is None or math.isfinite(v) for v in trace["y"])


def test_the_note_says_where_a_line_leaves_the_axis():
    _, notes = draw([1.0, 2.0, math.inf, math.nan], Scale("value", log=True))
    assert notes == ["arm: not finite from step 2 on."]
    _, notes = draw([1.0, 0.0, 0.0, 3.0], Scale("value", log=True))
    assert notes == ["arm: zero or below at step 1 to 2."]
    _, notes = draw([1.0, 0.0, -3.0], Scale("value"))
    assert notes == []


def test_noise_does_not_fill_the_plot():
    data, _ = draw([1.0, 1.0001, 0.9999], Scale("value", log=True, span=2.0))
    low, high = data["layout"]["yaxis"]["range"]
    assert high - low >= 2.0


def test_names_cannot_act_as_markup_or_as_placeholders():
    name = '<b>&%{x}</b><a href="javascript:alert(1)">'
    plot, _ = line_plot([Series(name, STYLE, [([0.0], [1.0])])], STEP, Scale("value"))
    trace = encode(plot)["data"][0]
    assert "<" not in trace["name"]
    assert "%{" not in trace["name"]
    assert name[:10] not in trace["hovertemplate"]
    assert trace["legendgroup"] == name  # compared in JavaScript, never drawn
