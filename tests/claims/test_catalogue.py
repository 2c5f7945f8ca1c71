"""The catalogue: complete, judgeable, and refused with a clear line where it is not."""

import math
import tomllib
from pathlib import Path

import pytest
from synthetic_evidence import HEAD, by_seed, claim

import ics_bench.claims
from ics_bench.claims import (
    judge,
    judge_run,
    load_catalogue,
    parse_catalogue,
    requirements,
    select,
    tracked_arms,
    training_claims,
)
from ics_bench.claims.catalogue_files import LEAST_TRAINING_SEEDS, join_files
from ics_bench.claims.rules import RULES
from ics_bench.core import PROFILES, UsageError
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


def test_ships_with_the_package_in_the_order_of_its_files():
    folder = Path(ics_bench.claims.__file__).parent / "catalogue"
    names = [name for file in sorted(folder.glob("*.toml")) for name in ids_in(file.read_text())]
    assert [c.id for c in CATALOGUE] == names
    assert len(set(names)) == len(names) > 0


PAGE = {
    "Covariate shift": ("shift-1", "shift-2", "shift-3"),
    "Internal covariate shift": ("ics-1", "ics-2", "ics-3", "ics-4", "ics-5", "ics-6", "ics-7", "ics-8"),
    "Why deep networks were hard to train": (
        *("lr-1", "lr-2", "lr-3", "lr-4", "lr-5", "lr-6"),
        *("init-1", "init-2", "init-3", "init-4", "init-5", "init-6"),
        *("sat-1", "sat-2", "sat-3"),
    ),
    "The mathematics": ("mom-1", "mom-2", "grad-1", "cond-1"),
    "History": (*("era-2006", "era-2010", "era-2012", "era-2014", "era-2015a", "era-2015b", "era-2017", "era-0"),),
    "The modern view": (
        *("san-1", "san-2", "smooth-1", "smooth-2a", "smooth-2b", "smooth-2c", "smooth-3", "smooth-4"),
        *("bn-1", "hess-1"),
    ),
    "Design advice": (
        *("place-1", "place-2", "place-3", "place-4", "match-1", "match-2"),
        *("land-1", "land-2", "cost-1", "deep-5"),
    ),
}
"""The page's claims by section; what the catalogue adds to them bears ids of its own."""


def test_none_of_the_pages_claims_is_missing_or_in_another_section():
    section = {c.id: c.section for c in CATALOGUE}
    assert {name: section.get(name) for names in PAGE.values() for name in names} == {
        name: where for where, names in PAGE.items() for name in names
    }


def ids_in(text):
    return [entry["id"] for entry in tomllib.loads(text)["claim"]]


def test_the_wheel_holds_every_file_of_the_catalogue():
    root = Path(ics_bench.__file__).parents[1]
    built = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built == {"packages": ["ics_bench"]}  # hatchling takes every file of a package, whatever its kind


def test_the_family_is_large_enough_for_holm_with_the_registered_seeds():
    size = training_claims(CATALOGUE)
    for entry in CATALOGUE:
        if entry.family == "training":
            places = len(entry.primary) if entry.registered == "setting-dependent" else 1
            assert size * places * 2.0**-entry.seeds <= 0.05, f"{entry.id}: no p-value could pass"


def test_files_are_joined_and_an_id_stands_in_one_of_them():
    other = VALID.replace('id = "c"', 'id = "d"')
    assert [c.id for c in join_files([("1.toml", VALID), ("2.toml", other)])] == ["c", "d"]
    with pytest.raises(UsageError, match=r"2\.toml: claim 'c' stands in 1\.toml too"):
        join_files([("1.toml", VALID), ("2.toml", VALID)])


def test_an_error_names_file_claim_and_field():
    broken = VALID.replace('family = "theory"', 'family = "hearsay"')
    with pytest.raises(UsageError, match=r"2\.toml: claim 'c': unknown family 'hearsay'"):
        join_files([("2.toml", broken)])
    with pytest.raises(UsageError, match=r"3\.toml is not TOML: "):
        join_files([("3.toml", "schema = ")])


