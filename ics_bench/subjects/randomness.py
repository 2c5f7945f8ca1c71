"""Torch's global random state, which layers and factories of others draw from: seeded for a while, then put back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Let global draws on the CPU and on ``device`` follow a seed; on leaving, both states are what they were."""
    devices = cuda_devices([torch.device(device)])
    with torch.random.fork_rng(devices=devices):
        reseed(seed, devices)
        yield


def reseed(seed: int, devices: Sequence[torch.device] = ()) -> None:
    """Seed the CPU's global generator and those of the CUDA devices named, and of no other.

    `torch.manual_seed` seeds every CUDA device, so that forking the CPU's state would not undo it.
    """
    torch.default_generator.manual_seed(seed)
    for device in devices:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def cuda_devices(devices: Sequence[torch.device]) -> list[torch.device]:
    """Those of the devices that have a random state beside the CPU's, each once."""
    return sorted({device for device in devices if device.type == "cuda"}, key=str)


class RandomState:
    """Somebody's own random state, on the CPU and on one device, that global draws can be lent.

    Parameters
    ----------
    seed : int
    device : torch.device
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._devices = cuda_devices([device])
        with torch.random.fork_rng(devices=self._devices):
            reseed(seed, self._devices)
            self._states = self._present()

    def _present(self) -> list[torch.Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in self._devices)]

    @contextmanager
    def lent(self, keep: bool) -> Iterator[None]:
        """Let global draws come from this state, which goes on from there next time where ``keep`` is true."""
        with torch.random.fork_rng(devices=self._devices):
            cpu, *others = self._states
            torch.set_rng_state(cpu)
            for device, state in zip(self._devices, others, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield
            if keep:
                self._states = self._present()
