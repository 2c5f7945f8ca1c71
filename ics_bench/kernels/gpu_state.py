"""Clocks, power, temperature and throttling of a GPU, as its driver tells them. Nothing is ever set."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

FIELDS = ("clocks.sm", "clocks.mem", "power.draw", "temperature.gpu")
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The bit mask of what holds the clocks down, under its present and its former name."""

HELD_DOWN = {
    0x4: "the power limit",
    0x8: "a hardware slowdown",
    0x20: "its temperature, in software",
    0x40: "its temperature, in hardware",
    0x80: "the power brake",
}
"""Bits of the mask that make a timing doubtful; being idle, or clocks that someone chose, do not."""

QUERY_SECONDS = 10


@dataclass(frozen=True, slots=True)
class GpuState:
    """One look at a GPU; ``None`` where the driver does not tell.

    Parameters
    ----------
    clock_mhz, memory_clock_mhz : float or None
    power_watts : float or None
    temperature_celsius : float or None
    reasons : int or None
        What holds the clocks down, as a bit mask.
    """

    clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_watts: float | None = None
    temperature_celsius: float | None = None
    reasons: int | None = None

    def warnings(self) -> tuple[str, ...]:
        """Say what held the clocks down, if anything."""
        if self.reasons is None:
            return ("whether the GPU's clocks were held down is not known",)
        causes = [cause for bit, cause in HELD_DOWN.items() if self.reasons & bit]
        return (f"the GPU's clocks were held down by {' and '.join(causes)}",) if causes else ()


def parse(line: str) -> GpuState:
    """Read one line of ``nvidia-smi --format=csv,noheader,nounits``: `FIELDS`, then the mask."""
    *numbers, mask = [part.strip() for part in line.split(",")]
    try:
        reasons = int(mask, 16)
    except ValueError:
        reasons = None
    clock, memory_clock, power, temperature = (_number(text) for text in numbers[: len(FIELDS)])
    return GpuState(clock, memory_clock, power, temperature, reasons)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:  # such as [N/A]
        return None


def look(uuid: str) -> GpuState:
    """Ask ``nvidia-smi`` for a GPU's state; everything is ``None`` where it cannot be asked.

    Parameters
    ----------
    uuid : str
        As the driver names it: numbers differ from those of CUDA.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return GpuState()
    for reasons in REASONS:
        query = f"--query-gpu={','.join((*FIELDS, reasons))}"
        command = [program, "-i", uuid, query, "--format=csv,noheader,nounits"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return GpuState()
        if done.returncode == 0 and done.stdout.count(",") >= len(FIELDS):
            return parse(done.stdout.splitlines()[0])
    return GpuState()
