"""The CUDA sources built for this machine's processor, and plans run on them: a GPU of fibres, slow and checked."""

from __future__ import annotations

import ctypes
import hashlib
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ics_bench.kernels.cuda.geometry import Device, Launch, Plan
from ics_bench.kernels.cuda.operation import Buffers, Engine, prepare
from ics_bench.kernels.cuda.plan import longest_chains
from ics_bench.kernels.cuda.source import FAMILIES, FOLDER, HEADERS, instantiations
from ics_bench.kernels.provider import PROMISES, Chains, Kernel, Provider, Tensors
from ics_bench.kernels.spec import OPTIONS, Problem

SHIM = Path(__file__).parent / "host" / "shim.h"
COMPILER = "g++"
FLAGS = ("-O1", "-std=c++17", "-fPIC", "-shared", "-U_FORTIFY_SOURCE", "-Wall", "-Werror", "-Wno-unknown-pragmas")

SMALL_GPU = Device(multiprocessors=3, clusters=True, shared_bytes=96 * 1024)
"""Few multiprocessors, so that small problems make persistent blocks go round."""

Extents = ctypes.c_uint * 3

GUARD_BYTES = 64
POISON = 0xFF
"""All ones: not a number, in every float type."""

ENTRY = """
static const host::Entry entries[] = {{
{entries}
}};

extern "C" const char* launch(const char* name, const unsigned* grid, const unsigned* block, unsigned cluster,
                              unsigned long shared, void** arguments, int backwards) {{
    for (const host::Entry& entry : entries)
        if (strcmp(entry.name, name) == 0)
            return host::launch(entry.call, {{grid[0], grid[1], grid[2]}}, {{block[0], block[1], block[2]}}, cluster,
                                shared, arguments, backwards);
    return "no such kernel was built";
}}
"""


@dataclass
class HostGpu(Engine):
    """Builds what it is asked to launch, once for each number type.

    Memory that it hands out is poisoned and lies between guards, which every run checks.

    Parameters
    ----------
    folder : Path
        Where libraries are kept.
    device : Device
    families : tuple of str
        Sources to build.
    mutate : callable, optional
        Plants a bug: changes the text of a source.
    backwards : bool
        Whether blocks and their threads run last to first.
    offset : int
        Elements that buffers of x, dy and their like lie beyond a multiple of 64 bytes.
    """

    folder: Path
    device: Device = SMALL_GPU
    families: tuple[str, ...] = FAMILIES
    mutate: Callable[[str], str] = str
    backwards: bool = False
    offset: int = 0
    launched: set[str] = field(default_factory=set)
    _libraries: dict[str, ctypes.CDLL] = field(default_factory=dict)
    _guarded: list[np.ndarray] = field(default_factory=list)

    def empty_like(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = self._allocate(tensor.nbytes, self.offset * tensor.element_size()).untyped_storage()
        return torch.empty(0, dtype=tensor.dtype).set_(storage, 0, tensor.shape, tensor.stride())  # a view of nothing

    def floats(self, count: int, device: torch.device) -> torch.Tensor:
        return self._allocate(4 * count, 0).view(torch.float32)

    def _allocate(self, nbytes: int, offset: int) -> torch.Tensor:
        room = np.full(nbytes + 3 * GUARD_BYTES + offset, POISON, np.uint8)
        start = -room.ctypes.data % GUARD_BYTES + GUARD_BYTES + offset
        self._guarded.append(room[start - GUARD_BYTES : start + nbytes + GUARD_BYTES])
        return torch.from_numpy(room[start : start + nbytes])

    def forget(self) -> None:
        """Stop watching the guards of buffers handed out so far."""
        self._guarded.clear()

    def run(self, plan: Plan, buffers: Buffers) -> None:
        for launch in plan.launches:
            self._launch(launch, buffers)
            self.launched.add(launch.kernel)
        for room in self._guarded:
            assert (room[-GUARD_BYTES:] == POISON).all(), f"{plan.launches}: written behind the end of a buffer"
            assert (room[:GUARD_BYTES] == POISON).all(), f"{plan.launches}: written before the beginning of a buffer"

    def _launch(self, launch: Launch, buffers: Buffers) -> None:
        values: list[ctypes._SimpleCData] = []
        for argument in launch.arguments:
            if isinstance(argument, str | None):
                tensor = None if argument is None else buffers[argument]
                values.append(ctypes.c_void_p(None if tensor is None else tensor.data_ptr()))
            else:
                values.append(np.ctypeslib.as_ctypes_type(argument.dtype)(argument.item()))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        error = self.library(launch.kernel).launch(
            launch.kernel.encode(),
            Extents(*launch.grid),
            Extents(*launch.block),
            launch.cluster,
            ctypes.c_ulong(launch.shared_bytes),
            pointers,
            int(self.backwards),
        )
        if error:
            raise RuntimeError(f"{launch.kernel}: {error.decode()}")

    def library(self, kernel: str) -> ctypes.CDLL:
        """Build, unless it is there, the library with every kernel of a number type, and those without one."""
        found = re.search(r"<(\w+),", kernel)
        ctype = found[1] if found else next(iter(self._libraries), "float")
        if ctype not in self._libraries:
            every = [name for family in self.families for name in instantiations(family, self.device.clusters)]
            self._libraries[ctype] = self._build([name for name in every if "<" not in name or f"<{ctype}," in name])
        return self._libraries[ctype]

    def _build(self, names: list[str]) -> ctypes.CDLL:
        texts = {name: (FOLDER / name).read_text() for name in HEADERS}
        texts |= {f"{family}.cu": (FOLDER / f"{family}.cu").read_text() for family in self.families}
        mutated = {name: self.mutate(text) for name, text in texts.items()}
        includes = "".join(f'#include "{family}.cu"\n' for family in self.families)
        entries = "\n".join(f'    {{"{name}", host::Adapter<&{name}>::call}},' for name in names)
        main = f'#include "{SHIM}"\n{includes}{ENTRY.format(entries=entries)}'
        key = hashlib.sha256("".join((main, SHIM.read_text(), *mutated.values())).encode()).hexdigest()[:16]
        folder = self.folder / key
        library = folder / "kernels.so"
        if not library.exists():
            folder.mkdir(exist_ok=True)
            for name, text in {**mutated, "main.cpp": main}.items():
                (folder / name).write_text(text)
            command = [COMPILER, *FLAGS, "-I", folder, "-o", library, folder / "main.cpp"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
            if done.returncode:
                raise RuntimeError(f"{folder} does not compile:\n{done.stderr[:4000]}")
        loaded = ctypes.CDLL(str(library))
        loaded.launch.restype = ctypes.c_char_p
        return loaded


class HostKernels(Provider):
    """Our kernels as a provider, on this machine's processor."""

    summary = "CUDA sources on the host"
    options = frozenset(OPTIONS)
    promises = frozenset(PROMISES)

    def __init__(self, gpu: HostGpu) -> None:
        self.gpu = gpu

    def chains(self, problem: Problem, device: str) -> Chains:
        return longest_chains(problem, self.gpu.device)

    def prepare(self, problem: Problem, tensors: Tensors) -> Kernel:
        self.gpu.forget()
        return prepare(problem, tensors, self.gpu)
