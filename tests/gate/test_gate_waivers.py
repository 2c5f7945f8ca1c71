from __future__ import annotations

from datetime import date

import pytest

from ics_bench.core import UsageError
from ics_bench.gate.series import Benchmark
from ics_bench.gate.verdict import Decision, Result
from ics_bench.gate.waivers import Waiver, accept, load_waivers

TODAY = date(2026, 11, 25)

FILE = """
[[waiver]]
benchmark = 'suite\\.time_x\\(.*\\)'
reason = "float64 moments"
expires = 2026-11-25
"""


def decision(*verdicts, warnings=()):
    names = ["suite.time_x(1)", "suite.time_y"]
    results = [Result(Benchmark(n, "timing", "s", "lower"), v, "") for n, v in zip(names, verdicts, strict=False)]
    return Decision("base", "head", tuple(results), warnings=warnings)


@pytest.fixture
def waivers(tmp_path):
    (tmp_path / "waivers.toml").write_text(FILE)
    return load_waivers(tmp_path / "waivers.toml")


def test_an_accepted_regression_passes_and_stays_in_sight(waivers):
    accepted = accept(decision("regression", "no change"), waivers, TODAY)
    assert accepted.exit_code == 0
    assert accepted.headline == "1 regression, 1 no change (1 accepted)"
    (result,) = (r for r in accepted.results if r.verdict == "regression")
    assert result.waiver == "float64 moments (until 2026-11-25)"


def test_another_regression_still_fails(waivers):
    assert accept(decision("regression", "regression"), waivers, TODAY).exit_code == 1
    assert accept(decision("no change", "regression"), waivers, TODAY).exit_code == 1


def test_an_expired_waiver_fails_and_says_so(waivers):
    late = accept(decision("regression", "no change", warnings=("dirty tree",)), waivers, date(2026, 11, 26))
    assert late.exit_code == 1
    assert late.results[0].warnings == ("its waiver expired on 2026-11-25: float64 moments",)
    assert late.warnings == ("dirty tree",)
    (failure,) = late.failures
    assert "expired on 2026-11-25: remove or renew it" in failure


def test_an_expired_waiver_fails_where_its_regression_is_gone_too(waivers):
    assert accept(decision("no change", "no change"), waivers, TODAY).exit_code == 0
    late = accept(decision("no change", "no change"), waivers, date(2026, 11, 26))
    assert (late.exit_code, len(late.failures)) == (2, 1)


def test_a_waiver_that_matches_nothing_is_pointed_out():
    found = accept(decision("no change"), [Waiver(r"suite\.time_z", "typo", date(2030, 1, 1))], TODAY)
    assert found.exit_code == 0
    assert found.warnings == (
        r"waiver for suite\.time_z matches no benchmark that was compared; there is, for example, suite.time_x(1)",
    )


def test_a_later_waiver_of_the_same_benchmark_counts():
    both = [Waiver(".*", "old", date(2020, 1, 1)), Waiver(".*", "new", date(2030, 1, 1))]
    found = accept(decision("regression"), both, TODAY)
    assert (found.exit_code, found.failures) == (0, ())
    assert "expired on 2020-01-01" in found.warnings[0]


def test_a_waiver_excuses_no_error():
    every = [Waiver(".*", "all", date(2030, 1, 1))]
    for verdict, code in (("error", 2), ("missing", 2), ("incomparable", 2), ("inconclusive", 3)):
        assert accept(decision(verdict), every, TODAY).exit_code == code


def test_a_pattern_matches_whole_names_only():
    assert not Waiver("time_x", "r", TODAY).covers("suite.time_x(1)")
    assert Waiver(r"suite\.time_x\(1\)", "r", TODAY).covers("suite.time_x(1)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "cannot be read"),
        ("[waiver]\nbenchmark = 'a'", r"expected \[\[waiver\]\]"),
        ("other = 1", r"expected \[\[waiver\]\]"),
        ("[[waiver]]\nbenchmark = 'a'\nreason = 'r'", "waiver 1 .* see 'expires'"),
        ("[[waiver]]\nbenchmark = 'a'\nexpires = 2027-01-01", "see 'reason'"),
        (FILE + "note = 'x'", "see 'note'"),
        (FILE.replace("2026-11-25", "'soon'"), "expires is 'soon'; expected a date"),
        (FILE.replace("2026-11-25", "2026-11-25T10:00:00"), "expected a date"),
        (FILE.replace('"float64 moments"', '"  "'), "reason is '  '; expected a text"),
        (FILE.replace(".*", "*("), "is no regular expression"),
        ("a = " + "[" * 100_000, "cannot be read"),
    ],
)
def test_broken_files_are_refused(tmp_path, text, said):
    path = tmp_path / "w.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_waivers(path)


def test_an_absent_file_is_named_and_an_empty_one_waives_nothing(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        load_waivers(tmp_path / "none.toml")
    (tmp_path / "empty.toml").touch()
    assert load_waivers(tmp_path / "empty.toml") == ()
