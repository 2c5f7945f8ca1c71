"""Memory whose edges are watched: a kernel's inputs, and whatever is allocated while it is prepared and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ics_bench.kernels.provider import Tensors

GUARD_BYTES = 256
"""On each side of a tensor; a multiple of every alignment that a kernel may ask for."""

GUARD = 0xA5
POISON = 0xFF
"""All ones: not a number, in every float type."""

_aten = torch.ops.aten
_ALLOCATIONS = (_aten.empty, _aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided)


class Guards:
    """Hands out tensors between guard bytes, and tells which guards were written over.

    While it is entered, so are tensors that anyone allocates through torch, from Python: outputs and scratch. What an
    operator of torch, or code that `torch.compile` has made, allocates inside, it does not see.

    Parameters
    ----------
    shift : int
        Elements that each tensor begins beyond a multiple of `GUARD_BYTES`.
    """

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self._watched: list[tuple[str, torch.Tensor, int, int]] = []
        self._mode = _Allocating(self)

    def __enter__(self) -> Guards:
        """Take over torch's allocations."""
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give them back."""
        self._mode.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def tensors(self, given: Tensors) -> Tensors:
        """Copy a call's inputs into guarded memory."""
        found = {}
        for name, tensor in given.named().items():
            found[name] = self.like(tensor, name).copy_(tensor)
        return Tensors(**found)

    def like(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Return poisoned memory for a tensor's shape, strides, dtype and device."""
        span = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
        nbytes = tensor.element_size() * (span if tensor.numel() else 0)
        start = GUARD_BYTES + self.shift * tensor.element_size()
        room = torch.full((start + nbytes + GUARD_BYTES,), GUARD, dtype=torch.uint8, device=tensor.device)
        room[start : start + nbytes] = POISON
        self._watched.append((name, room, start, start + nbytes))
        whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        offset = start // tensor.element_size()
        return whole.set_(room.untyped_storage(), offset, tensor.shape, tensor.stride())

    def broken(self, outputs: Mapping[str, torch.Tensor]) -> list[str]:
        """Name what was written beyond: an input, one of the ``outputs``, or else scratch."""
        names = {output.data_ptr(): name for name, output in outputs.items() if output.numel()}
        found = []
        for name, room, start, end in self._watched:
            if bool((room[:start] != GUARD).any()) or bool((room[end:] != GUARD).any()):
                found.append(name or names.get(room.data_ptr() + start, "scratch"))
        return found


class _Allocating(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, guards: Guards) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.guards = guards

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from wrapping the dispatch in what imports its compiler, seconds that a check would wait for.

        The compiler stays out of the dispatch all the same, as `ignore_compile_internals` says.
        """
        return False

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let `torch.compile` compile as it does without this mode."""
        return True

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket in _ALLOCATIONS and type(found) is torch.Tensor and found.device.type != "meta":
            return self.guards.like(found, "")
        return found
