"""Our CUDA C++ kernels, launched through CuPy: deterministic, any size and alignment."""

from __future__ import annotations

from dataclasses import replace

from ics_bench.core import UsageError
from ics_bench.kernels.provider import PROMISES, Chains, Kernel, Provider, Recorder, Tensors, recording
from ics_bench.kernels.spec import OPTIONS, Problem


class Cuda(Provider):
    """`ics_bench.kernels.cuda`.

    CuPy compiles with ``-ftz=true``: numbers below 2⁻¹²⁶ count as zero.
    """

    summary = "our CUDA C++ through CuPy"
    devices = frozenset({"cuda"})
    options = frozenset(OPTIONS)
    promises = frozenset(PROMISES)

    def why_not(self, problem: Problem, device: str) -> str | None:
        """Add what the kernels decline: sets beyond their counters."""
        reason = super().why_not(problem, device)
        if reason is not None:
            return reason
        from ics_bench.kernels.cuda.launch import why_not_here

        reason = why_not_here()
        if reason is not None:
            return reason
        try:
            self.chains(problem, device)
        except UsageError as error:
            return str(error)
        return None

    def chains(self, problem: Problem, device: str) -> Chains:
        """Read them off the plan."""
        import torch

        from ics_bench.kernels.cuda.launch import engine_of
        from ics_bench.kernels.cuda.plan import longest_chains

        return longest_chains(problem, engine_of(torch.device(device)).device)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        """Allocate outputs and scratch, and return a closure that only launches."""
        from ics_bench.kernels.cuda.launch import engine_of
        from ics_bench.kernels.cuda.operation import prepare

        return prepare(problem, tensors, engine_of(tensors.x.device))

    def recorder(self, problem: Problem, tensors: Tensors) -> Recorder:
        """Record the function that a user calls."""
        from ics_bench.kernels.cuda.functions import record, record_with_residual

        problem, running = replace(problem, direction="forward"), (tensors.running_mean, tensors.running_var)
        if problem.residual:
            residual = tensors.required_residual()
            return recording(problem, tensors, lambda x, w, b: record_with_residual(problem, x, residual, w, b))
        return recording(problem, tensors, lambda x, weight, bias: record(problem, x, weight, bias, *running))


PROVIDER = Cuda()