def test_history_is_kept_and_not_empty():
    (entry,) = parse_catalogue(VALID.replace("budget_seconds = 1", 'budget_seconds = 1\nhistory = "was refuted"'))
    assert entry.history == "was refuted"
    assert judge(entry, [], "standard").to_dict()["history"] == "was refuted"
    with pytest.raises(UsageError, match="claim 'c': history must be text"):
        parse_catalogue(VALID.replace("budget_seconds = 1", 'budget_seconds = 1\nhistory = " "'))


def test_an_arm_of_another_workload_takes_the_keys_meant_for_that():
    body = """
[claim.case]
width = 64
[claim.cases.v]
batch_size = 8
[claim.parameters]
metric = "m"
better = "lower"
scale = "difference"
smallest_effect = 1.0
[[claim.settings]]
name = "a"
case = { depth = 5 }
arms = { subject = { norm = "x" }, baseline = { workload = "v", norm = "y" } }
"""
    arms = claim(body, rule="paired_effect").settings[0].arms
    assert arms["subject"].command == "ics-bench run w --case width=64 --case depth=5 --case norm=x"
    assert arms["baseline"].command == "ics-bench run v --case batch_size=8 --case depth=5 --case norm=y"


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


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda c: c.id)
def test_a_whole_run_of_a_workload_holds_what_a_claim_needs_of_it(entry):
    """A claim of tier standard in a run at standard, one of tier full in one or the other."""
    for name, cases in requirements([entry], "standard").items():
        lacking = {
            profile: set(cases) - set(load_workload(name).cases(profile))
            for profile in PROFILES[1 : 1 + PROFILES.index(entry.tier)]
        }
        assert not all(lacking.values()), {
            profile: [case.id for case in missing] for profile, missing in lacking.items()
        }


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


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda c: c.id)
def test_every_claim_but_those_on_printed_numbers_has_a_control(entry):
    if any(type(setting.rule) is not RULES["printed_number"] for setting in entry.primary):
        assert entry.controls


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
    "exceeds": 'metric = "m"\nbound = 1.0\ndirection = "above"',
    "success": 'metric = "m"\nclaimed = "most"\nat_least = 1.0',
    "paired_range": 'metric = "m"\nbetter = "lower"\nlow = 2.0\nhigh = 3.0',
    "interaction": 'metric = "m"\nbetter = "lower"\nscale = "difference"\nsmallest_effect = 1.0',
    "impossible": 'metric = "m"\nat_least = 1.0',
    "rank_contest": (
        'x_metric = "m"\nrival_metric = "r"\ny_metric = "k"\ndirection = "positive"\nrival_direction = "negative"'
    ),
    "paired_ceiling": 'question = "stable"\nsmallest_effect = 0.25',
    "rank_correlation": 'x_metric = "m"\ny_metric = "k"\ndirection = "positive"',
}


def roles_of(rule):
    sides = ("x", "rival", "y") if rule == "rank_contest" else ("x", "y")
    return RULES[rule].roles or tuple(f"{name}.{side}" for name in "abcd" for side in sides)


def family_of_one(rule, family="theory"):
    arms = ", ".join(f'"{role}" = {{ arm = "{role}" }}' for role in roles_of(rule))
    body = f'[claim.parameters]\n{PARAMETERS[rule]}\n[[claim.settings]]\nname = "a"\narms = {{ {arms} }}\n'
    return claim(body, rule=rule, family=family)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_rule_is_judged_on_the_arms_that_it_declares(rule):
    entry = family_of_one(rule)
    assert [arm.pins["arm"] for arm in entry.arms()] == list(roles_of(rule))
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


def test_a_training_claim_is_judged_on_no_fewer_seeds_than_the_family_needs():
    assert training_claims(CATALOGUE) * 2.0**-LEAST_TRAINING_SEEDS <= 0.05
    body = f'[claim.parameters]\n{PARAMETERS["exceeds"]}\n[[claim.settings]]\nname = "a"\n'
    assert claim(body, rule="exceeds", family="training", least_seeds=11).least_seeds == 11
    with pytest.raises(UsageError, match="least_seeds=10 is too few for the training family"):
        claim(body, rule="exceeds", family="training", least_seeds=10)
    assert claim(body, rule="exceeds", family="theory", least_seeds=10).least_seeds == 10


