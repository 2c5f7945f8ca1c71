from __future__ import annotations

import json

import pytest

from ics_bench.core import UsageError
from ics_bench.execution.plan import MAX_SEEDS, Settings, declarations_of, resolve, tasks_of
from ics_bench.workloads import load_workload

DRAWS = "plugin_workloads:DRAWS"


def settings(**changes) -> Settings:
    return Settings(**{"workloads": (DRAWS,), **changes})


def test_tasks_are_the_grid_in_declared_order(workplace):
    tasks = tasks_of(resolve(settings(profile="standard")))
    assert [task.case.id for task in tasks[:3]] == [
        "size=1,flavour=plain",
        "size=1,flavour=odd",
        "size=2,flavour=plain",
    ]
    assert len({task.key for task in tasks}) == len(tasks) == 10
    assert {task.seeds for task in tasks} == {(0, 1, 2)}


def test_overrides_replace_values_and_are_parsed(workplace):
    resolved = resolve(settings(overrides={"size": ("07", "7", "2")}, seeds=1, first_seed=40))
    assert resolved.overrides == {"size": (7, 2)}
    assert [(task.case["size"], task.seeds) for task in tasks_of(resolved)] == [(7, (40,)), (2, (40,))]


def test_naming_a_workload_twice_measures_it_once(workplace):
    assert resolve(settings(workloads=(DRAWS, DRAWS))).workloads == (DRAWS,)


def test_no_name_means_every_built_in_workload_with_the_keys():
    every = resolve(Settings()).workloads
    assert {"init_scale", "lr_ceiling", "kernel_throughput"} <= set(every)
    having = resolve(Settings(overrides={"architecture": ("plain",)})).workloads
    assert "lr_ceiling" in having
    assert not {"init_scale", "kernel_throughput"} & set(having)


def test_settings_come_back_from_json(workplace):
    given = resolve(settings(overrides={"flavour": ("odd",)}, seeds=2, first_seed=5))
    assert Settings.from_json(json.loads(json.dumps(given.as_json()))) == given


@pytest.mark.parametrize("raw", [{}, {"workloads": None}, []])
def test_broken_settings_are_a_usage_error(raw):
    with pytest.raises(UsageError, match="settings are broken"):
        Settings.from_json(raw)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"workloads": ("init_scal",)}, "unknown workload 'init_scal'; did you mean 'init_scale'"),
        ({"workloads": ("plugin_workloads:NOT_A_WORKLOAD",)}, "expected an instance of"),
        ({"workloads": ("plugin_workloads:NONE",)}, "has no 'NONE'"),
        ({"profile": "quik"}, "unknown profile 'quik'; did you mean 'quick'"),
        ({"device": "cpux"}, "unknown device 'cpux'"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": -1}, "seeds=-1"),
        ({"seeds": MAX_SEEDS + 1}, "between 1 and"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"first_seed": 2**40}, "first_seed="),
        ({"overrides": {"sise": ("1",)}}, "unknown case key of workload 'draws': 'sise'; did you mean 'size'"),
        ({"overrides": {"size": ("big",)}}, "'big' is not an integer; for example size=1"),
        ({"overrides": {"size": ("0",)}}, "below the minimum 1"),
        ({"overrides": {"flavour": ("plane",)}}, "did you mean 'plain'"),
        ({"workloads": (), "overrides": {"nowhere": ("1",)}}, "unknown case key 'nowhere'"),
        ({"workloads": (), "overrides": {"provider": ("x",), "init": ("he",)}}, "no workload has all of"),
        ({"claims": ("lr-l",)}, "unknown claim 'lr-l'"),
        ({"claims": ("lr-1",), "overrides": {"depth": ("5",)}}, "claims pin every axis"),
    ],
)
def test_what_cannot_be_asked_for_is_one_clear_line(workplace, changes, said):
    with pytest.raises(UsageError, match=said) as found:
        resolve(settings(**changes))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("axis", "name", "said"),
    [
        ("norm", "bacth", "unknown norm 'bacth'; did you mean 'batch'"),
        ("norm", "raising_norm", "raised RuntimeError"),
        ("norm", "moduleless_norm", "not a torch.nn.Module"),
        ("norm", "shapeless_norm", "a norm keeps the shape"),
        ("norm", "forwardless_norm", "its forward on shape"),
        ("norm", "NOT_A_WORKLOAD", "expected a factory"),
        ("norm", "no_such_thing", "has no 'no_such_thing'"),
        ("architecture", "plane", "unknown model 'plane'; did you mean 'plain'"),
        ("architecture", "moduleless_model", "not a torch.nn.Module"),
        ("architecture", "wrong_model", r"into \(4, 3\), not \(4, 10\)"),
        ("architecture", "NOT_A_WORKLOAD", "expected a factory"),
    ],
)
def test_a_subject_that_cannot_serve_is_found_before_anything_runs(workplace, axis, name, said):
    value = name if name in ("bacth", "plane") else f"plugin_workloads:{name}"
    with pytest.raises(UsageError, match=said):
        resolve(settings(workloads=("plugin_workloads:SUBJECTS",), overrides={axis: (value,)}))


