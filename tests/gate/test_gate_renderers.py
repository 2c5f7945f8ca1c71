"""What the renderers show, and that no name acts on whoever reads it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from synthetic_pairs import Synthetic, always, noisy, seeded, timing

from ics_bench.cli.decided import Outputs, decision_text, show
from ics_bench.core import UsageError
from ics_bench.core.text import printable
from ics_bench.gate.decision import decide
from ics_bench.gate.encode import encode
from ics_bench.gate.junit import junit
from ics_bench.gate.markdown import append_summary, escape, markdown
from ics_bench.gate.rule import Rule
from ics_bench.gate.series import Benchmark, Observation
from ics_bench.gate.verdict import Decision, Reading, Result
from ics_bench.report.gate import _bar, _place, render_decision, write_decision
from ics_bench.stats import Interval

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "a|b\n| c | `d` **e** [f](http://g) ![h](i) <b>j</b>",
    "::error::owned",
    "##[error]owned",
    "\x1b[31mred\x1b]0;title\x07",
    "‮txt.exe",
    "&lt;already&gt; &#60;",
    "../../etc/passwd\0",
    "/etc/cron.d/owned",
    "\ud800 lone",
    "www.evil.example @everyone #1 ~~x~~ $y$ \\",
    "]]>--><![CDATA[",
)


@pytest.fixture(scope="module")
def every():
    """One decision with every verdict in it."""
    failed = Observation(math.nan, error="RuntimeError: <b>no</b>")
    truth = {
        "slow": noisy(1.5, cv=0.02),
        "fast": noisy(0.6, cv=0.02),
        "same": noisy(cv=0.01),
        "noisy": noisy(cv=3.0),
        "broken": always(Observation(1.0), failed),
        "undirected": noisy(2.0, cv=0.01),
        "acc": seeded([[0.9]] * 16, [[0.7]] * 16),
    }
    acc = Benchmark("acc", "seeded", "1", "higher", smallest_effect=0.02)
    both = [timing(name, None if name == "undirected" else "lower") for name in truth if name != "acc"]
    base = [*both, acc, timing("gone"), timing("redone", version="1")]
    head = [*both, acc, timing("fresh"), timing("redone", version="2")]
    names = ("HEAD~1 (1a2b3c4)", "HEAD (5d6e7f8)")
    found = decide(base, head, Synthetic(truth), names=names, warnings=["the builds are identical"])
    assert len({result.verdict for result in found.results}) == 9
    return replace(found, facts={"pairs": "112"})


def hostile_decision(name):
    result = Result(timing(name), "regression", f"because {name}", (), (name,), name)
    return Decision(
        name, name, (result, Result(timing(f"x{name}"), "error", name)), warnings=(name,), facts={name: name}
    )


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text.append(data)


def rendered(text):
    return MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)


RENDERERS = {
    "terminal": decision_text,
    "markdown": markdown,
    "junit": lambda decision: junit(decision).decode(),
    "json": lambda decision: encode(decision).decode(),
    "page": render_decision,
}


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_renderer_shows_every_benchmark_verdict_and_warning(every, renderer):
    text = RENDERERS[renderer](every)
    for result in every.results:
        assert result.name in text
        assert result.verdict in text
    assert "the builds are identical" in text
    assert "1a2b3c4" in text
    assert "no such" not in text


@pytest.mark.parametrize("name", HOSTILE)
def test_the_terminal_and_the_ci_runner_see_text_only(name):
    text = decision_text(hostile_decision(name))
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    assert not any(line.lstrip().startswith(("::", "##[")) for line in text.split("\n"))


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_a_name_as_it_is_and_nothing_else(name):
    text = markdown(hostile_decision(name))
    assert not any(line.lstrip().startswith(("::", "##[")) for line in text.split("\n"))
    page = Elements(rendered(text))
    assert set(page.tags) <= {
        "h2",
        "p",
        "code",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    assert page.tags.count("tr") == 3
    assert printable(name) in "".join(page.text)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_escaped_text_comes_back_from_markdown_unchanged(text):
    page = Elements(rendered(f"x <code>{escape(text)}</code>"))
    assert page.tags == ["p", "code"]
    assert "".join(page.text).strip("\n") == f"x {printable(text)}"


@pytest.mark.parametrize("name", HOSTILE)
def test_junit_is_xml_with_the_name_in_it(name):
    root = ElementTree.fromstring(junit(hostile_decision(name)))
    assert [case.get("name") for case in root.iter("testcase")] == [printable(name), printable(f"x{name}")]


@pytest.mark.parametrize("name", HOSTILE)
def test_json_is_strict_and_holds_names_unchanged(name):
    content = json.loads(encode(hostile_decision(name)), parse_constant=pytest.fail)
    held = content["results"][0]["name"]
    assert held == name or (held, name) == ("\\ud800 lone", "\ud800 lone")
    encode(hostile_decision(name)).decode("utf-8")


@pytest.mark.parametrize("name", HOSTILE)
def test_the_page_has_no_element_from_a_name(name):
    plain, page = (Elements(render_decision(hostile_decision(each))) for each in ("harmless", name))
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes
    assert "script" not in page.tags


def test_junit_lets_nothing_pass_that_was_not_found_unchanged_or_better(every):
    root = ElementTree.fromstring(junit(every))
    passed = {case.get("name") for case in root.iter("testcase") if {child.tag for child in case} == {"system-out"}}
    assert passed == {"same", "fast", "fresh"}
    suite = root.find("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "10",
        "failures": "2",
        "errors": "4",
        "skipped": "1",
    }
    for name, tag in TAGS.items():
        assert int(suite.get(name)) == sum(1 for _ in suite.iter(tag))


TAGS = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def test_json_tells_what_the_decision_rests_on(every):
    content = json.loads(encode(every), parse_constant=pytest.fail)
    assert (content["schema"], content["exit_code"]) == (1, 1)
    assert content["verdicts"]["regression"] == 2
    slow = next(result for result in content["results"] if result["name"] == "slow")
    assert slow["readings"][0]["change"] == pytest.approx(0.5, abs=0.03)
    assert slow["readings"][0]["p"] < 0.01
    assert content["rule"]["margin"] == 0.03
    noisy_bound = next(r for r in content["results"] if r["name"] == "noisy")["readings"][0]["bound"]
    assert noisy_bound == "Infinity" or noisy_bound > 0.1


@pytest.mark.parametrize("renderer", RENDERERS)
def test_every_renderer_says_why_nothing_was_compared(renderer):
    refused = Decision("main", "HEAD", (), failures=("head cannot be measured: no luck",), said=("ImportError: gone",))
    text = RENDERERS[renderer](refused).replace("&#58;", ":")
    assert "head cannot be measured: no luck" in text
    assert renderer == "terminal" or "ImportError: gone" in text  # the terminal has shown them above
    assert "no regression" not in text
    assert refused.exit_code == 2


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_build_said_acts_on_nobody(name):
    refused = Decision(name, name, (), failures=(name,), said=(name,))
    assert {"script", "img"}.isdisjoint(Elements(rendered(markdown(refused))).tags)
    assert {"script", "img"}.isdisjoint(Elements(render_decision(refused)).tags)
    assert len(list(ElementTree.fromstring(junit(refused)).iter("error"))) == 1
    json.loads(encode(refused), parse_constant=pytest.fail)


def test_the_terminal_says_why(every):
    text = decision_text(every)
    assert "broken: error: failed on head in 16 of 16 epochs: RuntimeError: <b>no</b>" in text
    assert text.splitlines()[-1].endswith("exit code 1: a regression, whatever else happened")


def test_the_page_is_written_in_one_step_and_into_no_folder_of_another(every, tmp_path):
    page = write_decision(every, tmp_path / "gate")
    assert page.read_text() == render_decision(every)
    write_decision(every, tmp_path / "gate")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/keep").touch()
    with pytest.raises(UsageError, match="holds something else"):
        write_decision(every, tmp_path / "mine")


def test_the_summary_of_a_github_job_is_appended_to(every, tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    assert append_summary(every) is None
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert append_summary(every) == summary
    assert summary.read_text() == f"before\n\n{markdown(every)}"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none/summary.md"))
    with pytest.raises(UsageError, match="GITHUB_STEP_SUMMARY"):
        append_summary(every)


def test_all_outputs_at_once(every, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "w.toml").write_text("[[waiver]]\nbenchmark = 'slow|acc'\nreason = 'known'\nexpires = 2999-01-01\n")
    files = {name: tmp_path / f"f.{name}" for name in ("json", "markdown", "junit")}
    outputs = Outputs(*files.values(), tmp_path / "page", tmp_path / "w.toml")
    assert show([every], [outputs], outputs.check()) == [2]  # the regressions are accepted, the errors are not
    out = capsys.readouterr().out
    assert "regression, accepted" in out
    assert all(file.stat().st_size and str(file) in out for file in (*files.values(), tmp_path / "page/index.html"))


@pytest.mark.parametrize("field", ["json_file", "markdown_file", "junit_file", "report", "waivers"])
def test_outputs_that_cannot_be_written_are_refused_before_anything_is_measured(tmp_path, field):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        Outputs(**{field: tmp_path / ("file" if field == "report" else "file/below")}).check()


def test_one_output_that_cannot_be_written_keeps_no_other_from_it(every, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "none/summary.md"))
    with pytest.raises(UsageError, match="GITHUB_STEP_SUMMARY"):
        show([every], [Outputs(tmp_path / "decision.json")], ())
    assert json.loads((tmp_path / "decision.json").read_text())["exit_code"] == 1


def test_a_long_table_is_cut_in_markdown_with_the_gravest_first():
    results = tuple(Result(timing(f"b{place:03}"), "no change", "") for place in range(300))
    text = markdown(Decision("a", "b", (Result(timing("worst"), "regression", ""), *results)))
    assert "worst" in text
    assert "and 101 more" in text


def test_the_picture_of_little_memory_shows_the_limits_in_bytes():
    rule = Rule()
    reading = Reading("memory", 16, True, 8 * 2**20, 8 * 2**20, 0.0, Interval(0.0, 0.0), 0.0)
    result = Result(Benchmark("m", "memory", "bytes", "lower"), "no change", "", (reading,))
    bar = _bar(Decision("base", "head", (result,), rule), result, reading, span=1.0)
    assert (bar.margin, bar.bound) == (_place(1 / 8, 1.0), _place(2 / 8, 1.0))
