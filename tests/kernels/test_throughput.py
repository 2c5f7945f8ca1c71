import pytest
from hypothesis import given
from hypothesis import strategies as st

from ics_bench.kernels.heap import warm_heap
from ics_bench.kernels.inputs import draw
from ics_bench.kernels.machine import page_faults
from ics_bench.kernels.provider import Chains, Kernel, Provider, Tensors, load_provider
from ics_bench.kernels.rotation import CACHE_FACTOR, GPU_CACHE_FACTOR, MEBIBYTE, plan_gpu_sets, plan_sets
from ics_bench.kernels.spec import Problem, floor_bytes
from ics_bench.kernels.throughput import compare, copies, measure_throughput, prepared_for, saved_bytes

EAGER = load_provider("torch_eager")


@given(st.integers(1, 10**9), st.none() | st.integers(1, 10**9), st.integers(1, 10**10))
def test_a_working_set_that_is_not_known_to_be_cold_is_said_to_be_so(
    set_bytes: int, cache: int | None, memory: int
) -> None:
    sets = plan_sets(set_bytes, cache, memory)
    assert sets.count >= 1
    assert sets.nbytes == sets.count * set_bytes
    assert sets.count == 1 or sets.nbytes <= memory
    cold = cache is not None and sets.nbytes >= CACHE_FACTOR * cache
    assert (sets.warnings() == ()) == cold
    assert sets.in_cache == (cache is not None and sets.nbytes < cache)
    assert any("no share" in warning for warning in sets.warnings()) == sets.in_cache


@given(st.integers(1, 10**6), st.integers(1, 10**8))
def test_no_more_memory_is_used_than_the_cache_asks_for(set_bytes: int, cache: int) -> None:
    sets = plan_sets(set_bytes, cache, memory=10**12)
    assert sets.warnings() == ()
    assert (sets.count - 1) * set_bytes < CACHE_FACTOR * cache


@given(st.integers(1, 10**9), st.integers(2, 9), st.integers(1, 10**8), st.integers(1, 10**11), st.integers(1, 10**11))
def test_on_a_gpu_too_little_memory_is_overruled_by_the_cache_and_only_what_is_free_bounds_it(
    set_bytes: int, arms: int, cache: int, memory: int, free: int
) -> None:
    sets = plan_gpu_sets(set_bytes, arms, cache, memory, free)
    assert sets.count == 1 or sets.nbytes * arms <= free // 2
    roomy = free // 2 >= arms * (GPU_CACHE_FACTOR * cache + set_bytes)
    assert not roomy or (sets.warnings() == () and sets.nbytes >= GPU_CACHE_FACTOR * cache)


def test_the_quick_profile_leaves_the_cache_of_an_h100_and_is_scored() -> None:
    from ics_bench.workloads.kernel_throughput import WORKLOAD

    (quick,) = next(axis.quick for axis in WORKLOAD.axes if axis.name == "memory_mib")
    set_bytes = floor_bytes(Problem("layer", "forward", (1024, 1024)))
    sets = plan_gpu_sets(set_bytes, 2, 50 * MEBIBYTE, quick * MEBIBYTE, 78 * 2**30)
    assert not sets.in_cache
    assert sets.warnings() == ()


def test_what_is_allocated_again_in_a_warm_heap_touches_no_new_memory() -> None:
    """Of a block so large that glibc would map it anew each time, whatever its thresholds were."""
    import torch

    def touched() -> int:
        before = page_faults()
        torch.ones(64 * MEBIBYTE // 4)
        return page_faults() - before

    touched()
    cold = touched()
    with warm_heap() as told:
        if not told:
            pytest.skip("the C library is not glibc")
        for _ in range(20):  # glibc before 2.39 leaves remainders beside aligned blocks (its bug 30723)
            touched()
        warm = touched()
    assert 4 * warm < cold <= 2 * touched()


def test_copies_use_buffers_of_their_own() -> None:
    import torch

    calls = copies("bfloat16", 64, count=3, seed=0, device="cpu")
    targets = [call() for call in calls]
    assert len({target.data_ptr() for target in targets}) == 3
    assert all(target.nbytes == 64 and target.dtype == torch.bfloat16 for target in targets)
    assert all(target.count_nonzero() > 0 for target in targets)


def test_what_autograd_keeps_counts_towards_the_working_set() -> None:
    rows = Problem("layer", "backward", (32, 64))
    assert saved_bytes(EAGER, rows, draw(rows, "normal", 0)) == 0  # an operator, without autograd
    through_autograd = Problem("rms", "backward", (32, 64))
    kept = saved_bytes(EAGER, through_autograd, draw(through_autograd, "normal", 0))
    assert kept >= through_autograd.tensor_bytes  # the normalized rows at the least


class Square(Provider):
    """Saves its input alone for the backward pass."""

    summary = "x squared"

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(0, 0, 0)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        import torch

        y = tensors.x.requires_grad_().square()
        return lambda: torch.autograd.grad(y, tensors.x, tensors.dy, retain_graph=True)


def test_what_autograd_keeps_of_the_inputs_is_not_counted_again() -> None:
    problem = Problem("layer", "backward", (32, 64))
    assert saved_bytes(Square(), problem, draw(problem, "normal", 0)) == 0


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_kernel_and_copy_are_timed_in_the_same_rounds_over_the_same_bytes(direction: str) -> None:
    problem = Problem("batch", direction, (4, 8, 6, 6))
    timed = measure_throughput(EAGER, problem, seed=0, device="cpu", memory_bytes=2**20)
    assert len(timed.kernel) == len(timed.copy) > 0
    assert min(timed.kernel + timed.copy) > 0
    assert abs(timed.copy_bytes - floor_bytes(problem)) < 2 * 4
    assert any("working set" in warning for warning in timed.warnings)


class Allocates(Provider):
    """Touches as much new memory as it is told, in every call."""

    summary = "allocates"

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes

    def chains(self, problem: Problem, device: str) -> Chains:
        return Chains(0, 0, 0)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        import mmap

        def call() -> tuple[object, ...]:
            memory = mmap.mmap(-1, max(1, self.nbytes))
            memory[:: mmap.PAGESIZE] = bytes(len(memory[:: mmap.PAGESIZE]))
            return ()

        return call


def test_page_faults_are_told_of_the_kernel_that_has_them_among_several() -> None:
    problem = Problem("layer", "forward", (256, 512))
    found = compare({"frugal": Allocates(1), "lavish": Allocates(2**20)}, problem, 0, "cpu", 2**20)
    told = {name for name, timed in found.items() if any("new memory" in warning for warning in timed.warnings)}
    assert told == {"lavish"}


def test_a_forward_pass_has_no_copy_of_its_own_of_the_gradients() -> None:
    for direction, shared in (("forward", {"dy", "ds"}), ("backward", set())):
        problem = Problem("layer", direction, (8, 16), "bfloat16", residual=True)
        tensors = draw(problem, "normal", 0)
        _, own = prepared_for(EAGER, problem, tensors)
        assert {name for name, tensor in own.named().items() if tensor is getattr(tensors, name)} == shared


def test_a_kernel_that_fails_is_raised_or_told_as_asked() -> None:
    class Fails(Allocates):
        def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
            raise MemoryError("no room")

    problem, providers = Problem("layer", "forward", (8, 16)), {"mine": Fails(0), "torch": EAGER}
    with pytest.raises(MemoryError):
        compare(providers, problem, 0, "cpu", 2**20)
    failures: dict[str, str] = {}
    assert set(compare(providers, problem, 0, "cpu", 2**20, failures)) == {"torch"}
    assert failures == {"mine": "MemoryError('no room')"}
