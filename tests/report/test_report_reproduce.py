import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.report.reproduce import command, python
from ics_bench.results.run import Run

SETTINGS = {
    "workloads": ["lr_ceiling"],
    "profile": "standard",
    "overrides": {"norm": ["mine.py:Norm", "batch"], "architecture": ["plain"], "depth": [5, 10]},
    "seeds": 5,
    "first_seed": 100,
    "device": "cuda",
}


def test_the_command_says_all_that_was_asked():
    assert command(SETTINGS) == (
        "ics-bench run lr_ceiling --profile standard --norm mine.py:Norm --norm batch --model plain "
        "--case depth=5 --case depth=10 --seeds 5 --first-seed 100 --device cuda --report"
    )


def test_defaults_are_left_out():
    plain = {"workloads": ["a", "b"], "profile": "quick", "overrides": {}, "seeds": None, "first_seed": 0}
    assert command(plain) == "ics-bench run a b --profile quick --report"
    assert python(plain) == "ics_bench.run('a', 'b', profile='quick')"


CLAIMS = {
    "workloads": ["init_scale"], "profile": "quick", "overrides": {}, "seeds": None, "first_seed": 0, "device": "cpu",
    "claims": ["init-4"],
}  # fmt: skip


def test_a_run_made_for_claims_is_made_again_by_claims():
    assert command(CLAIMS) == "ics-bench claims init-4 --profile quick --report"
    fresh = command(CLAIMS | {"first_seed": 5000})
    assert fresh == "ics-bench claims init-4 --profile quick --first-seed 5000 --report"


@pytest.mark.parametrize("changes", [{"seeds": 5}, {"device": "cuda"}])
def test_what_the_command_cannot_say_is_left_to_python(changes):
    assert command(CLAIMS | changes) == ""
    ((name, value),) = changes.items()
    assert f"{name}={value!r}" in python(CLAIMS | changes)


def test_the_python_for_claims_measures_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = CLAIMS | {"first_seed": 7}
    exec(python(settings), {})
    assert Run.open("claims-run").settings == settings


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_value_never_leaves_its_word(value):
    words = shlex.split(command(SETTINGS | {"overrides": {"data": [value]}}))
    assert words[words.index("--case") + 1] == f"data={value}"


def test_the_python_call_says_the_same():
    calls = []

    class Recorder:
        def run(self, *workloads, **arguments):
            calls.append((workloads, arguments))

    eval(python(SETTINGS), {"ics_bench": Recorder()})
    overrides = {"norm": ["mine.py:Norm", "batch"], "architecture": ["plain"], "depth": [5, 10]}
    assert calls == [
        (
            ("lr_ceiling",),
            {"profile": "standard", "cases": overrides, "seeds": 5, "first_seed": 100, "device": "cuda"},
        )
    ]