def test_the_smallest_catalogue_parses_and_judges():
    (parsed,) = parse_catalogue(VALID)
    assert parsed == claim(BODY, seeds=3)
    assert parsed.primary[0].arms["subject"].command == "ics-bench run w --case arm=a"
    assert by_seed("rate", [2.0], arm="a")[0].case.matches(**parsed.primary[0].arms["subject"].pins)


@pytest.mark.parametrize(
    ("tracked", "followed"),
    [
        ("{ depth = 5 }", (5, 5)),
        ("{ depth = { 20 = 5 } }", (5, 10)),
        ("{ depth = { 20 = 5, 10 = 4 } }", (5, 4)),
    ],
)
def test_what_is_followed_is_smaller_for_all_arms_or_by_what_it_replaces(tracked, followed):
    arms = """
[claim.parameters]
metric = "m"
better = "lower"
scale = "difference"
smallest_effect = 1.0
[claim.arms]
subject = { depth = 20 }
baseline = { depth = 10 }
[[claim.settings]]
name = "a"
"""
    parsed = claim(f"tracked = {tracked}{arms}", rule="paired_effect")
    assert tuple(arm.pins["depth"] for arm in tracked_arms(parsed).values()) == followed
    assert tuple(arm.pins["depth"] for arm in parsed.primary[0].arms.values()) == (20, 10)


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
        ('family = "theory"', 'family = "hearsay"', "claim 'c': unknown family 'hearsay'"),
        ('family = "theory"', 'family = "training"', "needs rules that test"),
        ('tier = "standard"', 'tier = "quick"', "claim 'c': unknown tier 'quick'"),
        ('registered = "supported"', 'registered = "suported"', "did you mean 'supported'"),
        ("least_seeds = 3", 'least_seeds = 3\nrevised = "seeds"', "revised='seeds' needs a history that says why"),
        ("least_seeds = 3", 'least_seeds = 3\nhistory = "h"\nrevised = "sedes"', "did you mean 'seeds'"),
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
        ("budget_seconds = 1", "budget_seconds = 1\ntracked = { amr = 1 }", "tracked: unknown field 'amr'"),
        ("budget_seconds = 1", "budget_seconds = 1\ntracked = 5", "tracked=5 must be a table of case keys"),
        ("budget_seconds = 1", "budget_seconds = 1\ntracked = { arm = { t = 1 } }", "has 't'; they have a"),
        ("budget_seconds = 1", "budget_seconds = 1\ntracked = { arm = [1] }", "[1] is no value of a case key"),
        ("budget_seconds = 1", "budget_seconds = 1\ntracked = { arm = { a = [1] } }", "[1] is no value of a case key"),
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
        ("paired_effect", f'{PARAMETERS["paired_effect"]}\nclaimed="no"', "claimed='no'"),
        ("interaction", f'{PARAMETERS["interaction"]}\nclaimed="no"', "claimed='no'"),
        ("impossible", 'metric="m"\nat_least=nan', "at_least=nan"),
        ("paired_effect", 'metric="m"\nbetter="lower"\nscale="ratio"\nsmallest_effect=1', "scale='ratio'"),
        ("paired_effect", 'metric="m"\nbetter="lower"\nscale="difference"\nsmallest_effect=-1', "smallest_effect=-1"),
        ("equivalent", 'metric="m"\nbetter="lower"\nscale="difference"\nmargin=0', "margin=0"),
        ("printed_number", 'metric="m"\nprinted=-1.0\nrelative_tolerance=0.1', "printed=-1.0"),
        ("printed_number", 'metric="m"\nprinted=1.0\nrelative_tolerance=2', "relative_tolerance=2"),
        ("printed_ceiling", "printed=0.0", "printed=0.0"),
        ("printed_ceiling", 'printed=0.1\nquestion="usable"', "question='usable'"),
        ("printed_ceiling", "printed=0.1\nalpha=0.7", "alpha=0.7"),
        ("exceeds", 'metric="m"\nbound=1.0\ndirection="over"', "direction='over' is not above or below"),
        ("exceeds", 'metric="m"\nbound=inf\ndirection="above"', "bound=inf"),
        ("exceeds", 'metric="m"\nbound=0.0\ndirection="above"\nscale="log10-ratio"', "bound=0.0 has no logarithm"),
        ("exceeds", 'metric="m"\nbound=1.0\ndirection="above"\nsmallest_effect=-0.5', "smallest_effect=-0.5"),
        ("success", 'metric="m"\nclaimed="all"\nat_least=1', "claimed='all' is not most or few"),
        ("success", 'metric="m"\nclaimed="most"', "give one of them"),
        ("success", 'metric="m"\nclaimed="most"\nat_least=1\nat_most=2', "at_least=1 and at_most=2"),
        ("success", 'metric="m"\nclaimed="most"\nat_least=nan', "NaN"),
        ("paired_range", 'metric="m"\nbetter="lower"\nlow=3\nhigh=2', "low=3, high=2"),
        ("paired_range", 'metric="m"\nbetter="lower"\nlow=0\nhigh=2', "0 < low < high"),
        ("paired_range", 'metric="m"\nbetter="lower"\nlow=2\nbudget=0', "budget=0"),
        ("paired_range", 'metric="m"\nbetter="higher"\nlow=2\nbudget=9', "budget=9"),
        ("paired_ceiling", 'question="usable"\nsmallest_effect=0.25', "question='usable'"),
        ("printed_ceiling", "printed=0.1\nfeasible_from=-1.0", "feasible_from=-1"),
        ("rank_correlation", 'x_metric="m"\ny_metric="k"\ndirection="positive"\npermutations=5', "permutations=5"),
        ("interaction", 'metric="m"\nbetter="less"\nscale="difference"\nsmallest_effect=1', "better='less'"),
        ("rank_correlation", 'x_metric="m"\ny_metric="k"\ndirection="up"', "direction='up'"),
        ("rank_correlation", 'x_metric="m"\ny_metric="k"\ndirection="positive"\nsmallest=1.5', "smallest=1.5"),
        ("rank_correlation", 'x_metric="m"\ny_metric="k"\ndirection="positive"\nx_worst="last"', "x_worst='last'"),
        ("printed_ceiling", 'printed="x"', "setting 'a'"),
    ],
)
def test_parameters_out_of_range_are_refused(rule, parameters, message):
    arms = ", ".join(f'"{role}" = {{}}' for role in roles_of(rule))
    body = f'[claim.parameters]\n{parameters}\n[[claim.settings]]\nname = "a"\narms = {{ {arms} }}\n'
    with pytest.raises(UsageError) as caught:
        claim(body, rule=rule)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.x", "a.y", "b.x", "b.y", "c.x"), "without a partner: c.x"),
        (("a.x", "a.y", "b.x", "b.y", "c.x", "c.y", "d"), "without a partner: d"),
        (("a.x", "a.y", "b.x", "b.y"), "at least 4 settings, got 2"),
    ],
)
def test_arms_of_a_rank_correlation_come_in_pairs(names, message):
    arms = ", ".join(f'"{name}" = {{}}' for name in names)
    body = (
        f'[claim.parameters]\n{PARAMETERS["rank_correlation"]}\n[[claim.settings]]\nname = "a"\narms = {{ {arms} }}\n'
    )
    with pytest.raises(UsageError, match=message):
        claim(body, rule="rank_correlation")


def test_an_open_axis_is_named():
    entry = select(CATALOGUE, ["init-1"])[0]
    arm = entry.settings[0].arms["subject"]
    loose = type(arm)(arm.workload, arm.pins.without("norm"))
    setting = type(entry.settings[0])("loose", True, entry.settings[0].rule, {"subject": loose})
    with pytest.raises(UsageError, match="leaves norm of init_scale open"):
        requirements([type(entry)(**{**vars(entry), "settings": (setting,), "controls": ()})], "standard")
