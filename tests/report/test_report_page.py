import math
import sys

import pytest
from synthetic_runs import ENVIRONMENT, Page, ceiling_record, kernel_record, layer_record, record, write_run

from ics_bench.claims import Finding, Judgement, load_catalogue
from ics_bench.core import Metric
from ics_bench.report import write_report
from ics_bench.report.tables import summary_table
from ics_bench.stats import Interval

PAYLOAD = '</script><img src=x onerror="document.title=1"><svg/onload=alert(1)>\x1b[31m\u202e{{7*7}}'


def page_of(tmp_path, *runs, judgements=()):
    return Page(write_report(runs, tmp_path / "out", judgements))


def judgement(**fields):
    finding = Finding("supported", 0.0126, Interval(0.0124, 0.0129), 3, target="0.0128 ± 10 %", warnings=("cut short",))
    defaults = {
        "id": "init-1",
        "verdict": "supported",
        "registered": "supported",
        "family": "theory",
        "profile": "standard",
        "headline": "float64",
        "effect": 0.0126,
        "interval": Interval(0.0124, 0.0129),
        "n": 3,
        "unit": "1",
        "settings": {"float64": finding, "float32": Finding("inconclusive")},
        "controls": {"He keeps its scale": finding},
        "primary": frozenset({"float64"}),
    }
    return Judgement(**defaults | fields)


def test_the_summary_counts_every_case(tmp_path):
    records = [
        layer_record(1.0),
        record("init_scale", {"init": "he"}, [], status="skipped", reason="no positions to average over"),
        record("init_scale", {"init": "xavier"}, [], status="failed", reason="ValueError: it broke (net.py:3)"),
    ]
    page = page_of(tmp_path, write_run(tmp_path / "run", records, missing=["init_scale v1 init=orthogonal"]))
    tiles = [" ".join(li["text"].split()) for li in page.all("li")]
    for tile in ("1 measured", "1 skipped", "1 failed", "1 not reached", "0 warnings", "4.5 s of measuring"):
        assert tile in tiles
    text = page.text()
    assert "no positions to average over" in text
    assert "ValueError: it broke (net.py:3)" in text
    assert "unfinished" in text


def test_a_finished_run_says_how_long_it_took(tmp_path):
    text = page_of(tmp_path, write_run(tmp_path / "run", [layer_record(1.0)])).text()
    assert "1 min 10 s" in text
    assert "not reached" not in text
    assert "2026-01-02 03:04 UTC" in text


@pytest.mark.parametrize(("profile", "noticed"), [("quick", True), ("standard", False), ("full", False)])
def test_only_the_quick_profile_is_called_a_smoke_test(tmp_path, profile, noticed):
    text = page_of(tmp_path, write_run(tmp_path / "run", [layer_record(1.0)], profile=profile)).text()
    assert ("Quick profile: a smoke test, no verdicts" in text) == noticed


def test_the_notice_names_the_quick_run_among_others(tmp_path):
    runs = [write_run(tmp_path / name, [layer_record(1.0)], profile=name) for name in ("quick", "standard")]
    assert "Quick profile (quick): a smoke test, no verdicts" in page_of(tmp_path, *runs).text()


def test_warnings_that_differ_in_numbers_are_one_group(tmp_path):
    records = [
        record("w", {"place": place}, [("value", 1.0, None, (f"contended: others used {place}.5 of 2 cores",))])
        for place in range(5)
    ]
    records.append(record("w", {"place": 9}, [("value", 1.0, None, ("something else",))]))
    page = page_of(tmp_path, write_run(tmp_path / "run", records))
    groups = [ul for ul in page.all("ul") if "groups" in (ul["attrs"].get("class") or "")]
    assert len(groups) == 1
    assert "5 cases, with other numbers in the message" in page.text()
    for place in range(5):
        assert f"contended: others used {place}.5 of 2 cores" in page.text()
    assert "2 warnings" in page.text()


def test_missing_nan_and_infinity_are_three_things(tmp_path):
    records = [
        record("w", {"place": 0}, [("a", math.inf), ("b", math.nan)]),
        record("w", {"place": 1}, [("a", 2.5)]),
    ]
    table = summary_table(write_run(tmp_path / "run", records), "w")
    titles = [column.title for column in table.columns]
    a, b = titles.index("a"), titles.index("b")
    assert [row[a].text for row in table.rows] == ["∞", "2.5"]
    assert [row[a].sort for row in table.rows] == ["inf", "2.5"]
    assert [row[b].text for row in table.rows] == ["NaN", "–"]
    assert [row[b].sort for row in table.rows] == ["", ""]
    assert all(table.columns[place].numeric for place in (a, b))