@pytest.mark.parametrize(
    ("workload", "case", "features"),
    [
        ("lr_ceiling", {"width": (16, 48)}, 48),
        ("init_scale", {"width": (48,)}, 48),
        ("kernel_throughput", {"shape": ("64x16", "64x48")}, 48),
        ("kernel_throughput", {"shape": ("2x16x5x5", "2x48x5x5")}, 48),
    ],
)
def test_a_norm_is_tried_at_every_width_that_the_cases_have(workplace, workload, case, features):
    norm = "plugin_workloads:narrow_norm"
    with pytest.raises(UsageError, match=f"norm '{norm}': calling it with num_features={features} raised"):
        resolve(Settings((workload,), overrides={"norm": (norm,), **case}))
    fitting = {name: values[:1] if len(values) > 1 else (32,) for name, values in case.items()}
    assert resolve(Settings((workload,), overrides={"norm": (norm,), **fitting})).overrides["norm"] == (norm,)


@pytest.mark.parametrize(
    ("axis", "name", "said"),
    [("init", "lazy_initializer", "not finite"), ("data", "bare_data", r"not ics_bench\.subjects")],
)
def test_initializers_and_data_are_checked_too(workplace, axis, name, said):
    with pytest.raises(UsageError, match=said):
        resolve(Settings(("lr_ceiling",), overrides={axis: (f"plugin_workloads:{name}",)}))


def test_a_subject_that_serves_is_taken_under_its_path(workplace):
    overrides = {"norm": ("plugin_workloads:doubling_norm", "batch"), "architecture": ("plugin_workloads:small_model",)}
    tasks = tasks_of(resolve(settings(workloads=("plugin_workloads:SUBJECTS",), overrides=overrides)))
    assert [task.case["norm"] for task in tasks] == ["plugin_workloads:doubling_norm", "batch"]


def test_claims_ask_for_their_cases_and_seeds_only():
    resolved = resolve(Settings(profile="standard", claims=("init-4",)))
    tasks = tasks_of(resolved)
    assert resolved.workloads == ("init_scale",)
    assert {task.case["draws"] for task in tasks} == {"numpy-legacy-42"}
    assert len(tasks) < len(tasks_of(resolve(Settings(("init_scale",), "standard"))))


def test_declarations_say_what_is_needed_to_read_results(workplace):
    resolved = resolve(settings(workloads=(DRAWS, "plugin_workloads:ALONE")))
    found = declarations_of(resolved, tasks_of(resolved))
    assert json.loads(json.dumps(found)) == found
    assert found[DRAWS]["seeds"] == [0, 1]
    assert found[DRAWS]["threads"] == 1
    assert found["plugin_workloads:ALONE"]["exclusive"] is True
    assert [metric["better"] for metric in found[DRAWS]["metrics"]] == ["higher", "lower", "neutral"]


def test_a_changed_recipe_changes_the_declaration(workplace):
    resolved = resolve(settings())
    before = declarations_of(resolved, tasks_of(resolved))[DRAWS]
    workload = load_workload(DRAWS)
    type(workload).recipe = {"steps": 300}  # the module is imported anew for every test
    after = declarations_of(resolved, tasks_of(resolved))[DRAWS]
    assert (before["recipe"], after["recipe"]) == ({}, {"steps": 300})
    assert before["digest"] != after["digest"]


def test_cuda_without_a_gpu_is_refused(workplace):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UsageError, match="no CUDA device here; use --device cpu"):
        resolve(settings(device="cuda"))
