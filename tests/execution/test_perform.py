from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ics_bench.core import CaseRecord
from ics_bench.execution.isolation import isolated
from ics_bench.execution.perform import perform
from ics_bench.execution.plan import Settings, resolve, tasks_of
from ics_bench.results.codec import decode_record, encode_record


def records(name: str, **overrides: tuple[str, ...]) -> list[CaseRecord]:
    resolved = resolve(Settings((f"plugin_workloads:{name}",), overrides=overrides))
    return [perform(task) for task in tasks_of(resolved)]


def test_a_case_is_measured_on_all_its_seeds_under_the_name_asked_for(workplace):
    (record,) = records("DRAWS", size=("2",))
    assert record.status == "measured"
    assert record.seeds == (0, 1)
    assert {m.workload for m in record.measurements} == {record.workload} == {"plugin_workloads:DRAWS"}
    assert {(m.seed, m.metric) for m in record.measurements} == {
        *((seed, metric) for seed in (0, 1) for metric in ("draw", "length")),
        (None, "limit"),
    }
    assert record.seconds > 0


def test_a_skipped_case_says_why(workplace):
    (record,) = records("DRAWS", size=("1",), flavour=("unfit",))
    assert (record.status, record.reason, record.measurements) == ("skipped", "this flavour has no numbers", ())


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("raises", "ArithmeticError: the sum does not add up (plugin_workloads.py:"),
        ("exits", "SystemExit: 0"),
        ("nothing", "yielded no measurement"),
        ("twice", "'draw' came twice for seed 0"),
        ("seed", "seed 99, which were not asked for"),
        ("unit", "came in 'furlong', declared in '1'"),
    ],
)
def test_what_goes_wrong_is_a_failed_record_with_no_measurement(workplace, how, said):
    (record,) = records("DYING", how=(how,))
    assert record.status == "failed"
    assert said in record.reason
    assert "\n" not in record.reason
    assert record.measurements == ()


ODD_TEXTS = """
from plugin_workloads import Draws

class OddTexts(Draws):
    def skip(self, case, device):
        return "caf\\udce9" if case["size"] == 1 else None

    def measure(self, case, seeds, device):
        if case["size"] == 2:
            raise ValueError("caf\\udce9")
        yield self.measurement(case, 0, "draw", 1.0, warnings=["caf\\udce9"])

WORKLOAD = OddTexts()
"""


def test_text_that_no_file_can_hold_costs_its_case_and_no_other(workplace):
    (workplace / "odd_texts.py").write_text(ODD_TEXTS)
    resolved = resolve(Settings(("odd_texts:WORKLOAD",)))
    skipped, raised, warned = (perform(task) for task in tasks_of(resolved))
    assert (skipped.status, skipped.reason) == ("skipped", "caf\\udce9")
    assert raised.reason.startswith("ValueError: caf\\udce9 (odd_texts.py:")
    assert warned.status == "failed"
    assert "'draw' came with the text 'caf\\udce9'" in warned.reason
    assert [decode_record(encode_record(record)) for record in (skipped, raised, warned)] == [skipped, raised, warned]


def test_the_same_case_gives_the_same_numbers_whatever_ran_before(workplace):
    def draw() -> float:
        (record,) = records("SUBJECTS")
        return next(m.value for m in record.measurements if m.metric == "global_draw")

    first = draw()
    torch.rand(3), random.random(), np.random.rand()
    assert draw() == first


def test_the_callers_state_is_put_back(workplace):
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = torch.rand(()).item(), random.random(), np.random.rand()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    threads = torch.get_num_threads()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.no_grad():
            records("SUBJECTS")
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.get_num_threads() == threads
    assert torch.rand(()).item() == pytest.approx(expected[0])
    assert (random.random(), np.random.rand()) == expected[1:]


def test_inside_the_state_is_the_declared_one():
    torch.set_default_dtype(torch.float64)
    subnormal = torch.tensor([1e-40], dtype=torch.float32)
    try:
        with torch.no_grad():
            for flush in (False, True):
                with isolated(1, flush, seed=3):
                    assert torch.get_num_threads() == 1
                    assert torch.get_default_dtype() == torch.float32
                    assert torch.is_grad_enabled()
                    assert bool((subnormal * 1.0 == 0.0).all()) is flush
    finally:
        torch.set_default_dtype(torch.float32)
    assert bool((subnormal * 1.0 != 0.0).all())
