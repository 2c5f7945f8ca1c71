import math

import pytest
from synthetic_runs import ceiling_record, kernel_record, layer_record, record, write_run

from ics_bench.claims import Finding, Judgement
from ics_bench.report import write_report
from ics_bench.stats import Interval

PAYLOAD = '<b></script><img src=x onerror="window.pwned=1"><a href="javascript:1">%{x}\x1b\u202e'
LONG = "a_name_that_goes_on_" * 20


def records():
    yield from (layer_record(f, init=i, norm=n) for i, f in (("normal-1", 9.0), ("he", 1.0)) for n in ("none", "batch"))
    yield layer_record(curve=(1.0, *([math.inf] * 9)), init="normal-1", dtype="float32")
    for place, depth in enumerate((5, 10)):
        for norm in ("none", "batch", PAYLOAD, LONG):
            censored = ("censored: at least 10",) if norm == "batch" else ()
            yield ceiling_record(10.0, 1.0, [40.0, math.inf], depth=depth, norm=norm, stable_warnings=censored)
        yield kernel_record(0.3 * place, provider=PAYLOAD, shape=f"{depth}x{depth}")
    yield record(LONG, {PAYLOAD: PAYLOAD, LONG: 1}, [(LONG, 1.0, None, (LONG, PAYLOAD))])
    yield record(LONG, {PAYLOAD: LONG, LONG: 2}, [], status="failed", reason=LONG)
    for place, value in enumerate([9.5, 100.0, math.inf, math.nan, 1e-9, -3.0, *map(float, range(20, 30))]):
        yield record("sorted", {"name": f"row {place}"}, [("amount", value)])


def judgements():
    finding = Finding("supported", 2.0, Interval(1.5, math.inf), 11, target=LONG, warnings=(PAYLOAD,))
    for verdict in ("supported", "refuted", "setting-dependent", "inconclusive"):
        settings = {LONG: finding, PAYLOAD: finding}
        yield Judgement(
            LONG, verdict, "supported", "training", "standard", LONG, 2.0, Interval(1.5, 2.5), 11, "1", 0.01, 0.04,
            (LONG, PAYLOAD, "third"), settings, {"control": finding}, frozenset({LONG}),
        )  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "run", list(records()), profile="quick", device=LONG)
    return write_report([run], folder / "out", list(judgements()))