def test_the_table_uses_what_the_run_declares(tmp_path):
    metrics = {
        "steps_to_target": Metric("steps_to_target", "step", "lower", "seeded", "steps to the goal"),
        "other": Metric("other", "1", "neutral", "seeded", headline=False),
    }
    records = [record("w", {"place": place}, [("steps_to_target", 5.0), ("other", 1.0)]) for place in range(2)]
    table = summary_table(write_run(tmp_path / "run", records, metrics={"w": metrics}), "w")
    (steps,) = [column for column in table.columns if column.title == "steps to target"]
    assert steps.unit == "step"
    assert steps.summary == "steps to the goal; lower is better"
    assert "other" not in [column.title for column in table.columns]


def test_a_verdict_shows_what_it_rests_on(tmp_path):
    run = write_run(tmp_path / "run", [layer_record(1.0)])
    page = page_of(tmp_path, run, judgements=[judgement(), judgement(id="gone-9", verdict="refuted", p=0.004)])
    text = page.text()
    statement = next(claim.statement for claim in load_catalogue() if claim.id == "init-1")
    assert " ".join(statement.split()) in text
    assert "0.0126 (0.0124 to 0.0129)" in text
    assert "target: 0.0128 ± 10 %" in text
    assert "He keeps its scale negative control" in text
    assert "float32 shown beside" in text
    badges = [" ".join(span["text"].split()) for span in page.all("span", class_="badge")]
    assert badges[:2] == ["✓ 1 supported", "✗ 1 refuted"]
    (row,) = [tr["text"] for tr in page.all("tr") if "gone-9" in tr["text"]]
    assert "✗ refuted" in " ".join(row.split())
    assert "p = 0.004" in row


def test_a_claim_shows_its_map_its_controls_its_tier_and_what_it_took(tmp_path):
    case = {"init": "normal-0.01", "activation": "relu", "norm": "none", "dtype": "float64", "batch_size": 128}
    case |= {"width": 256, "depth": 50, "draws": "generator"}
    measured = record("init_scale", case, [("forward_rate", 0.0128)])
    lost = Finding("refuted", 0.5, Interval(0.4, 0.6), 3)
    depends = judgement(
        verdict="setting-dependent",
        settings={"float64": judgement().settings["float64"], "float32": lost, "aside": lost},
        primary=frozenset({"float64", "float32"}),
        section="Why deep networks were hard to train",
        tier="full",
        history="refuted until 2026: the seeds were too few",
    )
    other = judgement(id="gone-9", section="Elsewhere")
    page = page_of(tmp_path, write_run(tmp_path / "run", [measured]), judgements=[depends, other])
    chips = [" ".join(li["text"].split()) for li in page.all("li")]
    for chip in ("✓ supported float64", "✗ refuted float32", "control ✓ supported He keeps its scale"):
        assert chip in chips
    assert "✗ refuted aside" not in chips
    text = page.text()
    assert "theory claim, tier full: takes long" in text
    (budget,) = [claim.budget_seconds for claim in load_catalogue() if claim.id == "init-1"]
    assert f"took 1.5 s of a budget of {budget:g} s" in text
    assert "Registered before. refuted until 2026: the seeds were too few" in text
    headings = [" ".join(th["text"].split()) for th in page.all("th")]
    assert "Why deep networks were hard to train" in headings


def test_without_judgements_there_is_no_verdict_section(tmp_path):
    page = page_of(tmp_path, write_run(tmp_path / "run", [layer_record(1.0)]))
    assert "Verdicts" not in page.headings()


def test_environment_and_command_are_there(tmp_path):
    run = write_run(tmp_path / "run", [layer_record(1.0)], overrides={"norm": ["batch"]}, first_seed=7)
    text = page_of(tmp_path, run).text()
    assert "torch 2.13.0" in text
    assert "0123456789ab, with uncommitted changes" in text
    assert "16 GiB" in text
    assert "ics-bench run init_scale --profile standard --norm batch --first-seed 7 --report" in text


def test_runs_stand_side_by_side(tmp_path, monkeypatch):
    one = write_run(tmp_path / "a" / "run", [layer_record(1.0)])
    monkeypatch.setitem(ENVIRONMENT, "cpu", "Another Processor")
    monkeypatch.setitem(ENVIRONMENT, "load_average", [9.0, 9.0, 9.0])
    other = write_run(tmp_path / "b" / "run", [layer_record(1.0)])
    page = page_of(tmp_path, one, other)
    assert "run (1)" in page.text()
    assert "run (2)" in page.text()
    differing = [" ".join(tr["text"].split()) for tr in page.all("tr", class_="differs")]
    assert differing == ["processor Some Processor Another Processor"]
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    links = [a["attrs"]["href"][1:] for a in page.all("a")]
    assert set(links) <= set(ids)


