import shlex

from hypothesis import given
from hypothesis import strategies as st

from ics_bench.report.reproduce import command, python

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