@pytest.fixture
def load(browser, index):
    """Open the page and gather what went wrong on it; nothing may have by the end."""
    contexts, problems = [], []

    def opened(path=index, drawn=True, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("dialog", lambda dialog: (problems.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((path.parent.as_uri(), "data:", "blob:"))
                else problems.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        if drawn:
            page.wait_for_selector("html[data-drawn=all]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert problems == []


def contrast(page, selector, what="color"):
    """Least WCAG contrast between the elements' colour and what is painted behind them."""
    return page.evaluate(
        """([selector, what]) => {
          const parse = (text) => text.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) => {
            const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * x + 0.7152 * y + 0.0722 * z;
          };
          const behind = (element) => {
            for (let e = element; e; e = e.parentElement) {
              const found = parse(getComputedStyle(e).backgroundColor);
              if (found.length === 3 || found[3] > 0) return found;
            }
            return [255, 255, 255];
          };
          const ratios = [...document.querySelectorAll(selector)].map((element) => {
            const [a, b] = [light(parse(getComputedStyle(element)[what])), light(behind(element))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          });
          return ratios.length ? Math.min(...ratios) : 0;
        }""",
        [selector, what],
    )


def test_every_plot_is_drawn_and_nothing_is_injected(load):
    page = load()
    drawn = page.evaluate(
        "[...document.querySelectorAll('.plot')].map((p) => p.querySelectorAll('.trace, .bars').length)"
    )
    assert len(drawn) > 10
    assert min(drawn) > 0
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 0
    assert page.locator("a[href^=javascript]").count() == 0
    assert page.evaluate("[...document.querySelectorAll('svg a')].length") == 0


def test_a_hover_shows_a_hostile_name_as_text(load):
    page = load()
    texts = page.evaluate(
        """() => {
          const figures = [...document.querySelectorAll("figure")];
          const canvas = figures.find((f) => f.textContent.includes("Steps to target")).querySelector(".canvas");
          const hovers = canvas.data.flatMap((trace, curveNumber) =>
            trace.legendgroup.startsWith("<b>") && trace.mode !== "lines" ? [{ curveNumber, pointNumber: 0 }] : []);
          return hovers.map((point) => {
            Plotly.Fx.hover(canvas, [point]);
            return canvas.querySelector(".hoverlayer").textContent;
          });
        }"""
    )
    assert texts
    assert all("<b></script>" in text for text in texts)
    assert page.evaluate("window.pwned") is None
    assert page.locator(".hoverlayer a, .hoverlayer img").count() == 0


def test_a_column_sorts_both_ways_with_missing_values_last(load):
    page = load()
    table = page.locator("section", has=page.locator("h2", has_text="sorted")).first.locator("table")
    head = table.locator("th", has_text="amount").locator("button")
    place = table.locator("th").all_text_contents()
    column = next(i for i, title in enumerate(place) if "amount" in title)

    def cells():
        return [row.locator("td").nth(column).text_content() for row in table.locator("tbody tr").all()]

    middle = ["9.5", *map(str, range(20, 30)), "100"]
    head.click()
    assert cells() == ["−3", "1×10⁻⁹", *middle, "∞", "NaN"]
    assert table.locator("th[aria-sort=ascending]").count() == 1
    head.click()
    assert cells() == ["∞", *reversed(middle), "1×10⁻⁹", "−3", "NaN"]
    head.focus()
    page.keyboard.press("Enter")
    assert cells()[0] == "−3"


def test_rows_are_filtered_by_every_word(load):
    page = load()
    section = page.locator("section", has=page.locator("h2", has_text="sorted")).first
    section.locator(".filter input").fill("row 9.5")
    assert section.locator("tbody tr:visible").count() == 1
    assert section.locator("output").text_content() == "1 of 16 rows"
    section.locator(".filter input").fill("")
    assert section.locator("tbody tr:visible").count() == 16


def test_the_legend_hides_a_series_in_every_panel(load):
    page = load()
    figure = page.locator("figure", has_text="Learning-rate ceilings").first
    counts = "(f) => [...f.querySelectorAll('.plot')].map((p) => p.querySelectorAll('.scatterlayer .trace').length)"
    before = figure.evaluate(counts)
    button = figure.locator(".legend button", has_text="</script>")
    button.click()
    after = figure.evaluate(counts)
    assert all(a < b for a, b in zip(after, before, strict=True))
    button.click()
    assert figure.evaluate(counts) == before


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(load, width):
    page = load(viewport={"width": width, "height": 844})
    for details in page.locator("details").all():
        details.evaluate("(d) => { d.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(load, scheme):
    page = load(color_scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark")
    for selector in ("p", "td", "th button", "h2, h3, h4", "a", ".badge", ".quiet", ".notice", "code", "summary", "dt"):
        assert contrast(page, selector) >= 4.5, selector
    assert contrast(page, ".plot text", "fill") >= 4.5
    assert contrast(page, ".scatterlayer .js-line", "stroke") >= 3
    assert contrast(page, ".legend svg") >= 3


def test_plots_follow_a_change_of_the_scheme(load):
    page = load()
    fill = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    light = page.evaluate(fill)
    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(300)
    assert page.evaluate(fill) != light


def test_a_finger_scrolls_past_a_plot(load):
    page = load(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.querySelector('.plot .canvas').layout.dragmode") is False
    assert page.locator(".modebar-btn:visible").count() == 0


def test_dark_pages_print_in_dark_ink(load):
    page = load(color_scheme="dark")
    assert len(page.pdf()) > 10_000
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    ink = page.evaluate("getComputedStyle(document.querySelector('.plot .xtick text')).fill")
    assert sum(map(int, ink[4:-1].split(","))) < 200
    page.evaluate("dispatchEvent(new Event('afterprint'))")


def test_links_of_the_contents_lead_somewhere(load):
    page = load()
    targets = page.evaluate("[...document.querySelectorAll('nav a')].map((a) => !!document.querySelector(a.hash))")
    assert len(targets) > 7
    assert all(targets)


def test_a_page_without_its_plotly_says_so(load, tmp_path):
    run = write_run(tmp_path / "run", [ceiling_record(1.0, 0.3, [40.0])])
    index = write_report([run], tmp_path / "out")
    (index.parent / "plotly.min.js").write_text("")
    page = load(index, drawn=False)
    assert "plotly.min.js is missing" in page.locator(".canvas").first.text_content()
    assert page.locator("table.sortable").count() == 1


def test_several_runs_share_a_page(load, tmp_path):
    runs = [
        write_run(tmp_path / name, [ceiling_record(rate, 0.3, [40.0], norm=norm) for norm in ("none", "batch")])
        for name, rate in (("before", 1.0), ("after", 3.0))
    ]
    page = load(write_report(runs, tmp_path / "out"))
    assert [h.split()[-1] for h in page.locator("h2.run").all_text_contents()] == ["before", "after"]
    assert page.locator(".plot[data-drawn]").count() == 12
    page.locator("nav a", has_text="after").click()
    assert page.evaluate("location.hash") == "#run-2"
