"""Plans on a GPU: kernels compiled by CuPy when they are first asked for, on torch's device and current stream."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.geometry import Argument, Launch, Plan
from ics_bench.kernels.cuda.operation import Buffers, Engine
from ics_bench.kernels.cuda.source import OPTIONS, source
from ics_bench.kernels.gpus import device_of

LEAST_CAPABILITY = 8
"""Major compute capability from which there are bfloat16 conversions."""

DEFAULT_SHARED_BYTES = 48 * 1024
"""Dynamic shared memory that a kernel gets without asking."""


def why_not_here() -> str | None:
    """Why our kernels cannot run on this machine, or ``None``."""
    if importlib.util.find_spec("cupy") is None:
        return "the CUDA kernels need CuPy: pip install 'ics-bench[cuda]'"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    major, minor = torch.cuda.get_device_capability()
    if major < LEAST_CAPABILITY:
        return f"{torch.cuda.get_device_name()} has compute capability {major}.{minor}; the CUDA kernels need 8.0"
    return None


def engine_of(device: torch.device) -> Engine:
    """Return the engine that runs plans on a device.

    Raises
    ------
    UsageError
        If the kernels cannot run there.
    """
    if device.type != "cuda":
        raise UsageError(f"the CUDA kernels take tensors on a GPU, not on {str(device)!r}; move them with .cuda()")
    reason = why_not_here()
    if reason is not None:
        raise UsageError(reason)
    return _engine(torch.cuda.current_device() if device.index is None else device.index)


@cache
def _engine(index: int) -> CupyEngine:
    return CupyEngine(index)


class CupyEngine(Engine):
    """One GPU.

    Parameters
    ----------
    index : int
        Its number, which CuPy and torch share.
    source : callable, optional
        Gives the text of a family of kernels, for one who tries a change.
    """

    def __init__(self, index: int, source: Callable[[str], str] = source) -> None:
        self.index = index
        self.source = source
        self.device = device_of(torch.cuda.get_device_properties(index))
        self._functions: dict[tuple[str, str], Any] = {}

    def run(self, plan: Plan, buffers: Buffers) -> None:
        """Queue every launch of a plan on torch's current stream, which need not be CuPy's."""
        import cupy

        with cupy.cuda.Device(self.index):
            stream = cupy.cuda.Stream.from_external(torch.cuda.current_stream(self.index))
            with stream:
                for launch in plan.launches:
                    arguments = tuple(_value(argument, buffers) for argument in launch.arguments)
                    function = self._function(launch)
                    function(launch.grid, launch.block, arguments, shared_mem=launch.shared_bytes)

    def _function(self, launch: Launch) -> Any:
        """Compile a kernel, or find it compiled, with as much shared memory as any of its launches asked for."""
        import cupy

        key = (launch.family, launch.kernel)
        if key not in self._functions:
            module = cupy.RawModule(code=self.source(launch.family), options=OPTIONS, name_expressions=(launch.kernel,))
            self._functions[key] = module.get_function(launch.kernel)
        function = self._functions[key]
        if launch.shared_bytes > max(DEFAULT_SHARED_BYTES, function.max_dynamic_shared_size_bytes):
            function.max_dynamic_shared_size_bytes = launch.shared_bytes
        return function


def _value(argument: Argument, buffers: Buffers) -> np.generic:
    """Give a kernel's argument in its C type: a buffer's address, as torch's bfloat16 means nothing to CuPy."""
    if argument is None:
        return np.uint64(0)
    if isinstance(argument, str):
        tensor = buffers[argument]
        return np.uint64(0 if tensor is None else tensor.data_ptr())
    return argument
