"""Launch geometry in plain Python: what runs where, what it reads, and what it declines."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.channels import GATHERING_THREADS, MOST_GRID, THREADS, sets_of
from ics_bench.kernels.cuda.geometry import (
    CLUSTER_BYTES,
    CTYPES,
    LANES,
    MAX_WARPS,
    MOST_ELEMENTS,
    TEAM_BYTES,
    Device,
    Plan,
    held_vectors,
    vector_width,
)
from ics_bench.kernels.cuda.groups import MOST_THREADS as GROUP_THREADS
from ics_bench.kernels.cuda.groups import geometry as group_geometry
from ics_bench.kernels.cuda.plan import longest_chains, plan
from ics_bench.kernels.cuda.rows import LONG_THREADS, MOST_THREADS, SMALL_BLOCK, SMALL_RESIDENT, SUM_THREADS, geometry
from ics_bench.kernels.cuda.source import FAMILIES, FOLDER, instantiations, source
from ics_bench.kernels.spec import GROUP_NORMS, KERNEL_NORMS, OPTIONS, ROW_NORMS, Problem

H100 = Device(multiprocessors=132, clusters=True, shared_bytes=227 * 1024)
A100 = Device(multiprocessors=108, clusters=False, shared_bytes=163 * 1024)

SIZES = st.integers(1, 300_000)
DTYPES = st.sampled_from(list(CTYPES))


def _near(power: int) -> st.SearchStrategy[int]:
    """Sizes about a power of two, and its own half and double."""
    return st.builds(
        lambda shift, off: max(1, 2 ** (power + shift) + off), st.integers(-1, 1), st.integers(-70_000, 70_000)
    )


LIMITS = st.one_of(SIZES, _near(16), _near(21), _near(29), _near(31))
"""Sizes, and sizes about those where 32-bit counters and grids end."""


@st.composite
def problems(draw: st.DrawFn, huge: bool = False) -> Problem:
    norm = draw(st.sampled_from(KERNEL_NORMS))
    direction, dtype = draw(st.sampled_from(["forward", "backward"])), draw(DTYPES)
    if norm in ROW_NORMS:
        options = {option: draw(st.booleans()) for option in OPTIONS}
        size = LIMITS if huge else SIZES
        return Problem(norm, direction, (draw(size), draw(size)), dtype, **options)
    groups, members = draw(LIMITS if huge else st.integers(1, 40)), draw(st.integers(1, 100))
    batch, side = draw(LIMITS if huge else st.integers(2, 300)), draw(LIMITS if huge else st.integers(1, 128))
    shape = (batch, groups * members, draw(st.integers(1, 128)), side)
    layout, training = draw(st.sampled_from(["contiguous", "channels_last"])), draw(st.booleans())
    return Problem(norm, direction, shape, dtype, training, groups, layout=layout)


@given(problems(), st.sampled_from([H100, A100]), st.booleans())
def test_every_plan_is_one_that_a_gpu_can_launch(problem: Problem, device: Device, aligned: bool) -> None:
    made = plan(problem, device, aligned)
    compiled = {name for family in FAMILIES for name in instantiations(family, device.clusters)}
    assert made.launches
    for launch in made.launches:
        assert launch.kernel in compiled
        assert launch.family in FAMILIES
        threads = math.prod(launch.block)
        assert threads <= 1024
        assert threads % LANES == 0
        assert 0 < launch.grid[0] < 2**31
        assert all(0 < size <= 65535 for size in launch.grid[1:])
        assert launch.grid[0] % launch.cluster == 0
        assert launch.shared_bytes <= device.shared_bytes
    chains = (made.chains.moments, made.chains.sums, made.chains.parameters)
    assert all(0 <= chain < 2**20 for chain in chains)


@given(problems(), st.sampled_from([H100, A100]))
def test_the_longest_chains_are_those_of_any_address(problem: Problem, device: Device) -> None:
    longest = longest_chains(problem, device)
    for aligned in (True, False):
        chains = plan(problem, device, aligned).chains
        assert chains.at_most(longest) == chains
        assert longest.rounds_first or not chains.rounds_first


def test_an_odd_address_has_a_longer_chain_than_an_aligned_one() -> None:
    problem = Problem("layer", "forward", (64, 131072), "bfloat16")
    aligned, odd = (plan(problem, H100, aligned).chains.moments for aligned in (True, False))
    assert aligned < odd == longest_chains(problem, H100).moments


def _plan_or_reason(problem: Problem, device: Device, aligned: bool) -> Plan | str:
    try:
        return plan(problem, device, aligned)
    except UsageError as error:
        return str(error)


@given(problems(huge=True), st.sampled_from([H100, A100]), st.booleans())
def test_what_comes_near_a_limit_is_planned_within_it_or_declined(
    problem: Problem, device: Device, aligned: bool
) -> None:
    made = _plan_or_reason(problem, device, aligned)
    if isinstance(made, str):
        assert re.search(r"split the (batch|features)|more than one value", made)
        return
    for launch in made.launches:
        assert 0 < launch.grid[0] < 2**31
        assert all(0 < size <= 65535 for size in launch.grid[1:])
        if launch.kernel in ("sum_partials", "channel_evaluation"):
            assert launch.grid[0] * launch.block[0] < 2**31
        if launch.kernel.endswith("Columns>"):
            width = int(launch.kernel.split(", ")[1])
            assert launch.grid[2] * launch.grid[0] * launch.block[0] * width < 2**31
        counts = [number for number in launch.arguments if isinstance(number, np.int32 | np.uint32)]
        assert all(0 <= number <= MOST_ELEMENTS for number in counts)
    if "coefficients" in made.scratch:
        assert made.scratch["coefficients"] < 2**31


@given(problems(), st.sampled_from([H100, A100]), st.booleans())
def test_a_backward_pass_declares_the_statistics_of_the_forward_pass(
    problem: Problem, device: Device, aligned: bool
) -> None:
    if problem.norm != "batch" or problem.training:
        forward, backward = (
            plan(replace(problem, direction=way), device, aligned).chains.moments for way in ("forward", "backward")
        )
        assert forward == backward


def test_a_group_that_fits_a_cluster_forward_alone_declares_the_chain_of_the_cluster() -> None:
    problem = Problem("group", "backward", (2, 320, 128, 128), "bfloat16", groups=8)
    forward, backward = (plan(replace(problem, direction=way), H100, True) for way in ("forward", "backward"))
    assert forward.launches[0].kernel.startswith("group_forward")
    assert backward.launches[0].kernel.startswith("channel_sums")
    assert backward.chains.moments == forward.chains.moments


@given(problems(), st.booleans())
def test_every_buffer_that_a_plan_names_exists(problem: Problem, aligned: bool) -> None:
    made = plan(problem, H100, aligned)
    known = {"x", "dy", "weight", "bias", "running_mean", "running_var", "mean", "rstd", *problem.outputs}
    if problem.residual:
        known |= {"residual"} if problem.direction == "forward" else {"ds"}
    named = {a for launch in made.launches for a in launch.arguments if isinstance(a, str)}
    assert named <= known | set(made.scratch)
    assert set(made.scratch) <= named
    assert set(problem.outputs) <= named | {"running_mean", "running_var"}
    assert all(count > 0 for count in made.scratch.values())


@given(SIZES, DTYPES, st.sampled_from(["forward", "backward"]), st.booleans(), st.booleans())
def test_a_row_is_held_whole_or_else_read_in_chunks_that_cover_it(
    columns: int, dtype: str, direction: str, residual: bool, aligned: bool
) -> None:
    for device in (H100, A100):
        problem = Problem("layer", direction, (1000, columns), dtype, residual=residual)
        chosen = geometry(problem, device, aligned)
        held = chosen.width * held_vectors(chosen.width)
        assert chosen.threads <= (LONG_THREADS if chosen.long else MOST_THREADS[direction])
        assert chosen.cluster * chosen.threads * chosen.chunks * held >= columns
        assert columns % chosen.width == 0
        assert chosen.long or chosen.chunks == 1
        if chosen.rows > 1:
            assert chosen.threads <= LANES
            assert chosen.cluster == 1
        assert chosen.threads % LANES == 0 or chosen.threads & (chosen.threads - 1) == 0
        if device.clusters and aligned and columns % 8 == 0 and columns <= 2**16:
            assert not chosen.long


@pytest.mark.parametrize(
    ("direction", "columns", "residual", "cluster", "threads"),
    [
        ("forward", 1024, False, 1, 32),
        ("forward", 16384, False, 1, 512),
        ("forward", 32768, False, 1, 1024),
        ("forward", 65536, False, 2, 1024),
        ("forward", 131072, False, 4, 1024),
        ("forward", 65536, True, 4, 512),
        ("backward", 16384, False, 1, 512),
        ("backward", 65536, False, 4, 512),
        ("backward", 131072, True, 8, 512),
        ("backward", 16383, False, 1, 512),
    ],
)
def test_long_rows_are_shared_by_clusters(
    direction: str, columns: int, residual: bool, cluster: int, threads: int
) -> None:
    problem = Problem("rms", direction, (4096, columns), "bfloat16", residual=residual)
    chosen = geometry(problem, H100, aligned=True)
    assert (chosen.cluster, chosen.threads) == (cluster, threads)
    assert geometry(problem, A100, aligned=True).cluster == 1


@pytest.mark.parametrize(
    ("direction", "dtype", "residual", "device", "most"),
    [
        ("forward", "bfloat16", False, H100, 262144),
        ("forward", "bfloat16", True, H100, 131072),
        ("forward", "float32", False, H100, 131072),
        ("forward", "bfloat16", False, A100, 32768),
        ("forward", "bfloat16", True, A100, 27648),
        ("backward", "bfloat16", False, H100, 131072),
        ("backward", "bfloat16", True, H100, 131072),
        ("backward", "float32", False, H100, 65536),
        ("backward", "bfloat16", False, A100, 16384),
    ],
)
def test_the_longest_rows_that_are_read_once_are_those_that_the_documentation_tells(
    direction: str, dtype: str, residual: bool, device: Device, most: int
) -> None:
    for columns, long in ((most, False), (most + 8, True)):
        problem = Problem("layer", direction, (64, columns), dtype, residual=residual)
        assert geometry(problem, device, aligned=True).long == long
    odd = {"forward": 8192, "backward": 4096}[direction]
    for columns, long in ((odd, False), (odd + 1, True)):
        problem = Problem("layer", direction, (64, columns), dtype, residual=residual)
        assert geometry(problem, device, aligned=False).long == long


def test_a_gpu_of_little_shared_memory_has_blocks_of_fewer_threads() -> None:
    problem = Problem("layer", "forward", (64, 24576), "bfloat16", residual=True)
    (launch,) = plan(problem, A100, aligned=True).launches
    assert launch.block == (768, 1, 1)
    assert launch.shared_bytes <= A100.shared_bytes
    small = replace(A100, shared_bytes=100 * 1024)
    (launch,) = plan(problem, small, aligned=True).launches
    assert launch.family == "long_rows"


@pytest.mark.parametrize(
    ("direction", "columns", "clusters"), [("forward", 65536, 66), ("forward", 131072, 26), ("backward", 131072, 13)]
)
def test_no_more_clusters_are_started_than_are_sure_to_fit(direction: str, columns: int, clusters: int) -> None:
    (launch, *_) = plan(Problem("layer", direction, (4096, columns), "bfloat16"), H100, aligned=True).launches
    assert launch.grid[0] == clusters * launch.cluster


def test_no_more_blocks_are_started_than_shared_memory_holds() -> None:
    problem = Problem("layer", "backward", (2**20, 1024), "bfloat16", residual=True)
    (launch, *_) = plan(problem, A100, aligned=True).launches
    assert 4 * (launch.shared_bytes + 1024) > 164 * 1024 >= 3 * (launch.shared_bytes + 1024)
    assert launch.grid[0] == 3 * A100.multiprocessors


def test_blocks_go_round_so_that_partial_results_stay_few() -> None:
    many = plan(Problem("layer", "backward", (2**20, 128), "bfloat16"), H100, aligned=True)
    moved = 3 * 2**20 * 128 * 2
    assert many.launches[0].grid[0] <= 132 * 4
    assert 4 * many.scratch["partial"] < 0.01 * moved
    few = plan(Problem("layer", "backward", (3, 4096)), H100, aligned=True)
    assert few.launches[0].grid[0] == 3


@given(problems().filter(lambda p: p.norm not in ROW_NORMS), st.sampled_from([H100, A100]), st.booleans())
def test_slabs_cover_a_set_and_are_not_more_than_it_has_work_for(
    problem: Problem, device: Device, aligned: bool
) -> None:
    seen = sets_of(problem, device, aligned)
    held = held_vectors(seen.width)
    if seen.layout == "Planes":
        work, lanes = seen.outer * seen.inner // seen.width, seen.block[0]
        assert seen.grid == (seen.sets, seen.slabs, 1)
    else:
        work, lanes = seen.outer, seen.block[1]
        assert math.prod(seen.block) == THREADS
        assert seen.grid[0] * seen.block[0] * seen.width >= seen.inner
    assert seen.slabs * seen.steps * held * lanes >= work
    assert (seen.slabs - 1) * held * lanes < work
    per_mean = seen.sets // seen.members
    assert per_mean == problem.reduction_sets


def test_batch_norm_of_few_channels_still_fills_the_gpu() -> None:
    seen = sets_of(Problem("batch", "forward", (256, 64, 112, 112), "bfloat16"), H100, aligned=True)
    assert math.prod(seen.grid) >= 8 * 132


@pytest.mark.parametrize(
    ("shape", "cluster"),
    [((32, 320, 8, 8), 1), ((32, 320, 64, 64), 2), ((2, 320, 128, 128), 8), ((2, 320, 256, 256), 8)],
)
def test_groups_take_the_fewest_blocks_with_good_shares(shape: tuple[int, ...], cluster: int) -> None:
    chosen = group_geometry(Problem("group", "forward", shape, "bfloat16", groups=32), H100, aligned=True)
    assert chosen is not None
    assert chosen.cluster == cluster


def test_a_volume_that_no_cluster_holds_goes_by_way_of_memory() -> None:
    problem = Problem("instance", "forward", (2, 32, 128, 128, 128))
    assert group_geometry(problem, H100, aligned=True) is None
    assert [launch.kernel.partition("<")[0] for launch in plan(problem, H100, aligned=True).launches] == [
        "channel_moments", "channel_statistics", "channel_forward",
    ]  # fmt: skip


@given(DTYPES, st.integers(1, 10**6), st.booleans())
def test_loads_are_wide_where_they_can_be(dtype: str, length: int, aligned: bool) -> None:
    width = vector_width(dtype, aligned, length)
    assert length % width == 0
    assert (width > 1) == (aligned and length % (16 // np.dtype("f4" if dtype == "float32" else "f2").itemsize) == 0)


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem("layer", "forward", (2, 2**31)), "2147483648 features"),
        (Problem("layer", "forward", (2, MOST_ELEMENTS + 1)), "2147418113 features; .* count to 2147418112"),
        (Problem("batch", "forward", (2**20, 1, 64, 64)), "split the batch"),
        (Problem("batch", "forward", (MOST_ELEMENTS + 1, 1)), "2147418113 elements; .* count to 2147418112"),
        (Problem("instance", "forward", (2**22, 2**10, 1)), "needs 4294967296 blocks; a CUDA grid has 2147483647"),
        (Problem("group", "backward", (2**21, 2**11), groups=1024), "needs 2147483648 blocks"),
        (Problem("instance", "forward", (2**15, 2**15, 1, 1), layout="channels_last"), "has 4294967296 coefficients"),
        (Problem("batch", "backward", (64, 2**29, 3)), "has 6442450944 coefficients"),
        (Problem("layer", "backward", (0, 2**32)), "4294967296 features"),
        (Problem("group", "backward", (2**31, 1, 1)), "has 2147483648 samples; .* split the batch"),
        (Problem("rms", "forward", (2**31, 8)), "has 2147483648 rows; .* split the batch"),
        (Problem("batch", "forward", (1, 8)), "more than one value a channel"),
        (Problem("batch", "forward", (0, 8)), "more than one value a channel"),
        (Problem("group", "forward", (MOST_GRID + 1, 8, 2, 2), groups=2, layout="channels_last"), "65536 samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.norm,
)
def test_what_the_kernels_cannot_do_is_declined_with_the_remedy(problem: Problem, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        plan(problem, H100, aligned=True)


@pytest.mark.parametrize("norm", KERNEL_NORMS)
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_nothing_to_do_starts_nothing_but_zero_gradients(norm: str, direction: str) -> None:
    shape = (0, 8) if norm in ROW_NORMS else (0, 8, 2, 2)
    made = plan(Problem(norm, direction, shape, training=False), H100, aligned=True)
    sums = direction == "backward" and norm != "batch"
    assert [launch.kernel for launch in made.launches] == ["sum_partials"] * sums
    if norm in ROW_NORMS:
        with_residual = plan(Problem(norm, direction, shape, residual=True), H100, aligned=True)
        assert [launch.kernel for launch in with_residual.launches] == ["sum_partials"] * sums


def test_a_translation_unit_is_whole_and_carries_the_constants_that_plans_rely_on() -> None:
    for family in FAMILIES:
        assert "#include" not in source(family)
    header = (FOLDER / "common.cuh").read_text()
    assert "constexpr int LANES = 32;" in header
    assert "constexpr int TEAM_FLOATS = 2 * 3 * MAX_WARPS;" in header
    assert f"constexpr int MAX_WARPS = {MAX_WARPS};" in header
    assert TEAM_BYTES == 4 * 2 * 3 * MAX_WARPS
    assert "constexpr int CLUSTER_FLOATS = 2 * 3 + 2;" in header
    assert CLUSTER_BYTES == 4 * 8
    for name, threads in (*MOST_THREADS.items(), ("sum", SUM_THREADS)):
        assert f"constexpr int {name.upper()}_THREADS = {threads};" in source("row_norm")
    assert f"constexpr int SMALL_BLOCK = {SMALL_BLOCK};" in source("row_norm")
    assert f"THREADS = SMALL_BLOCK, RESIDENT = {SMALL_RESIDENT};" in source("row_norm")
    assert f"constexpr int LONG_THREADS = {LONG_THREADS};" in source("long_rows")
    assert f"held_vectors(int V) {{ return V == 1 ? {held_vectors(1)} : {held_vectors(8)}; }}" in header
    assert f"constexpr int CHANNEL_THREADS = {THREADS};" in source("channel_norm")
    assert f"constexpr int GATHERING_THREADS = {GATHERING_THREADS};" in source("channel_norm")
    assert source("channel_norm").count("\nKERNEL(GATHERING_THREADS, 1)\n") == 3
    assert f"constexpr int GROUP_THREADS = {GROUP_THREADS};" in source("group_norm")
    for family, threads in (("long_rows", "LONG"), ("channel_norm", "(CHANNEL|GATHERING)"), ("group_norm", "GROUP")):
        bounds = re.findall(r"^KERNEL\((.*), \d\)", (FOLDER / f"{family}.cu").read_text(), re.MULTILINE)
        assert bounds
        assert all(re.fullmatch(f"{threads}_THREADS", bound) for bound in bounds)


def test_batch_norm_does_not_depend_on_what_group_norms_have() -> None:
    for norm in GROUP_NORMS:
        problem = Problem(norm, "backward", (4, 8, 6, 6), groups=2)
        assert plan(problem, H100, True).launches[-1].kernel == "sum_partials"
        one_per_sample = plan(replace(problem, shape=(9, 8, 6, 6)), H100, True)
        assert one_per_sample.scratch["partial"] == 2 * 9 * 8
