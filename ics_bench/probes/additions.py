"""What stands in front of a residual addition, and what behind it: read off the model as it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ics_bench.probes.preserve import preserved

OTHER = "other"

_ADDITIONS = ("add", "add_", "__add__", "__radd__", "__iadd__")
"""Names of torch's functions and methods for a sum of two tensors."""

Kind = Callable[[nn.Module], str]


@dataclass(frozen=True, slots=True)
class Addition:
    """One addition of two activations of equal shape.

    Parameters
    ----------
    inputs : tuple of str
        Kind of the layer that put out each of the two: ``""`` for what no layer has touched, ``"addition"``
        for another addition.
    consumers : tuple of str
        Kinds of all layers, or additions, that take the sum itself as input, in order.
    """

    inputs: tuple[str, str]
    consumers: tuple[str, ...]


@dataclass(slots=True)
class _Node:
    inputs: tuple[str, str]
    consumers: list[str] = field(default_factory=list)


def additions(model: nn.Module, x: torch.Tensor, kind: Kind) -> tuple[Addition, ...]:
    """Trace the additions of a forward pass in the order in which they are made.

    Layers are the modules for which ``kind`` has a name; what happens inside them is not looked at. The model
    runs once, in evaluation mode, without gradients; its buffers and the random state are as they were.

    Parameters
    ----------
    model : nn.Module
    x : Tensor
        A batch, ``(B, *features)``.
    kind : callable
        ``kind(module) -> str``: the name of a layer's kind, such as ``"norm"`` or ``"linear"``; ``""`` for a
        module that is looked into.
    """
    tracer = _Tracer()
    with ExitStack() as stack:
        stack.enter_context(preserved(model))
        stack.enter_context(torch.no_grad())
        for module in model.modules():
            name = kind(module)
            if name:
                stack.callback(module.register_forward_pre_hook(tracer.entering(name)).remove)
                stack.callback(module.register_forward_hook(tracer.leaving(name), always_call=True).remove)
        model.eval()
        stack.enter_context(tracer)
        model(x)
    return tuple(Addition(node.inputs, tuple(node.consumers)) for node in tracer.nodes)


class _Tracer(TorchFunctionMode):
    """Notes who made each tensor, and who takes the sums. It holds on to tensors, so that no id comes twice."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[_Node] = []
        self.depth = 0
        self._makers: dict[int, str] = {}
        self._sums: dict[int, _Node] = {}
        self._held: list[Any] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        operands = [value for value in args if isinstance(value, torch.Tensor)]
        if self.depth or not isinstance(result, torch.Tensor) or not operands:
            return result
        self._held += [result, *operands]
        if (
            getattr(func, "__name__", "") in _ADDITIONS
            and len(operands) == 2
            and operands[0].shape == operands[1].shape
        ):
            for operand in operands:
                self._consumed(operand, "addition")
            node = _Node(inputs=(self._maker(operands[0]), self._maker(operands[1])))
            self.nodes.append(node)
            self._makers[id(result)], self._sums[id(result)] = "addition", node
        elif result is not operands[0]:
            # The same values in another shape, or a function outside of any layer, which passes for no kind.
            same = (
                len(operands) == 1
                and result.numel() == operands[0].numel()
                and result.untyped_storage().data_ptr() == operands[0].untyped_storage().data_ptr()
            )
            self._makers[id(result)] = self._maker(operands[0]) if same else OTHER
            if same and id(operands[0]) in self._sums:
                self._sums[id(result)] = self._sums[id(operands[0])]
        return result

    def entering(self, kind: str) -> Callable[[nn.Module, Sequence[Any]], None]:
        def enter(module: nn.Module, inputs: Sequence[Any]) -> None:
            del module
            if not self.depth:
                for value in inputs:
                    self._consumed(value, kind)
            self.depth += 1

        return enter

    def leaving(self, kind: str) -> Callable[[nn.Module, Any, Any], None]:
        def leave(module: nn.Module, inputs: Any, output: Any) -> None:
            del module
            self.depth -= 1
            if not self.depth and not any(output is value for value in inputs):
                self._held.append(output)
                self._makers[id(output)] = kind
                self._sums.pop(id(output), None)

        return leave

    def _maker(self, tensor: torch.Tensor) -> str:
        return self._makers.get(id(tensor), "")

    def _consumed(self, value: Any, kind: str) -> None:
        if id(value) in self._sums:
            self._sums[id(value)].consumers.append(kind)


def normalized_before(found: Sequence[Addition]) -> float:
    """Share of additions of which an operand comes straight out of a norm; NaN without any addition."""
    return _share(["norm" in addition.inputs for addition in found])


def normalized_after(found: Sequence[Addition]) -> float:
    """Share of additions whose sum goes into a norm and nowhere else; NaN without any addition."""
    return _share([set(addition.consumers) == {"norm"} for addition in found])


def _share(answers: Sequence[bool]) -> float:
    return sum(answers) / len(answers) if answers else float("nan")
