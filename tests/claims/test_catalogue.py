"""The catalogue: complete, judgeable, and refused with a clear line where it is not."""

import math

import pytest
from synthetic_evidence import HEAD, by_seed, claim

from ics_bench.claims import judge, judge_run, load_catalogue, parse_catalogue, requirements, select, training_claims
from ics_bench.claims.rules import RULES
from ics_bench.core import UsageError
from ics_bench.workloads import load_workload

CATALOGUE = load_catalogue()
BODY = """
[claim.parameters]
metric = "rate"
expected = 2.0
relative_tolerance = 0.1
[[claim.settings]]
name = "a"
case = { arm = "a" }
"""
VALID = HEAD.format(id="c", family="theory", tier="standard", seeds=3, least_seeds=3, rule="within") + BODY


def test_holds_the_claims_that_were_registered():
    assert {c.id: c.registered for c in CATALOGUE} == {
        "init-1": "supported",
        "init-2": "supported",
        "init-3": "supported",
        "init-4": "refuted",
        "lr-1": "refuted",
        "lr-2": "refuted",
        "bn-1": "supported",
    }
    assert training_claims(CATALOGUE) == 2


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda c: c.id)
@pytest.mark.parametrize("profile", ["quick", "standard", "full"])
def test_every_claim_can_be_measured_as_it_is_written(entry, profile):
    for name, cases in requirements([entry], profile).items():
        workload = load_workload(name)
        for case, seeds in cases.items():
            assert set(case) == {axis.name for axis in workload.axes}
            assert workload.skip(case, "cpu") is None
            assert seeds == (workload.seeds["quick"] if profile == "quick" else entry.seeds)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda c: c.id)
def test_selectors_pin_every_axis_and_keep_the_values(entry):
    for arm in entry.arms():
        (case,) = load_workload(arm.workload).cases("standard", {key: [arm.pins[key]] for key in arm.pins})
        assert case.matches(**arm.pins)


def test_standard_runs_hold_what_the_claims_need():
    for name, cases in requirements(CATALOGUE, "standard").items():
        assert set(cases) <= set(load_workload(name).cases("standard"))


def test_theory_bands_are_the_closed_forms():
    expected = {s.name: s.rule.expected for c in CATALOGUE if c.id == "bn-1" for s in c.settings}
    assert expected["ReLU, batch 128"] == pytest.approx(math.pi / (math.pi - 1), abs=1e-6)
    for batch_size in (8, 32):
        assert expected[f"linear, batch {batch_size}"] == pytest.approx((batch_size - 2) / (batch_size - 3), abs=1e-6)
    forward = {c.id: c.primary[0].rule.expected for c in CATALOGUE if c.id in ("init-1", "init-2", "init-3")}
    assert forward == {"init-1": 0.01**2 * 256 / 2, "init-2": 256 / 2, "init-3": 2 / 256 * 256 / 2}


def test_the_band_of_a_rate_is_narrow_beside_its_distance_from_one():
    (entry,) = select(CATALOGUE, ["bn-1"])
    for setting in entry.primary:
        low, high = setting.rule.band
        effect = setting.rule.expected - 1
        assert (low - 1, high - 1) == pytest.approx((0.9 * effect, 1.1 * effect))
    for control in entry.controls:
        assert all(control.rule.band.high < setting.rule.band.low for setting in entry.primary)


def test_a_printed_number_is_held_to_half_a_unit_of_its_last_digit():
    (entry,) = select(CATALOGUE, ["init-4"])
    found = {(s.rule.printed, s.rule.relative_tolerance) for s in entry.settings}
    halves = {0.8234: 0.00005, 1.23e-89: 0.005e-89}
    assert {printed for printed, _ in found} == {*halves, math.inf}
    for printed, tolerance in found:
        if printed in halves:
            assert tolerance * printed == pytest.approx(halves[printed], rel=2e-3)
            assert tolerance * printed <= halves[printed]


