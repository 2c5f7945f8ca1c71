"""What each kernel takes of a multiprocessor, from NVRTC's own log: no GPU is needed."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ics_bench.core import UsageError
from ics_bench.kernels.cuda.geometry import CTYPES
from ics_bench.kernels.cuda.source import CUPY_OPTIONS, FAMILIES, OPTIONS, instantiations, source

ARCHITECTURES = ("sm_80", "sm_90", "sm_100")
"""A100; H100 and H200; B200."""

WITH_CLUSTERS = frozenset({"sm_90", "sm_100"})

_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_REGISTERS = re.compile(r"Used (\d+) registers")


@dataclass(frozen=True, slots=True)
class Resources:
    """What one thread of a kernel takes.

    Parameters
    ----------
    registers : int
    stack_bytes : int
        Local memory: arrays that are not indexed by constants, and spills.
    spill_bytes : int
        Registers written to local memory and read back.
    """

    registers: int
    stack_bytes: int
    spill_bytes: int


def why_not() -> str | None:
    """Why nothing can be compiled here, or ``None``."""
    if importlib.util.find_spec("cupy") is None:
        return "compiling the CUDA kernels needs CuPy and NVRTC: pip install 'ics-bench[cuda]'"
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:
        return f"CuPy finds no NVRTC ({error!r}): pip install 'ics-bench[cuda]'"
    return None


def parse(log: str) -> dict[str, Resources]:
    """Read ``--ptxas-options=-v`` by mangled name.

    Raises
    ------
    ValueError
        If a kernel's registers or stack are missing: the log is of another format.
    """
    found = {}
    for part in re.split(r"(?=Compiling entry function)", log):
        entry = _ENTRY.search(part)
        if entry is None:
            continue
        stack, registers = _STACK.search(part), _REGISTERS.search(part)
        if stack is None or registers is None:
            raise ValueError(f"the compiler's log says nothing of {entry[1]}:\n{part}")
        found[entry[1]] = Resources(int(registers[1]), int(stack[1]), int(stack[2]) + int(stack[3]))
    return found


def compile_text(text: str, name: str, kernels: Iterable[str], architecture: str) -> dict[str, Resources]:
    """Compile instantiations of one translation unit to machine code and return what each takes.

    Raises
    ------
    UsageError
        If it does not compile; the compiler's log is in the message.
    """
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(text, name, (), ())
    try:
        names = list(kernels)
        for kernel in names:
            nvrtc.addNameExpression(program, kernel)
        options = (*OPTIONS, *CUPY_OPTIONS, f"--gpu-architecture={architecture}", "--ptxas-options=-v")
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            raise UsageError(f"{name} for {architecture}: {nvrtc.getProgramLog(program)}") from error
        if not nvrtc.getCUBIN(program):
            raise UsageError(f"{name} for {architecture}: the compiler returned no machine code")
        found = parse(nvrtc.getProgramLog(program))
        return {kernel: found[nvrtc.getLoweredName(program, kernel)] for kernel in names}
    finally:
        nvrtc.destroyProgram(program)


def compile_all(
    architectures: Iterable[str] = ARCHITECTURES, dtypes: Iterable[str] = tuple(CTYPES)
) -> Mapping[str, Mapping[str, Resources]]:
    """Compile every kernel that a plan can ask for; by architecture, then by name expression."""
    wanted = tuple(dtypes)
    found: dict[str, dict[str, Resources]] = {}
    for one in architectures:
        for family, names in _units(one, wanted):
            found.setdefault(one, {}).update(compile_text(source(family), f"{family}.cu", names, one))
    return found


def _units(architecture: str, dtypes: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """List the translation units: each family once, with its kernels of these number types and those without one."""
    parts = [f"<{CTYPES[dtype]}," for dtype in dtypes]
    for family in FAMILIES:
        every = instantiations(family, architecture in WITH_CLUSTERS)
        names = [name for name in every if "<" not in name or any(part in name for part in parts)]
        if names:
            yield family, names