def test_every_plot_is_announced_and_holds_strict_json(tmp_path):
    records = [
        layer_record(2.0, init="normal-1"),
        layer_record(curve=(1.0, *([math.inf] * 9)), init="he"),
        ceiling_record(1.0, 0.0, [math.inf]),
        kernel_record(0.5),
    ]
    page = page_of(tmp_path, write_run(tmp_path / "run", records))
    plots = page.plots()  # refuses NaN and Infinity
    assert len(plots) >= 7
    assert all(trace["x"] for plot in plots.values() for trace in plot["data"])
    assert "drawing failed" not in page.text()
    assert all(div["attrs"].get("aria-label") for div in page.all("div", class_="canvas"))


def test_a_module_named_in_a_run_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "evil_module.py").write_text("WORKLOAD = NORM = open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    records = [record("evil_module:WORKLOAD", {"norm": "evil_module:NORM"}, [("value", 1.0)])]
    page = page_of(tmp_path, write_run(tmp_path / "run", records))
    assert "evil_module:WORKLOAD" in page.headings()
    assert "evil_module" not in sys.modules
    assert not (tmp_path / "imported").exists()


def hostile_run(folder):
    layers = [layer_record(2.0, init=init, norm=norm) for init in (PAYLOAD, "he") for norm in (PAYLOAD * 9, "none")]
    ceilings = [ceiling_record(1.0, 0.0, [math.inf], norm=PAYLOAD, data=data) for data in (PAYLOAD, "digits")]
    return write_run(
        folder / PAYLOAD.replace("/", "").replace("\0", "")[:60],
        [
            *layers,
            *ceilings,
            kernel_record(0.5, provider=PAYLOAD, shape=PAYLOAD, norm=PAYLOAD),
            record(PAYLOAD, {PAYLOAD: PAYLOAD}, [(PAYLOAD, 1.0, None, (PAYLOAD,))]),
            record(PAYLOAD, {PAYLOAD: 1}, [], status="skipped", reason=PAYLOAD),
            record(PAYLOAD, {PAYLOAD: 2}, [], status="failed", reason=PAYLOAD),
        ],
        device=PAYLOAD,
        overrides={PAYLOAD: [PAYLOAD]},
    )


def test_no_name_acts_on_the_page(tmp_path, monkeypatch):
    for name in list(ENVIRONMENT):
        monkeypatch.setitem(ENVIRONMENT, name, PAYLOAD)
    monkeypatch.setitem(ENVIRONMENT, PAYLOAD, {PAYLOAD: PAYLOAD})
    settings = {PAYLOAD: Finding("refuted")}
    verdict = judgement(id=PAYLOAD, headline=PAYLOAD, unit=PAYLOAD, warnings=(PAYLOAD,), settings=settings)
    page = page_of(tmp_path, hostile_run(tmp_path), judgements=[verdict])
    assert not page.all("img")
    assert not [name for e in page.elements for name in e["attrs"] if name.startswith("on")]
    scripts = [e["attrs"] for e in page.all("script")]
    data = [attrs for attrs in scripts if attrs.get("type") == "application/json"]
    assert len(page.plots()) == len(data) > 0
    assert [attrs["src"] for attrs in scripts if attrs not in data] == ["plotly.min.js", "report.js"]
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert "{{7*7}}" in page.text()
    assert "drawing failed" not in page.text()


def test_a_lone_surrogate_can_be_written(tmp_path):
    run = write_run(tmp_path / "run", [layer_record(1.0)])
    run.header["environment"]["cpu"] = "\ud800 Processor"
    assert "\\ud800 Processor" in page_of(tmp_path, run).text()


def test_a_verdict_says_where_its_statement_stands_and_what_measuring_it_may_cost(tmp_path):
    (claim,) = [claim for claim in load_catalogue() if claim.id == "init-1"]
    run = write_run(tmp_path / "run", [layer_record(1.0)])
    text = page_of(tmp_path, run, judgements=[judgement()]).text()
    assert f"{claim.section}: {claim.page}" in text
    assert f"{claim.budget_seconds} s of measuring, summed over its cases" in text


def test_a_run_made_for_claims_is_reproduced_by_claims(tmp_path):
    run = write_run(tmp_path / "run", [layer_record(1.0)], claims=["init-1"])
    assert "ics-bench claims init-1 --profile standard --report" in page_of(tmp_path, run).text()
    fresh = write_run(tmp_path / "fresh", [layer_record(1.0)], claims=["init-1"], first_seed=5000)
    text = Page(write_report([fresh], tmp_path / "fresh-out")).text()
    assert "ics-bench claims init-1 --profile standard --first-seed 5000 --report" in text
    assert "first_seed=5000" in text


def test_a_run_without_records_is_a_page_too(tmp_path):
    run = write_run(tmp_path / "run", [], missing=["w v1 place=0"], metrics={"w": {}})
    text = page_of(tmp_path, run).text()
    assert "No case was measured" in text
    assert "1 not reached" in text