def test_theory_claims_about_an_effect_have_a_control():
    assert all(c.controls for c in CATALOGUE if any(type(s.rule) is RULES["within"] for s in c.settings))


def test_shared_cases_take_the_larger_number_of_seeds():
    needed = requirements(select(CATALOGUE, ["init-3", "bn-1"]), "standard")["init_scale"]
    assert {seeds for case, seeds in needed.items() if case["width"] == 512} == {11}
    assert {seeds for case, seeds in needed.items() if case["width"] == 256} == {3}


def test_select_keeps_the_catalogues_order_and_names_the_near_ones():
    assert [c.id for c in select(CATALOGUE, ["lr-1", "init-2"])] == ["init-2", "lr-1"]
    with pytest.raises(UsageError, match="did you mean 'init-1'"):
        select(CATALOGUE, ["innit-1"])


def test_judge_run_takes_the_claims_with_evidence_unless_named():
    assert judge_run([], "standard") == []
    (named,) = judge_run([], "standard", ["lr-2"])
    assert (named.id, named.verdict) == ("lr-2", "inconclusive")


PARAMETERS = {
    "within": 'metric = "m"\nexpected = 1.0\nrelative_tolerance = 0.1',
    "printed_number": 'metric = "m"\nprinted = 1.0\nrelative_tolerance = 0.1',
    "printed_ceiling": "printed = 0.1",
    "paired_effect": 'metric = "m"\nbetter = "lower"\nscale = "difference"\nsmallest_effect = 1.0',
    "equivalent": 'metric = "m"\nbetter = "lower"\nscale = "difference"\nmargin = 1.0',
}


def family_of_one(rule, family="theory"):
    arms = ", ".join(f'{role} = {{ arm = "{role}" }}' for role in RULES[rule].roles)
    body = f'[claim.parameters]\n{PARAMETERS[rule]}\n[[claim.settings]]\nname = "a"\narms = {{ {arms} }}\n'
    return claim(body, rule=rule, family=family)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_is_judged_on_the_arms_that_it_declares(rule):
    entry = family_of_one(rule)
    assert [arm.pins["arm"] for arm in entry.arms()] == list(RULES[rule].roles)
    (finding,) = judge(entry, [], "standard").settings.values()
    assert finding.verdict == "inconclusive"
    assert "no " in finding.warnings[0]


@pytest.mark.parametrize("rule", sorted(RULES))
def test_only_rules_that_test_serve_the_training_family(rule):
    if RULES[rule].tests:
        assert family_of_one(rule, "training").family == "training"
    else:
        with pytest.raises(UsageError, match="needs rules that test"):
            family_of_one(rule, "training")


def test_the_smallest_catalogue_parses_and_judges():
    (parsed,) = parse_catalogue(VALID)
    assert parsed == claim(BODY, seeds=3)
    assert parsed.primary[0].arms["subject"].command == "ics-bench run w --case arm=a"
    assert by_seed("rate", [2.0], arm="a")[0].case.matches(**parsed.primary[0].arms["subject"].pins)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema 2"),
        ("schema = 1", "schema = ", "not TOML"),
        ('source = "s"', "", "claim 'c': source is missing"),
        ('definition = "d"', 'definition = " "', "definition must be text, and not empty"),
        ('statement = "s"', 'statment = "s"', "did you mean 'statement'"),
        ('rule = "within"', 'rule = "withn"', "did you mean 'within'"),
        ('rule = "within"', "", "rule is missing"),
        ('workload = "w"', "", "workload is missing"),
        ('family = "theory"', 'family = "hearsay"', "family of claim 'c'"),
        ('family = "theory"', 'family = "training"', "needs rules that test"),
        ('tier = "standard"', 'tier = "quick"', "tier of claim 'c'"),
        ('registered = "supported"', 'registered = "suported"', "did you mean 'supported'"),
        ("least_seeds = 3", "least_seeds = 4", "least_seeds=4 is more than the 3"),
        ("\nseeds = 3", "\nseeds = 0", "seeds=0"),
        ("\nseeds = 3", "\nseeds = true", "seeds=True"),
        ("budget_seconds = 1", "budget_seconds = nan", "budget_seconds=nan"),
        ("budget_seconds = 1", "budget_seconds = -1", "budget_seconds=-1"),
        ("expected = 2.0\n", "", "either expected and one of relative_tolerance"),
        ("relative_tolerance = 0.1", "relative_tolerance = 0", "band 2 … 2 is empty"),
        ("relative_tolerance = 0.1", "relative_tolerance_of_excess = 0", "band 2 … 2 is empty"),
        (
            "relative_tolerance = 0.1",
            "relative_tolerance = 0.1\nrelative_tolerance_of_excess = 0.1",
            "one of relative_tolerance and relative_tolerance_of_excess",
        ),
        ("relative_tolerance = 0.1", "at_least = 1.0", "either expected and one of"),
        ("relative_tolerance = 0.1", "relativ_tolerance = 0.1", "did you mean 'relative_tolerance'"),
        ('metric = "rate"\n', "", "metric is missing"),
        ('name = "a"\n', "", "name is missing"),
        ('name = "a"', 'name = "a"\nprimary = false', "no setting is primary"),
        ('name = "a"', 'name = "a"\narms = { left = {} }', "compares the arms subject, got left"),
        ("[[claim.settings]]", '[[claim.settings]]\nname = "a"\n[[claim.settings]]', "have one name"),
    ],
)
def test_a_catalogue_that_could_not_be_judged_is_refused(old, new, message):
    assert old in VALID
    with pytest.raises(UsageError) as caught:
        parse_catalogue(VALID.replace(old, new, 1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_duplicate_ids_are_refused():
    twice = VALID + VALID.replace("schema = 1", "")
    with pytest.raises(UsageError, match="claim 'c' stands 2 times"):
        parse_catalogue(twice)


@pytest.mark.parametrize(
    ("rule", "parameters", "message"),
    [
        ("paired_effect", 'metric="m"\nbetter="smaller"\nscale="difference"\nsmallest_effect=1', "better='smaller'"),
        ("paired_effect", 'metric="m"\nbetter="lower"\nscale="ratio"\nsmallest_effect=1', "scale='ratio'"),
        ("paired_effect", 'metric="m"\nbetter="lower"\nscale="difference"\nsmallest_effect=-1', "smallest_effect=-1"),
        ("equivalent", 'metric="m"\nbetter="lower"\nscale="difference"\nmargin=0', "margin=0"),
        ("printed_number", 'metric="m"\nprinted=-1.0\nrelative_tolerance=0.1', "printed=-1.0"),
        ("printed_number", 'metric="m"\nprinted=1.0\nrelative_tolerance=2', "relative_tolerance=2"),
        ("printed_ceiling", "printed=0.0", "printed=0.0"),
        ("printed_ceiling", 'printed=0.1\nquestion="usable"', "question='usable'"),
        ("printed_ceiling", "printed=0.1\nalpha=0.7", "alpha=0.7"),
        ("printed_ceiling", 'printed="x"', "setting 'a'"),
    ],
)
def test_parameters_out_of_range_are_refused(rule, parameters, message):
    arms = "arms = { subject = {}, baseline = {} }" if rule in ("paired_effect", "equivalent") else ""
    body = f'[claim.parameters]\n{parameters}\n[[claim.settings]]\nname = "a"\n{arms}\n'
    with pytest.raises(UsageError) as caught:
        claim(body, rule=rule)
    assert message in str(caught.value)


def test_an_open_axis_is_named():
    entry = select(CATALOGUE, ["init-1"])[0]
    arm = entry.settings[0].arms["subject"]
    loose = type(arm)(arm.workload, arm.pins.without("norm"))
    setting = type(entry.settings[0])("loose", True, entry.settings[0].rule, {"subject": loose})
    with pytest.raises(UsageError, match="leaves norm of init_scale open"):
        requirements([type(entry)(**{**vars(entry), "settings": (setting,), "controls": ()})], "standard")
